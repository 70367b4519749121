//! The codecs alone: encoders and decoders called one after the other, without packets, clocks or the gateway's filters.

use crate::route::{Cell, Voice};
use crate::sinc;
use call_media::codec::{Codec, Decoder, Encoder, EncoderSettings, SampleRate, SpeexQuality};
use gateway_tests::nellymoser;

/// What the speaker sends for speech at 16 kHz: packets of 20 ms; of Nellymoser whole messages.
pub(crate) fn encode(cell: Cell, speech: &[i16]) -> Vec<Vec<u8>> {
    let pcm = sinc::convert(speech, 16_000, cell.source_hz());
    match cell.from() {
        Voice::Codec(codec) => encode_pcm(codec, cell.codec_rate(codec), SpeexQuality::Usual, &pcm),
        Voice::Nellymoser(_) => nellymoser::bodies(&pcm, cell.source_hz()),
    }
}

fn encode_pcm(codec: Codec, rate: SampleRate, speex_quality: SpeexQuality, pcm: &[i16]) -> Vec<Vec<u8>> {
    let mut encoder = Encoder::at(codec, rate, &EncoderSettings { speex_quality, ..EncoderSettings::default() });
    let packet = |frame: &[i16]| {
        let mut packet = Vec::new();
        encoder.encode(frame, &mut packet).expect("whole frames");
        packet
    };
    pcm.chunks_exact(rate.samples_in_ms(20)).map(packet).collect()
}

/// The samples of packets, at `rate`.
pub(crate) fn decode(codec: Codec, rate: SampleRate, packets: &[Vec<u8>]) -> Vec<i16> {
    let (mut decoder, mut pcm) = (Decoder::at(codec, rate), Vec::new());
    for packet in packets {
        decoder.decode(packet, &mut pcm).expect("a packet of the codec");
    }
    pcm
}

/// What the bare codecs of a cell leave of the packets of the first one, at the cell's target rate.
pub(crate) fn chain(cell: Cell, sent: &[Vec<u8>]) -> Vec<i16> {
    if cell.is_relay() {
        return decode(cell.to(), cell.target_rate(), sent);
    }
    let to = cell.to();
    let (pcm, hz, after) = match cell.from() {
        Voice::Codec(from) => {
            let between = from.rate_beside(to);
            (decode(from, between, sent), between.hz(), to.rate_beside(from))
        }
        Voice::Nellymoser(rate) => {
            let hz = cell.source_hz();
            (nellymoser::decode(sent, hz), hz, to.rate_for(rate.band()))
        }
    };
    let again = encode_pcm(to, after, cell.speex_quality(), &sinc::convert(&pcm, hz, after.hz()));
    decode(to, cell.target_rate(), &again)
}
