//! The phone's side of a voice: PCM to FLV audio bodies (tag byte and frame) and back.

use crate::{g711, libopus};
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
    /// Opus of 16 kHz by Debian's libopus, Enhanced RTMP: tag 0x91 and a FourCC.
    Opus,
}

/// Enhanced RTMP: SoundFormat 9 with AudioPacketType 0 (SequenceStart, no audio) or 1 (CodedFrames), and the FourCC.
const OPUS_START: &[u8] = b"\x90Opus";
const OPUS_FRAMES: &[u8] = b"\x91Opus";
/// What a phone's Opus has for speech.
const OPUS_BITRATE: i32 = 32_000;

impl PhoneVoice {
    /// Samples a second of its PCM.
    pub fn rate(self) -> u32 {
        if matches!(self, Self::SpeexWideband | Self::Opus) { 16_000 } else { 8_000 }
    }

    /// What stands before the frames: the FLV tag byte as Flash writes it (siprtmp contract section 7), or more.
    pub fn header(self) -> &'static [u8] {
        match self {
            Self::SpeexWideband | Self::SpeexNarrowband => &[0xB2],
            Self::Pcmu => &[0x82],
            Self::Pcma => &[0x72],
            Self::Opus => OPUS_FRAMES,
        }
    }

    /// 20 ms frames without headers. `quality` is Speex's 0 to 10 (Flash uses 6).
    pub fn frames(self, pcm: &[i16], quality: u8) -> Vec<Vec<u8>> {
        let samples = (self.rate() / 50) as usize;
        let frames = pcm.chunks_exact(samples);
        match self {
            Self::SpeexWideband => speex_frames(Mode::Wideband, pcm, quality),
            Self::SpeexNarrowband => speex_frames(Mode::Narrowband, pcm, quality),
            Self::Pcmu => frames.map(|frame| frame.iter().map(|s| g711::ulaw_encode(*s)).collect()).collect(),
            Self::Pcma => frames.map(|frame| frame.iter().map(|s| g711::alaw_encode(*s)).collect()).collect(),
            Self::Opus => opus_packets(frames),
        }
    }

    /// Audio message bodies, one a 20 ms frame.
    pub fn bodies(self, pcm: &[i16], quality: u8) -> Vec<Bytes> {
        let tagged = |frame: Vec<u8>| [self.header(), &frame].concat().into();
        self.frames(pcm, quality).into_iter().map(tagged).collect()
    }
}

fn opus_packets<'a>(frames: impl Iterator<Item = &'a [i16]>) -> Vec<Vec<u8>> {
    let mut encoder = libopus::Encoder::new(16_000, OPUS_BITRATE, 0);
    frames.map(|frame| encoder.encode(frame)).collect()
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

/// What a phone hears, as 16 kHz samples (Speex, decoded as wideband like Flash does, whatever its mode; Opus) or 8 kHz samples
/// (G.711).
///
/// # Panics
/// When a body has another tag than the first, or none.
pub fn decode_bodies<'a>(bodies: impl Iterator<Item = &'a [u8]>) -> (u32, Vec<i16>) {
    let mut bodies = bodies.filter(|body| body.len() > 1 && !body.starts_with(OPUS_START)).peekable();
    let Some(tag) = bodies.peek().map(|body| body[0]) else { return (16_000, Vec::new()) };
    let payloads = bodies.map(|body| {
        assert_eq!(body[0], tag, "the codec towards the phone changed in the middle of a call");
        &body[1..]
    });
    match tag {
        0xB2 | 0xB6 => (16_000, decode_speex(Mode::Wideband, payloads)),
        0x82 => (8_000, payloads.flatten().map(|byte| g711::ulaw_decode(*byte)).collect()),
        0x72 => (8_000, payloads.flatten().map(|byte| g711::alaw_decode(*byte)).collect()),
        0x91 => (16_000, decode_opus(payloads.map(|body| body.strip_prefix(b"Opus").expect("the FourCC")))),
        other => panic!("audio with tag {other:#04x}: no codec of a phone"),
    }
}

fn decode_opus<'a>(packets: impl Iterator<Item = &'a [u8]>) -> Vec<i16> {
    let (mut decoder, mut pcm) = (libopus::Decoder::new(16_000), Vec::new());
    packets.for_each(|packet| decoder.decode(packet, &mut pcm));
    pcm
}
