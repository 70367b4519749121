//! Other people's code as a judge of ours: the client of `rml_rtmp` connects to our server, publishes and plays; our
//! client does the same with their server.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod common;

use common::{drain, request, some_instant};
use rml_rtmp::handshake::{Handshake, HandshakeProcessResult, PeerType};
use rml_rtmp::sessions::{
    ClientSession, ClientSessionConfig, ClientSessionEvent, ClientSessionResult, PublishRequestType,
    ServerSession as TheirServer, ServerSessionConfig, ServerSessionEvent, ServerSessionResult,
};
use rml_rtmp::time::RtmpTimestamp as TheirTimestamp;
use rtmp_session::{
    self as ours, ClientEvent, ConnectAccepted, Event, HandshakeKind, Input, Limits, Output, RtmpTimestamp,
    ServerSession, StreamId,
};
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

/// Our client and their server.
struct Reverse {
    now: Instant,
    client: ours::ClientSession,
    server: TheirServer,
    at_client: Vec<ClientEvent>,
    at_server: Vec<ServerSessionEvent>,
}

impl Reverse {
    fn new(handshake: HandshakeKind) -> Self {
        let now = some_instant();
        let mut client = ours::ClientSession::new(now, Limits::default(), [5; 32], handshake);
        let mut hands = Handshake::new(PeerType::Server);
        let (hello, _, _) = drain(|| client.poll_output());
        let HandshakeProcessResult::InProgress { response_bytes } = hands.process_bytes(&hello).unwrap() else {
            panic!("done without C2")
        };
        client.handle_input(now, Input::Bytes(&response_bytes)).unwrap();
        let (c2, _, _) = drain(|| client.poll_output());
        assert!(matches!(hands.process_bytes(&c2).unwrap(), HandshakeProcessResult::Completed { .. }));
        let (server, results) = TheirServer::new(ServerSessionConfig::new()).unwrap();
        let mut reverse = Self { now, client, server, at_client: Vec::new(), at_server: Vec::new() };
        reverse.take(results);
        reverse.pump();
        reverse
    }

    fn take(&mut self, results: Vec<ServerSessionResult>) {
        for result in results {
            match result {
                ServerSessionResult::OutboundResponse(packet) => {
                    self.client.handle_input(self.now, Input::Bytes(&packet.bytes)).unwrap();
                }
                // They grant whatever is asked.
                ServerSessionResult::RaisedEvent(
                    ServerSessionEvent::ConnectionRequested { request_id, .. }
                    | ServerSessionEvent::PublishStreamRequested { request_id, .. }
                    | ServerSessionEvent::PlayStreamRequested { request_id, .. },
                ) => {
                    let results = self.server.accept_request(request_id).unwrap();
                    self.take(results);
                }
                ServerSessionResult::RaisedEvent(event) => self.at_server.push(event),
                ServerSessionResult::UnhandleableMessageReceived(payload) => panic!("they cannot read {payload:?}"),
            }
        }
    }

    fn pump(&mut self) {
        while let Some(output) = self.client.poll_output() {
            match output {
                Output::Bytes(bytes) => {
                    let results = self.server.handle_input(&bytes).unwrap();
                    self.take(results);
                }
                Output::Event(event) => self.at_client.push(event),
                Output::Close => panic!("our client closes"),
            }
        }
    }

    fn connected(handshake: HandshakeKind) -> (Self, StreamId) {
        let mut reverse = Self::new(handshake);
        reverse.client.connect(reverse.now, request());
        reverse.client.create_stream(reverse.now);
        reverse.pump();
        assert!(reverse.at_client.iter().any(|event| matches!(event, ClientEvent::Connected { .. })));
        let Some(&ClientEvent::StreamCreated { stream, .. }) = reverse.at_client.last() else {
            panic!("{:?}", reverse.at_client)
        };
        (reverse, stream)
    }
}

#[test]
fn their_server_hears_what_our_client_publishes() {
    for handshake in [HandshakeKind::Simple, HandshakeKind::Digest, HandshakeKind::DigestScheme1] {
        let (mut reverse, stream) = Reverse::connected(handshake);
        reverse.client.publish(reverse.now, stream, "local");
        reverse.pump();
        for n in 0..200u32 {
            let frame = vec![n as u8; 3 * n as usize + 1];
            let time = n * 20 + if n > 100 { 0x0100_0000 } else { 0 };
            reverse.client.send_audio(reverse.now, stream, RtmpTimestamp::from_ms(time), &frame);
            reverse.pump();
            let Some(ServerSessionEvent::AudioDataReceived { data, timestamp, stream_key, .. }) =
                reverse.at_server.pop()
            else {
                panic!("frame {n} is lost")
            };
            assert_eq!((&data[..], timestamp.value, stream_key.as_str()), (&frame[..], time, "local"));
        }
    }
}

#[test]
fn our_client_hears_what_their_server_plays() {
    let (mut reverse, stream) = Reverse::connected(HandshakeKind::Digest);
    reverse.client.play(reverse.now, stream, "remote");
    reverse.pump();
    for n in 1..200u32 {
        let frame = vec![n as u8; 20 * n as usize];
        let sent = reverse.server.send_audio_data(stream.0, frame.clone().into(), TheirTimestamp::new(n * 20), false);
        reverse.client.handle_input(reverse.now, Input::Bytes(&sent.unwrap().bytes)).unwrap();
        reverse.pump();
        let timestamp = RtmpTimestamp::from_ms(n * 20);
        assert_eq!(reverse.at_client.pop(), Some(ClientEvent::Audio { stream, timestamp, body: frame.into() }));
    }
}
