//! What is wrong with a datagram is answered where it can be, and harms nothing (RFC 4475, RFC 5118).
#![allow(missing_docs, clippy::unwrap_used)]

mod sip_common;

use std::path::Path;
use std::time::Duration;

use phone_agent::SipEvent;
use rtmp_sip_gateway::sip::SipLimits;
use sip_common::{Got, OFFER, PATIENCE, Peer, Rig, T1, config};
use tokio::time::timeout;

/// A good OPTIONS, line by line.
fn options(peer: &Peer) -> Vec<String> {
    let lines = [
        "OPTIONS sip:gateway@127.0.0.1 SIP/2.0".to_owned(),
        format!("Via: SIP/2.0/UDP {};branch=z9hG4bKx1;rport", peer.address),
        "Max-Forwards: 70".to_owned(),
        "From: <sip:bob@example.com>;tag=f1".to_owned(),
        "To: <sip:alice@example.com>".to_owned(),
        "Call-ID: bad-1@example.com".to_owned(),
        "CSeq: 7 OPTIONS".to_owned(),
    ];
    lines.to_vec()
}

/// The one answer to a datagram.
async fn reply_to(rig: &Rig, bytes: &[u8]) -> Got {
    rig.peer.socket.send_to(bytes, rig.gateway).await.unwrap();
    let reply = rig.peer.next().await;
    let more = rig.peer.collect(Duration::from_millis(10)).await;
    assert!(more.is_empty(), "one answer at most: {more:?}");
    reply
}

/// Sends what must not be answered.
async fn silence_after(rig: &Rig, bytes: &[u8]) {
    rig.peer.socket.send_to(bytes, rig.gateway).await.unwrap();
    let got = rig.peer.collect(Duration::from_millis(100)).await;
    assert!(got.is_empty(), "{:?} brought {got:?}", String::from_utf8_lossy(bytes));
}

/// The good OPTIONS with a line replaced, dropped (by "") or, if there is none of that name, added.
fn with_line(rig: &Rig, name: &str, line: &str) -> Vec<u8> {
    let mut lines = options(&rig.peer);
    match lines.iter().position(|l| l.starts_with(name)) {
        Some(at) if line.is_empty() => drop(lines.remove(at)),
        Some(at) => line.clone_into(&mut lines[at]),
        None => lines.push(line.to_owned()),
    }
    format!("{}\r\n\r\n", lines.join("\r\n")).into_bytes()
}

#[tokio::test]
async fn a_good_options_is_answered_and_says_what_is_allowed() {
    let rig = Rig::new().await;
    let reply = reply_to(&rig, &with_line(&rig, "Max-Forwards", "Max-Forwards: 0")).await;
    assert_eq!(reply.start(), "SIP/2.0 200 OK");
    assert!(reply.get("Allow").contains("INVITE") && !reply.tag("To").is_empty());
    assert_eq!((reply.get("Call-ID"), reply.get("CSeq")), ("bad-1@example.com", "7 OPTIONS"));
    let again = reply_to(&rig, &with_line(&rig, "Max-Forwards", "Max-Forwards: 0")).await;
    assert_eq!(again.text, reply.text, "the same request gets the same answer");
}

