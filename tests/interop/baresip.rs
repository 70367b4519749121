//! baresip, a SIP phone (Debian's 1.0.0: PCMU and PCMA, no Speex).

use crate::place::{HERE, anna_speaks, assert_speech, gateway, registered_phone};
use gateway_tests::gateway::{free_tcp, free_udp_and_tcp};
use gateway_tests::phone::{Login, Phone};
use gateway_tests::speech::{self, Speaker};
use gateway_tests::tools::{Peer, Scratch};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;

struct Baresip {
    program: Peer,
    address: SocketAddr,
    control: SocketAddr,
    folder: Scratch,
}

impl Baresip {
    /// `bob`, who speaks with Ben's voice, answers at once, and records what he hears.
    async fn start(codec: &str) -> Self {
        let folder = Scratch::new();
        let (address, control) = (free_udp_and_tcp(HERE), free_tcp(Ipv4Addr::LOCALHOST.into()));
        // baresip hangs up at the end of the file that it speaks: silence behind the speech leaves the end to the test.
        let mut spoken = speech::pcm(Speaker::Ben, 8000);
        spoken.resize(spoken.len() + 8000 * 30, 0);
        speech::write_wav(&folder.path("ben.wav"), 8000, &spoken);
        let rtp = 30_000 + address.port() % 100 * 20;
        let config = include_str!("baresip.config")
            .replace("@LISTEN@", &address.to_string())
            .replace("@SPEECH@", &folder.path("ben.wav").to_string_lossy())
            .replace("@RTP_PORTS@", &format!("{rtp}-{}", rtp + 18))
            .replace("@MODULES@", "/usr/lib/baresip/modules")
            .replace("@CONTROL@", &control.port().to_string())
            .replace("@FOLDER@", &folder.path("").to_string_lossy());
        std::fs::write(folder.path("config"), config).unwrap();
        let account = format!("<sip:bob@{address}>;regint=0;answermode=auto;audio_codecs={codec}\n");
        std::fs::write(folder.path("accounts"), account).unwrap();
        std::fs::write(folder.path("contacts"), "").unwrap();
        let mut command = Command::new("baresip");
        command.arg("-f").arg(folder.path(""));
        let program = Peer::start("baresip", &mut command);
        program.wait_for("baresip is ready", Duration::from_secs(10)).await;
        Self { program, address, control, folder }
    }

    /// A command of its menu, as a netstring of JSON.
    async fn command(&self, name: &str, argument: &str) {
        let mut stream = TcpStream::connect(self.control).await.unwrap();
        let json = serde_json::json!({"command": name, "params": argument, "token": "t"}).to_string();
        stream.write_all(format!("{}:{json},", json.len()).as_bytes()).await.unwrap();
        let mut answer = [0; 1024];
        let _ = tokio::time::timeout(Duration::from_secs(1), stream.read(&mut answer)).await;
    }

    /// Ends the program, which closes its recording, and reads what it heard.
    async fn heard(mut self) -> (u32, Vec<i16>) {
        self.command("quit", "").await;
        self.program.wait_end(Duration::from_secs(5)).await;
        let mut recordings: Vec<PathBuf> =
            std::fs::read_dir(self.folder.path("")).unwrap().map(|entry| entry.unwrap().path()).collect();
        recordings.retain(|path| path.to_string_lossy().ends_with("-dec.wav"));
        assert_eq!(recordings.len(), 1, "one recording: {recordings:?}\n{}", self.program.said());
        speech::read_wav(&recordings[0])
    }
}

async fn phone_calls_baresip(codec: &str, word: &str) {
    let gateway = gateway().await;
    let bob = Baresip::start(codec).await;
    let mut phone = Phone::connected(gateway.rtmp, Login::anonymous("alice@198.18.0.1")).await;
    phone.invite(&format!("sip:bob@{}", bob.address), &["wideband", word, "dtmf"]).await;
    assert_eq!(phone.expect("accepted").await[0], "speex".into());
    phone.start_media().await;
    anna_speaks(&phone).await;
    let (rate, heard) = phone.heard_pcm();
    assert_speech("baresip to phone", Speaker::Ben, rate, &heard);
    for digit in ["4", "2", "#"] {
        phone.call("sendDTMF", &[digit.into()]).await.unwrap();
    }
    for event in ["'4' (end=0)", "'4' (end=1)", "'2' (end=0)", "'2' (end=1)", "'#' (end=0)"] {
        bob.program.wait_for(&format!("received event: {event}"), Duration::from_secs(3)).await;
    }
    phone.bye().await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let (rate, heard) = bob.heard().await;
    assert_speech("phone to baresip", Speaker::Anna, rate, &heard);
}

#[tokio::test]
async fn the_phone_calls_baresip_with_pcmu_speaks_hears_and_dials_digits() {
    phone_calls_baresip("PCMU", "ulaw").await;
}

#[tokio::test]
async fn the_phone_calls_baresip_with_pcma_speaks_hears_and_dials_digits() {
    phone_calls_baresip("PCMA", "alaw").await;
}

async fn baresip_calls_the_phone(codec: &str, word: &str) {
    let gateway = gateway().await;
    let (registrar, mut phone) = registered_phone(&gateway).await;
    let bob = Baresip::start(codec).await;
    let contact = registrar.binding("alice").unwrap();
    bob.command("dial", &contact).await;
    let invited = phone.expect("invited").await;
    assert!(invited[0].as_str().unwrap().contains("sip:bob@198.18.0.1"), "{invited:?}");
    bob.program.wait_for("180 Ringing", Duration::from_secs(3)).await;
    phone.accept(&["wideband", word]).await;
    phone.expect("accepted").await;
    phone.start_media().await;
    anna_speaks(&phone).await;
    let (rate, heard) = phone.heard_pcm();
    assert_speech("baresip to phone", Speaker::Ben, rate, &heard);
    bob.command("hangup", "").await;
    phone.expect("byed").await;
    let (rate, heard) = bob.heard().await;
    assert_speech("phone to baresip", Speaker::Anna, rate, &heard);
}

#[tokio::test]
async fn baresip_calls_the_phone_with_pcmu() {
    baresip_calls_the_phone("PCMU", "ulaw").await;
}

#[tokio::test]
async fn baresip_calls_the_phone_with_pcma() {
    baresip_calls_the_phone("PCMA", "alaw").await;
}
