//! Other people's client as a judge of our server: `rml_rtmp` connects, publishes and plays.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod common;

use common::{drain, some_instant};
use rml_rtmp::handshake::{Handshake, HandshakeProcessResult, PeerType};
use rml_rtmp::sessions::{
    ClientSession, ClientSessionConfig, ClientSessionEvent, ClientSessionResult, PublishRequestType,
};
use rml_rtmp::time::RtmpTimestamp as TheirTimestamp;
use rtmp_session::{ConnectAccepted, Event, Input, Limits, RtmpTimestamp, ServerSession, StreamId};
use std::time::Instant;

struct Judge {
    now: Instant,
    server: ServerSession,
    client: ClientSession,
    at_server: Vec<Event>,
    at_client: Vec<ClientSessionEvent>,
}

impl Judge {
    /// Both handshakes done.
    fn new() -> Self {
        let now = some_instant();
        let mut server = ServerSession::new(now, Limits::default(), [5; 32]);
        let mut hands = Handshake::new(PeerType::Client);
        let hello = hands.generate_outbound_p0_and_p1().unwrap();
        server.handle_input(now, Input::Bytes(&hello)).unwrap();
        let (answer, _, _) = drain(|| server.poll_output());
        let HandshakeProcessResult::Completed { response_bytes, remaining_bytes } =
            hands.process_bytes(&answer).unwrap()
        else {
            panic!("their handshake is not complete")
        };
        assert!(remaining_bytes.is_empty());
        server.handle_input(now, Input::Bytes(&response_bytes)).unwrap();
        let (client, results) = ClientSession::new(ClientSessionConfig::new()).unwrap();
        let mut judge = Self { now, server, client, at_server: Vec::new(), at_client: Vec::new() };
        judge.take(results);
        judge.pump();
        judge
    }

    fn take(&mut self, results: Vec<ClientSessionResult>) {
        for result in results {
            self.take_one(result);
        }
    }

    fn take_one(&mut self, result: ClientSessionResult) {
        match result {
            ClientSessionResult::OutboundResponse(packet) => {
                self.server.handle_input(self.now, Input::Bytes(&packet.bytes)).unwrap();
            }
            ClientSessionResult::RaisedEvent(event) => self.at_client.push(event),
            ClientSessionResult::UnhandleableMessageReceived(payload) => panic!("they cannot read {payload:?}"),
        }
    }

    fn pump(&mut self) {
        loop {
            let (bytes, events, close) = drain(|| self.server.poll_output());
            assert!(!close);
            self.at_server.extend(events);
            if bytes.is_empty() {
                return;
            }
            let results = self.client.handle_input(&bytes).unwrap();
            self.take(results);
        }
    }

    fn connect(&mut self) {
        let request = self.client.request_connection("sip/alice@example.com".into()).unwrap();
        self.take_one(request);
        self.pump();
        let Some(Event::Connect(connect)) = self.at_server.pop() else { panic!("no connect") };
        assert_eq!(connect.app, "sip/alice@example.com");
        self.server.accept_connect(self.now, ConnectAccepted::default());
        self.pump();
        assert_eq!(self.at_client.pop(), Some(ClientSessionEvent::ConnectionRequestAccepted));
    }
}

#[test]
fn their_client_connects_publishes_and_is_heard() {
    let mut judge = Judge::new();
    judge.connect();
    let request = judge.client.request_publishing("local".into(), PublishRequestType::Live).unwrap();
    judge.take_one(request);
    judge.pump();
    assert_eq!(judge.at_client.pop(), Some(ClientSessionEvent::PublishRequestAccepted));
    let Some(Event::Publish { stream, name, mode, .. }) = judge.at_server.pop() else { panic!("no publish") };
    assert_eq!((stream, name.as_str(), mode.as_deref()), (StreamId(1), "local", Some("live")));
    for n in 0..200u32 {
        let frame = vec![n as u8; 1 + n as usize];
        let sent = judge.client.publish_audio_data(frame.clone().into(), TheirTimestamp::new(n * 20), false).unwrap();
        judge.take_one(sent);
        judge.pump();
        let timestamp = RtmpTimestamp::from_ms(n * 20);
        assert_eq!(judge.at_server.pop(), Some(Event::Audio { stream, timestamp, body: frame.into() }));
    }
    let ends = judge.client.stop_publishing().unwrap();
    judge.take(ends);
    judge.pump();
    assert_eq!(judge.at_server.pop(), Some(Event::Unpublish { stream, name: "local".into() }));
}

#[test]
fn their_client_connects_plays_and_hears() {
    let mut judge = Judge::new();
    judge.connect();
    let request = judge.client.request_playback("remote".into()).unwrap();
    judge.take_one(request);
    judge.pump();
    assert!(judge.at_client.contains(&ClientSessionEvent::PlaybackRequestAccepted), "{:?}", judge.at_client);
    let stream = StreamId(1);
    assert!(judge.at_server.contains(&Event::Play { stream, name: "remote".into() }));
    judge.at_client.clear();
    for n in 1..200u32 {
        let frame = vec![n as u8; 20 * n as usize];
        let time = n * 20 + if n > 100 { 0x0100_0000 } else { 0 };
        assert!(judge.server.send_audio(judge.now, stream, RtmpTimestamp::from_ms(time), &frame));
        judge.pump();
        let expected =
            ClientSessionEvent::AudioDataReceived { data: frame.into(), timestamp: TheirTimestamp::new(time) };
        assert_eq!(judge.at_client.pop(), Some(expected));
    }
}

#[test]
fn their_client_reads_a_rejection() {
    let mut judge = Judge::new();
    let request = judge.client.request_connection("sip/alice@example.com".into()).unwrap();
    judge.take_one(request);
    judge.pump();
    judge.server.reject_connect(judge.now, "403 Forbidden");
    let (bytes, _, close) = drain(|| judge.server.poll_output());
    assert!(close);
    let results = judge.client.handle_input(&bytes).unwrap();
    judge.take(results);
    let expected = ClientSessionEvent::ConnectionRequestRejected { description: "403 Forbidden".into() };
    assert!(judge.at_client.contains(&expected), "{:?}", judge.at_client);
}