#[tokio::test]
async fn a_400_names_the_header() {
    let rig = Rig::new().await;
    let cases = [
        ("CSeq", "CSeq: 36893488147419103232 OPTIONS", "SIP/2.0 400 Bad CSeq"),
        ("CSeq", "CSeq: 2147483648 OPTIONS", "SIP/2.0 400 Bad CSeq"),
        ("CSeq", "CSeq: 7 INVITE", "SIP/2.0 400 CSeq Method Mismatch"),
        ("CSeq", "CSeq: OPTIONS", "SIP/2.0 400 Bad CSeq"),
        ("From", "From: \"open <sip:bob@example.com>;tag=f1", "SIP/2.0 400 Bad From"),
        ("To", "To: sip:", "SIP/2.0 400 Bad To"),
        ("Max-Forwards", "Max-Forwards: 256", "SIP/2.0 400 Bad Max-Forwards"),
        ("Max-Forwards", "Max-Forwards: -1", "SIP/2.0 400 Bad Max-Forwards"),
        ("Content-Length", "Content-Length: 5", "SIP/2.0 400 Content-Length Beyond Message"),
        ("Content-Length", "Content-Length: -999", "SIP/2.0 400 Bad Content-Length"),
        ("Content-Length", "Content-Length: 99999999999999999999999", "SIP/2.0 400 Bad Content-Length"),
        ("no colon", "no colon here", "SIP/2.0 400 Bad Header Line"),
        ("X", "X\u{1}: y", "SIP/2.0 400 Bad Header Line"),
        ("X", "X: a\0b", "SIP/2.0 400 Bad X"),
        ("X", "Call-ID: another", "SIP/2.0 400 Repeated Call-ID"),
        ("Contact", "Contact: \"Joe\" <sip:joe@example.org", "SIP/2.0 400 Bad Contact"),
        ("OPTIONS", "OPTIONS sip:a@b SIP/3.0", "SIP/2.0 505 Version Not Supported"),
        ("OPTIONS", "OPTIONS <sip:a@b> SIP/2.0", "SIP/2.0 400 Bad Request-Line"),
        ("OPTIONS", "OPTIONS  sip:a@b SIP/2.0", "SIP/2.0 400 Bad Request-Line"),
        ("OPTIONS", "OPTIONS http://a SIP/2.0", "SIP/2.0 416 Unsupported URI Scheme"),
        ("OPTIONS", "OPTIONS sip:a@b:port SIP/2.0", "SIP/2.0 400 Bad Request-URI"),
        ("Require", "Require: 100rel, x", "SIP/2.0 420 Bad Extension"),
        ("Content-Encoding", "Content-Encoding: gzip", "SIP/2.0 415 Unsupported Media Type"),
    ];
    for (name, line, expected) in cases {
        let reply = reply_to(&rig, &with_line(&rig, name, line)).await;
        assert_eq!(reply.start(), expected, "{line}");
        if line.starts_with("Require") {
            assert_eq!(reply.get("Unsupported"), "100rel, x");
        }
    }
}

#[tokio::test]
async fn what_cannot_be_answered_is_dropped_and_counted() {
    let rig = Rig::new().await;
    let mut dropped = 0;
    for (name, line) in [("Via", ""), ("Via", "Via: nonsense"), ("From", ""), ("To", ""), ("Call-ID", ""), ("CSeq", "")]
    {
        silence_after(&rig, &with_line(&rig, name, line)).await;
        dropped += 1;
    }
    let mut ack = options(&rig.peer);
    ack[0] = "ACK sip:a@b SIP/2.0".to_owned();
    let ack = format!("{}\r\n\r\n", ack.join("\r\n"));
    let garbage: [&[u8]; 7] = [
        b"hello",
        b"\0\x01\x00\x08stun",
        b"GET / HTTP/1.1\r\n\r\n",
        &[0xff; 2000],
        b"SIP/2.0 999 Odd\r\n\r\n",
        b"SIP/2.0\r\n\r\n",
        ack.as_bytes(),
    ];
    for bytes in garbage {
        silence_after(&rig, bytes).await;
        dropped += 1;
    }
    assert_eq!(rig.stack.counters().malformed_dropped.get(), dropped);
    assert_eq!(reply_to(&rig, &with_line(&rig, "Max-Forwards", "")).await.status(), 200, "and the gateway lives");
}

#[tokio::test]
async fn keep_alives_are_answered_by_a_pong() {
    let rig = Rig::new().await;
    assert_eq!(reply_to(&rig, b"\r\n\r\n").await.text, "\r\n");
    silence_after(&rig, b"\r\n").await;
    silence_after(&rig, b"").await;
    let mut text = b"\r\n\r\n".to_vec();
    text.extend(format!("{}\r\n\r\n", options(&rig.peer).join("\r\n")).bytes());
    assert_eq!(reply_to(&rig, &text).await.status(), 200, "line ends before the start line");
}

