//! The stock clients' traffic, replayed byte by byte against the gateway; what comes back is compared message by message.
//!
//! The conversations lie in `tests/fixtures/`. `WRITE_FIXTURES=1` writes them anew from `script.rs`; the first test notices a
//! difference.

use crate::script::{SCENES, SPEEX_FRAME, Scene};
use crate::wire::{Flash, Got};
use gateway_tests::digest::Algorithm;
use gateway_tests::gateway::Gateway;
use gateway_tests::rtp::RtpPeer;
use gateway_tests::sdp::AudioSdp;
use gateway_tests::sip_peer::{Calling, Dialog, RegistrarPolicy, SipPeer};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(5);

fn path(scene: &Scene) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(format!("{}.txt", scene.name))
}

#[test]
fn the_fixtures_are_what_their_generator_writes() {
    for scene in SCENES {
        if std::env::var_os("WRITE_FIXTURES").is_some() {
            std::fs::write(path(scene), scene.text()).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path(scene)).unwrap(), scene.text(), "{}", scene.name);
    }
}

#[tokio::test]
async fn videophone_makes_two_calls_on_the_same_streams() {
    Replay::of("videophone-outgoing").await;
}

#[tokio::test]
async fn videophone_takes_a_call() {
    Replay::of("videophone-incoming").await;
}

#[tokio::test]
async fn videophone_rejects_and_is_rejected() {
    Replay::of("videophone-rejected").await;
}

#[tokio::test]
async fn videophone_is_cancelled_and_cancels() {
    Replay::of("videophone-cancelled").await;
}

#[tokio::test]
async fn videoio_makes_two_calls_on_new_streams() {
    Replay::of("videoio-outgoing").await;
}

#[tokio::test]
async fn videoio_takes_a_call() {
    Replay::of("videoio-incoming").await;
}

#[tokio::test]
async fn videoio_rejects_and_is_rejected() {
    Replay::of("videoio-rejected").await;
}

#[tokio::test]
async fn videoio_is_cancelled_and_cancels() {
    Replay::of("videoio-cancelled").await;
}

/// A conversation going on.
struct Replay {
    gateway: Gateway,
    flash: Flash,
    /// Registrar and callee.
    callee: SipPeer,
    caller: SipPeer,
    rtp: RtpPeer,
    calling: Option<Calling>,
    /// The call, and whether it is the caller's.
    dialog: Option<(Dialog, bool)>,
    commands: VecDeque<Got>,
    audio: Vec<Got>,
}

impl Replay {
    async fn of(name: &str) {
        let scene = SCENES.iter().find(|scene| scene.name == name).unwrap();
        let host: IpAddr = scene.host.parse().unwrap();
        let gateway = Gateway::start().await;
        let callee = SipPeer::bind_at(SocketAddr::new(host, 5060)).await;
        callee.set_policy(RegistrarPolicy::Password {
            algorithm: Algorithm::Md5,
            password: "secret".into(),
            expires: 180,
        });
        let mut replay = Replay {
            flash: Flash::open(gateway.rtmp).await,
            gateway,
            callee,
            caller: SipPeer::bind_at(SocketAddr::new(host, 5070)).await,
            rtp: RtpPeer::bind(host).await,
            calling: None,
            dialog: None,
            commands: VecDeque::new(),
            audio: Vec::new(),
        };
        for (number, line) in std::fs::read_to_string(path(scene)).unwrap().lines().enumerate() {
            println!("{}: {line}", number + 1);
            match line.split_once(' ') {
                Some(("C", hex)) => replay.flash.send_raw(&bytes(hex)).await,
                Some(("S", message)) => replay.must_say(message).await,
                Some(("P", step)) => replay.peer(step).await,
                _ => assert!(line.is_empty() || line.starts_with('#'), "{line}"),
            }
        }
        let rest = tokio::time::timeout(Duration::from_millis(300), replay.next(false)).await;
        assert!(rest.is_err(), "more than the fixture says: {}", rest.unwrap());
    }

    async fn must_say(&mut self, wanted: &str) {
        let (wanted, count) = match wanted.strip_suffix(" times").and_then(|rest| rest.rsplit_once(", ")) {
            Some((wanted, count)) => (wanted, Some(count.parse().unwrap())),
            None => (wanted, None),
        };
        let Some(count) = count else {
            return assert_eq!(self.next(false).await.to_string(), wanted);
        };
        self.audio.clear();
        while self.audio.len() < count {
            let audio = self.next(true).await;
            assert_eq!(audio.to_string(), wanted);
            self.audio.push(audio);
        }
        assert!(self.audio.windows(2).all(|pair| pair[1].time == pair[0].time + 20), "{:?}", self.audio);
    }

    /// The next message that is audio, or that is not; audio is only looked at where the fixture asks for it.
    async fn next(&mut self, audio: bool) -> Got {
        loop {
            if !audio && let Some(command) = self.commands.pop_front() {
                return command;
            }
            let got = self.flash.message().await.expect("the connection stays open");
            match (got.kind == 8, audio) {
                (true, true) | (false, false) => return got,
                (true, false) => {}
                (false, true) => self.commands.push_back(got),
            }
        }
    }

