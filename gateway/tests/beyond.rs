//! What lies beyond siprtmp (docs/protocol.md): told to phones that ask for it, and to no other.

#![allow(clippy::unwrap_used)] // also in helpers, which clippy does not take for tests

mod support;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rtmp_session::{ClientEvent, Object, Value};
use support::{Heard, PATIENCE, Peer, Phone, Running};
use tokio::net::UdpSocket;
use tokio::time::timeout;

const APP: &str = "sip/alice@localhost";

fn strings(texts: &[&str]) -> Vec<Value> {
    texts.iter().map(|&text| text.into()).collect()
}

/// A call that is up, made by the phone.
struct Talk {
    peer: Peer,
    rtp: UdpSocket,
    invite: Heard,
}

impl Talk {
    async fn invite(phone: &mut Phone) -> Talk {
        let (peer, rtp) = (Peer::new().await, UdpSocket::bind("127.0.0.1:0").await.unwrap());
        phone.call("invite", &[format!("sip:bob@{}", peer.address()).into(), "pcmu".into(), "dtmf".into()]).await;
        let invite = peer.expect("INVITE ").await;
        Talk { peer, rtp, invite }
    }

    async fn begin(phone: &mut Phone) -> Talk {
        let talk = Talk::invite(phone).await;
        talk.answer("200 OK").await;
        talk.peer.expect("ACK ").await;
        assert_eq!(phone.expect("accepted").await, ["pcmu".into(), Value::Null]);
        talk
    }

    async fn answer(&self, status: &str) {
        let sdp = format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {} RTP/AVP 0 101\r\n\
             a=rtpmap:101 telephone-event/8000\r\n",
            self.rtp.local_addr().unwrap().port()
        );
        let headers = format!("Contact: <sip:bob@{}>\r\nContent-Type: application/sdp\r\n", self.peer.address());
        self.peer.answer(&self.invite, status, &headers, &sdp).await;
    }

    /// The peer presses 5 on its media path: one packet of audio, then the event's end, three times.
    async fn press_5(&self) {
        let line = |start: &str| self.invite.text.lines().find_map(|line| line.strip_prefix(start)).unwrap().to_owned();
        let port: u16 = line("m=audio ").split(' ').next().unwrap().parse().unwrap();
        let to = SocketAddr::from(([127, 0, 0, 1], port));
        let header = |payload_type: u8, sequence: u8| [0x80, payload_type, 0, sequence, 0, 0, 0, 160, 1, 2, 3, 4];
        let audio = [&header(0, 1)[..], &[0xff; 160]].concat();
        self.rtp.send_to(&audio, to).await.unwrap();
        for sequence in 2..5 {
            let event = [&header(101, sequence)[..], &[5, 0x8a, 3, 0x20]].concat();
            self.rtp.send_to(&event, to).await.unwrap();
        }
    }

    async fn notify(&self, cseq: u32, state: &str, status: &str) {
        let more = format!("Event: refer\r\nSubscription-State: {state}\r\nContent-Type: message/sipfrag\r\n");
        self.peer.request(&self.invite, "NOTIFY", cseq, &more, &format!("SIP/2.0 {status}\r\n")).await;
        self.peer.expect("SIP/2.0 200").await;
    }
}

#[tokio::test]
async fn a_phone_that_did_not_ask_hears_nothing_new_and_promises_nothing() {
    let gateway = Running::start().await;
    let mut phone = Phone::connect(gateway.at.rtmp, APP, &[]).await;
    let talk = Talk::invite(&mut phone).await;
    talk.answer("183 Session Progress").await;
    assert_eq!(phone.expect("ringing").await, strings(&["183 Session Progress"]));
    talk.answer("200 OK").await;
    talk.peer.expect("ACK ").await;
    phone.expect("accepted").await;
    talk.press_5().await;
    talk.peer.request(&talk.invite, "INFO", 1, "Content-Type: application/dtmf-relay\r\n", "Signal=7\r\n").await;
    talk.peer.expect("SIP/2.0 200").await;
    talk.peer.request(&talk.invite, "MESSAGE", 2, "Content-Type: text/plain\r\n", "hi").await;
    let refused = talk.peer.expect("SIP/2.0 405").await;
    assert!(!refused.header("allow").contains("MESSAGE"));
    talk.peer.request(&talk.invite, "BYE", 3, "", "").await;
    assert_eq!(phone.expect("byed").await, [], "and no other call before it");
    gateway.end().await;
}

#[tokio::test]
async fn subscribe_answers_with_what_is_active_and_refuses_what_does_not_exist() {
    let gateway = Running::start().await;
    let mut phone = Phone::connect(gateway.at.rtmp, APP, &[]).await;
    assert_eq!(phone.ask("subscribe", &strings(&["dtmf"])).await, Ok(vec![strings(&["dtmf"]).into()]));
    let refused = phone.ask("subscribe", &strings(&["stats", "presence"])).await.unwrap_err();
    let description =
        refused[0].as_object().and_then(|info| info.get_str("description")).unwrap_or_default().to_owned();
    assert!(description.starts_with("subscribe: no indication \"presence\""), "{refused:?}");
    let active = phone.ask("subscribe", &strings(&["transferred"])).await;
    assert_eq!(active, Ok(vec![strings(&["dtmf", "transferred"]).into()]), "nothing of the refused list");
    assert_eq!(phone.ask("stats", &[]).await, Ok(vec![Value::Null]), "no call, no figures");
    assert_eq!(phone.ask("bye", &[]).await, Ok(vec![]), "siprtmp's methods carry nothing");
    gateway.end().await;
}

