//! PJSIP (pjsua2 from PyPI): a strict phone that speaks Speex on RTP.

use crate::place::{HERE, anna_speaks, assert_speech, gateway, registered_phone};
use gateway_tests::gateway::free_udp_and_tcp;
use gateway_tests::phone::{Login, Phone};
use gateway_tests::speech::{self, Speaker};
use gateway_tests::tools::{Peer, Scratch, python};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::process::Command;

struct PjPhone {
    program: Peer,
    address: SocketAddr,
    folder: Scratch,
}

impl PjPhone {
    async fn start(codec: &str, call: Option<&str>) -> Self {
        let (folder, address) = (Scratch::new(), free_udp_and_tcp(HERE));
        let rate = if codec == "speex/16000" { 16_000 } else { 8000 };
        let mut command = Command::new(python());
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/interop/pj_phone.py"));
        command.args([&address.port().to_string(), codec]).arg(speech::wav(Speaker::Ben, rate));
        command.arg(folder.path("heard.wav")).args(call).env("PJ_ADDRESS", HERE.to_string());
        let program = Peer::start("pjsua2", &mut command);
        program.wait_for("\"ready\"", Duration::from_secs(15)).await;
        Self { program, address, folder }
    }

    async fn heard(mut self) -> (u32, Vec<i16>) {
        self.program.wait_for("\"end\"", Duration::from_secs(8)).await;
        self.program.wait_end(Duration::from_secs(3)).await;
        speech::read_wav(&self.folder.path("heard.wav"))
    }
}

async fn phone_calls_pjsua2(codec: &str, words: &[&str]) {
    let gateway = gateway().await;
    let pj = PjPhone::start(codec, None).await;
    let mut phone = Phone::connected(gateway.rtmp, Login::anonymous("alice@198.18.0.1")).await;
    phone.invite(&format!("sip:pj@{}", pj.address), words).await;
    assert_eq!(phone.expect("accepted").await[0], "speex".into());
    phone.start_media().await;
    anna_speaks(&phone).await;
    let name = pj.program.wait_for("\"codec\"", Duration::from_secs(2)).await.to_ascii_lowercase();
    assert!(name.contains(codec), "{name}");
    let (rate, heard) = phone.heard_pcm();
    assert_speech(&format!("pjsua2 {codec} to phone"), Speaker::Ben, rate, &heard);
    for digit in ["7", "*"] {
        phone.call("sendDTMF", &[digit.into()]).await.unwrap();
        pj.program.wait_for(&format!("\"dtmf\", \"digit\": \"{digit}\""), Duration::from_secs(3)).await;
    }
    phone.bye().await;
    let (rate, heard) = pj.heard().await;
    assert_speech(&format!("phone to pjsua2 {codec}"), Speaker::Anna, rate, &heard);
}

#[tokio::test]
async fn the_phone_calls_pjsua2_with_speex_wideband() {
    phone_calls_pjsua2("speex/16000", &["wideband", "dtmf"]).await;
}

#[tokio::test]
async fn the_phone_calls_pjsua2_with_speex_narrowband() {
    phone_calls_pjsua2("speex/8000", &["narrowband", "dtmf"]).await;
}

#[tokio::test]
async fn the_phone_calls_pjsua2_with_pcmu() {
    phone_calls_pjsua2("pcmu/8000", &["ulaw", "dtmf"]).await;
}

#[tokio::test]
async fn pjsua2_calls_the_phone_with_speex_wideband_holds_and_hangs_up() {
    let gateway = gateway().await;
    let (registrar, mut phone) = registered_phone(&gateway).await;
    let contact = registrar.binding("alice").unwrap();
    let mut pj = PjPhone::start("speex/16000", Some(&contact)).await;
    phone.expect("invited").await;
    phone.accept(&["wideband", "narrowband", "ulaw", "alaw", "dtmf"]).await;
    assert_eq!(phone.expect("accepted").await[0], "speex".into());
    phone.start_media().await;
    anna_speaks(&phone).await;
    let (rate, heard) = phone.heard_pcm();
    assert_speech("pjsua2 to phone", Speaker::Ben, rate, &heard);
    pj.program.type_line("hold").await;
    assert_eq!(phone.expect("holded").await, [true.into()]);
    pj.program.type_line("resume").await;
    assert_eq!(phone.expect("holded").await, [false.into()]);
    pj.program.type_line("hangup").await;
    phone.expect("byed").await;
    let (rate, heard) = pj.heard().await;
    assert_speech("phone to pjsua2", Speaker::Anna, rate, &heard);
}

