//! FLV AUDIODATA, the body of an RTMP audio message (FLV specification 10.1, section E.4.2): one tag byte, then codec
//! payload.
//!
//! ```text
//!   7 6 5 4   3 2    1     0
//!  | format | rate | size | stereo |   Speex 0xB2 or 0xB6, PCMU 0x82, PCMA 0x72, Nellymoser 0x42, 0x52, 0x62 to 0x6E
//! ```
//! Only the format tells what the payload is: phones write rate, size and channel bits as they like (siprtmp contract
//! section 7.1). Of Nellymoser's third format alone the rate bits count too; it has one channel whatever the last bit says.

use bytes::{Bytes, BytesMut};

use crate::codec::{Codec, NellymoserRate};

/// SoundFormat 9: the extended header of Enhanced RTMP, where a FourCC names the codec.
const FORMAT_EXTENDED: u8 = 9;
/// SoundFormat 11: Speex.
const FORMAT_SPEEX: u8 = 11;
/// SoundFormat 8: G.711 mu-law.
const FORMAT_PCMU: u8 = 8;
/// SoundFormat 7: G.711 A-law.
const FORMAT_PCMA: u8 = 7;
/// SoundFormat 6: Nellymoser at the rate of the rate bits.
const FORMAT_NELLYMOSER: u8 = 6;
/// SoundFormat 5: Nellymoser at 8 kHz, which the rate bits cannot say.
const FORMAT_NELLYMOSER_8K: u8 = 5;
/// SoundFormat 4: Nellymoser at 16 kHz, which they cannot say either.
const FORMAT_NELLYMOSER_16K: u8 = 4;

/// An audio message that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AudioTag<'a> {
    /// Nothing is said for now: an empty message, a tag byte alone (Flash at the end of speech; reliability T11), or the
    /// start or end of an Opus sequence.
    Silence,
    /// A packet of a codec that we have.
    Packet {
        /// Speex is named wideband here: a wideband decoder reads narrowband packets too.
        codec: Codec,
        /// At least one byte.
        payload: &'a [u8],
    },
    /// Blocks of a codec that only phones send.
    Nellymoser {
        /// Of the linear audio.
        rate: NellymoserRate,
        /// At least one byte.
        payload: &'a [u8],
    },
    /// Another SoundFormat, 0..=15: MP3 2, AAC 10 and so on.
    Unsupported(u8),
}

impl<'a> AudioTag<'a> {
    /// Reads the body of an audio message. Every body is one of the four.
    pub fn parse(body: &'a [u8]) -> Self {
        let Some((tag, payload)) = body.split_first() else { return Self::Silence };
        let codec = match tag >> 4 {
            FORMAT_SPEEX => Codec::SpeexWideband,
            FORMAT_PCMU => Codec::Pcmu,
            FORMAT_PCMA => Codec::Pcma,
            FORMAT_EXTENDED => return extended(tag & 0x0F, payload),
            FORMAT_NELLYMOSER => return nellymoser(RATES[usize::from(tag >> 2 & 3)], payload),
            FORMAT_NELLYMOSER_8K => return nellymoser(NellymoserRate::Hz8000, payload),
            FORMAT_NELLYMOSER_16K => return nellymoser(NellymoserRate::Hz16000, payload),
            other => return Self::Unsupported(other),
        };
        if payload.is_empty() { Self::Silence } else { Self::Packet { codec, payload } }
    }
}

/// SoundRate 0 to 3.
const RATES: [NellymoserRate; 4] =
    [NellymoserRate::Hz5512, NellymoserRate::Hz11025, NellymoserRate::Hz22050, NellymoserRate::Hz44100];

fn nellymoser(rate: NellymoserRate, payload: &[u8]) -> AudioTag<'_> {
    if payload.is_empty() { AudioTag::Silence } else { AudioTag::Nellymoser { rate, payload } }
}

/// AudioPacketType of Enhanced RTMP (version 2, "ExAudioTagHeader").
mod packet_type {
    pub(super) const SEQUENCE_START: u8 = 0;
    pub(super) const CODED_FRAMES: u8 = 1;
    pub(super) const SEQUENCE_END: u8 = 2;
    pub(super) const MODIFIER: u8 = 7;
}

const FOURCC_OPUS: &[u8] = b"Opus";

/// Reads what follows the first byte of an extended header: modifiers, FourCC, data. One track only, and Opus only.
fn extended(mut packet_type: u8, mut rest: &[u8]) -> AudioTag<'_> {
    const UNSUPPORTED: AudioTag<'_> = AudioTag::Unsupported(FORMAT_EXTENDED);
    // Each modifier is at least three bytes, so the loop ends with the message.
    while packet_type == packet_type::MODIFIER {
        let Some((next, behind)) = skip_modifier(rest) else { return UNSUPPORTED };
        (packet_type, rest) = (next, behind);
    }
    let Some((FOURCC_OPUS, payload)) = rest.split_at_checked(FOURCC_OPUS.len()) else { return UNSUPPORTED };
    match packet_type {
        packet_type::SEQUENCE_START | packet_type::SEQUENCE_END => AudioTag::Silence,
        packet_type::CODED_FRAMES if payload.is_empty() => AudioTag::Silence,
        packet_type::CODED_FRAMES => AudioTag::Packet { codec: Codec::Opus, payload },
        _ => UNSUPPORTED,
    }
}

