//! The codec table: one row a codec, one place for every number that SDP, RTP and FLV give it.
//!
//! A codec is a row of [`Codec::info`] plus the two small state machines [`Decoder`] and [`Encoder`], chosen by enum.
//! `clock_rate` and `sample_rate` are two columns on purpose: G.722 says 8000 in SDP and samples at 16000
//! (RFC 3551 section 4.5.2), Opus says 48000 whatever it samples at (RFC 7587 section 4.1).

mod ahead;
mod coder;
pub mod g711;
pub mod nellymoser;
pub mod opus;

pub use coder::{CodecError, Decoder, Encoder, EncoderSettings, SpeexQuality};
pub use nellymoser::{NellymoserDecoder, NellymoserRate};
pub use opus::OpusWishes;

/// An audio codec that can stand on the RTP side, the RTMP side or both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    /// Speex narrowband, `speex/8000` (RFC 5574).
    SpeexNarrowband,
    /// Speex wideband, `speex/16000` (RFC 5574).
    SpeexWideband,
    /// Speex ultra-wideband, `speex/32000` (RFC 5574). RTP only.
    SpeexUltraWideband,
    /// G.711 mu-law, `PCMU/8000`, static payload type 0 (RFC 3551 section 4.5.14).
    Pcmu,
    /// G.711 A-law, `PCMA/8000`, static payload type 8 (RFC 3551 section 4.5.14).
    Pcma,
    /// G.722 at 64 kbit/s, `G722/8000`, static payload type 9 (RFC 3551 section 4.5.2). RTP only.
    G722,
    /// Opus, `opus/48000/2` (RFC 7587), of which we send one channel.
    Opus,
    /// Linear 16 bit at 8 kHz, `L16/8000` (RFC 3551 section 4.5.11). RTP only.
    L16Narrowband,
    /// Linear 16 bit at 16 kHz, `L16/16000` (RFC 3551 section 4.5.11). RTP only.
    L16Wideband,
}

/// Samples a second of linear audio. Not to be mixed up with an RTP clock rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SampleRate {
    /// 8 kHz, telephone band.
    Hz8000,
    /// 16 kHz, wideband.
    Hz16000,
    /// 32 kHz, ultra-wideband.
    Hz32000,
    /// 48 kHz, full band.
    Hz48000,
}

impl SampleRate {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Hz8000, Self::Hz16000, Self::Hz32000, Self::Hz48000];

    /// Samples a second.
    pub const fn hz(self) -> u32 {
        match self {
            Self::Hz8000 => 8000,
            Self::Hz16000 => 16000,
            Self::Hz32000 => 32000,
            Self::Hz48000 => 48000,
        }
    }

    /// Samples in `ms` milliseconds.
    pub const fn samples_in_ms(self, ms: u32) -> usize {
        (self.hz() / 1000 * ms) as usize
    }
}

/// The row of a codec.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CodecInfo {
    /// Encoding name of `a=rtpmap`, in the spelling of its registration; compared without case (RFC 8866 section 6.6).
    pub rtp_name: &'static str,
    /// Channels that `a=rtpmap` names behind the clock; one is not named.
    pub rtp_channels: u8,
    /// Static payload type of RFC 3551 table 4, if it has one.
    pub static_payload_type: Option<u8>,
    /// Payload type of our offers: the static one, that of siprtmp's contract (section 7), or a habit of many.
    pub offered_payload_type: u8,
    /// RTP clock rate in Hz: unit of RTP timestamps and of `a=rtpmap`.
    pub clock_rate: u32,
    /// Rate of the linear audio that goes in and comes out. Opus does others as well: [`Codec::rate_beside`].
    pub sample_rate: SampleRate,
    /// What an FLV audio message that carries this codec begins with: format, rate, size and channel bits (FLV
    /// specification 10.1, section E.4.2.1), for Opus also the FourCC (Enhanced RTMP). Empty where no phone plays it.
    pub flv_header: &'static [u8],
    /// Where a packet may be cut.
    pub framing: Framing,
}

/// How a codec's stream may be cut into packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// Cut anywhere on whole milliseconds: G.711, G.722, L16.
    Anywhere,
    /// Speex: frames of 20 ms, joined on bit borders (RFC 5574 section 3.3).
    SpeexFrames,
    /// Opus: a packet is a unit of 2.5 to 120 ms (RFC 7587 section 4.2).
    OpusPackets,
}

impl Codec {
    /// All rows.
    pub const ALL: [Self; 9] = [
        Self::SpeexWideband,
        Self::SpeexNarrowband,
        Self::SpeexUltraWideband,
        Self::G722,
        Self::Pcmu,
        Self::Pcma,
        Self::Opus,
        Self::L16Wideband,
        Self::L16Narrowband,
    ];

