//! Which codecs a call gets: by the gateway's configuration, the connect object and the call itself; and Opus of Enhanced RTMP.

#![allow(clippy::unwrap_used)] // also in helpers, which clippy does not take for tests

mod support;

use std::net::SocketAddr;
use std::time::Instant;

use phone_agent::CodecWord;
use rtmp_session::{ClientEvent, Object, RtmpTimestamp, Value};
use support::{PATIENCE, Peer, Phone, Running};
use tokio::net::UdpSocket;
use tokio::time::timeout;

const APP: &str = "sip/alice@localhost";
/// 20 ms of wideband SILK, as far as its first byte says.
const OPUS_PACKET: &[u8] = &[0x48, 1, 2, 3, 4, 5];

/// The formats that the phone's next call offers.
async fn offered(phone: &mut Phone, codecs: &[Value]) -> String {
    let peer = Peer::new().await;
    let destination = Value::from(format!("sip:bob@{}", peer.address()));
    phone.call("invite", &[&[destination], codecs].concat()).await;
    let invite = peer.expect("INVITE ").await;
    peer.answer(&invite, "486 Busy Here", "", "").await;
    assert_eq!(phone.expect("rejected").await, ["486 Busy Here".into()]);
    let line = invite.text.lines().find(|line| line.starts_with("m=audio ")).unwrap();
    line.split(' ').skip(3).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn the_call_is_asked_before_the_connect_object_and_that_before_the_gateway() {
    let preferred = Some(vec![CodecWord::G722, CodecWord::Pcma]);
    let gateway = Running::with(|config| config.codecs = preferred).await;
    let mut phone = Phone::connect(gateway.at.rtmp, APP, &[]).await;
    assert_eq!(offered(&mut phone, &[]).await, "9 8 101 13");
    assert_eq!(offered(&mut phone, &["narrowband".into(), "pcmu".into()]).await, "98 0");
    assert_eq!(offered(&mut phone, &["opus, wideband,dtmf".into()]).await, "111 96 101 100 106");
    drop(phone);
    let more = Object::new().with("codecs", "wideband,pcmu");
    let (mut phone, _) = Phone::connect_with(gateway.at.rtmp, APP, more, &[]).await;
    assert_eq!(offered(&mut phone, &[]).await, "96 0 101 100 13");
    gateway.end().await;
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_an_error_that_says_which_do() {
    let gateway = Running::start().await;
    let mut phone = Phone::connect(gateway.at.rtmp, APP, &[]).await;
    let refused = phone.ask("invite", &["sip:bob@localhost".into(), "opus,silk".into()]).await.unwrap_err();
    let description = refused[0].as_object().and_then(|info| info.get_str("description")).unwrap_or_default();
    assert!(description.starts_with("invite: no codec \"silk\": there are opus, wideband"), "{description}");
    let more = Object::new().with("codecs", "g729");
    let mut phone = Phone::dial_with(gateway.at.rtmp, APP, more, &[]).await;
    match phone.next().await {
        Some(ClientEvent::Rejected { info }) => {
            let description = info.get_str("description").unwrap_or_default();
            assert!(description.starts_with("no codec \"g729\": there are opus"), "{description}");
        }
        other => panic!("{other:?}"),
    }
    gateway.end().await;
}

#[tokio::test]
async fn opus_passes_untouched_between_a_client_that_announced_it_and_a_peer() {
    let gateway = Running::start().await;
    let more = Object::new().with("fourCcList", vec![Value::from("Opus")]);
    let (mut phone, info) = Phone::connect_with(gateway.at.rtmp, APP, more, &[]).await;
    assert_eq!(info.get("fourCcList"), Some(&vec![Value::from("Opus")].into()));

    let (peer, rtp) = (Peer::new().await, UdpSocket::bind("127.0.0.1:0").await.unwrap());
    phone.call("invite", &[format!("sip:bob@{}", peer.address()).into()]).await;
    let invite = peer.expect("INVITE ").await;
    assert!(invite.text.contains("RTP/AVP 111 "), "Opus first: {}", invite.text);
    let sdp = format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {} RTP/AVP 111\r\n\
         a=rtpmap:111 opus/48000/2\r\n",
        rtp.local_addr().unwrap().port()
    );
    let headers = format!("Contact: <sip:bob@{}>\r\nContent-Type: application/sdp\r\n", peer.address());
    peer.answer(&invite, "200 OK", &headers, &sdp).await;
    peer.expect("ACK ").await;
    assert_eq!(phone.expect("accepted").await, []);

    let publishing = phone.create_stream().await;
    phone.session.publish(Instant::now(), publishing, "local");
    let playing = phone.create_stream().await;
    phone.session.play(Instant::now(), playing, "remote");
    while !matches!(phone.next().await, Some(ClientEvent::Status { code, .. }) if code == "NetStream.Play.Start") {}

    let message = [b"\x91Opus", OPUS_PACKET].concat();
    phone.session.send_audio(Instant::now(), publishing, RtmpTimestamp::from_ms(0), &message);
    phone.flush().await;
    let mut packet = [0; 512];
    let (count, gateways) = timeout(PATIENCE, rtp.recv_from(&mut packet)).await.unwrap().unwrap();
    assert_eq!((packet[1] & 0x7F, &packet[12..count]), (111, OPUS_PACKET));

    send(&rtp, gateways, 1).await;
    send(&rtp, gateways, 2).await;
    assert_eq!(audio(&mut phone).await[..13], b"\x90OpusOpusHead"[..], "what a decoder needs first");
    assert_eq!(audio(&mut phone).await, message);
    assert_eq!(audio(&mut phone).await, message);
    gateway.end().await;
}

async fn send(rtp: &UdpSocket, to: SocketAddr, sequence: u8) {
    let time = (u32::from(sequence) * 960).to_be_bytes();
    let packet = [&[0x80, 111, 0, sequence][..], &time, &[1, 2, 3, 4], OPUS_PACKET].concat();
    rtp.send_to(&packet, to).await.unwrap();
}

async fn audio(phone: &mut Phone) -> Vec<u8> {
    loop {
        match phone.next().await {
            Some(ClientEvent::Audio { body, .. }) => return body.to_vec(),
            Some(_) => {}
            None => panic!("the connection ended"),
        }
    }
}
