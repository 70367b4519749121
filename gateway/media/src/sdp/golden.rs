//! Offers as real peers (and unreal ones) write them, each with the answer that it must get.

use super::{Agreement, Capabilities, LocalSession, Negotiated, PayloadFormat, SdpError};
use crate::codec::{Codec, OpusWishes};

pub(super) const WIDEBAND: PayloadFormat = PayloadFormat { payload_type: 96, codec: Codec::SpeexWideband };
pub(super) const NARROWBAND: PayloadFormat = PayloadFormat { payload_type: 98, codec: Codec::SpeexNarrowband };
pub(super) const PCMU: PayloadFormat = PayloadFormat { payload_type: 0, codec: Codec::Pcmu };
pub(super) const PCMA: PayloadFormat = PayloadFormat { payload_type: 8, codec: Codec::Pcma };

/// All that the engine can do, in the order of the table.
fn whole_table() -> Capabilities {
    Capabilities::new(Codec::ALL.map(PayloadFormat::offered), true).unwrap()
}

pub(super) fn everything() -> Capabilities {
    Capabilities::new([WIDEBAND, NARROWBAND, PCMU, PCMA], true).unwrap()
}

pub(super) fn session(capabilities: Capabilities) -> LocalSession {
    LocalSession::new(2000, "198.51.100.7:40000".parse().unwrap(), capabilities)
}

/// Media lines behind a usual head, or a whole description when it begins with `v=` or `!` (then without the mark).
pub(super) fn offer(lines: &str) -> String {
    let whole = lines.strip_prefix('!').or(lines.starts_with("v=").then_some(lines));
    let head = "v=0|o=peer 1 1 IN IP4 192.0.2.1|s=-|c=IN IP4 192.0.2.1|t=0 0|";
    whole.map_or_else(|| format!("{head}{lines}|"), |whole| format!("{whole}|")).replace('|', "\r\n")
}

/// The m= lines of an answer, then where and what we send, direction, packet time, DTMF and hold.
pub(super) fn outcome(answered: Result<(String, Agreement), SdpError>) -> String {
    match answered {
        Ok((text, agreement)) => {
            let media: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("m=")).collect();
            format!("{} > {}", media.join(", "), terms(&agreement))
        }
        Err(error) => error.to_string().split(':').next().unwrap().to_owned(),
    }
}

fn terms(Agreement { negotiated, peer_holds }: &Agreement) -> String {
    let Negotiated {
        remote_rtp,
        remote_rtcp,
        send,
        telephone_event,
        comfort_noise,
        receive_comfort_noise,
        direction,
        ptime_ms,
        ..
    } = negotiated;
    let rtp = remote_rtp.map_or("nowhere".to_owned(), |address| address.to_string());
    let rtcp = match (remote_rtp, remote_rtcp) {
        (Some(rtp), Some(rtcp)) if rtp.ip() == rtcp.ip() && rtp.port() + 1 == rtcp.port() => String::new(),
        (_, Some(rtcp)) => format!(" rtcp {rtcp}"),
        (_, None) => " no rtcp".to_owned(),
    };
    let dtmf = telephone_event.map_or(String::new(), |e| format!(" dtmf {}/{}", e.payload_type, e.clock_rate));
    let noise = match (comfort_noise, receive_comfort_noise) {
        (Some(ours), Some(_)) => format!(" noise {ours}"),
        (None, Some(ours)) => format!(" noise to us {ours}"),
        (_, None) => String::new(),
    };
    let held = if *peer_holds { " held" } else { "" };
    let (number, codec) = (send.payload_type, send.codec);
    format!("{number} {codec:?} {rtp}{rtcp} {} {ptime_ms}{dtmf}{noise}{held}", direction.attribute())
}

