//! Decoders and encoders behind one enum each: a packet of any codec to linear samples, and back.

use speex_codec::Mode;

use super::{Codec, g711};
use crate::limits::{MAX_DECODED_SAMPLES, MAX_SPEEX_FRAMES_PER_PACKET, SPEEX_COMPLEXITY, SPEEX_QUALITY};

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

/// Turns packets into linear audio at the codec's sample rate.
pub enum Decoder {
    /// Stateless.
    Pcmu,
    /// Stateless.
    Pcma,
    /// With its concealment.
    Speex(Box<speex_codec::Decoder>),
}

impl Decoder {
    /// A decoder in its first state.
    pub fn new(codec: Codec) -> Self {
        match codec {
            Codec::Pcmu => Self::Pcmu,
            Codec::Pcma => Self::Pcma,
            Codec::SpeexNarrowband => Self::Speex(Box::new(speex_codec::Decoder::new(Mode::Narrowband))),
            Codec::SpeexWideband => Self::Speex(Box::new(speex_codec::Decoder::new(Mode::Wideband))),
        }
    }

    /// Appends the samples of `packet` to `out`, which is left as it was on an error.
    pub fn decode(&mut self, packet: &[u8], out: &mut Vec<i16>) -> Result<(), CodecError> {
        match self {
            Self::Pcmu => append_g711(packet, out, g711::decode_ulaw),
            Self::Pcma => append_g711(packet, out, g711::decode_alaw),
            Self::Speex(decoder) => {
                let start = out.len();
                out.resize(start + decoder.mode().frame_samples() * MAX_SPEEX_FRAMES_PER_PACKET, 0);
                let decoded = decoder.decode(packet, &mut out[start..]);
                out.truncate(start + decoded.unwrap_or(0));
                decoded.map(drop).map_err(|_| CodecError::Malformed)
            }
        }
    }

    /// Appends one 20 ms frame that hides a lost one, if the codec knows how; else returns false.
    pub fn conceal(&mut self, out: &mut Vec<i16>) -> bool {
        let Self::Speex(decoder) = self else { return false };
        let start = out.len();
        out.resize(start + decoder.mode().frame_samples(), 0);
        let written = decoder.conceal(&mut out[start..]);
        out.truncate(start + written);
        true
    }

    /// Forgets the past: the next packet starts a stream.
    pub fn reset(&mut self) {
        if let Self::Speex(decoder) = self {
            decoder.reset();
        }
    }
}

fn append_g711(packet: &[u8], out: &mut Vec<i16>, decode: fn(u8) -> i16) -> Result<(), CodecError> {
    if packet.is_empty() || packet.len() > MAX_DECODED_SAMPLES {
        return Err(CodecError::Malformed);
    }
    out.extend(packet.iter().map(|&byte| decode(byte)));
    Ok(())
}

/// Turns linear audio at the codec's sample rate into packets.
pub enum Encoder {
    /// Stateless.
    Pcmu,
    /// Stateless.
    Pcma,
    /// Constant bit rate at [`SPEEX_QUALITY`].
    Speex(Box<speex_codec::Encoder>),
}

impl Encoder {
    /// An encoder in its first state.
    pub fn new(codec: Codec) -> Self {
        match codec {
            Codec::Pcmu => Self::Pcmu,
            Codec::Pcma => Self::Pcma,
            Codec::SpeexNarrowband => Self::speex(Mode::Narrowband),
            Codec::SpeexWideband => Self::speex(Mode::Wideband),
        }
    }

    fn speex(mode: Mode) -> Self {
        let mut encoder = speex_codec::Encoder::new(mode);
        encoder.set_quality(SPEEX_QUALITY);
        encoder.set_complexity(SPEEX_COMPLEXITY);
        Self::Speex(Box::new(encoder))
    }

    /// Appends one packet with all of `pcm` to `out`. Speex wants whole 20 ms frames, at most
    /// [`MAX_SPEEX_FRAMES_PER_PACKET`].
    pub fn encode(&mut self, pcm: &[i16], out: &mut Vec<u8>) -> Result<(), CodecError> {
        match self {
            Self::Pcmu => out.extend(pcm.iter().map(|&sample| g711::encode_ulaw(sample))),
            Self::Pcma => out.extend(pcm.iter().map(|&sample| g711::encode_alaw(sample))),
            Self::Speex(encoder) => {
                let start = out.len();
                let frames = pcm.len() / encoder.mode().frame_samples();
                if frames > MAX_SPEEX_FRAMES_PER_PACKET {
                    return Err(CodecError::PartialFrame);
                }
                out.resize(start + (frames + 1) * MAX_SPEEX_FRAME_BYTES, 0);
                let written = encoder.encode(pcm, &mut out[start..]);
                out.truncate(start + written.unwrap_or(0));
                written.map_err(|_| CodecError::PartialFrame)?;
            }
        }
        Ok(())
    }

    /// Forgets the past.
    pub fn reset(&mut self) {
        if let Self::Speex(encoder) = self {
            encoder.reset();
        }
    }
}

/// The largest wideband frame: 492 bits of narrowband and 352 bits of the second layer.
const MAX_SPEEX_FRAME_BYTES: usize = (492 + 352) / 8 + 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_codec_brings_back_about_what_was_encoded() {
        for codec in Codec::ALL {
            let mut encoder = Encoder::new(codec);
            let mut decoder = Decoder::new(codec);
            let frame: Vec<i16> = (0..codec.info().frame_samples).map(|n| ((n % 40) as i16 - 20) * 200).collect();
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
    fn an_empty_or_giant_g711_packet_is_malformed() {
        let mut pcm = Vec::new();
        assert_eq!(Decoder::new(Codec::Pcmu).decode(&[], &mut pcm), Err(CodecError::Malformed));
        assert_eq!(Decoder::new(Codec::Pcma).decode(&[0; 70_000], &mut pcm), Err(CodecError::Malformed));
        assert!(pcm.is_empty());
    }

    #[test]
    fn speex_conceals_a_frame_and_g711_leaves_it_to_the_pitch_repeater() {
        let mut pcm = Vec::new();
        assert!(Decoder::new(Codec::SpeexWideband).conceal(&mut pcm));
        assert_eq!(pcm.len(), 320);
        assert!(!Decoder::new(Codec::Pcmu).conceal(&mut pcm));
    }
}
