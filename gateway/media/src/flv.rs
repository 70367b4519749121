//! FLV AUDIODATA, the body of an RTMP audio message (FLV specification 10.1, section E.4.2): one tag byte, then codec
//! payload.
//!
//! ```text
//!   7 6 5 4   3 2    1     0
//!  | format | rate | size | stereo |   Speex 0xB2 or 0xB6, PCMU 0x82, PCMA 0x72
//! ```
//! Only the format tells what the payload is: phones write rate, size and channel bits as they like (siprtmp contract
//! section 7.1).

use bytes::{Bytes, BytesMut};

use crate::codec::Codec;

/// SoundFormat 11: Speex.
const FORMAT_SPEEX: u8 = 11;
/// SoundFormat 8: G.711 mu-law.
const FORMAT_PCMU: u8 = 8;
/// SoundFormat 7: G.711 A-law.
const FORMAT_PCMA: u8 = 7;

/// An audio message that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AudioTag<'a> {
    /// Nothing is said for now: an empty message, or a tag byte alone (Flash at the end of speech; reliability T11).
    Silence,
    /// A packet of a codec that we have.
    Packet {
        /// Speex is named wideband here: a wideband decoder reads narrowband packets too.
        codec: Codec,
        /// At least one byte.
        payload: &'a [u8],
    },
    /// Another SoundFormat, 0..=15: MP3 2, Nellymoser 4 to 6, AAC 10 and so on.
    Unsupported(u8),
}

impl<'a> AudioTag<'a> {
    /// Reads the body of an audio message. Every body is one of the three.
    pub fn parse(body: &'a [u8]) -> Self {
        let Some((tag, payload)) = body.split_first() else { return Self::Silence };
        let codec = match tag >> 4 {
            FORMAT_SPEEX => Codec::SpeexWideband,
            FORMAT_PCMU => Codec::Pcmu,
            FORMAT_PCMA => Codec::Pcma,
            other => return Self::Unsupported(other),
        };
        if payload.is_empty() { Self::Silence } else { Self::Packet { codec, payload } }
    }
}

/// What a SoundFormat is called, for log lines and rejections.
pub fn sound_format_name(format: u8) -> &'static str {
    match format {
        0 | 3 => "linear PCM",
        1 => "ADPCM",
        2 | 14 => "MP3",
        4..=6 => "Nellymoser",
        FORMAT_PCMA => "PCMA",
        FORMAT_PCMU => "PCMU",
        9 => "Enhanced RTMP audio",
        10 => "AAC",
        FORMAT_SPEEX => "Speex",
        _ => "unknown",
    }
}

/// Writes audio messages into memory that is reused once the driver has let go of them.
#[derive(Debug, Default)]
pub struct AudioTagWriter {
    arena: BytesMut,
}

const ARENA_BYTES: usize = 4096;

impl AudioTagWriter {
    /// The body of a message that carries `payload` of `codec`.
    pub fn message(&mut self, codec: Codec, payload: &[u8]) -> Bytes {
        let length = 1 + payload.len();
        if self.arena.capacity() < length {
            self.arena.reserve(ARENA_BYTES.max(length));
        }
        self.arena.extend_from_slice(&[codec.info().flv_tag]);
        self.arena.extend_from_slice(payload);
        self.arena.split().freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_the_format_bits_count() {
        for low in 0..16 {
            let payload = &[1, 2, 3][..];
            let packet = |codec| AudioTag::Packet { codec, payload };
            assert_eq!(AudioTag::parse(&[0xB0 | low, 1, 2, 3]), packet(Codec::SpeexWideband));
            assert_eq!(AudioTag::parse(&[0x80 | low, 1, 2, 3]), packet(Codec::Pcmu));
            assert_eq!(AudioTag::parse(&[0x70 | low, 1, 2, 3]), packet(Codec::Pcma));
            assert_eq!(AudioTag::parse(&[0x60 | low, 1, 2, 3]), AudioTag::Unsupported(6));
        }
    }

    #[test]
    fn an_empty_message_or_a_tag_alone_is_silence() {
        assert_eq!(AudioTag::parse(&[]), AudioTag::Silence);
        assert_eq!(AudioTag::parse(&[0xB2]), AudioTag::Silence);
        assert_eq!(AudioTag::parse(&[0x82]), AudioTag::Silence);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(payload in proptest::collection::vec(any::<u8>(), 1..400)) {
            let mut writer = AudioTagWriter::default();
            for codec in Codec::ALL {
                let body = writer.message(codec, &payload);
                let read = if codec.is_speex() { Codec::SpeexWideband } else { codec };
                prop_assert_eq!(AudioTag::parse(&body), AudioTag::Packet { codec: read, payload: &payload });
            }
        }

        #[test]
        fn every_body_is_read_as_something(body in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = AudioTag::parse(&body);
        }
    }
}
