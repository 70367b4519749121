//! `cargo run --release` without arguments: RTMP 1935, SIP 5060, HTTP 8080 on loopback, and the domain `localhost` (design section 4).

use crate::stage::{LOOPBACK, PCMU};
use gateway_tests::gateway::{Gateway, GatewayOptions};
use gateway_tests::phone::{Login, Phone};
use gateway_tests::rtp::RtpPeer;
use gateway_tests::sdp::AudioSdp;
use gateway_tests::sip_peer::SipPeer;
use gateway_tests::speech::{self, Speaker};
use gateway_tests::tools::cache_dir;
use gateway_tests::voice::PhoneVoice;
use gateway_tests::{audio, score};
use rtmp_session::Value;
use std::fs::File;
use std::ops::Deref;
use std::time::Duration;

/// A gateway with no arguments. Its ports are fixed, so there is one at a time: the file is locked while it lives.
struct Plain {
    // Dropped in this order: the process ends before the next one may begin.
    gateway: Gateway,
    _lock: File,
}

impl Deref for Plain {
    type Target = Gateway;

    fn deref(&self) -> &Gateway {
        &self.gateway
    }
}

async fn plain_gateway() -> Plain {
    let lock = File::create(cache_dir().join("default-ports.lock")).unwrap();
    let lock = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock)).await.unwrap().unwrap();
    let options = GatewayOptions { own_ports: false, log: "info".into(), ..GatewayOptions::default() };
    Plain { gateway: Gateway::start_with(options).await, _lock: lock }
}

fn local(user: &str) -> Login {
    Login::with_password(&format!("{user}@localhost"), user, "any")
}

#[tokio::test]
async fn it_says_where_it_listens_and_what_to_try_and_serves_a_page() {
    let gateway = plain_gateway().await;
    for text in ["127.0.0.1:1935", "127.0.0.1:5060", "127.0.0.1:8080", "echo@localhost"] {
        gateway.wait_log(text, Duration::from_secs(3)).await;
    }
    let page = http_get(gateway.http, "/").await;
    assert!(page.starts_with("HTTP/1.1 200"), "{page}");
    assert!(page.to_ascii_lowercase().contains("<html"), "{page}");
}

