//! The phone's side of a voice: PCM to FLV audio bodies (tag byte and frame) and back.

use crate::g711;
use bytes::Bytes;
use speex_codec::{Decoder, Encoder, Mode};

/// How a phone speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PhoneVoice {
    /// Speex 16 kHz, tag 0xB2.
    SpeexWideband,
    /// Speex 8 kHz, tag 0xB2.
    SpeexNarrowband,
    /// G.711 mu-law, tag 0x82.
    Pcmu,
    /// G.711 A-law, tag 0x72.
    Pcma,
}

impl PhoneVoice {
    /// Samples a second of its PCM.
    pub fn rate(self) -> u32 {
        if self == Self::SpeexWideband { 16_000 } else { 8_000 }
    }

    /// The FLV tag byte as Flash writes it (siprtmp contract section 7).
    pub fn tag(self) -> u8 {
        match self {
            Self::SpeexWideband | Self::SpeexNarrowband => 0xB2,
            Self::Pcmu => 0x82,
            Self::Pcma => 0x72,
        }
    }

    /// 20 ms frames without tag bytes. `quality` is Speex's 0 to 10 (Flash uses 6).
    pub fn frames(self, pcm: &[i16], quality: u8) -> Vec<Vec<u8>> {
        let samples = (self.rate() / 50) as usize;
        let frames = pcm.chunks_exact(samples);
        match self {
            Self::SpeexWideband => speex_frames(Mode::Wideband, pcm, quality),
            Self::SpeexNarrowband => speex_frames(Mode::Narrowband, pcm, quality),
            Self::Pcmu => frames.map(|frame| frame.iter().map(|s| g711::ulaw_encode(*s)).collect()).collect(),
            Self::Pcma => frames.map(|frame| frame.iter().map(|s| g711::alaw_encode(*s)).collect()).collect(),
        }
    }

    /// Audio message bodies, one a 20 ms frame.
    pub fn bodies(self, pcm: &[i16], quality: u8) -> Vec<Bytes> {
        let tagged = |frame: Vec<u8>| std::iter::once(self.tag()).chain(frame).collect();
        self.frames(pcm, quality).into_iter().map(tagged).collect()
    }
}

fn speex_frames(mode: Mode, pcm: &[i16], quality: u8) -> Vec<Vec<u8>> {
    let mut encoder = Encoder::new(mode);
    encoder.set_quality(quality);
    let mut out = [0; 1024];
    pcm.chunks_exact(mode.frame_samples())
        .map(|frame| {
            let length = encoder.encode(frame, &mut out).unwrap();
            out[..length].to_vec()
        })
        .collect()
}

/// Decodes Speex packets one after another.
pub fn decode_speex<'a>(mode: Mode, packets: impl Iterator<Item = &'a [u8]>) -> Vec<i16> {
    let mut decoder = Decoder::new(mode);
    let mut out = vec![0; 16 * mode.frame_samples()];
    let mut pcm = Vec::new();
    for packet in packets {
        let samples = decoder.decode(packet, &mut out).unwrap();
        pcm.extend_from_slice(&out[..samples]);
    }
    pcm
}

/// Wideband if the packet has an upper band.
pub fn speex_mode(packet: &[u8]) -> Mode {
    let mut narrow = vec![0; packet.len()];
    let length = speex_codec::narrowband_layer(packet, &mut narrow).unwrap();
    if length < packet.len() { Mode::Wideband } else { Mode::Narrowband }
}

/// What a phone hears, as 16 kHz samples (Speex, decoded as wideband like Flash does, whatever its mode) or 8 kHz samples (G.711).
///
/// # Panics
/// When a body has another tag than the first, or none.
pub fn decode_bodies<'a>(bodies: impl Iterator<Item = &'a [u8]>) -> (u32, Vec<i16>) {
    let mut bodies = bodies.filter(|body| body.len() > 1).peekable();
    let Some(tag) = bodies.peek().map(|body| body[0]) else { return (16_000, Vec::new()) };
    let payloads = bodies.map(|body| {
        assert_eq!(body[0], tag, "the codec towards the phone changed in the middle of a call");
        &body[1..]
    });
    match tag {
        0xB2 | 0xB6 => (16_000, decode_speex(Mode::Wideband, payloads)),
        0x82 => (8_000, payloads.flatten().map(|byte| g711::ulaw_decode(*byte)).collect()),
        0x72 => (8_000, payloads.flatten().map(|byte| g711::alaw_decode(*byte)).collect()),
        other => panic!("audio with tag {other:#04x}: no codec of a phone"),
    }
}