#[tokio::test]
async fn pjsua2_follows_a_transfer_and_its_progress_is_told() {
    let gateway = gateway().await;
    let (mut pj, mut carol) = (PjPhone::start("pcmu/8000", None).await, PjPhone::start("pcmu/8000", None).await);
    let mut phone = Phone::connected(gateway.rtmp, Login::anonymous("alice@198.18.0.1")).await;
    phone.call("subscribe", &["transferred".into()]).await.unwrap();
    phone.invite(&format!("sip:pj@{}", pj.address), &["ulaw"]).await;
    phone.expect("accepted").await;
    pj.program.wait_for("\"codec\"", Duration::from_secs(2)).await;
    let destination = format!("sip:carol@{}", carol.address);
    phone.call("transfer", &[destination.as_str().into()]).await.unwrap();
    pj.program.wait_for(&destination, Duration::from_secs(3)).await;
    let mut told = Vec::new();
    while !told.last().is_some_and(|status: &String| status.starts_with("200 ")) {
        told.push(phone.expect("transferred").await[0].as_str().unwrap().to_owned());
    }
    println!("{told:?}");
    phone.expect("byed").await;
    carol.program.wait_for("\"CONFIRMED\"", Duration::from_secs(3)).await;
    carol.program.wait_for("\"codec\"", Duration::from_secs(3)).await;
    for program in [&mut pj.program, &mut carol.program] {
        program.wait_end(Duration::from_secs(8)).await;
    }
}

#[tokio::test]
async fn texts_go_both_ways_between_the_phone_and_pjsua2_in_the_call_and_outside_of_it() {
    let gateway = gateway().await;
    let (registrar, mut phone) = registered_phone(&gateway).await;
    let contact = registrar.binding("alice").unwrap();
    let mut pj = PjPhone::start("pcmu/8000", None).await;
    let topics = ["receivedMessage", "receivedPagingMessage", "messageSent", "messageFailed"];
    phone.call("subscribe", &topics.map(Into::into)).await.unwrap();
    phone.call("sendPagingMessage", &[format!("sip:pj@{}", pj.address).into(), "are you there?".into()]).await.unwrap();
    let heard = pj.program.wait_for("\"are you there?\"", Duration::from_secs(3)).await;
    assert!(heard.contains("\"message\"") && heard.contains("sip:alice@"), "{heard}");
    assert_eq!(phone.expect("messageSent").await, [1.0.into()]);
    pj.program.type_line(&format!("page {contact} yes, I am")).await;
    let told = phone.expect("receivedPagingMessage").await;
    assert!(told[0].as_str().unwrap().contains("sip:pj@198.18.0.1"), "{told:?}");
    assert_eq!(told[1], "yes, I am".into());
    pj.program.wait_for("\"message answered\", \"code\": 200", Duration::from_secs(3)).await;

    phone.invite(&format!("sip:pj@{}", pj.address), &["ulaw"]).await;
    phone.expect("accepted").await;
    phone.call("sendMessage", &["in the call".into()]).await.unwrap();
    pj.program.wait_for("\"message in call\", \"text\": \"in the call\"", Duration::from_secs(3)).await;
    assert_eq!(phone.expect("messageSent").await, [2.0.into()]);
    pj.program.type_line("say I hear you").await;
    let told = phone.expect("receivedMessage").await;
    assert_eq!(told[1], "I hear you".into());
    phone.bye().await;
    pj.program.wait_end(Duration::from_secs(8)).await;
}
