//! Decoders and encoders behind one enum each: a packet of any codec to linear samples, and back.

use audio_codec::{Decoder as _, Encoder as _, g722::G722Decoder, g722::G722Encoder};
use speex_codec::Mode;

use super::{
    Codec, SampleRate,
    ahead::Ahead,
    g711,
    opus::{OpusDecoder, OpusEncoder, OpusWishes},
};
use crate::{
    limits::{
        MAX_DECODED_SAMPLES, MAX_SPEEX_FRAMES_PER_PACKET, SPEEX_COMPLEXITY, SPEEX_QUALITY, SPEEX_QUALITY_TO_PHONE,
    },
    speex_gap::SpeexGap,
};

/// Why a packet could not be turned into samples, or samples into a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// The payload is no packet of this codec, or one of more than [`MAX_DECODED_SAMPLES`].
    #[error("payload is no valid packet of its codec")]
    Malformed,
    /// Our own misuse: samples that do not fill whole frames.
    #[error("samples do not fill whole frames")]
    PartialFrame,
}

/// Turns packets into linear audio.
pub struct Decoder {
    kind: DecoderKind,
    rate: SampleRate,
    ahead: Ahead,
}

enum DecoderKind {
    Pcmu,
    Pcma,
    L16,
    G722(Box<G722Decoder>),
    /// With what fills its gaps.
    Speex(Box<(speex_codec::Decoder, SpeexGap)>),
    /// With its concealment and redundancy.
    Opus(Box<OpusDecoder>),
}

impl Decoder {
    /// A decoder in its first state, at the codec's own sample rate.
    pub fn new(codec: Codec) -> Self {
        Self::at(codec, codec.sample_rate())
    }

    /// A decoder whose audio goes to `other`: [`Codec::rate_beside`].
    pub fn beside(codec: Codec, other: Codec) -> Self {
        Self::at(codec, codec.rate_beside(other))
    }

    /// A decoder at a rate that the codec does: its own, and for Opus one of [`Codec::rate_beside`].
    pub fn at(codec: Codec, rate: SampleRate) -> Self {
        let kind = match codec {
            Codec::Pcmu => DecoderKind::Pcmu,
            Codec::Pcma => DecoderKind::Pcma,
            Codec::L16Narrowband | Codec::L16Wideband => DecoderKind::L16,
            Codec::G722 => DecoderKind::G722(Box::default()),
            Codec::SpeexNarrowband => DecoderKind::speex(Mode::Narrowband),
            Codec::SpeexWideband => DecoderKind::speex(Mode::Wideband),
            Codec::SpeexUltraWideband => DecoderKind::speex(Mode::UltraWideband),
            Codec::Opus => DecoderKind::Opus(Box::new(OpusDecoder::new(rate))),
        };
        Self { kind, rate, ahead: Ahead::default() }
    }

    /// Samples a second that come out.
    pub fn rate(&self) -> SampleRate {
        self.rate
    }

    /// Appends the samples of `packet` to `out`, which is left as it was on an error.
    pub fn decode(&mut self, packet: &[u8], out: &mut Vec<i16>) -> Result<(), CodecError> {
        if let Some(pcm) = self.ahead.take(packet) {
            out.extend(pcm);
            return Ok(());
        }
        match &mut self.kind {
            DecoderKind::Pcmu => append_g711(packet, out, g711::decode_ulaw),
            DecoderKind::Pcma => append_g711(packet, out, g711::decode_alaw),
            DecoderKind::L16 => append_linear(packet, out),
            DecoderKind::G722(decoder) => append_g722(decoder, packet, out),
            DecoderKind::Opus(decoder) => decoder.decode(packet, out),
            DecoderKind::Speex(speex) => {
                let (decoder, gap) = &mut **speex;
                let start = out.len();
                out.resize(start + decoder.mode().frame_samples() * MAX_SPEEX_FRAMES_PER_PACKET, 0);
                let decoded = decoder.decode(packet, &mut out[start..]);
                out.truncate(start + decoded.unwrap_or(0));
                decoded.map_err(|_| CodecError::Malformed)?;
                gap.heard(packet);
                Ok(())
            }
        }
    }

    /// The samples of a packet that is to be decoded next, before its turn; [`Self::decode`] has them once more then. Nothing of a packet
    /// that cannot be decoded.
    pub fn decode_ahead(&mut self, packet: &[u8]) -> &[i16] {
        let mut pcm = Vec::new();
        if self.decode(packet, &mut pcm).is_ok() {
            self.ahead.keep(packet, pcm);
        }
        self.ahead.pcm()
    }