#[tokio::test]
async fn unknown_and_unwanted_methods_are_told_apart() {
    let rig = Rig::new().await;
    for (method, code) in [
        ("FROBNICATE", 501),
        ("invite", 501),
        ("REGISTER", 405),
        ("SUBSCRIBE", 405),
        ("INFO", 405),
        ("REFER", 405),
        ("NOTIFY", 405),
        ("BYE", 405),
    ] {
        let lines = options(&rig.peer).join("\r\n").replace("OPTIONS", method);
        let reply = reply_to(&rig, format!("{lines}\r\n\r\n").as_bytes()).await;
        assert_eq!(reply.status(), code, "{method}");
        assert!(reply.get("Allow").contains("INVITE"));
    }
    let lines = options(&rig.peer)
        .join("\r\n")
        .replace("OPTIONS", "BYE")
        .replace("To: <sip:alice@example.com>", "To: <sip:a@b>;tag=gone");
    assert_eq!(reply_to(&rig, format!("{lines}\r\n\r\n").as_bytes()).await.status(), 481);
}

#[tokio::test]
async fn an_answer_is_no_bigger_than_what_asked_for_it() {
    let rig = Rig::new().await;
    let mut lines = options(&rig.peer);
    for n in 0..30 {
        lines.push(format!("X-{n}: {}", "x".repeat(50)));
    }
    let text = format!("{}\r\n\r\n", lines.join("\r\n"));
    let reply = reply_to(&rig, text.as_bytes()).await;
    assert!(reply.text.len() <= text.len().max(512));
    let tiny = "OPTIONS sip:a SIP/2.0\r\nv:SIP/2.0/UDP h;rport\r\nf:<sip:a>;tag=1\r\nt:<sip:b>\r\ni:c\r\nCSeq:1 OPTIONS\r\n\r\n";
    assert!(reply_to(&rig, tiny.as_bytes()).await.text.len() <= 512);
}

#[tokio::test]
async fn a_message_over_the_limit_is_513() {
    let mut config = config();
    config.limits = SipLimits { message: 2_000, ..SipLimits::default() };
    let rig = Rig::with(config).await;
    let text = format!("{}\r\n\r\n{}", options(&rig.peer).join("\r\n"), "x".repeat(2_000));
    assert_eq!(reply_to(&rig, text.as_bytes()).await.start(), "SIP/2.0 513 Message Too Large");
}

#[tokio::test]
async fn a_full_house_is_503_and_recovers() {
    let mut config = config();
    config.limits = SipLimits { transactions: 1, ..SipLimits::default() };
    let rig = Rig::with(config).await;
    // One REGISTER on its way is all the room there is.
    rig.agent.perform(phone_agent::SipAction::Register { expires: Duration::from_secs(60) });
    let contact = rig.peer.next().await.contact();
    rig.peer
        .request(rig.gateway, "INVITE", &contact, ("b", &format!("<{contact}>")), "full", 1, "full", "", OFFER)
        .await;
    let reply = rig.peer.expect("SIP/2.0 503").await;
    assert_eq!(reply.get("Retry-After"), "5");
    assert_eq!(rig.stack.counters().overload.get(), 1);
}

#[tokio::test]
async fn latin_1_names_and_a_missing_length_do_not_cost_a_call() {
    let (mut rig, contact) = Rig::registered().await;
    let mut bytes = format!(
        "INVITE {contact} SIP/2.0\r\nVia: SIP/2.0/UDP {};rport;branch=z9hG4bKl1\r\nFrom: \"Ren",
        rig.peer.address
    )
    .into_bytes();
    bytes.push(0xe9);
    let rest = "\" <sip:r@example.com>;tag=l1\r\nTo: <sip:a@b>\r\nCall-ID: latin\r\nCSeq: 1 INVITE\r\nMax-Forwards: 70\r\nContact: <sip:r@127.0.0.1:9>\r\nContent-Type: application/sdp\r\n\r\n";
    bytes.extend(rest.bytes().chain(OFFER.bytes()));
    rig.peer.socket.send_to(&bytes, rig.gateway).await.unwrap();
    let SipEvent::Incoming { from, sdp, .. } = rig.event().await else { panic!("a call") };
    assert_eq!((from.as_str(), sdp.as_deref()), ("\"René\" <sip:r@example.com>", Some(OFFER)));
    let trying = rig.peer.expect("SIP/2.0 100").await;
    assert!(trying.get("From").contains("René"));
}

