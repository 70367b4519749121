//! Calls through the driver: signalling, ports and audio both ways, against a bare SIP and RTP peer.

#![allow(clippy::unwrap_used)] // also in helpers, which clippy does not take for tests

mod support;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rtmp_session::{ClientEvent, RtmpTimestamp, StreamId, Value};
use support::{Heard, PATIENCE, Peer, Phone, Running};
use tokio::net::UdpSocket;
use tokio::time::timeout;

const MU_LAW_TAG: u8 = 0x82;

/// A call that is up: the phone publishes and plays, the peer has its RTP socket.
struct Talk {
    phone: Phone,
    peer: Peer,
    rtp: UdpSocket,
    /// Where the gateway takes RTP.
    to: SocketAddr,
    invite: Heard,
    publishing: StreamId,
}

impl Talk {
    /// The phone calls, the peer answers with PCMU.
    async fn begin(mut phone: Phone) -> Talk {
        let (peer, rtp) = (Peer::new().await, UdpSocket::bind("127.0.0.1:0").await.unwrap());
        let destination = format!("sip:bob@{}", peer.address());
        phone.call("invite", &[destination.into(), "pcmu".into()]).await;
        let invite = peer.expect("INVITE ").await;
        let sdp = format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {} RTP/AVP 0\r\n",
            rtp.local_addr().unwrap().port()
        );
        let headers = format!("Contact: <sip:bob@{}>\r\nContent-Type: application/sdp\r\n", peer.address());
        peer.answer(&invite, "200 OK", &headers, &sdp).await;
        peer.expect("ACK ").await;
        assert_eq!(phone.expect("accepted").await, ["pcmu".into(), Value::Null]);
        let publishing = phone.create_stream().await;
        phone.session.publish(Instant::now(), publishing, "local");
        let playing = phone.create_stream().await;
        phone.session.play(Instant::now(), playing, "remote");
        while !matches!(phone.next().await, Some(ClientEvent::Status { code, .. }) if code == "NetStream.Play.Start") {}
        let to = offered(&invite.text);
        Talk { phone, peer, rtp, to, invite, publishing }
    }

    /// The peer talks: one packet of 20 ms.
    async fn send_rtp(&self, sequence: u16) {
        let mut packet = vec![0x80, 0];
        packet.extend(sequence.to_be_bytes());
        packet.extend((u32::from(sequence) * 160).to_be_bytes());
        packet.extend([1, 2, 3, 4]);
        packet.extend([sequence as u8; 160]);
        self.rtp.send_to(&packet, self.to).await.unwrap();
    }
}

/// Where an offer wants its RTP.
fn offered(text: &str) -> SocketAddr {
    let after = |start: &str| text.lines().find_map(|line| line.strip_prefix(start)).unwrap().to_owned();
    let port = after("m=audio ").split(' ').next().unwrap().parse().unwrap();
    SocketAddr::new(after("c=IN IP4 ").trim().parse().unwrap(), port)
}

#[tokio::test]
async fn audio_passes_both_ways_and_the_peers_bye_ends_the_call() {
    let gateway = Running::start().await;
    let phone = Phone::connect(gateway.at.rtmp, "sip/alice@localhost", &[]).await;
    let mut talk = Talk::begin(phone).await;
    gateway.metric_becomes("calls", 1.0).await;

    let mut body = vec![MU_LAW_TAG];
    body.extend([0x55; 160]);
    for n in 0..5 {
        talk.phone.session.send_audio(Instant::now(), talk.publishing, RtmpTimestamp::from_ms(n * 20), &body);
        talk.phone.flush().await;
        let mut packet = [0; 512];
        let (count, from) = timeout(PATIENCE, talk.rtp.recv_from(&mut packet)).await.unwrap().unwrap();
        assert_eq!((from, &packet[12..count]), (talk.to, &[0x55; 160][..]));
    }
    for sequence in 0..5 {
        talk.send_rtp(sequence).await;
        loop {
            match talk.phone.next().await {
                Some(ClientEvent::Audio { body, .. }) => {
                    assert_eq!((body[0], &body[1..]), (MU_LAW_TAG, &[sequence as u8; 160][..]));
                    break;
                }
                Some(_) => {}
                None => panic!("the connection ended"),
            }
        }
    }

    talk.peer.bye(&talk.invite).await;
    talk.peer.expect("SIP/2.0 200").await;
    assert_eq!(talk.phone.expect("byed").await, []);
    gateway.metric_becomes("calls", 0.0).await;
    gateway.end().await;
}