    /// Whether the codec hides losses itself.
    pub fn can_conceal(&self) -> bool {
        matches!(self.kind, DecoderKind::Speex(..) | DecoderKind::Opus(_))
    }

    /// Appends frames of 20 ms that hide lost ones, if the codec knows how; else returns false. `next` is the packet right
    /// behind them, if it is at hand: Opus may carry what was lost in it.
    pub fn conceal(&mut self, frames: usize, next: Option<&[u8]>, out: &mut Vec<i16>) -> bool {
        match &mut self.kind {
            DecoderKind::Speex(speex) => {
                let (decoder, gap) = &mut **speex;
                let length = decoder.mode().frame_samples();
                let start = out.len();
                out.resize(start + frames * length, 0);
                let mut packet = Vec::new();
                for (n, frame) in out[start..].chunks_exact_mut(length).enumerate() {
                    packet.clear();
                    let filled = gap.fill(next.filter(|_| n + 1 == frames), &mut packet);
                    if !filled || decoder.decode(&packet, frame).is_err() {
                        decoder.conceal(frame);
                    }
                }
                true
            }
            DecoderKind::Opus(decoder) => {
                decoder.conceal(frames * self.rate.samples_in_ms(20), next, out);
                true
            }
            _ => false,
        }
    }

    /// Forgets the past: the next packet starts a stream.
    pub fn reset(&mut self) {
        self.ahead.clear();
        match &mut self.kind {
            DecoderKind::Speex(speex) => {
                let (decoder, gap) = &mut **speex;
                decoder.reset();
                *gap = SpeexGap::default();
            }
            DecoderKind::Opus(decoder) => decoder.reset(),
            DecoderKind::G722(decoder) => **decoder = G722Decoder::new(),
            DecoderKind::Pcmu | DecoderKind::Pcma | DecoderKind::L16 => {}
        }
    }
}

impl DecoderKind {
    fn speex(mode: Mode) -> Self {
        Self::Speex(Box::new((speex_codec::Decoder::new(mode), SpeexGap::default())))
    }
}

fn append_g711(packet: &[u8], out: &mut Vec<i16>, decode: fn(u8) -> i16) -> Result<(), CodecError> {
    if packet.is_empty() || packet.len() > MAX_DECODED_SAMPLES {
        return Err(CodecError::Malformed);
    }
    out.extend(packet.iter().map(|&byte| decode(byte)));
    Ok(())
}

/// Network byte order (RFC 3551 section 4.5.11).
fn append_linear(packet: &[u8], out: &mut Vec<i16>) -> Result<(), CodecError> {
    if packet.is_empty() || !packet.len().is_multiple_of(2) || packet.len() > 2 * MAX_DECODED_SAMPLES {
        return Err(CodecError::Malformed);
    }
    out.extend(packet.chunks_exact(2).map(|pair| i16::from_be_bytes([pair[0], pair[1]])));
    Ok(())
}

/// A byte is two samples.
fn append_g722(decoder: &mut G722Decoder, packet: &[u8], out: &mut Vec<i16>) -> Result<(), CodecError> {
    if packet.is_empty() || 2 * packet.len() > MAX_DECODED_SAMPLES {
        return Err(CodecError::Malformed);
    }
    let start = out.len();
    out.resize(start + 2 * packet.len(), 0);
    let written = decoder.decode_into(packet, &mut out[start..]).map_err(|_| CodecError::Malformed);
    out.truncate(start + written.unwrap_or(0));
    written.map(drop)
}

/// Who will hear what is encoded: what is wished for, and what the way there can carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EncoderSettings {
    /// Quality of Speex, 0 to 10.
    pub speex_quality: SpeexQuality,
    /// What the receiver of Opus asked for.
    pub opus: OpusWishes,
}

/// How well Speex is encoded: bits against quality.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SpeexQuality {
    /// [`SPEEX_QUALITY`], what SIP peers are sent.
    #[default]
    Usual,
    /// [`SPEEX_QUALITY_TO_PHONE`].
    ToPhone,
}

/// Turns linear audio into packets.
pub struct Encoder {
    kind: EncoderKind,
    rate: SampleRate,
}