/// Answers with all four codecs and telephone-event on our side.
const GOLDEN: &[(&str, &str, &str)] = &[
    (
        "G.711 by static numbers alone",
        "m=audio 4000 RTP/AVP 0 8",
        "audio 40000 RTP/AVP 0 8 > 0 Pcmu 192.0.2.1:4000 sendrecv 20",
    ),
    (
        "the offerer's order is kept",
        "m=audio 4000 RTP/AVP 8 0",
        "audio 40000 RTP/AVP 8 0 > 8 Pcma 192.0.2.1:4000 sendrecv 20",
    ),
    (
        "the offerer's numbers are kept (contract section 7)",
        "m=audio 4000 RTP/AVP 110 8 0 101|a=rtpmap:110 speex/16000|a=rtpmap:101 telephone-event/8000",
        "audio 40000 RTP/AVP 110 8 0 101 > 110 SpeexWideband 192.0.2.1:4000 sendrecv 20 dtmf 101/8000",
    ),
    (
        "baresip's usual offer",
        "m=audio 4000 RTP/AVP 0 8 101|a=rtpmap:0 PCMU/8000|a=rtpmap:8 PCMA/8000|a=rtpmap:101 telephone-event/8000|a=fmtp:101 0-15|a=rtcp:4001|a=sendrecv|a=label:1|a=ssrc:1 cname:x|a=ptime:20",
        "audio 40000 RTP/AVP 0 8 101 > 0 Pcmu 192.0.2.1:4000 sendrecv 20 dtmf 101/8000",
    ),
    (
        "PJSIP's usual offer with both event clocks",
        "m=audio 4000 RTP/AVP 98 97 99 104 3 0 8 9 96 120|c=IN IP4 192.0.2.9|b=TIAS:64000|a=rtcp:4001 IN IP4 192.0.2.9|a=sendrecv|a=rtpmap:98 speex/16000|a=rtpmap:97 speex/8000|a=rtpmap:99 speex/32000|a=rtpmap:104 iLBC/8000|a=fmtp:104 mode=30|a=rtpmap:3 GSM/8000|a=rtpmap:0 PCMU/8000|a=rtpmap:8 PCMA/8000|a=rtpmap:9 G722/8000|a=rtpmap:96 telephone-event/16000|a=fmtp:96 0-16|a=rtpmap:120 telephone-event/8000|a=fmtp:120 0-16",
        "audio 40000 RTP/AVP 98 97 0 8 96 120 > 98 SpeexWideband 192.0.2.9:4000 sendrecv 20 dtmf 96/16000",
    ),
    (
        "an event clock of 16000 has no place beside G.711 alone",
        "m=audio 4000 RTP/AVP 0 100 101|a=rtpmap:100 telephone-event/16000|a=rtpmap:101 telephone-event/8000",
        "audio 40000 RTP/AVP 0 101 > 0 Pcmu 192.0.2.1:4000 sendrecv 20 dtmf 101/8000",
    ),
    (
        "events follow the clock of the codec that is sent",
        "m=audio 4000 RTP/AVP 0 96 100 101|a=rtpmap:96 speex/16000|a=rtpmap:100 telephone-event/16000|a=rtpmap:101 telephone-event/8000",
        "audio 40000 RTP/AVP 0 96 100 101 > 0 Pcmu 192.0.2.1:4000 sendrecv 20 dtmf 101/8000",
    ),
    (
        "an event clock of 48000 has no place without Opus",
        "m=audio 4000 RTP/AVP 0 101|a=rtpmap:101 telephone-event/48000",
        "audio 40000 RTP/AVP 0 > 0 Pcmu 192.0.2.1:4000 sendrecv 20",
    ),
    (
        "names are compared without case",
        "m=audio 4000 RTP/AVP 97|a=rtpmap:97 SpEeX/8000",
        "audio 40000 RTP/AVP 97 > 97 SpeexNarrowband 192.0.2.1:4000 sendrecv 20",
    ),
    (
        "one channel may be named",
        "m=audio 4000 RTP/AVP 97|a=rtpmap:97 speex/8000/1",
        "audio 40000 RTP/AVP 97 > 97 SpeexNarrowband 192.0.2.1:4000 sendrecv 20",
    ),
    ("stereo speex is not ours", "m=audio 4000 RTP/AVP 97|a=rtpmap:97 speex/8000/2", "no common audio"),
    (
        "what the phone has not listed is not taken",
        "m=audio 4000 RTP/AVP 97|a=rtpmap:97 speex/32000",
        "no common audio",
    ),
    (
        "a static number is remapped when the peer says so",
        "m=audio 4000 RTP/AVP 0|a=rtpmap:0 G729/8000",
        "no common audio",
    ),
    (
        "a dynamic number without rtpmap means nothing in an offer",
        "m=audio 4000 RTP/AVP 96 0",
        "audio 40000 RTP/AVP 0 > 0 Pcmu 192.0.2.1:4000 sendrecv 20",
    ),
    (
        "payload types above 127 are passed over",
        "m=audio 4000 RTP/AVP 128 4294967296 -1 8",
        "audio 40000 RTP/AVP 8 > 8 Pcma 192.0.2.1:4000 sendrecv 20",
    ),
    (
        "a number listed twice counts once",
        "m=audio 4000 RTP/AVP 0 0 0",
        "audio 40000 RTP/AVP 0 > 0 Pcmu 192.0.2.1:4000 sendrecv 20",
    ),
    (
        "a format listed under two numbers is taken once",
        "m=audio 4000 RTP/AVP 96 97|a=rtpmap:96 speex/8000|a=rtpmap:97 speex/8000",
        "audio 40000 RTP/AVP 96 > 96 SpeexNarrowband 192.0.2.1:4000 sendrecv 20",
    ),
    (
        "events without audio are no call",
        "m=audio 4000 RTP/AVP 101|a=rtpmap:101 telephone-event/8000",
        "no common audio",
    ),
    (
        "foreign codecs drop out",
        "m=audio 4000 RTP/AVP 18 3 8",
        "audio 40000 RTP/AVP 8 > 8 Pcma 192.0.2.1:4000 sendrecv 20",
    ),
    (
        "comfort noise by its static number",
        "m=audio 4000 RTP/AVP 0 13",
        "audio 40000 RTP/AVP 0 13 > 0 Pcmu 192.0.2.1:4000 sendrecv 20 noise 13",
    ),
    (
        "comfort noise under a number of the peer's",
        "m=audio 4000 RTP/AVP 8 118|a=rtpmap:118 cn/8000",
        "audio 40000 RTP/AVP 8 118 > 8 Pcma 192.0.2.1:4000 sendrecv 20 noise 118",
    ),
    (
        "comfort noise has no place beside Speex alone, which has its own",
        "m=audio 4000 RTP/AVP 96 13|a=rtpmap:96 speex/8000",
        "audio 40000 RTP/AVP 96 > 96 SpeexNarrowband 192.0.2.1:4000 sendrecv 20",
    ),
    (
        "while Speex is sent no comfort noise is, though the peer may send it",
        "m=audio 4000 RTP/AVP 96 0 13|a=rtpmap:96 speex/8000",
        "audio 40000 RTP/AVP 96 0 13 > 96 SpeexNarrowband 192.0.2.1:4000 sendrecv 20 noise to us 13",
    ),
    (
        "comfort noise at another clock is not ours",
        "m=audio 4000 RTP/AVP 0 105|a=rtpmap:105 CN/16000",
        "audio 40000 RTP/AVP 0 > 0 Pcmu 192.0.2.1:4000 sendrecv 20",
    ),
    ("nothing in common", "m=audio 4000 RTP/AVP 18 3", "no common audio"),
    (
        "video behind audio is refused in its place",
        "m=audio 4000 RTP/AVP 0|m=video 4002 RTP/AVP 99 34|a=rtpmap:99 h264/90000",
        "audio 40000 RTP/AVP 0, video 0 RTP/AVP 99 > 0 Pcmu 192.0.2.1:4000 sendrecv 20",
    ),
    (
        "video before audio is refused in its place",
        "m=video 4002 RTP/AVP 34|m=audio 4000 RTP/AVP 8",
        "video 0 RTP/AVP 34, audio 40000 RTP/AVP 8 > 8 Pcma 192.0.2.1:4000 sendrecv 20",
    ),
    (
        "fax and text are refused in their places",
        "m=image 4004 udptl t38|m=audio 4000 RTP/AVP 0|m=text 4006 RTP/AVP 98|m=message 9 TCP/MSRP *",
        "image 0 udptl t38, audio 40000 RTP/AVP 0, text 0 RTP/AVP 98, message 0 TCP/MSRP * > 0 Pcmu 192.0.2.1:4000 sendrecv 20",
    ),
    (
        "the first fitting audio of two is taken",
        "m=audio 4000 RTP/AVP 18|m=audio 4002 RTP/AVP 0",
        "audio 0 RTP/AVP 18, audio 40000 RTP/AVP 0 > 0 Pcmu 192.0.2.1:4002 sendrecv 20",
    ),
    (
        "only one of two audio lines is taken",
        "m=audio 4000 RTP/AVP 0|m=audio 4002 RTP/AVP 0",
        "audio 40000 RTP/AVP 0, audio 0 RTP/AVP 0 > 0 Pcmu 192.0.2.1:4000 sendrecv 20",
    ),
    (
        "an encrypted alternative is refused beside the plain line",
        "m=audio 4000 RTP/SAVP 0|a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x|m=audio 4002 RTP/AVP 0",
        "audio 0 RTP/SAVP 0, audio 40000 RTP/AVP 0 > 0 Pcmu 192.0.2.1:4002 sendrecv 20",
    ),
    ("encrypted audio alone is refused", "m=audio 4000 RTP/SAVP 0", "no common audio"),
    ("WebRTC's profile is refused", "m=audio 9 UDP/TLS/RTP/SAVPF 0", "no common audio"),
    (
        "feedback profile without encryption is taken",
        "m=audio 4000 RTP/AVPF 0|a=rtcp-fb:* ccm fir",
        "audio 40000 RTP/AVPF 0 > 0 Pcmu 192.0.2.1:4000 sendrecv 20",
    ),
    ("audio of port 0 is no audio", "m=audio 0 RTP/AVP 0", "no common audio"),
    ("no media at all", "v=0|o=- 1 1 IN IP4 192.0.2.1|s=-|c=IN IP4 192.0.2.1|t=0 0", "no common audio"),
    ("video alone", "m=video 4000 RTP/AVP 34", "no common audio"),
    (
        "hold by sendonly",
        "m=audio 4000 RTP/AVP 0|a=sendonly",
        "audio 40000 RTP/AVP 0 > 0 Pcmu 192.0.2.1:4000 recvonly 20 held",
    ),
    (
        "hold by inactive",
        "m=audio 4000 RTP/AVP 0|a=inactive",
        "audio 40000 RTP/AVP 0 > 0 Pcmu 192.0.2.1:4000 inactive 20 held",
    ),
    (
        "recvonly is a listener, not a hold",
        "m=audio 4000 RTP/AVP 0|a=recvonly",
        "audio 40000 RTP/AVP 0 > 0 Pcmu 192.0.2.1:4000 sendonly 20",
    ),
    (
        "hold at session level",
        "v=0|o=- 1 1 IN IP4 192.0.2.1|s=-|c=IN IP4 192.0.2.1|t=0 0|a=sendonly|m=audio 4000 RTP/AVP 0",
        "audio 40000 RTP/AVP 0 > 0 Pcmu 192.0.2.1:4000 recvonly 20 held",
    ),
    (
        "the media's direction counts before the session's",
        "v=0|o=- 1 1 IN IP4 192.0.2.1|s=-|c=IN IP4 192.0.2.1|t=0 0|a=sendonly|m=audio 4000 RTP/AVP 0|a=sendrecv",
        "audio 40000 RTP/AVP 0 > 0 Pcmu 192.0.2.1:4000 sendrecv 20",
    ),
    (
        "old-style hold at session level",
        "v=0|o=- 1 1 IN IP4 192.0.2.1|s=-|c=IN IP4 0.0.0.0|t=0 0|m=audio 4000 RTP/AVP 0",
        "audio 40000 RTP/AVP 0 > 0 Pcmu nowhere no rtcp recvonly 20 held",
    ),
    (
        "old-style hold at media level, as siprtmp does it with sendonly",
        "m=audio 4000 RTP/AVP 0|c=IN IP4 0.0.0.0|a=sendonly",
        "audio 40000 RTP/AVP 0 > 0 Pcmu nowhere no rtcp recvonly 20 held",
    ),
    (
        "old-style hold with recvonly leaves nothing",
        "m=audio 4000 RTP/AVP 0|c=IN IP4 0.0.0.0|a=recvonly",
        "audio 40000 RTP/AVP 0 > 0 Pcmu nowhere no rtcp inactive 20 held",
    ),
    (
        "the media's address counts before the session's",
        "m=audio 4000 RTP/AVP 0|c=IN IP4 192.0.2.77",
        "audio 40000 RTP/AVP 0 > 0 Pcmu 192.0.2.77:4000 sendrecv 20",
    ),
    (
        "RTCP elsewhere by port (RFC 3605)",
        "m=audio 4000 RTP/AVP 0|a=rtcp:5000",
        "audio 40000 RTP/AVP 0 > 0 Pcmu 192.0.2.1:4000 rtcp 192.0.2.1:5000 sendrecv 20",
    ),
    (
        "RTCP elsewhere by address (RFC 3605)",
        "m=audio 4000 RTP/AVP 0|a=rtcp:5000 IN IP4 192.0.2.8",
        "audio 40000 RTP/AVP 0 > 0 Pcmu 192.0.2.1:4000 rtcp 192.0.2.8:5000 sendrecv 20",
    ),
    (
        "the last port has none above it",
        "m=audio 65535 RTP/AVP 0",
        "audio 40000 RTP/AVP 0 > 0 Pcmu 192.0.2.1:65535 no rtcp sendrecv 20",
    ),
    (
        "IPv6",
        "v=0|o=- 1 1 IN IP6 2001:db8::1|s=-|c=IN IP6 2001:db8::1|t=0 0|m=audio 4000 RTP/AVP 0",
        "audio 40000 RTP/AVP 0 > 0 Pcmu [2001:db8::1]:4000 sendrecv 20",
    ),
    (
        "a host name waits for the first packet",
        "m=audio 4000 RTP/AVP 0|c=IN IP4 media.example.com",
        "audio 40000 RTP/AVP 0 > 0 Pcmu nowhere no rtcp sendrecv 20",
    ),
    ("multicast is refused", "m=audio 4000 RTP/AVP 0|c=IN IP4 224.2.1.1/127", "no common audio"),
    ("broadcast is refused", "m=audio 4000 RTP/AVP 0|c=IN IP4 255.255.255.255", "no common audio"),
    ("no address at all", "v=0|o=- 1 1 IN IP4 192.0.2.1|s=-|t=0 0|m=audio 4000 RTP/AVP 0", "no common audio"),
    (
        "packet time is mirrored",
        "m=audio 4000 RTP/AVP 0|a=ptime:30",
        "audio 40000 RTP/AVP 0 > 0 Pcmu 192.0.2.1:4000 sendrecv 30",
    ),
    (
        "packet time of Speex is whole frames",
        "m=audio 4000 RTP/AVP 96|a=ptime:30|a=rtpmap:96 speex/16000",
        "audio 40000 RTP/AVP 96 > 96 SpeexWideband 192.0.2.1:4000 sendrecv 20",
    ),
    (
        "maxptime bounds it",
        "m=audio 4000 RTP/AVP 0|a=ptime:60|a=maxptime:40",
        "audio 40000 RTP/AVP 0 > 0 Pcmu 192.0.2.1:4000 sendrecv 40",
    ),
    (
        "an absurd packet time is bounded",
        "m=audio 4000 RTP/AVP 0|a=ptime:60000",
        "audio 40000 RTP/AVP 0 > 0 Pcmu 192.0.2.1:4000 sendrecv 120",
    ),
    (
        "packet time 0 is bounded",
        "m=audio 4000 RTP/AVP 0|a=ptime:0",
        "audio 40000 RTP/AVP 0 > 0 Pcmu 192.0.2.1:4000 sendrecv 10",
    ),
    (
        "spaces in the user name of o= do no harm",
        "v=0|o=John Q Phone 1 1 IN IP4 192.0.2.1|s=-|c=IN IP4 192.0.2.1|t=0 0|m=audio 4000 RTP/AVP 0",
        "audio 40000 RTP/AVP 0 > 0 Pcmu 192.0.2.1:4000 sendrecv 20",
    ),
    (
        "a huge o= version does no harm",
        "v=0|o=- 1 99999999999999999999999 IN IP4 192.0.2.1|s=-|c=IN IP4 192.0.2.1|t=0 0|m=audio 4000 RTP/AVP 0",
        "audio 40000 RTP/AVP 0 > 0 Pcmu 192.0.2.1:4000 sendrecv 20",
    ),
    (
        "o=, s= and t= may be missing",
        "v=0|c=IN IP4 192.0.2.1|m=audio 4000 RTP/AVP 0",
        "audio 40000 RTP/AVP 0 > 0 Pcmu 192.0.2.1:4000 sendrecv 20",
    ),
    (
        "blanks at line ends and between words do no harm",
        "!v=0 |c=IN IP4 192.0.2.1  |m=audio  4000  RTP/AVP  0  8 |a=sendonly ",
        "audio 40000 RTP/AVP 0 8 > 0 Pcmu 192.0.2.1:4000 recvonly 20 held",
    ),
    (
        "a port count is allowed",
        "m=audio 4000/2 RTP/AVP 0",
        "audio 40000 RTP/AVP 0 > 0 Pcmu 192.0.2.1:4000 sendrecv 20",
    ),
    ("a port beyond 65535", "m=audio 70000 RTP/AVP 0", "malformed SDP"),
    ("no version line", "!c=IN IP4 192.0.2.1|m=audio 4000 RTP/AVP 0", "malformed SDP"),
    ("no SDP at all", "!hello", "malformed SDP"),
    ("an m= line without formats", "m=audio 4000 RTP/AVP", "malformed SDP"),
];

