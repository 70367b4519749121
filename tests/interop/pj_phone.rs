//! The PJSIP phone of `pj_phone.py`: started, told what to do, and listened to.

use crate::place::HERE;
use gateway_tests::gateway::free_udp_and_tcp;
use gateway_tests::speech::{self, Speaker};
use gateway_tests::tools::{Peer, Scratch, python};
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::process::Command;

/// `sip:pj@...`: answers at once, or calls; one call, then it ends.
pub struct PjPhone {
    pub program: Peer,
    pub address: SocketAddr,
    folder: Scratch,
}

/// What it is good for.
pub struct Habits<'a> {
    /// The one codec that it knows, in its own words: `speex/16000`, `g722/16000`, `pcmu/8000`.
    pub codec: &'a str,
    /// Whom it calls.
    pub call: Option<&'a str>,
    /// What it says; Ben's words if `None`.
    pub speech: Option<&'a Path>,
    /// Sends nothing in pauses.
    pub silence_suppression: bool,
    /// Packets of a hundred that get lost on their way, each way.
    pub loss_percent: u32,
}

impl<'a> Habits<'a> {
    pub fn codec(codec: &'a str) -> Self {
        Self { codec, call: None, speech: None, silence_suppression: false, loss_percent: 0 }
    }
}

impl PjPhone {
    pub async fn start(codec: &str, call: Option<&str>) -> Self {
        Self::with(Habits { call, ..Habits::codec(codec) }).await
    }

    pub async fn with(habits: Habits<'_>) -> Self {
        let (folder, address) = (Scratch::new(), free_udp_and_tcp(HERE));
        // Its mixer runs at 16 kHz.
        let rate = if habits.codec.ends_with("/8000") { 8000 } else { 16_000 };
        let mut command = Command::new(python());
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/interop/pj_phone.py"));
        command.args([&address.port().to_string(), habits.codec]);
        command.arg(habits.speech.map_or_else(|| speech::wav(Speaker::Ben, rate), Path::to_owned));
        command.arg(folder.path("heard.wav")).args(habits.call).env("PJ_ADDRESS", HERE.to_string());
        command.env("PJ_VAD", if habits.silence_suppression { "1" } else { "0" });
        command.env("PJ_DROP", habits.loss_percent.to_string());
        let program = Peer::start("pjsua2", &mut command);
        program.wait_for("\"ready\"", Duration::from_secs(15)).await;
        Self { program, address, folder }
    }

    pub fn uri(&self) -> String {
        format!("sip:pj@{}", self.address)
    }

    /// The line about an event, once it is there.
    pub async fn event(&self, name: &str) -> serde_json::Value {
        let line = self.program.wait_for(&format!("\"event\": \"{name}\""), Duration::from_secs(3)).await;
        serde_json::from_str(&line).unwrap()
    }

    /// Waits until its media has begun so many times: with the call, and after each hold.
    pub async fn media_began(&self, times: usize) {
        let end = Instant::now() + Duration::from_secs(8);
        let active = |line: &&String| line.contains("\"event\": \"media\", \"status\": 1");
        while self.program.lines().iter().filter(active).count() < times {
            assert!(Instant::now() < end, "pjsua2 has no media again:\n{}", self.program.said());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Its figures of the call; to be asked once.
    pub async fn stats(&mut self) -> serde_json::Value {
        self.program.type_line("stats").await;
        self.event("stats").await
    }

    /// What it recorded, when its call has ended.
    pub async fn heard(mut self) -> (u32, Vec<i16>) {
        self.program.wait_for("\"end\"", Duration::from_secs(8)).await;
        self.program.wait_end(Duration::from_secs(3)).await;
        speech::read_wav(&self.folder.path("heard.wav"))
    }
}