enum EncoderKind {
    Pcmu,
    Pcma,
    L16,
    G722(Box<G722Encoder>),
    /// Constant bit rate.
    Speex(Box<speex_codec::Encoder>),
    Opus(OpusEncoder),
}

impl Encoder {
    /// An encoder in its first state, at the codec's own sample rate, for somebody without wishes.
    pub fn new(codec: Codec) -> Self {
        Self::at(codec, codec.sample_rate(), &EncoderSettings::default())
    }

    /// An encoder whose audio comes from `other`: [`Codec::rate_beside`].
    pub fn beside(codec: Codec, other: Codec, settings: &EncoderSettings) -> Self {
        Self::at(codec, codec.rate_beside(other), settings)
    }

    /// An encoder at a rate that the codec does: its own, and for Opus one of [`Codec::rate_beside`].
    pub fn at(codec: Codec, rate: SampleRate, settings: &EncoderSettings) -> Self {
        let kind = match codec {
            Codec::Pcmu => EncoderKind::Pcmu,
            Codec::Pcma => EncoderKind::Pcma,
            Codec::L16Narrowband | Codec::L16Wideband => EncoderKind::L16,
            Codec::G722 => EncoderKind::G722(Box::default()),
            Codec::SpeexNarrowband => EncoderKind::speex(Mode::Narrowband, settings),
            Codec::SpeexWideband => EncoderKind::speex(Mode::Wideband, settings),
            Codec::SpeexUltraWideband => EncoderKind::speex(Mode::UltraWideband, settings),
            Codec::Opus => EncoderKind::Opus(OpusEncoder::new(rate, &settings.opus)),
        };
        Self { kind, rate }
    }

    /// Samples a second that go in.
    pub fn rate(&self) -> SampleRate {
        self.rate
    }

    /// Appends one packet with all of `pcm` to `out`. Speex wants whole 20 ms frames, at most
    /// [`MAX_SPEEX_FRAMES_PER_PACKET`]; G.722 an even number of samples; Opus 10, 20, 40 or 60 ms.
    pub fn encode(&mut self, pcm: &[i16], out: &mut Vec<u8>) -> Result<(), CodecError> {
        match &mut self.kind {
            EncoderKind::Pcmu => out.extend(pcm.iter().map(|&sample| g711::encode_ulaw(sample))),
            EncoderKind::Pcma => out.extend(pcm.iter().map(|&sample| g711::encode_alaw(sample))),
            EncoderKind::L16 => out.extend(pcm.iter().flat_map(|sample| sample.to_be_bytes())),
            EncoderKind::Opus(encoder) => encoder.encode(pcm, out)?,
            EncoderKind::G722(encoder) => {
                if !pcm.len().is_multiple_of(2) {
                    return Err(CodecError::PartialFrame);
                }
                let start = out.len();
                out.resize(start + pcm.len() / 2, 0);
                let written = encoder.encode_into(pcm, &mut out[start..]).map_err(|_| CodecError::PartialFrame);
                out.truncate(start + written.unwrap_or(0));
                written?;
            }
            EncoderKind::Speex(encoder) => {
                let start = out.len();
                let frames = pcm.len() / encoder.mode().frame_samples();
                if frames > MAX_SPEEX_FRAMES_PER_PACKET {
                    return Err(CodecError::PartialFrame);
                }
                out.resize(start + (frames + 1) * speex_codec::MAX_FRAME_BYTES, 0);
                let written = encoder.encode(pcm, &mut out[start..]);
                out.truncate(start + written.unwrap_or(0));
                written.map_err(|_| CodecError::PartialFrame)?;
            }
        }
        Ok(())
    }

    /// How much of what is sent gets lost, for codecs that can prepare for it.
    pub fn set_expected_loss(&mut self, percent: u8) {
        if let EncoderKind::Opus(encoder) = &mut self.kind {
            encoder.set_expected_loss(percent);
        }
    }

    /// Forgets the past.
    pub fn reset(&mut self) {
        match &mut self.kind {
            EncoderKind::Speex(encoder) => encoder.reset(),
            EncoderKind::Opus(encoder) => encoder.reset(),
            EncoderKind::G722(encoder) => **encoder = G722Encoder::new(),
            EncoderKind::Pcmu | EncoderKind::Pcma | EncoderKind::L16 => {}
        }
    }
}