/// Answers with the whole table on our side.
const WHOLE_TABLE: &[(&str, &str, &str)] = &[
    (
        "a softphone's offer with Opus first",
        "m=audio 4000 RTP/AVP 111 9 0 8 101 110|a=rtpmap:111 opus/48000/2|a=fmtp:111 minptime=10;useinbandfec=1|a=rtpmap:9 G722/8000|a=rtpmap:101 telephone-event/8000|a=rtpmap:110 telephone-event/48000",
        "audio 40000 RTP/AVP 111 9 0 8 101 110 > 111 Opus 192.0.2.1:4000 sendrecv 20 dtmf 110/48000",
    ),
    (
        "Opus without its channels is understood and mirrored",
        "m=audio 4000 RTP/AVP 97|a=rtpmap:97 OPUS/48000",
        "audio 40000 RTP/AVP 97 > 97 Opus 192.0.2.1:4000 sendrecv 20",
    ),
    ("Opus at another clock is none", "m=audio 4000 RTP/AVP 97|a=rtpmap:97 opus/16000/2", "no common audio"),
    (
        "G.722 by its static number",
        "m=audio 4000 RTP/AVP 9 13",
        "audio 40000 RTP/AVP 9 13 > 9 G722 192.0.2.1:4000 sendrecv 20 noise 13",
    ),
    (
        "ultra-wideband Speex with events on its clock",
        "m=audio 4000 RTP/AVP 99 97|a=rtpmap:99 speex/32000|a=rtpmap:97 telephone-event/32000",
        "audio 40000 RTP/AVP 99 97 > 99 SpeexUltraWideband 192.0.2.1:4000 sendrecv 20 dtmf 97/32000",
    ),
    (
        "linear audio, in packets that fit into a datagram",
        "m=audio 4000 RTP/AVP 97 98|a=rtpmap:97 L16/16000|a=rtpmap:98 L16/8000/1|a=ptime:60",
        "audio 40000 RTP/AVP 97 98 > 97 L16Wideband 192.0.2.1:4000 sendrecv 30",
    ),
    ("linear audio of 44.1 kHz is not ours", "m=audio 4000 RTP/AVP 11 10", "no common audio"),
    (
        "packet times of Opus are those that it has",
        "m=audio 4000 RTP/AVP 97|a=rtpmap:97 opus/48000/2|a=ptime:50",
        "audio 40000 RTP/AVP 97 > 97 Opus 192.0.2.1:4000 sendrecv 40",
    ),
];