#[tokio::test]
async fn a_quoted_angle_bracket_in_a_name_does_not_cost_a_call() {
    let (mut rig, contact) = Rig::registered().await;
    let text = format!(
        "INVITE {contact} SIP/2.0\r\nVia: SIP/2.0/UDP {};rport;branch=z9hG4bKq1\r\nFrom: \"<evil>\" <sip:r@example.com>;tag=q1\r\n\
         To: <sip:a@b>\r\nCall-ID: quoted\r\nCSeq: 1 INVITE\r\nContact: <sip:r@127.0.0.1:9>\r\n\r\n",
        rig.peer.address
    );
    rig.peer.send(&text, rig.gateway).await;
    assert!(matches!(rig.event().await, SipEvent::Incoming { .. }));
}

/// What an RFC 4475 message must bring about at a user agent whose name nobody calls: a status, or silence (section 3 of the RFC).
const RFC4475: [(&str, &[u16]); 49] = [
    // Well formed (3.1.1): refused for what they ask, not for how they are written.
    ("wsinv.dat", &[481]),
    ("intmeth.dat", &[501]),
    ("esc01.dat", &[404]),
    ("escnull.dat", &[405]),
    ("esc02.dat", &[501]),
    ("lwsdisp.dat", &[200]),
    ("longreq.dat", &[404]),
    ("dblreq.dat", &[405]),
    ("semiuri.dat", &[200]),
    ("transports.dat", &[200]),
    // A MESSAGE: such are taken, but nobody of that name is here.
    ("mpart01.dat", &[404]),
    ("unreason.dat", &[0]),
    ("noreason.dat", &[0]),
    // Malformed (3.1.2).
    ("badinv01.dat", &[400]),
    ("clerr.dat", &[400]),
    ("ncl.dat", &[400]),
    ("scalar02.dat", &[400]),
    ("scalarlg.dat", &[0]),
    ("quotbal.dat", &[400]),
    ("ltgtruri.dat", &[400]),
    ("lwsruri.dat", &[400]),
    ("lwsstart.dat", &[400]),
    ("trws.dat", &[400]),
    ("escruri.dat", &[400, 404]),
    ("baddate.dat", &[400, 404]),
    ("regbadct.dat", &[400, 405]),
    ("badaspec.dat", &[400]),
    ("baddn.dat", &[400]),
    ("badvers.dat", &[505]),
    ("mismatch01.dat", &[400]),
    ("mismatch02.dat", &[400, 501]),
    ("bigcode.dat", &[0]),
    // Transaction layer (3.2), application layer (3.3), RFC 2543 (3.4).
    ("badbranch.dat", &[200]),
    ("insuf.dat", &[0, 400]),
    ("unkscm.dat", &[416]),
    ("novelsc.dat", &[416]),
    ("unksm2.dat", &[405, 416]),
    ("bext01.dat", &[420]),
    ("invut.dat", &[415]),
    ("regaut01.dat", &[405]),
    ("multi01.dat", &[400]),
    ("mcl01.dat", &[400]),
    ("bcast.dat", &[0]),
    ("zeromf.dat", &[200]),
    ("cparam01.dat", &[405]),
    ("cparam02.dat", &[405]),
    ("regescrt.dat", &[405]),
    ("sdp01.dat", &[404]),
    ("inv2543.dat", &[404]),
];

