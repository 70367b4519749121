//! The codec table: one row a codec, one place for every number that SDP, RTP and FLV give it.
//!
//! A codec is a row of [`Codec::info`] plus the two small state machines [`Decoder`] and [`Encoder`], chosen by enum.
//! `clock_rate` and `sample_rate` are two columns on purpose: G.722 says 8000 in SDP and samples at 16000
//! (RFC 3551 section 4.5.2).

mod coder;
pub mod g711;

pub use coder::{CodecError, Decoder, Encoder};

/// An audio codec that can stand on the RTP side, the RTMP side or both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    /// Speex narrowband, `speex/8000` (RFC 5574).
    SpeexNarrowband,
    /// Speex wideband, `speex/16000` (RFC 5574).
    SpeexWideband,
    /// G.711 mu-law, `PCMU/8000`, static payload type 0 (RFC 3551 section 4.5.14).
    Pcmu,
    /// G.711 A-law, `PCMA/8000`, static payload type 8 (RFC 3551 section 4.5.14).
    Pcma,
}

/// Samples a second of linear audio. Not to be mixed up with an RTP clock rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SampleRate {
    /// 8 kHz, telephone band.
    Hz8000,
    /// 16 kHz, wideband.
    Hz16000,
}

impl SampleRate {
    /// Samples a second.
    pub const fn hz(self) -> u32 {
        match self {
            Self::Hz8000 => 8000,
            Self::Hz16000 => 16000,
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
    /// Static payload type of RFC 3551 table 4, if it has one.
    pub static_payload_type: Option<u8>,
    /// RTP clock rate in Hz: unit of RTP timestamps and of `a=rtpmap`.
    pub clock_rate: u32,
    /// Rate of the linear audio that goes in and comes out.
    pub sample_rate: SampleRate,
    /// Samples of one 20 ms frame at `sample_rate`.
    pub frame_samples: usize,
    /// The first byte of an FLV audio message that carries this codec: format, rate, size and channel bits
    /// (FLV specification 10.1, section E.4.2.1).
    pub flv_tag: u8,
    /// Whether a packet is a string of bytes that may be cut and joined at any sample (G.711), or of whole frames.
    pub framing: Framing,
}

/// How a codec's stream may be cut into packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// One byte a sample, cut anywhere.
    BytePerSample,
    /// Speex: frames of 20 ms, joined on bit borders (RFC 5574 section 3.3).
    SpeexFrames,
}

impl Codec {
    /// All rows, in our order of preference.
    pub const ALL: [Self; 4] = [Self::SpeexWideband, Self::SpeexNarrowband, Self::Pcmu, Self::Pcma];

    /// The codec's row.
    pub const fn info(self) -> &'static CodecInfo {
        match self {
            Self::SpeexNarrowband => &SPEEX_NARROWBAND,
            Self::SpeexWideband => &SPEEX_WIDEBAND,
            Self::Pcmu => &PCMU,
            Self::Pcma => &PCMA,
        }
    }

    /// The codec of a static payload type (RFC 3551 table 4).
    pub fn from_static_payload_type(payload_type: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| codec.info().static_payload_type == Some(payload_type))
    }

    /// The codec of an `a=rtpmap` name and clock rate; the name is compared without case.
    pub fn from_rtpmap(name: &str, clock_rate: u32) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|codec| codec.info().rtp_name.eq_ignore_ascii_case(name) && codec.info().clock_rate == clock_rate)
    }

    /// RTP clock rate in Hz.
    pub const fn clock_rate(self) -> u32 {
        self.info().clock_rate
    }

    /// Rate of the linear audio.
    pub const fn sample_rate(self) -> SampleRate {
        self.info().sample_rate
    }

    /// Whether pauses of this codec are filled by RFC 3389 comfort noise at 8000 Hz: one that has no silence of its own
    /// and whose RTP clock is that of the noise.
    pub const fn uses_comfort_noise(self) -> bool {
        self.clock_rate() == 8000 && !self.is_speex()
    }

    /// Narrowband or wideband Speex.
    pub const fn is_speex(self) -> bool {
        matches!(self.info().framing, Framing::SpeexFrames)
    }
}

// Flash writes Speex with rate 11 kHz, 16 bit, mono whatever it is: 0xB2 (siprtmp contract section 7.2).
const SPEEX_FLV_TAG: u8 = 0xB2;

const SPEEX_NARROWBAND: CodecInfo = CodecInfo {
    rtp_name: "speex",
    static_payload_type: None,
    clock_rate: 8000,
    sample_rate: SampleRate::Hz8000,
    frame_samples: 160,
    flv_tag: SPEEX_FLV_TAG,
    framing: Framing::SpeexFrames,
};

const SPEEX_WIDEBAND: CodecInfo = CodecInfo {
    rtp_name: "speex",
    static_payload_type: None,
    clock_rate: 16000,
    sample_rate: SampleRate::Hz16000,
    frame_samples: 320,
    flv_tag: SPEEX_FLV_TAG,
    framing: Framing::SpeexFrames,
};

const PCMU: CodecInfo = CodecInfo {
    rtp_name: "PCMU",
    static_payload_type: Some(0),
    clock_rate: 8000,
    sample_rate: SampleRate::Hz8000,
    frame_samples: 160,
    flv_tag: 0x82,
    framing: Framing::BytePerSample,
};

const PCMA: CodecInfo = CodecInfo {
    rtp_name: "PCMA",
    static_payload_type: Some(8),
    clock_rate: 8000,
    sample_rate: SampleRate::Hz8000,
    frame_samples: 160,
    flv_tag: 0x72,
    framing: Framing::BytePerSample,
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_holds_twenty_milliseconds_a_frame() {
        for codec in Codec::ALL {
            assert_eq!(codec.info().frame_samples, codec.sample_rate().samples_in_ms(20), "{codec:?}");
        }
    }

    #[test]
    fn rtpmap_names_are_found_without_case_and_with_their_clock() {
        assert_eq!(Codec::from_rtpmap("SPEEX", 16000), Some(Codec::SpeexWideband));
        assert_eq!(Codec::from_rtpmap("speex", 8000), Some(Codec::SpeexNarrowband));
        assert_eq!(Codec::from_rtpmap("pcmu", 8000), Some(Codec::Pcmu));
        assert_eq!(Codec::from_rtpmap("pcmu", 16000), None);
    }

    #[test]
    fn static_payload_types_are_those_of_rfc_3551() {
        assert_eq!(Codec::from_static_payload_type(0), Some(Codec::Pcmu));
        assert_eq!(Codec::from_static_payload_type(8), Some(Codec::Pcma));
        assert_eq!(Codec::from_static_payload_type(96), None);
    }
}