#[test]
fn every_golden_offer_of_the_whole_table_gets_its_answer() {
    for (name, text, expected) in WHOLE_TABLE {
        let outcome = outcome(session(whole_table()).answer(&offer(text)));
        assert_eq!(outcome, *expected, "{name}");
    }
}

#[test]
fn an_offer_of_the_whole_table_has_an_event_format_for_each_clock_and_fits_into_a_datagram() {
    let text = session(whole_table().offering_comfort_noise()).offer();
    assert!(text.contains("m=audio 40000 RTP/AVP 96 98 102 9 0 8 111 103 104 101 100 105 106 13\r\n"), "{text}");
    for line in [
        "a=rtpmap:9 G722/8000",
        "a=rtpmap:111 opus/48000/2",
        "a=fmtp:111 useinbandfec=1",
        "a=rtpmap:103 L16/16000",
        "a=rtpmap:105 telephone-event/32000",
        "a=rtpmap:106 telephone-event/48000",
        "a=fmtp:106 0-15",
    ] {
        assert!(text.contains(&format!("{line}\r\n")), "{line} is missing in {text}");
    }
    // An INVITE of ours has some 500 bytes of header; 1300 is where RFC 3261 section 18.1.1 wants TCP.
    assert!(text.len() < 750, "{} bytes", text.len());
}