#[tokio::test]
async fn the_connect_object_asks_and_the_answer_says_what_counts() {
    let gateway = Running::start().await;
    let registrar = Peer::new().await;
    let app = format!("sip/alice@{}", registrar.address());
    let more = Object::new().with("indications", strings(&["registered", "hologram"]));
    let (at, args) = (gateway.at.rtmp, strings(&["alice", "secret"]));
    let register = async {
        let register = registrar.expect("REGISTER ").await;
        let headers = format!("Contact: {};expires=90\r\n", register.header("contact"));
        registrar.answer(&register, "200 OK", &headers, "").await;
    };
    let ((mut phone, info), ()) = tokio::join!(Phone::connect_with(at, &app, more, &args), register);
    assert_eq!(info.get("indications"), Some(&strings(&["registered"]).into()));
    assert_eq!(phone.expect("registered").await, [90.0.into()]);
    let (_silent, info) = Phone::connect_with(at, APP, Object::new(), &[]).await;
    assert_eq!(info.get("indications"), None, "who does not ask gets siprtmp's own answer");
    drop(phone);
}

#[tokio::test]
async fn digits_are_heard_from_media_and_from_info_once_a_press() {
    let gateway = Running::start().await;
    let mut phone = Phone::connect(gateway.at.rtmp, APP, &[]).await;
    phone.ask("subscribe", &strings(&["dtmf"])).await.unwrap();
    let talk = Talk::begin(&mut phone).await;
    talk.press_5().await;
    assert_eq!(phone.expect("dtmf").await, strings(&["5"]));
    for (cseq, digit) in [(1, '5'), (2, '9')] {
        let body = format!("Signal={digit}\r\nDuration=100\r\n");
        talk.peer.request(&talk.invite, "INFO", cseq, "Content-Type: application/dtmf-relay\r\n", &body).await;
        talk.peer.expect("SIP/2.0 200").await;
    }
    assert_eq!(phone.expect("dtmf").await, strings(&["9"]), "5 came by both ways");
    gateway.end().await;
}

#[tokio::test]
async fn early_media_is_told_after_its_ringing() {
    let gateway = Running::start().await;
    let mut phone = Phone::connect(gateway.at.rtmp, APP, &[]).await;
    phone.ask("subscribe", &strings(&["earlyMedia"])).await.unwrap();
    let talk = Talk::invite(&mut phone).await;
    talk.answer("183 Session Progress").await;
    assert_eq!(phone.expect("ringing").await, strings(&["183 Session Progress"]));
    assert_eq!(phone.expect("earlyMedia").await, []);
    gateway.end().await;
}

#[tokio::test]
async fn a_transfer_that_went_well_ends_the_call_and_one_that_failed_does_not() {
    let gateway = Running::start().await;
    let mut phone = Phone::connect(gateway.at.rtmp, APP, &[]).await;
    phone.ask("subscribe", &strings(&["transferred"])).await.unwrap();
    let talk = Talk::begin(&mut phone).await;
    for (n, status, state) in [(0, "486 Busy Here", "terminated"), (10, "200 OK", "terminated;reason=noresource")] {
        phone.call("transfer", &strings(&["carol"])).await;
        let refer = talk.peer.expect("REFER ").await;
        assert_eq!(refer.header("refer-to"), "<sip:carol@localhost>");
        talk.peer.answer(&refer, "202 Accepted", "", "").await;
        talk.notify(n + 1, "active;expires=60", "100 Trying").await;
        assert_eq!(phone.expect("transferred").await, strings(&["100 Trying"]));
        talk.notify(n + 2, state, status).await;
        assert_eq!(phone.expect("transferred").await, strings(&[status]));
    }
    let bye = talk.peer.expect("BYE ").await;
    talk.peer.answer(&bye, "200 OK", "", "").await;
    assert_eq!(phone.expect("byed").await, []);
    gateway.metric_becomes("calls", 0.0).await;
    gateway.end().await;
}

#[tokio::test]
async fn texts_go_both_ways_in_a_call_and_their_fate_is_told_by_number() {
    let gateway = Running::start().await;
    let mut phone = Phone::connect(gateway.at.rtmp, APP, &[]).await;
    phone.ask("subscribe", &strings(&["receivedMessage", "messageSent", "messageFailed"])).await.unwrap();
    assert_eq!(phone.ask("sendMessage", &strings(&["hi"])).await, Ok(vec![1.0.into()]));
    assert_eq!(phone.expect("messageFailed").await, [1.0.into(), "no call".into()]);
    let talk = Talk::begin(&mut phone).await;
    assert_eq!(phone.ask("sendMessage", &strings(&["grüß dich"])).await, Ok(vec![2.0.into()]));
    let message = talk.peer.expect("MESSAGE ").await;
    assert!(message.text.ends_with("\r\n\r\ngrüß dich"), "{}", message.text);
    talk.peer.answer(&message, "200 OK", "", "").await;
    assert_eq!(phone.expect("messageSent").await, [2.0.into()]);
    talk.peer.request(&talk.invite, "MESSAGE", 1, "Content-Type: text/plain\r\n", "selber grüß dich").await;
    talk.peer.expect("SIP/2.0 200").await;
    let from = format!("sip:bob@{}", talk.peer.address());
    assert_eq!(phone.expect("receivedMessage").await, strings(&[&from, "selber grüß dich"]));
    gateway.end().await;
}