impl EncoderKind {
    fn speex(mode: Mode, settings: &EncoderSettings) -> Self {
        let mut encoder = speex_codec::Encoder::new(mode);
        encoder.set_quality(match settings.speex_quality {
            SpeexQuality::Usual => SPEEX_QUALITY,
            SpeexQuality::ToPhone => SPEEX_QUALITY_TO_PHONE,
        });
        encoder.set_complexity(SPEEX_COMPLEXITY);
        Self::Speex(Box::new(encoder))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_that_is_decoded_ahead_sounds_the_same_in_its_turn_and_so_does_what_follows() {
        for codec in Codec::ALL {
            let mut encoder = Encoder::new(codec);
            let speech = crate::testing::voice(codec.sample_rate(), 400, 3);
            let (mut usual, mut ahead) = (Decoder::new(codec), Decoder::new(codec));
            for (n, frame) in speech.chunks_exact(codec.frame_samples()).enumerate() {
                let mut packet = Vec::new();
                encoder.encode(frame, &mut packet).unwrap();
                let (mut expected, mut heard) = (Vec::new(), Vec::new());
                usual.decode(&packet, &mut expected).unwrap();
                if n % 3 == 1 {
                    assert_eq!(ahead.decode_ahead(&packet), expected, "{codec:?}");
                }
                ahead.decode(&packet, &mut heard).unwrap();
                assert_eq!(heard, expected, "{codec:?}, frame {n}");
            }
            assert!(ahead.decode_ahead(&[]).is_empty(), "{codec:?}: nothing of nothing");
        }
    }

    #[test]
    fn every_codec_brings_back_about_what_was_encoded() {
        for codec in Codec::ALL {
            let mut encoder = Encoder::new(codec);
            let mut decoder = Decoder::new(codec);
            let frame: Vec<i16> = (0..codec.frame_samples()).map(|n| ((n % 40) as i16 - 20) * 200).collect();
            let (mut packet, mut pcm) = (Vec::new(), Vec::new());
            for _ in 0..10 {
                packet.clear();
                encoder.encode(&frame, &mut packet).unwrap();
                decoder.decode(&packet, &mut pcm).unwrap();
            }
            assert_eq!(pcm.len(), 10 * frame.len(), "{codec:?}");
            let loudest = pcm.iter().map(|s| s.unsigned_abs()).max().unwrap();
            assert!((2000..8000).contains(&loudest), "{codec:?}: {loudest}");
        }
    }

    #[test]
    fn an_empty_giant_or_odd_packet_is_malformed() {
        let mut pcm = Vec::new();
        assert_eq!(Decoder::new(Codec::Pcmu).decode(&[], &mut pcm), Err(CodecError::Malformed));
        assert_eq!(Decoder::new(Codec::Pcma).decode(&[0; 70_000], &mut pcm), Err(CodecError::Malformed));
        assert_eq!(Decoder::new(Codec::G722).decode(&[0; 70_000], &mut pcm), Err(CodecError::Malformed));
        assert_eq!(Decoder::new(Codec::L16Wideband).decode(&[0; 641], &mut pcm), Err(CodecError::Malformed));
        assert!(pcm.is_empty());
    }

    #[test]
    fn any_packet_of_g722_is_played_and_a_loud_one_does_not_overflow() {
        let mut random = crate::testing::Random::new(3);
        let (mut decoder, mut encoder) = (Decoder::new(Codec::G722), Encoder::new(Codec::G722));
        let (mut pcm, mut packet) = (Vec::new(), Vec::new());
        for n in 0..2000 {
            let noise: Vec<u8> = (0..160).map(|_| if n % 3 == 0 { 0 } else { random.next_u64() as u8 }).collect();
            pcm.clear();
            decoder.decode(&noise, &mut pcm).unwrap();
            let square: Vec<i16> =
                (0..320).map(|at| if at / (1 + n % 9) % 2 == 0 { i16::MAX } else { i16::MIN }).collect();
            packet.clear();
            encoder.encode(&square, &mut packet).unwrap();
            assert_eq!((pcm.len(), packet.len()), (320, 160));
        }
    }

    #[test]
    fn speex_conceals_frames_and_g711_leaves_it_to_the_pitch_repeater() {
        let mut pcm = Vec::new();
        assert!(Decoder::new(Codec::SpeexWideband).conceal(2, None, &mut pcm));
        assert_eq!(pcm.len(), 640);
        assert!(!Decoder::new(Codec::Pcmu).conceal(1, None, &mut pcm));
    }
}