#[test]
fn the_peer_s_wishes_for_opus_reach_the_encoder() {
    let lines = "m=audio 4000 RTP/AVP 111 0|a=rtpmap:111 opus/48000/2|a=fmtp:111 useinbandfec=1; usedtx=1;maxplaybackrate=16000;maxaveragebitrate=20000";
    let wishes = OpusWishes {
        redundancy: true,
        pauses: true,
        playback_hz: 16_000,
        bits_a_second: Some(20_000),
        ..OpusWishes::default()
    };
    let mut ours = session(whole_table());
    assert_eq!(ours.answer(&offer(lines)).unwrap().1.negotiated.opus, wishes);
    assert_eq!(ours.accept_answer(&offer(lines)).unwrap().negotiated.opus, wishes);
    let other_first = offer("m=audio 4000 RTP/AVP 0 111|a=rtpmap:111 opus/48000/2|a=fmtp:111 useinbandfec=1");
    assert_eq!(ours.answer(&other_first).unwrap().1.negotiated.opus, OpusWishes::default());
}

#[test]
fn every_golden_offer_gets_its_answer() {
    for (name, text, expected) in GOLDEN {
        let outcome = outcome(session(everything()).answer(&offer(text)));
        assert_eq!(outcome, *expected, "{name}");
    }
}