async fn http_get(server: std::net::SocketAddr, path: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(server).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn echo_gives_back_the_speech_that_it_hears() {
    let gateway = plain_gateway().await;
    let mut phone = Phone::connected(gateway.rtmp, local("anna")).await;
    phone.invite("sip:echo@localhost", &["wideband", "ulaw"]).await;
    assert_eq!(phone.expect("accepted").await, ["speex".into(), Value::Null]);
    phone.start_media().await;
    let spoken = speech::pcm(Speaker::Anna, 16_000);
    phone.speak(&PhoneVoice::SpeexWideband.bodies(&spoken, 8)).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let (rate, heard) = phone.heard_pcm();
    assert_eq!(rate, 16_000);
    let score = score::judge(16_000, &spoken, &[&heard])[0];
    println!("echo: {score:.3?}, {:.0} ms late", score.lag as f64 / 16.0);
    // Echo goes through two paces; on a busy machine the delay may move within the speech, so each stretch counts by itself.
    let likeness = audio::piecewise_correlation(&spoken, &heard, score.lag, 16_000);
    assert!(likeness > 0.8 && score.pesq > 2.2, "{likeness:.3}, {score:?}");
    phone.bye().await;
}

#[tokio::test]
async fn hello_speaks() {
    let gateway = plain_gateway().await;
    let mut phone = Phone::connected(gateway.rtmp, local("anna")).await;
    phone.invite("sip:hello@localhost", &[]).await;
    assert_eq!(phone.expect("accepted").await, []);
    phone.start_media().await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (rate, heard) = phone.heard_pcm();
    let loud = heard.chunks(rate as usize / 50).filter(|frame| audio::level(frame) > 300.0).count();
    assert!(loud > 25, "only {loud} frames of 20 ms with sound in 3 s");
}

#[tokio::test]
async fn two_phones_call_each_other_and_both_hear_the_other() {
    let gateway = plain_gateway().await;
    let mut anna = Phone::connected(gateway.rtmp, local("anna")).await;
    let mut ben = Phone::connected(gateway.rtmp, local("ben")).await;
    anna.invite("sip:ben@localhost", &["wideband"]).await;
    let invited = ben.expect("invited").await;
    assert!(invited[0].as_str().unwrap().contains("sip:anna@localhost"), "{invited:?}");
    anna.expect("ringing").await;
    ben.accept(&["wideband"]).await;
    ben.expect("accepted").await;
    anna.expect("accepted").await;
    anna.start_media().await;
    ben.start_media().await;
    let (of_anna, of_ben) = (speech::pcm(Speaker::Anna, 16_000), speech::pcm(Speaker::Ben, 16_000));
    let (a, b) = (PhoneVoice::SpeexWideband.bodies(&of_anna, 8), PhoneVoice::SpeexWideband.bodies(&of_ben, 8));
    tokio::join!(anna.speak(&a), ben.speak(&b));
    tokio::time::sleep(Duration::from_millis(300)).await;
    for (listener, spoken, other) in [(&ben, &of_anna, &of_ben), (&anna, &of_ben, &of_anna)] {
        let (_, heard) = listener.heard_pcm();
        let found = audio::align(spoken, &heard, 16_000);
        assert!(found.correlation > 0.85, "{found:?}");
        let crosstalk = audio::align(other, &heard, 16_000);
        assert!(crosstalk.correlation < 0.3, "hears itself: {crosstalk:?}");
    }
    anna.bye().await;
    assert_eq!(ben.expect("byed").await, []);
}

#[tokio::test]
async fn a_softphone_that_registers_can_be_called_and_can_call() {
    let gateway = plain_gateway().await;
    let mut soft = SipPeer::bind(LOOPBACK).await;
    let register = soft
        .out_of_dialog("REGISTER", "sip:localhost")
        .with("Contact", format!("<{}>", soft.uri("carol")))
        .with("Expires", "120");
    // From and To of a registration are the address-of-record.
    let register = replace(replace(register, "From", "<sip:carol@localhost>;tag=c1"), "To", "<sip:carol@localhost>");
    assert_eq!(soft.exchange(register, gateway.sip).await.status(), Some(200));

    let mut anna = Phone::connected(gateway.rtmp, local("anna")).await;
    let rtp = RtpPeer::bind(LOOPBACK).await;
    anna.invite("sip:carol@localhost", &["pcmu"]).await;
    let mut dialog = soft.incoming().await;
    soft.answer(&dialog, &AudioSdp::new(rtp.address(), PCMU)).await;
    anna.expect("accepted").await;
    assert_eq!(soft.bye(&mut dialog).await.status(), Some(200));
    anna.expect("byed").await;

    let accept = async {
        anna.expect("invited").await;
        anna.accept(&["pcmu"]).await;
        anna.expect("accepted").await;
    };
    let offer = AudioSdp::new(rtp.address(), PCMU);
    let ((mut dialog, answer), ()) =
        tokio::join!(soft.invite("sip:anna@localhost", gateway.sip, Some(&offer), |_| {}), accept);
    assert_eq!(answer.status(), Some(200));
    assert_eq!(soft.bye(&mut dialog).await.status(), Some(200));
    anna.expect("byed").await;
}

fn replace(
    mut message: gateway_tests::sip_message::SipMessage,
    name: &str,
    value: &str,
) -> gateway_tests::sip_message::SipMessage {
    for (known, old) in &mut message.headers {
        if known == name {
            value.clone_into(old);
        }
    }
    message
}

#[tokio::test]
async fn an_unknown_user_of_the_local_domain_is_not_found() {
    let gateway = plain_gateway().await;
    let mut phone = Phone::connected(gateway.rtmp, local("anna")).await;
    phone.invite("sip:nobody@localhost", &[]).await;
    let reason = phone.expect("rejected").await;
    assert!(reason[0].as_str().unwrap().starts_with("404 "), "{reason:?}");
}
