//! baresip, a SIP phone (Debian's 1.0.0: G.711, G.722, Opus and L16, no Speex).

use crate::place::{
    HERE, anna_speaks, anna_speaks_opus, assert_digits, assert_speech, assert_speech_of, gateway, gateway_preferring,
    registered_opus_phone, registered_phone,
};
use gateway_tests::gateway::{free_tcp, free_udp_and_tcp};
use gateway_tests::phone::{Login, Phone};
use gateway_tests::speech::{self, Speaker};
use gateway_tests::tools::{Peer, Scratch, run};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;

pub struct Baresip {
    program: Peer,
    address: SocketAddr,
    control: SocketAddr,
    rate: u32,
    folder: Scratch,
}

impl Baresip {
    /// `bob`, who speaks with Ben's voice, answers at once, and records what he hears.
    /// `codec` is in its own words, which must be exact: of one that it does not know it says nothing, and offers all.
    pub async fn start(codec: &str) -> Self {
        let folder = Scratch::new();
        let rate = match codec.split('/').next() {
            Some("opus") => 48_000,
            Some("G722") => 16_000,
            _ => codec.split('/').nth(1).map_or(8000, |rate| rate.parse().unwrap()),
        };
        let (address, control) = (free_udp_and_tcp(HERE), free_tcp(Ipv4Addr::LOCALHOST.into()));
        // baresip hangs up at the end of the file that it speaks: silence behind the speech leaves the end to the test.
        let mut spoken = speech::pcm(Speaker::Ben, rate);
        spoken.resize(spoken.len() + rate as usize * 30, 0);
        speech::write_wav(&folder.path("ben.wav"), rate, &spoken);
        let rtp = 30_000 + address.port() % 100 * 20;
        let config = include_str!("baresip.config")
            .replace("@LISTEN@", &address.to_string())
            .replace("@SPEECH@", &folder.path("ben.wav").to_string_lossy())
            .replace("@RATE@", &rate.to_string())
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
        Self { program, address, control, rate, folder }
    }

    pub fn uri(&self) -> String {
        format!("sip:bob@{}", self.address)
    }

    /// A command of its menu, as a netstring of JSON.
    async fn command(&self, name: &str, argument: &str) {
        let mut stream = TcpStream::connect(self.control).await.unwrap();
        let json = serde_json::json!({"command": name, "params": argument, "token": "t"}).to_string();
        stream.write_all(format!("{}:{json},", json.len()).as_bytes()).await.unwrap();
        let mut answer = [0; 1024];
        let _ = tokio::time::timeout(Duration::from_secs(1), stream.read(&mut answer)).await;
    }

    /// Ends the program, which closes its recording, and reads what it heard, as 8 or 16 kHz of one channel.
    pub async fn heard(mut self) -> (u32, Vec<i16>) {
        self.command("quit", "").await;
        self.program.wait_end(Duration::from_secs(5)).await;
        let mut recordings: Vec<PathBuf> =
            std::fs::read_dir(self.folder.path("")).unwrap().map(|entry| entry.unwrap().path()).collect();
        recordings.retain(|path| path.to_string_lossy().ends_with("-dec.wav"));
        assert_eq!(recordings.len(), 1, "one recording: {recordings:?}\n{}", self.program.said());
        if self.rate > 8000 {
            // Opus is recorded as its clock and channels say.
            let mono = self.folder.path("mono.wav");
            let (from, to) = (recordings[0].to_string_lossy(), mono.to_string_lossy());
            run("sox", &[&from, "-b", "16", "-c", "1", "-t", "wavpcm", &to, "rate", "-v", "16000"]);
            return speech::read_wav(&mono);
        }
        speech::read_wav(&recordings[0])
    }

    /// It has heard these keys of the phone, each to its end. (While it sends keys of its own it misses the end of one that comes.)
    async fn assert_digits(&self, phone: &mut Phone, digits: &str) {
        for digit in digits.chars() {
            phone.call("sendDTMF", &[digit.to_string().into()]).await.unwrap();
            for event in [format!("'{digit}' (end=0)"), format!("'{digit}' (end=1)")] {
                self.program.wait_for(&format!("received event: {event}"), Duration::from_secs(3)).await;
            }
        }
    }
}