#[test]
fn an_answer_is_whole_and_in_the_offerers_spelling() {
    let lines = "m=audio 4000 RTP/AVP 110 0 101|a=rtpmap:110 SPEEX/16000|a=rtpmap:101 telephone-event/8000|a=ptime:40";
    let (text, _) = session(everything()).answer(&offer(lines)).unwrap();
    let expected = "v=0|o=- 1000 1 IN IP4 198.51.100.7|s=-|c=IN IP4 198.51.100.7|t=0 0|m=audio 40000 RTP/AVP 110 0 101|\
        a=rtpmap:110 SPEEX/16000|a=rtpmap:0 PCMU/8000|a=rtpmap:101 telephone-event/8000|a=fmtp:101 0-15|a=ptime:40|a=sendrecv|";
    assert_eq!(text, expected.replace('|', "\r\n"));
}

#[test]
fn the_default_offer_has_the_contracts_numbers_both_event_clocks_and_comfort_noise() {
    let expected = "v=0|o=- 1000 1 IN IP4 198.51.100.7|s=-|c=IN IP4 198.51.100.7|t=0 0|\
        m=audio 40000 RTP/AVP 96 98 0 8 101 100 13|a=rtpmap:96 speex/16000|a=rtpmap:98 speex/8000|a=rtpmap:0 PCMU/8000|\
        a=rtpmap:8 PCMA/8000|a=rtpmap:101 telephone-event/8000|a=fmtp:101 0-15|a=rtpmap:100 telephone-event/16000|\
        a=fmtp:100 0-15|a=rtpmap:13 CN/8000|a=ptime:20|a=sendrecv|";
    assert_eq!(session(everything().offering_comfort_noise()).offer(), expected.replace('|', "\r\n"));
}

