//! The codecs alone: encoders and decoders called one after the other, without packets, clocks or the gateway's filters.

use crate::route::Cell;
use crate::sinc;
use call_media::codec::{Codec, Decoder, Encoder, EncoderSettings, SampleRate, SpeexQuality};

/// Packets of 20 ms of speech at 16 kHz.
pub(crate) fn encode(codec: Codec, rate: SampleRate, speech: &[i16]) -> Vec<Vec<u8>> {
    let pcm = sinc::convert(speech, SampleRate::Hz16000, rate);
    encode_pcm(codec, rate, SpeexQuality::Usual, &pcm)
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
    let (from, to) = (cell.from(), cell.to());
    let (between, after) = (from.rate_beside(to), to.rate_beside(from));
    let pcm = sinc::convert(&decode(from, between, sent), between, after);
    let again = encode_pcm(to, after, cell.speex_quality(), &pcm);
    decode(to, cell.target_rate(), &again)
}