/// A size (one byte less one; 256 says that two bytes follow instead), so many bytes, then the type of what comes next.
fn skip_modifier(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let (&short, rest) = bytes.split_first()?;
    let (size, rest) = match short {
        0xFF => rest.split_first_chunk().map(|(long, rest)| (usize::from(u16::from_be_bytes(*long)) + 1, rest))?,
        _ => (usize::from(short) + 1, rest),
    };
    let (&types, rest) = rest.get(size..)?.split_first()?;
    Some((types & 0x0F, rest))
}

/// What a stream of Opus begins with (Enhanced RTMP, SequenceStart): the identification header of RFC 7845 section 5.1, one
/// channel, nothing to skip, no gain. The rate in it only says what went in, 48 kHz at most.
pub const OPUS_SEQUENCE_START: &[u8] = b"\x90OpusOpusHead\x01\x01\x00\x00\x80\xBB\x00\x00\x00\x00\x00";

/// Whether the body of an audio message is a packet of Opus.
pub fn is_opus(body: &[u8]) -> bool {
    matches!(AudioTag::parse(body), AudioTag::Packet { codec: Codec::Opus, .. })
}

/// What a SoundFormat is called, for log lines and rejections.
pub fn sound_format_name(format: u8) -> &'static str {
    match format {
        0 | 3 => "linear PCM",
        1 => "ADPCM",
        2 | 14 => "MP3",
        FORMAT_NELLYMOSER_16K..=FORMAT_NELLYMOSER => "Nellymoser",
        FORMAT_PCMA => "PCMA",
        FORMAT_PCMU => "PCMU",
        FORMAT_EXTENDED => "Enhanced RTMP audio other than Opus",
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
        let header = codec.info().flv_header;
        let length = header.len() + payload.len();
        if self.arena.capacity() < length {
            self.arena.reserve(ARENA_BYTES.max(length));
        }
        self.arena.extend_from_slice(header);
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
            let nellymoser = |rate| AudioTag::Nellymoser { rate, payload };
            assert_eq!(AudioTag::parse(&[0x50 | low, 1, 2, 3]), nellymoser(NellymoserRate::Hz8000));
            assert_eq!(AudioTag::parse(&[0x40 | low, 1, 2, 3]), nellymoser(NellymoserRate::Hz16000));
            assert_eq!(AudioTag::parse(&[0x20 | low, 1, 2, 3]), AudioTag::Unsupported(2));
        }
    }

    /// Flash Player's and ffmpeg's tags for a microphone's rate of 5.5, 11, 22 and 44 kHz.
    #[test]
    fn the_third_format_of_nellymoser_has_its_rate_in_the_rate_bits() {
        for (tag, rate) in [0x62, 0x66, 0x6A, 0x6E].into_iter().zip(RATES) {
            for tag in [tag, tag & !2, tag | 1] {
                assert_eq!(AudioTag::parse(&[tag, 9]), AudioTag::Nellymoser { rate, payload: &[9] }, "{tag:#x}");
            }
        }
        assert_eq!(AudioTag::parse(&[0x62]), AudioTag::Silence);
    }

    #[test]
    fn an_empty_message_or_a_tag_alone_is_silence() {
        assert_eq!(AudioTag::parse(&[]), AudioTag::Silence);
        assert_eq!(AudioTag::parse(&[0xB2]), AudioTag::Silence);
        assert_eq!(AudioTag::parse(&[0x82]), AudioTag::Silence);
    }

    #[test]
    fn opus_is_read_behind_its_fourcc_and_any_modifiers() {
        let packet = AudioTag::Packet { codec: Codec::Opus, payload: &[0x78, 1, 2] };
        assert_eq!(AudioTag::parse(b"\x91Opus\x78\x01\x02"), packet);
        // A modifier of three bytes (a time in nanoseconds), then CodedFrames.
        assert_eq!(AudioTag::parse(b"\x97\x02abc\x01Opus\x78\x01\x02"), packet);
        let mut long = vec![0x97, 0xFF, 0x01, 0x00];
        long.extend([0; 257]);
        long.extend(b"\x01Opus\x78\x01\x02");
        assert_eq!(AudioTag::parse(&long), packet);
        assert_eq!(AudioTag::parse(b"\x90OpusOpusHead"), AudioTag::Silence);
        assert_eq!(AudioTag::parse(b"\x92Opus"), AudioTag::Silence);
        assert_eq!(AudioTag::parse(OPUS_SEQUENCE_START), AudioTag::Silence);
        assert!(is_opus(b"\x91Opus\x78\x01\x02") && !is_opus(OPUS_SEQUENCE_START) && !is_opus(b"\xB2\x01"));
        assert_eq!(OPUS_SEQUENCE_START.len(), 5 + 19);
    }

    #[test]
    fn other_fourccs_several_tracks_and_cut_headers_are_not_ours() {
        for body in
            [&b"\x91mp4a\x01"[..], b"\x95\x00Opus\x01", b"\x91Opu", b"\x91", b"\x97", b"\x97\xFF\xFF\xFF", b"\x97\x00"]
        {
            let expected = if body.len() == 1 { AudioTag::Unsupported(9) } else { AudioTag::parse(body) };
            assert_eq!(expected, AudioTag::Unsupported(9), "{body:x?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(payload in proptest::collection::vec(any::<u8>(), 1..400)) {
            let mut writer = AudioTagWriter::default();
            for codec in Codec::OF_PHONES {
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
