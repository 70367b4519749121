//! sipp, whose scenarios take every header by the letter.

use crate::place::{HERE, assert_speech, gateway, registered_phone};
use gateway_tests::gateway::free_udp_and_tcp;
use gateway_tests::phone::{Login, Phone};
use gateway_tests::speech::{self, Speaker};
use gateway_tests::tools::{Peer, Scratch};
use gateway_tests::voice::PhoneVoice;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::process::Command;

struct Sipp {
    program: Peer,
    address: SocketAddr,
    _folder: Scratch,
}

impl Sipp {
    /// Plays a scenario for one call, with Ben's voice as raw A-law.
    fn start(scenario: &str, args: &[&str]) -> Self {
        let (folder, address) = (Scratch::new(), free_udp_and_tcp(HERE));
        let alaw: Vec<u8> = PhoneVoice::Pcma.frames(&speech::pcm(Speaker::Ben, 8000), 8).concat();
        std::fs::write(folder.path("ben.alaw"), alaw).unwrap();
        let scenario = scenario.replace("@SPEECH@", &folder.path("ben.alaw").to_string_lossy());
        std::fs::write(folder.path("scenario.xml"), scenario).unwrap();
        let media = 22_000 + address.port() % 400 * 20;
        let mut command = Command::new("sipp");
        command.args(args).arg("-sf").arg(folder.path("scenario.xml")).current_dir(folder.path(""));
        command.args(["-i", &HERE.to_string(), "-mi", &HERE.to_string(), "-p", &address.port().to_string()]);
        command.args(["-mp", &media.to_string()]);
        command.args(["-m", "1", "-nostdin", "-timeout", "40", "-trace_err"]);
        Self { program: Peer::start("sipp", &mut command), address, _folder: folder }
    }

    async fn succeeded(mut self) {
        let status = self.program.wait_end(Duration::from_secs(10)).await;
        assert!(status.success(), "sipp: {status}\n{}", self.program.said());
    }
}

#[tokio::test]
async fn the_phone_calls_sipp_hears_it_and_hangs_up() {
    let gateway = gateway().await;
    let sipp = Sipp::start(include_str!("sipp_callee.xml"), &[]);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut phone = Phone::connected(gateway.rtmp, Login::anonymous("alice@198.18.0.1")).await;
    phone.invite(&format!("sip:bob@{}", sipp.address), &["wideband", "alaw"]).await;
    assert_eq!(phone.expect("ringing").await, ["180 Ringing".into()]);
    assert_eq!(phone.expect("accepted").await[0], "speex".into());
    phone.start_media().await;
    tokio::time::sleep(Duration::from_millis(12_500)).await;
    let (rate, heard) = phone.heard_pcm();
    assert_speech("sipp to phone", Speaker::Ben, rate, &heard);
    phone.bye().await;
    sipp.succeeded().await;
}

#[tokio::test]
async fn sipp_calls_the_phone_which_hears_it() {
    let gateway = gateway().await;
    let (registrar, mut phone) = registered_phone(&gateway).await;
    let contact = registrar.binding("alice").unwrap();
    let user = contact.trim_start_matches("sip:").split('@').next().unwrap();
    let sipp = Sipp::start(include_str!("sipp_caller.xml"), &[&gateway.sip.to_string(), "-s", user]);
    phone.expect("invited").await;
    phone.accept(&["wideband", "alaw"]).await;
    phone.expect("accepted").await;
    phone.start_media().await;
    tokio::time::sleep(Duration::from_millis(12_000)).await;
    let (rate, heard) = phone.heard_pcm();
    assert_speech("sipp to phone", Speaker::Ben, rate, &heard);
    phone.expect("byed").await;
    sipp.succeeded().await;
}

#[tokio::test]
async fn twenty_calls_of_sipp_are_all_refused_or_taken_one_after_another() {
    let gateway = gateway().await;
    let (registrar, mut phone) = registered_phone(&gateway).await;
    let contact = registrar.binding("alice").unwrap();
    let user = contact.trim_start_matches("sip:").split('@').next().unwrap().to_owned();
    let address = free_udp_and_tcp(HERE);
    let mut command = Command::new("sipp");
    command.args([&gateway.sip.to_string(), "-sn", "uac", "-s", &user, "-i", &HERE.to_string()]);
    command.args(["-p", &address.port().to_string(), "-m", "20", "-l", "1", "-r", "50", "-d", "50", "-nostdin"]);
    let mut sipp = Peer::start("sipp", &mut command);
    for _ in 0..20 {
        phone.expect("invited").await;
        phone.accept(&["ulaw"]).await;
        phone.expect("accepted").await;
        phone.expect("byed").await;
    }
    assert!(sipp.wait_end(Duration::from_secs(10)).await.success(), "{}", sipp.said());
}