    /// Those that a phone can be played.
    pub const OF_PHONES: [Self; 5] = [Self::SpeexWideband, Self::SpeexNarrowband, Self::Pcmu, Self::Pcma, Self::Opus];

    /// The codec's row.
    pub const fn info(self) -> &'static CodecInfo {
        match self {
            Self::SpeexNarrowband => &SPEEX_NARROWBAND,
            Self::SpeexWideband => &SPEEX_WIDEBAND,
            Self::SpeexUltraWideband => &SPEEX_ULTRA_WIDEBAND,
            Self::Pcmu => &PCMU,
            Self::Pcma => &PCMA,
            Self::G722 => &G722,
            Self::Opus => &OPUS,
            Self::L16Narrowband => &L16_NARROWBAND,
            Self::L16Wideband => &L16_WIDEBAND,
        }
    }

    /// The codec of a static payload type (RFC 3551 table 4). Of L16 only 44.1 kHz has one, which nobody speaks over.
    pub fn from_static_payload_type(payload_type: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| codec.info().static_payload_type == Some(payload_type))
    }

    /// The codec of an `a=rtpmap` name, clock rate and channel count; the name is compared without case.
    pub fn from_rtpmap(name: &str, clock_rate: u32, channels: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| {
            let info = codec.info();
            info.rtp_name.eq_ignore_ascii_case(name) && (info.clock_rate, info.rtp_channels) == (clock_rate, channels)
        })
    }

    /// RTP clock rate in Hz.
    pub const fn clock_rate(self) -> u32 {
        self.info().clock_rate
    }

    /// Rate of the linear audio.
    pub const fn sample_rate(self) -> SampleRate {
        self.info().sample_rate
    }

    /// The rate at which this codec is best decoded or encoded when linear audio goes to or comes from `other`.
    pub const fn rate_beside(self, other: Self) -> SampleRate {
        self.rate_for(other.sample_rate())
    }

    /// The same for linear audio that has a rate of its own: Opus follows the other side, which saves a resampler and the
    /// bits of a band that is empty. It has no 32 kHz.
    pub const fn rate_for(self, other: SampleRate) -> SampleRate {
        match (self, other) {
            (Self::Opus, SampleRate::Hz32000) => SampleRate::Hz48000,
            (Self::Opus, rate) => rate,
            _ => self.sample_rate(),
        }
    }

    /// The packet time nearest to what is asked for, milliseconds: whole frames, and payloads of at most
    /// [`MAX_PAYLOAD_BYTES`](crate::limits::MAX_PAYLOAD_BYTES).
    pub fn packet_time(self, asked: u16) -> u16 {
        let (grain, longest) = match self {
            Self::SpeexNarrowband | Self::SpeexWideband | Self::SpeexUltraWideband => (20, 120),
            Self::Pcmu | Self::Pcma | Self::G722 => (10, 120),
            Self::L16Narrowband => (10, 70),
            Self::L16Wideband => (10, 30),
            Self::Opus => match asked {
                60.. => return 60,
                _ => (20, 40),
            },
        };
        let asked = asked.clamp(grain, longest);
        asked - asked % grain
    }

    /// Samples of one 20 ms frame at [`Self::sample_rate`].
    pub const fn frame_samples(self) -> usize {
        self.sample_rate().samples_in_ms(20)
    }

    /// Whether pauses of this codec are filled by RFC 3389 comfort noise at 8000 Hz: one that has no silence of its own
    /// and whose RTP clock is that of the noise.
    pub const fn uses_comfort_noise(self) -> bool {
        self.clock_rate() == 8000 && matches!(self.info().framing, Framing::Anywhere)
    }

    /// Speex of any band.
    pub const fn is_speex(self) -> bool {
        matches!(self.info().framing, Framing::SpeexFrames)
    }

    /// G.711 of either law: a byte is a sample and knows nothing of its neighbours.
    pub const fn is_g711(self) -> bool {
        matches!(self, Self::Pcmu | Self::Pcma)
    }
}

// Flash writes Speex with rate 11 kHz, 16 bit, mono whatever it is: 0xB2 (siprtmp contract section 7.2).
const SPEEX_FLV_HEADER: &[u8] = &[0xB2];

const SPEEX_NARROWBAND: CodecInfo = CodecInfo {
    offered_payload_type: 98,
    rtp_name: "speex",
    rtp_channels: 1,
    static_payload_type: None,
    clock_rate: 8000,
    sample_rate: SampleRate::Hz8000,
    flv_header: SPEEX_FLV_HEADER,
    framing: Framing::SpeexFrames,
};

const SPEEX_WIDEBAND: CodecInfo =
    CodecInfo { offered_payload_type: 96, clock_rate: 16000, sample_rate: SampleRate::Hz16000, ..SPEEX_NARROWBAND };