#[tokio::test]
async fn datagrams_of_strangers_reach_nobody() {
    let gateway = Running::start().await;
    let phone = Phone::connect(gateway.at.rtmp, "sip/alice@localhost", &[]).await;
    let mut talk = Talk::begin(phone).await;
    talk.send_rtp(0).await;
    while !matches!(talk.phone.next().await, Some(ClientEvent::Audio { .. })) {}
    talk.rtp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for sequence in 101..120 {
        talk.send_rtp(sequence).await;
    }
    gateway.metric_becomes("media_rejected_total", 19.0).await;
    // What is heard now is made up for the peer's silence, and nothing of the stranger's.
    while let Ok(event) = timeout(Duration::from_millis(200), talk.phone.next()).await {
        if let Some(ClientEvent::Audio { body, .. }) = event {
            assert!((101..120).all(|sequence| body[1..] != [sequence; 160]), "a stranger was heard");
        }
    }
    gateway.end().await;
}

#[tokio::test]
async fn shutting_down_hangs_up() {
    let gateway = Running::start().await;
    let phone = Phone::connect(gateway.at.rtmp, "sip/alice@localhost", &[]).await;
    let talk = Talk::begin(phone).await;
    let answer_bye = async {
        let bye = talk.peer.expect("BYE ").await;
        talk.peer.answer(&bye, "200 OK", "", "").await;
    };
    let (took, ()) = tokio::join!(gateway.end(), answer_bye);
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[tokio::test]
async fn a_phone_that_did_not_read_for_a_while_hears_what_is_said_now() {
    let gateway = Running::start().await;
    // Its system keeps next to nothing for it, as on a bad line.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(2_048).unwrap();
    let socket = socket.connect(gateway.at.rtmp).await.unwrap();
    let phone = Phone::over(socket, "sip/alice@localhost", &[]).await;
    let mut talk = Talk::begin(phone).await;

    // It stands still for 3 s, while the peer talks on.
    let mut clock = tokio::time::interval(Duration::from_millis(20));
    for sequence in 0..150 {
        clock.tick().await;
        talk.send_rtp(sequence).await;
    }
    // It reads again: within 500 ms what it hears is no older than the outbox's 200 ms and a packet's time.
    let mut newest = 0;
    let mut behind = 0;
    for sequence in 150..200 {
        clock.tick().await;
        talk.send_rtp(sequence).await;
        while let Ok(Some(event)) = timeout(Duration::from_millis(2), talk.phone.next()).await {
            if let ClientEvent::Audio { body, .. } = event {
                newest = u16::from(body[1]);
            }
        }
        behind = sequence - newest;
        if sequence > 175 {
            assert!(behind <= 1, "{behind} packets behind at {sequence}");
        }
    }
    assert!(behind <= 1);
    assert!(gateway.metric("audio_late_total").await > 50.0);
    gateway.end().await;
}

#[tokio::test]
async fn echo_speaks_back_what_it_hears() {
    let gateway = Running::start().await;
    let mut phone = Phone::connect(gateway.at.rtmp, "sip/alice@localhost", &[]).await;
    phone.call("invite", &["sip:echo@localhost".into(), "pcmu".into()]).await;
    phone.expect("accepted").await;
    let publishing = phone.create_stream().await;
    phone.session.publish(Instant::now(), publishing, "local");
    let playing = phone.create_stream().await;
    phone.session.play(Instant::now(), playing, "remote");
    let mut clock = tokio::time::interval(Duration::from_millis(20));
    let mut body = vec![MU_LAW_TAG];
    body.extend([0x55; 160]);
    let mut heard = 0;
    for n in 0..100 {
        clock.tick().await;
        phone.session.send_audio(Instant::now(), publishing, RtmpTimestamp::from_ms(n * 20), &body);
        phone.flush().await;
        while let Ok(event) = timeout(Duration::from_millis(1), phone.next()).await {
            heard += u32::from(matches!(event, Some(ClientEvent::Audio { body, .. }) if body[80] == 0x55));
        }
    }
    assert!(heard > 80, "{heard} of 100");
    gateway.end().await;
}