#[test]
fn without_wideband_only_the_usual_event_clock_is_offered() {
    let mut narrow = session(Capabilities::new([PCMU], true).unwrap());
    assert!(narrow.offer().contains("m=audio 40000 RTP/AVP 0 101\r\n"));
}

#[test]
fn capabilities_without_audio_do_not_exist() {
    assert_eq!(Capabilities::new([], true), None);
}

/// Answers to our default offer.
const ANSWERS: &[(&str, &str, &str)] = &[
    (
        "the answer's first format is sent",
        "m=audio 4000 RTP/AVP 8 96 101|a=rtpmap:96 speex/16000|a=rtpmap:101 telephone-event/8000",
        "8 Pcma 192.0.2.1:4000 sendrecv 20 dtmf 101/8000",
    ),
    (
        "wideband takes the event clock of 16000",
        "m=audio 4000 RTP/AVP 96 101 100|a=rtpmap:96 speex/16000|a=rtpmap:101 telephone-event/8000|a=rtpmap:100 telephone-event/16000",
        "96 SpeexWideband 192.0.2.1:4000 sendrecv 20 dtmf 100/16000",
    ),
    (
        "an old peer's event clock of 8000 serves wideband too",
        "m=audio 4000 RTP/AVP 96 101|a=rtpmap:96 speex/16000|a=rtpmap:101 telephone-event/8000",
        "96 SpeexWideband 192.0.2.1:4000 sendrecv 20 dtmf 101/8000",
    ),
    (
        "the answerer may number by itself",
        "m=audio 4000 RTP/AVP 120|a=rtpmap:120 speex/16000",
        "120 SpeexWideband 192.0.2.1:4000 sendrecv 20",
    ),
    (
        "a missing rtpmap means what was offered",
        "m=audio 4000 RTP/AVP 98 101",
        "98 SpeexNarrowband 192.0.2.1:4000 sendrecv 20 dtmf 101/8000",
    ),
    ("audio refused", "m=audio 0 RTP/AVP 0", "no common audio"),
    ("a format that was not offered", "m=audio 4000 RTP/AVP 3", "no common audio"),
    ("another medium in our place", "m=video 4000 RTP/AVP 34", "the answer does not fit the offer"),
    ("no m= line", "v=0|o=- 1 1 IN IP4 192.0.2.1|s=-|c=IN IP4 192.0.2.1|t=0 0", "the answer does not fit the offer"),
    ("the peer listens only", "m=audio 4000 RTP/AVP 0|a=recvonly", "0 Pcmu 192.0.2.1:4000 sendonly 20"),
];

#[test]
fn every_golden_answer_is_understood() {
    for (name, text, expected) in ANSWERS {
        let mut session = session(everything());
        session.offer();
        let terms = session.accept_answer(&offer(text)).map_or_else(
            |error| error.to_string().split(':').next().unwrap().to_owned(),
            |agreement| terms(&agreement),
        );
        assert_eq!(terms, *expected, "{name}");
    }
}

#[test]
fn an_answer_with_its_own_numbers_leaves_ours_for_receiving() {
    let mut session = session(everything());
    session.offer();
    let answer = offer("m=audio 4000 RTP/AVP 120|a=rtpmap:120 speex/16000");
    let negotiated = session.accept_answer(&answer).unwrap().negotiated;
    assert_eq!(negotiated.send.payload_type, 120);
    assert_eq!(negotiated.receive, [WIDEBAND]);
}