const SPEEX_ULTRA_WIDEBAND: CodecInfo = CodecInfo {
    offered_payload_type: 102,
    clock_rate: 32000,
    sample_rate: SampleRate::Hz32000,
    flv_header: &[],
    ..SPEEX_NARROWBAND
};

const PCMU: CodecInfo = CodecInfo {
    offered_payload_type: 0,
    rtp_name: "PCMU",
    rtp_channels: 1,
    static_payload_type: Some(0),
    clock_rate: 8000,
    sample_rate: SampleRate::Hz8000,
    flv_header: &[0x82],
    framing: Framing::Anywhere,
};

const PCMA: CodecInfo =
    CodecInfo { offered_payload_type: 8, rtp_name: "PCMA", static_payload_type: Some(8), flv_header: &[0x72], ..PCMU };

// The clock of 8000 is an error of 1996 that everybody keeps (RFC 3551 section 4.5.2).
const G722: CodecInfo = CodecInfo {
    offered_payload_type: 9,
    rtp_name: "G722",
    static_payload_type: Some(9),
    sample_rate: SampleRate::Hz16000,
    flv_header: &[],
    ..PCMU
};

const OPUS: CodecInfo = CodecInfo {
    offered_payload_type: 111,
    rtp_name: "opus",
    rtp_channels: 2,
    static_payload_type: None,
    clock_rate: 48000,
    sample_rate: SampleRate::Hz48000,
    // SoundFormat 9 (extended header), AudioPacketType 1 (CodedFrames).
    flv_header: b"\x91Opus",
    framing: Framing::OpusPackets,
};

const L16_NARROWBAND: CodecInfo =
    CodecInfo { offered_payload_type: 104, rtp_name: "L16", static_payload_type: None, flv_header: &[], ..PCMU };

const L16_WIDEBAND: CodecInfo =
    CodecInfo { offered_payload_type: 103, clock_rate: 16000, sample_rate: SampleRate::Hz16000, ..L16_NARROWBAND };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rtpmap_names_are_found_without_case_and_with_their_clock_and_channels() {
        assert_eq!(Codec::from_rtpmap("SPEEX", 16000, 1), Some(Codec::SpeexWideband));
        assert_eq!(Codec::from_rtpmap("speex", 8000, 1), Some(Codec::SpeexNarrowband));
        assert_eq!(Codec::from_rtpmap("pcmu", 8000, 1), Some(Codec::Pcmu));
        assert_eq!(Codec::from_rtpmap("pcmu", 16000, 1), None);
        assert_eq!(Codec::from_rtpmap("OPUS", 48000, 2), Some(Codec::Opus));
        assert_eq!(Codec::from_rtpmap("l16", 16000, 1), Some(Codec::L16Wideband));
        assert_eq!(Codec::from_rtpmap("L16", 44100, 2), None);
        for codec in Codec::ALL {
            let info = codec.info();
            assert_eq!(Codec::from_rtpmap(info.rtp_name, info.clock_rate, info.rtp_channels), Some(codec));
        }
    }

    #[test]
    fn static_payload_types_are_those_of_rfc_3551() {
        assert_eq!(Codec::from_static_payload_type(0), Some(Codec::Pcmu));
        assert_eq!(Codec::from_static_payload_type(8), Some(Codec::Pcma));
        assert_eq!(Codec::from_static_payload_type(9), Some(Codec::G722));
        assert_eq!(Codec::from_static_payload_type(11), None);
        assert_eq!(Codec::from_static_payload_type(96), None);
    }

    #[test]
    fn packet_times_are_whole_frames_that_fit_into_a_packet() {
        for codec in Codec::ALL {
            for asked in 0..=300 {
                let ms = codec.packet_time(asked);
                assert!((10..=120).contains(&ms) && codec.packet_time(ms) == ms, "{codec:?} {asked}");
            }
        }
        assert_eq!(Codec::Opus.packet_time(50), 40);
        assert_eq!(Codec::SpeexWideband.packet_time(50), 40);
        assert_eq!(Codec::L16Wideband.packet_time(60), 30);
        assert_eq!(Codec::Pcmu.packet_time(35), 30);
    }

    #[test]
    fn opus_works_at_the_rate_of_the_other_side() {
        assert_eq!(Codec::Opus.rate_beside(Codec::Pcmu), SampleRate::Hz8000);
        assert_eq!(Codec::Opus.rate_beside(Codec::SpeexWideband), SampleRate::Hz16000);
        assert_eq!(Codec::Opus.rate_beside(Codec::SpeexUltraWideband), SampleRate::Hz48000);
        assert_eq!(Codec::G722.rate_beside(Codec::Opus), SampleRate::Hz16000);
    }
}