/// RFC 5118 section 4: IPv6 in every place where an address may stand.
const RFC5118: [(&str, &[u16]); 12] = [
    ("ipv6-good", &[405]),
    ("ipv6-bad", &[400]),
    ("port-ambiguous", &[405]),
    ("port-unambiguous", &[405]),
    ("via-received-param-no-delim", &[200]),
    ("via-received-param-with-delim", &[481]),
    ("ipv6-in-sdp", &[404]),
    ("mult-ip-in-header", &[481]),
    ("mult-ip-in-sdp", &[404]),
    ("ipv4-mapped-ipv6", &[404]),
    // Section 4.10: may be taken or refused.
    ("ipv6-bug-abnf-3-colons", &[200, 400]),
    ("ipv6-correct-abnf-2-colons", &[200]),
];

#[tokio::test]
async fn the_torture_messages_get_the_answers_that_they_deserve() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors");
    if !folder.join("rfc4475").is_dir() {
        return eprintln!("no torture vectors at {}: nothing was tested", folder.display());
    }
    let rig = Rig::new().await;
    for (name, set) in [("rfc4475", &RFC4475[..]), ("rfc5118", &RFC5118[..])] {
        let mut wrong = Vec::new();
        for (file, expected) in set {
            let bytes = std::fs::read(folder.join(name).join(file)).unwrap();
            let status = status_of(&rig, bytes, expected.contains(&0)).await;
            if !expected.contains(&status) {
                wrong.push(format!("{file}: {status}, not {expected:?}"));
            }
        }
        eprintln!("{name}: {} of {} as expected", set.len() - wrong.len(), set.len());
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
    rig.peer.collect(5 * T1).await;
    assert_eq!(reply_to(&rig, &with_line(&rig, "Max-Forwards", "")).await.status(), 200, "the gateway lives");
}

/// The final status that a message gets, 0 for silence.
async fn status_of(rig: &Rig, mut bytes: Vec<u8>, may_be_silent: bool) -> u16 {
    // The answer has to come back to this socket: ask for it, which changes nothing that the message is about.
    add_rport(&mut bytes);
    rig.peer.socket.send_to(&bytes, rig.gateway).await.unwrap();
    if may_be_silent {
        let got = rig.peer.collect(Duration::from_millis(150)).await;
        return got.iter().map(Got::status).find(|status| *status > 100).unwrap_or(0);
    }
    timeout(PATIENCE, rig.peer.next()).await.map_or(0, |got| got.status())
}

/// Appends `;rport` to the first header line that begins with Via or v, before its line end.
fn add_rport(bytes: &mut Vec<u8>) {
    let text = String::from_utf8_lossy(bytes).to_ascii_lowercase();
    let starts = ["\r\nvia:", "\r\nvia :", "\r\nv:", "\r\nv :", "\nvia "];
    let Some(at) = starts.iter().filter_map(|s| text.find(s)).min() else { return };
    if text.len() != bytes.len() {
        // Lossy decoding moved the offsets; those messages begin in ASCII, so look in the bytes.
        let lower: Vec<u8> = bytes.iter().map(u8::to_ascii_lowercase).collect();
        let Some(at) = lower.windows(6).position(|w| w == b"\r\nvia:") else { return };
        return insert_at_line_end(bytes, at + 2);
    }
    insert_at_line_end(bytes, at + 2);
}

fn insert_at_line_end(bytes: &mut Vec<u8>, from: usize) {
    let mut end = from;
    while end < bytes.len() {
        let line = bytes[end..].iter().position(|b| *b == b'\r').map(|n| end + n).unwrap_or(bytes.len());
        let folded = bytes.get(line + 2).is_some_and(|b| matches!(b, b' ' | b'\t'));
        if !folded {
            // Only the first of several Vias in one line is ours to mark.
            let cut = bytes[from..line].iter().position(|b| *b == b',').map_or(line, |n| from + n);
            drop(bytes.splice(cut..cut, b";rport".iter().copied()));
            return;
        }
        end = line + 2;
    }
}
