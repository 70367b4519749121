//! What an independent tool saw on the wire: tshark on the loopback interface.

use crate::tools::{Peer, Scratch, run};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio::process::Command;

/// A running capture.
pub struct Capture {
    tshark: Peer,
    file: PathBuf,
    _scratch: Scratch,
}

/// One RFC 4733 event as tshark read it: all packets of one RTP timestamp.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventSeen {
    /// `0-9 * # A-D`.
    pub digit: char,
    /// Markers of its packets, in order.
    pub markers: Vec<bool>,
    /// End bits of its packets, in order.
    pub ends: Vec<bool>,
    /// Durations of its packets in clock units, in order.
    pub durations: Vec<u32>,
}

impl Capture {
    /// Starts tshark on `lo` for UDP of these ports, and waits until it listens.
    pub async fn start(ports: &[u16]) -> Self {
        let scratch = Scratch::new();
        let file = scratch.path("capture.pcapng");
        let filter = ports.iter().map(|port| format!("udp port {port}")).collect::<Vec<_>>().join(" or ");
        let mut command = Command::new("tshark");
        command.args(["-i", "lo", "-f", &filter, "-w"]).arg(&file);
        let tshark = Peer::start("tshark", &mut command);
        tshark.wait_for("Capturing on", Duration::from_secs(20)).await;
        // tshark says so a moment before dumpcap has its socket: the file appears when it has.
        while !file.exists() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        Self { tshark, file, _scratch: scratch }
    }

    /// Stops; what was captured can be read now.
    pub async fn stop(mut self) -> Captured {
        tokio::time::sleep(Duration::from_millis(300)).await;
        self.tshark.signal("INT");
        self.tshark.wait_end(Duration::from_secs(10)).await;
        Captured { file: self.file, _scratch: self._scratch }
    }
}

/// A finished capture.
pub struct Captured {
    file: PathBuf,
    _scratch: Scratch,
}

impl Captured {
    /// Rows of tshark fields, tab-separated, of the packets that a display filter lets through.
    /// `sip` is the port to read as SIP, so that tshark learns RTP ports and payload types from the SDP.
    pub fn fields(&self, sip: u16, filter: &str, fields: &[&str]) -> Vec<Vec<String>> {
        let (file, sip) = (self.file.to_string_lossy(), format!("udp.port=={sip},sip"));
        let mut args = vec!["-r", &file, "-d", &sip, "-Y", filter, "-T", "fields"];
        for field in fields {
            args.extend(["-e", field]);
        }
        let output = run("tshark", &args);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect()
    }

    /// The telephone events that were sent to `target`, in order of their RTP timestamps' first appearance.
    pub fn events_to(&self, sip: u16, target: SocketAddr) -> Vec<EventSeen> {
        let filter = format!("rtpevent && udp.dstport == {}", target.port());
        let fields = ["rtp.timestamp", "rtp.marker", "rtpevent.event_id", "rtpevent.end_of_event", "rtpevent.duration"];
        let mut order = Vec::new();
        let mut events: BTreeMap<String, EventSeen> = BTreeMap::new();
        for row in self.fields(sip, &filter, &fields) {
            let [timestamp, marker, id, end, duration] = row.as_slice() else { panic!("row of tshark: {row:?}") };
            let event = events.entry(timestamp.clone()).or_insert_with(|| {
                order.push(timestamp.clone());
                let id: usize = id.parse().unwrap();
                let digit = "0123456789*#ABCD".chars().nth(id).unwrap_or('?');
                EventSeen { digit, markers: vec![], ends: vec![], durations: vec![] }
            });
            let yes = |field: &str| field == "1" || field == "True";
            event.markers.push(yes(marker));
            event.ends.push(yes(end));
            event.durations.push(duration.parse().unwrap());
        }
        order.into_iter().filter_map(|timestamp| events.remove(&timestamp)).collect()
    }
}
