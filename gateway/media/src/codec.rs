//! The codec table: one row a codec, one place for every number that SDP, RTP and FLV give it.

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