async fn phone_calls_baresip(codec: &str, word: &str) {
    let gateway = gateway().await;
    let bob = Baresip::start(codec).await;
    let mut phone = Phone::connected(gateway.rtmp, Login::anonymous("alice@198.18.0.1")).await;
    phone.invite(&bob.uri(), &["wideband", word, "dtmf"]).await;
    assert_eq!(phone.expect("accepted").await[0], "speex".into());
    phone.start_media().await;
    anna_speaks(&phone).await;
    let (rate, heard) = phone.heard_pcm();
    assert_speech("baresip to phone", Speaker::Ben, rate, &heard);
    bob.assert_digits(&mut phone, "42#").await;
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

/// Both speak and both dial. The gateway offers what it prefers; baresip knows one codec.
async fn phone_calls_baresip_by_preference(codec: &str, preferred: &str, wide: bool) {
    let gateway = gateway_preferring(preferred).await;
    let bob = Baresip::start(codec).await;
    let mut phone = Phone::connected(gateway.rtmp, Login::anonymous("alice@198.18.0.1")).await;
    phone.call("subscribe", &["dtmf".into()]).await.unwrap();
    phone.invite(&bob.uri(), &[]).await;
    assert_eq!(phone.expect("accepted").await, []);
    phone.start_media().await;
    anna_speaks(&phone).await;
    let (heard_rate, heard) = phone.heard_pcm();
    bob.assert_digits(&mut phone, "08*").await;
    bob.command("sndcode", "6").await;
    assert_digits(&mut phone, "6").await;
    phone.bye().await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let what = format!("baresip {codec} to phone");
    assert_speech_of(wide, &what, Speaker::Ben, heard_rate, &heard);
    let (rate, heard) = bob.heard().await;
    let what = format!("phone to baresip {codec}");
    assert_speech_of(wide, &what, Speaker::Anna, rate, &heard);
}

#[tokio::test]
async fn the_phone_calls_baresip_with_g722() {
    phone_calls_baresip_by_preference("G722/16000/1", "g722", true).await;
}

#[tokio::test]
async fn the_phone_calls_baresip_with_opus() {
    phone_calls_baresip_by_preference("opus/48000/2", "opus", true).await;
}

#[tokio::test]
async fn the_phone_calls_baresip_with_l16_of_16_khz() {
    phone_calls_baresip_by_preference("L16/16000/1", "l16", true).await;
}

#[tokio::test]
async fn the_phone_calls_baresip_with_l16_of_8_khz() {
    phone_calls_baresip_by_preference("L16/8000/1", "l16", false).await;
}

/// baresip offers the one codec that it knows; both speak, baresip holds, resumes, and both dial.
async fn baresip_calls_the_phone_with_its_own(codec: &str) {
    let gateway = gateway().await;
    let (registrar, mut phone) = registered_phone(&gateway).await;
    phone.call("subscribe", &["dtmf".into()]).await.unwrap();
    let bob = Baresip::start(codec).await;
    bob.command("dial", &registrar.binding("alice").unwrap()).await;
    phone.expect("invited").await;
    phone.accept(&[]).await;
    assert_eq!(phone.expect("accepted").await, []);
    phone.start_media().await;
    anna_speaks(&phone).await;
    let (heard_rate, heard) = phone.heard_pcm();
    bob.command("hold", "").await;
    assert_eq!(phone.expect("holded").await, [true.into()]);
    bob.command("resume", "").await;
    assert_eq!(phone.expect("holded").await, [false.into()]);
    bob.assert_digits(&mut phone, "9#").await;
    bob.command("sndcode", "1").await;
    assert_digits(&mut phone, "1").await;
    bob.command("hangup", "").await;
    phone.expect("byed").await;
    assert_speech_of(true, &format!("baresip {codec} to phone"), Speaker::Ben, heard_rate, &heard);
    let (rate, heard) = bob.heard().await;
    assert_speech_of(true, &format!("phone to baresip {codec}"), Speaker::Anna, rate, &heard);
}

#[tokio::test]
async fn baresip_calls_the_phone_with_g722() {
    baresip_calls_the_phone_with_its_own("G722/16000/1").await;
}

#[tokio::test]
async fn baresip_calls_the_phone_with_opus() {
    baresip_calls_the_phone_with_its_own("opus/48000/2").await;
}

#[tokio::test]
async fn baresip_calls_the_phone_with_l16_of_16_khz() {
    baresip_calls_the_phone_with_its_own("L16/16000/1").await;
}

/// Packets pass as they are; both have dialled when this returns what the phone heard.
async fn an_opus_phone_and_baresip_talk(phone: &mut Phone, bob: &Baresip) -> (u32, Vec<i16>) {
    phone.start_media().await;
    anna_speaks_opus(phone).await;
    let stats = phone.stats().await;
    assert_eq!((stats.get_str("codec"), stats.get_str("phoneCodec")), (Some("opus/48000"), Some("opus/48000")));
    let heard = phone.heard_pcm();
    bob.assert_digits(phone, "D0").await;
    bob.command("sndcode", "7").await;
    assert_digits(phone, "7").await;
    heard
}

/// What both heard of each other.
async fn assert_heard(bob: Baresip, (rate, heard): (u32, Vec<i16>)) {
    assert_speech_of(true, "baresip to Opus phone", Speaker::Ben, rate, &heard);
    let (rate, heard) = bob.heard().await;
    assert_speech_of(true, "Opus phone to baresip", Speaker::Anna, rate, &heard);
}

#[tokio::test]
async fn baresip_calls_a_phone_that_plays_opus() {
    let gateway = gateway().await;
    let (registrar, mut phone) = registered_opus_phone(&gateway).await;
    phone.call("subscribe", &["dtmf".into()]).await.unwrap();
    let bob = Baresip::start("opus/48000/2").await;
    bob.command("dial", &registrar.binding("alice").unwrap()).await;
    phone.expect("invited").await;
    phone.accept(&[]).await;
    phone.expect("accepted").await;
    let heard = an_opus_phone_and_baresip_talk(&mut phone, &bob).await;
    bob.command("hangup", "").await;
    phone.expect("byed").await;
    assert_heard(bob, heard).await;
}

#[tokio::test]
async fn a_phone_that_plays_opus_calls_baresip_holds_and_resumes() {
    let gateway = gateway().await;
    let bob = Baresip::start("opus/48000/2").await;
    let mut phone = Phone::connected(gateway.rtmp, Login::anonymous("alice@198.18.0.1").enhanced()).await;
    phone.call("subscribe", &["dtmf".into()]).await.unwrap();
    phone.invite(&bob.uri(), &["opus", "dtmf"]).await;
    assert_eq!(phone.expect("accepted").await[0], "opus".into());
    let heard = an_opus_phone_and_baresip_talk(&mut phone, &bob).await;
    phone.call("hold", &[true.into()]).await.unwrap();
    phone.call("hold", &[false.into()]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    phone.forget();
    phone.wait_heard(50, Duration::from_secs(5)).await;
    phone.bye().await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_heard(bob, heard).await;
}