    async fn peer(&mut self, step: &str) {
        let (step, rest) = step.split_once(": ").unwrap_or((step, ""));
        let words: Vec<&str> = step.split(' ').collect();
        match words[..] {
            ["has", "registered", user] => self.callee.wait_binding(user, true, SOON).await,
            ["is", "called"] => {
                let dialog = self.callee.incoming().await;
                let formats = &dialog.remote_sdp.as_ref().expect("an offer").formats;
                let named = formats.iter().map(|(number, name)| format!("{number} {}", name.to_ascii_lowercase()));
                assert_eq!(named.collect::<Vec<_>>().join(", "), rest);
                assert_eq!(dialog.invite.text("From").split(";tag").next(), Some(&*self.alice()));
                self.dialog = Some((dialog, false));
            }
            ["rings"] => self.callee.ring(self.dialog()).await,
            ["answers"] => {
                let sdp = self.description(rest);
                self.callee.answer(self.dialog(), &sdp).await;
            }
            ["refuses"] => {
                let (code, phrase) = rest.split_once(' ').unwrap();
                self.callee.refuse(self.dialog(), code.parse().unwrap(), phrase).await;
            }
            ["calls"] => {
                let contact = self.callee.binding("alice").expect("alice is registered");
                let sdp = self.description(rest);
                self.calling = Some(self.caller.start_invite(&contact, self.gateway.sip, Some(&sdp)).await);
            }
            ["is", "answered"] => {
                let answer = self.final_response().await;
                assert_eq!(formats(&self.dialog().remote_sdp), rest, "{answer}");
            }
            ["is", "refused"] => assert_eq!(self.final_response().await, format!("SIP/2.0 {rest}")),
            ["cancels"] => {
                let (to_cancel, to_invite) = self.caller.cancel(self.calling.take().unwrap()).await;
                assert_eq!((to_cancel.status(), to_invite.status()), (Some(200), Some(487)));
            }
            ["is", "cancelled"] => {
                let (cancel, from) = self.callee.request("CANCEL").await;
                self.callee.respond(&cancel, from, 200, "OK", None).await;
                self.callee.refuse(self.dialog(), 487, "Request Terminated").await;
            }
            ["hangs", "up"] => {
                let (mut dialog, is_callers) = self.dialog.take().unwrap();
                let peer = if is_callers { &self.caller } else { &self.callee };
                assert_eq!(peer.bye(&mut dialog).await.status(), Some(200));
            }
            ["is", "hung", "up", "on"] => {
                let (dialog, is_callers) = self.dialog.take().unwrap();
                let peer = if is_callers { &mut self.caller } else { &mut self.callee };
                let (bye, from) = peer.request("BYE").await;
                assert_eq!(bye.text("Call-ID"), dialog.call_id());
                peer.respond(&bye, from, 200, "OK", None).await;
            }
            ["is", "held"] => {
                let reinvite = self.callee.incoming().await;
                assert_eq!(reinvite.remote_sdp.as_ref().unwrap().direction, rest);
                let answer = if rest == "sendrecv" { "sendrecv" } else { "recvonly" };
                let sdp = self.description("0 101").with_direction(answer);
                self.callee.answer(&reinvite, &sdp).await;
            }
            ["is", "told", "digit", digit] => {
                let event = self.rtp.wait_for(101, SOON).await;
                assert_eq!(event.payload[0].to_string(), digit);
                self.rtp.forget();
            }
            ["hears", payload_type, "of", length, "bytes,", count, "times"] => {
                self.hears(payload_type.parse().unwrap(), length.parse().unwrap(), count.parse().unwrap()).await;
            }
            ["speaks", payload_type, count, "times"] => {
                let payload_type = payload_type.trim_end_matches(',').parse().unwrap();
                let frame = match payload_type {
                    0 => vec![0x3C; 160],
                    // The narrowband layer of the frame, ended as RFC 5574 section 3.3 ends a packet.
                    96 => narrowband_layer(&bytes(SPEEX_FRAME)),
                    other => panic!("no frame of payload type {other}"),
                };
                let frames = vec![frame; count.parse().unwrap()];
                self.rtp.play(self.dialog().rtp(), payload_type, 160, &frames).await;
            }
            _ => panic!("no such step: {step}"),
        }
    }

    fn alice(&self) -> String {
        format!("\"Alice A\" <sip:alice@{}>", self.callee.address().ip())
    }

    fn dialog(&self) -> &Dialog {
        &self.dialog.as_ref().expect("there is a call").0
    }

    fn description(&self, numbers: &str) -> AudioSdp {
        let name = |number: &str| match number {
            "0" => (0, "PCMU/8000"),
            "96" => (96, "speex/8000"),
            "101" => (101, "telephone-event/8000"),
            _ => panic!("no format {number}"),
        };
        AudioSdp::new(self.rtp.address(), &numbers.split(' ').map(name).collect::<Vec<_>>())
    }

    async fn final_response(&mut self) -> String {
        let mut calling = self.calling.take().expect("a call of the peer's is under way");
        loop {
            let response = calling.response(SOON).await;
            if response.status() >= Some(200) {
                self.dialog = Some((self.caller.finish_invite(&calling, &response).await, true));
                return response.start;
            }
        }
    }

    async fn hears(&self, payload_type: u8, length: usize, count: usize) {
        let end = std::time::Instant::now() + SOON;
        loop {
            let seen = self.rtp.seen();
            if seen.iter().filter(|p| p.payload_type == payload_type && p.payload.len() == length).count() >= count {
                return;
            }
            assert!(std::time::Instant::now() < end, "the peer heard {seen:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

fn formats(sdp: &Option<AudioSdp>) -> String {
    let formats = &sdp.as_ref().expect("a description").formats;
    formats.iter().map(|(number, _)| number.to_string()).collect::<Vec<_>>().join(" ")
}

/// Bytes out of hexadecimal digits.
pub(crate) fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

/// The first 300 bits (sub-mode 5, qualities 5 and 6), filled up with 0111...
pub(crate) fn narrowband_layer(frame: &[u8]) -> Vec<u8> {
    let mut layer = frame[..38].to_vec();
    layer[37] = layer[37] & 0xF0 | 0x07;
    layer
}
