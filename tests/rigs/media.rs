//! The media core of one call, without a socket: what its SIP side would have agreed on.

use call_media::codec::{Codec, OpusWishes};
use call_media::path::PathConfig;
use call_media::sdp::{Direction, Negotiated, PayloadFormat};

/// A call of `phone` with a peer in TEST-NET-1 (RFC 5737) that has this one codec, 20 ms packets, and neither telephone-events nor
/// comfort noise. Our counters begin near zero.
pub fn config(peer: Codec, phone: Codec) -> PathConfig {
    let format = PayloadFormat::offered(peer);
    let negotiated = Negotiated {
        remote_rtp: Some(([192, 0, 2, 1], 4000).into()),
        remote_rtcp: Some(([192, 0, 2, 1], 4001).into()),
        send: format,
        receive: vec![format],
        telephone_event: None,
        receive_events: Vec::new(),
        opus: OpusWishes::default(),
        comfort_noise: None,
        receive_comfort_noise: None,
        direction: Direction::SendRecv,
        ptime_ms: 20,
    };
    PathConfig {
        negotiated,
        phone_codec: phone,
        ssrc: 0x1234_5678,
        initial_sequence: 1,
        initial_timestamp: 1,
        cname: "tests@example".into(),
        rtmp_base_ms: 0,
        ntp_base: 1 << 60,
    }
}