/// Two phones of the local domain: registrar, proxy and both agents are the gateway's.
#[tokio::test]
async fn two_phones_page_each_other_through_the_local_domain() {
    let gateway = Running::start().await;
    let all = || Object::new().with("indications", "all");
    let at = gateway.at.rtmp;
    let (mut alice, _) = Phone::connect_with(at, APP, all(), &strings(&["alice", "x", "Alice A"])).await;
    let (mut bob, _) = Phone::connect_with(at, "sip/bob@localhost", all(), &strings(&["bob", "x"])).await;
    alice.expect("registered").await;
    bob.expect("registered").await;
    assert_eq!(alice.ask("sendPagingMessage", &strings(&["bob", "lunch?"])).await, Ok(vec![1.0.into()]));
    let heard = bob.expect("receivedPagingMessage").await;
    assert_eq!(heard, strings(&["\"Alice A\" <sip:alice@localhost>", "lunch?"]));
    assert_eq!(alice.expect("messageSent").await, [1.0.into()]);
    assert_eq!(alice.ask("sendPagingMessage", &strings(&["nobody", "?"])).await, Ok(vec![2.0.into()]));
    assert_eq!(alice.expect("messageFailed").await, [2.0.into(), "404 Not Found".into()]);
    assert_eq!(alice.ask("sendPagingMessage", &strings(&["echo", "?"])).await, Ok(vec![3.0.into()]));
    assert_eq!(alice.expect("messageFailed").await, [3.0.into(), "405 Method Not Allowed".into()]);
    gateway.end().await;
}

#[tokio::test]
async fn a_lost_registration_is_told_with_its_reason_and_its_return_too() {
    let gateway = Running::start().await;
    let registrar = Peer::new().await;
    let app = format!("sip/alice@{}", registrar.address());
    let more = Object::new().with("indications", strings(&["registered", "unregistered"]));
    let grant = async |seconds: u32| {
        let register = registrar.expect("REGISTER ").await;
        let headers = format!("Contact: {};expires={seconds}\r\n", register.header("contact"));
        registrar.answer(&register, "200 OK", &headers, "").await;
    };
    let args = strings(&["alice", "secret"]);
    let ((mut phone, _), ()) = tokio::join!(Phone::connect_with(gateway.at.rtmp, &app, more, &args), grant(1));
    assert_eq!(phone.expect("registered").await, [1.0.into()]);
    let refresh = registrar.expect("REGISTER ").await;
    registrar.answer(&refresh, "500 Out of order", "", "").await;
    assert_eq!(phone.expect("unregistered").await, strings(&["500 Out of order"]));
    grant(600).await;
    assert_eq!(phone.expect("registered").await, [600.0.into()]);
}

#[tokio::test]
async fn the_figures_of_a_call_are_told_when_asked_and_every_five_seconds() {
    let gateway = Running::start().await;
    let mut phone = Phone::connect(gateway.at.rtmp, APP, &[]).await;
    phone.ask("subscribe", &strings(&["stats"])).await.unwrap();
    let talk = Talk::begin(&mut phone).await;
    let begin = Instant::now();
    talk.press_5().await;
    gateway.metric_becomes("media_datagrams_total{direction=\"in\"}", 4.0).await;
    let answer = phone.ask("stats", &[]).await.unwrap();
    let figures = answer[0].as_object().unwrap();
    assert_eq!((figures.get_str("codec"), figures.get_str("phoneCodec")), (Some("PCMU/8000"), Some("PCMU/8000")));
    assert_eq!((figures.get_number("packetsReceived"), figures.get_number("seconds")), (Some(4.0), Some(0.0)));
    assert_eq!((figures.get("rttMs"), figures.get("remoteLost")), (Some(&Value::Null), Some(&Value::Null)));
    for n in 1..3 {
        let told = timeout(2 * PATIENCE, async {
            loop {
                match phone.wait().await {
                    Some(ClientEvent::Call { name, args, .. }) if name == "stats" => return args,
                    Some(_) => {}
                    None => panic!("the connection ended"),
                }
            }
        });
        let told = told.await.unwrap();
        assert_eq!(told[0].as_object().unwrap().get_str("codec"), Some("PCMU/8000"));
        let (took, due) = (begin.elapsed(), n * Duration::from_secs(5));
        assert!(took + Duration::from_millis(100) > due && took < due + Duration::from_secs(1), "{took:?}");
    }
    gateway.end().await;
}
