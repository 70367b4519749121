//! A call of five hours in virtual time, every frame of it: nothing here waits, and no clock is read but once.
//!
//! ```text
//!   Phone: ClientSession -- chunks --> ServerSession --> MediaPath --> RTP, counted
//!                        <-- chunks --               <--           <-- RTP, made
//! ```
//! Its RTMP timestamps begin ten minutes before 2^32 ms. They wrap, and 4 h 39 min later need extended timestamps again (where other
//! gateways drop the connection). Its RTP timestamps and sequence numbers wrap too.

use bytes::Bytes;
use call_media::codec::Codec;
use call_media::path::{self, MediaPath, PathConfig};
use gateway_tests::media;
use gateway_tests::rtp::{RtpSeen, packet};
use rtmp_session::{
    ClientEvent, ClientSession, ConnectAccepted, ConnectRequest, Event, HandshakeKind, Input, Limits, Output,
    RtmpTimestamp, ServerSession, StreamId,
};
use std::time::{Duration, Instant};

const FRAME: Duration = Duration::from_millis(20);
const FRAMES: u32 = 5 * 60 * 60 * 50;
/// Ten minutes before the wrap.
const FIRST_MS: u32 = u32::MAX - 600_000;
/// A minute before the wrap, at 8000 Hz.
const FIRST_UNITS: u32 = u32::MAX - 480_000;
const FIRST_SEQUENCE: u16 = 65_000;
/// How many frames may still be on their way when the call ends: the jitter buffer's and the pacer's.
const ON_THE_WAY: u32 = 10;

/// What one end has seen: frames in order, time in step.
#[derive(Debug, Default)]
struct Witness {
    frames: u32,
    last: Option<u32>,
    extended: u32,
}

impl Witness {
    fn sees(&mut self, payload: &[u8], time: u32, step: u32) {
        let number = u32::from_be_bytes(payload[..4].try_into().unwrap());
        assert_eq!(
            number,
            self.frames,
            "a frame is missing or comes twice, {:.1} s into the call",
            f64::from(self.frames) / 50.0
        );
        if let Some(last) = self.last {
            assert_eq!(time.wrapping_sub(last), step, "time leaps at frame {number}");
        }
        self.frames += 1;
        self.extended += u32::from(time >= 0xFF_FFFF);
        self.last = Some(time);
    }
}

/// 20 ms that say their number.
fn frame(number: u32) -> [u8; 160] {
    let mut frame = [0x55; 160];
    frame[..4].copy_from_slice(&number.to_be_bytes());
    frame
}

struct Call {
    now: Instant,
    client: ClientSession,
    server: ServerSession,
    path: MediaPath,
    local: StreamId,
    remote: StreamId,
    peer: Witness,
    phone: Witness,
}

impl Call {
    fn begin() -> Self {
        let now = Instant::now();
        let config = PathConfig {
            initial_sequence: FIRST_SEQUENCE,
            initial_timestamp: FIRST_UNITS,
            rtmp_base_ms: FIRST_MS,
            ..media::config(Codec::Pcmu, Codec::Pcmu)
        };
        let mut call = Self {
            now,
            client: ClientSession::new(now, Limits::default(), [1; 32], HandshakeKind::Digest),
            server: ServerSession::new(now, Limits::default(), [2; 32]),
            path: MediaPath::new(now, config),
            local: StreamId::CONNECTION,
            remote: StreamId::CONNECTION,
            peer: Witness::default(),
            phone: Witness::default(),
        };
        let request = ConnectRequest { app: "sip/alice@example.com".into(), ..ConnectRequest::default() };
        call.client.connect(now, request);
        call.carry();
        call.local = call.stream();
        call.remote = call.stream();
        call.client.publish(now, call.local, "local");
        call.client.play(now, call.remote, "remote");
        call.carry();
        call
    }

    fn stream(&mut self) -> StreamId {
        self.client.create_stream(self.now);
        self.carry().expect("createStream is answered")
    }

    /// Moves everything until all are quiet; a stream that was created.
    fn carry(&mut self) -> Option<StreamId> {
        let mut created = None;
        loop {
            let mut quiet = true;
            while let Some(output) = self.client.poll_output() {
                quiet = false;
                match output {
                    Output::Bytes(bytes) => self.server.handle_input(self.now, Input::Bytes(&bytes)).unwrap(),
                    Output::Event(event) => created = self.on_phone(event).or(created),
                    Output::Close => panic!("the phone closes at {:?}", self.peer),
                }
            }
            while let Some(output) = self.server.poll_output() {
                quiet = false;
                match output {
                    Output::Bytes(bytes) => self.client.handle_input(self.now, Input::Bytes(&bytes)).unwrap(),
                    Output::Event(event) => self.on_gateway(event),
                    Output::Close => panic!("the gateway closes at {:?}", self.peer),
                }
            }
            while let Some(output) = self.path.poll_output() {
                quiet = false;
                self.on_media(output);
            }
            if quiet {
                return created;
            }
        }
    }

    fn on_phone(&mut self, event: ClientEvent) -> Option<StreamId> {
        match event {
            ClientEvent::StreamCreated { stream, .. } => return Some(stream),
            ClientEvent::Audio { timestamp, body, .. } => {
                assert_eq!(body[0], 0x82);
                self.phone.sees(&body[1..], timestamp.ms(), 20);
            }
            _ => {}
        }
        None
    }

    fn on_gateway(&mut self, event: Event) {
        match event {
            Event::Connect(_) => self.server.accept_connect(self.now, ConnectAccepted::default()),
            Event::Audio { timestamp, body, .. } => {
                self.path.handle_input(self.now, path::Input::PhoneAudio { timestamp_ms: timestamp.ms(), body: &body });
            }
            _ => {}
        }
    }

    fn on_media(&mut self, output: path::Output) {
        match output {
            path::Output::Rtp(datagram) => {
                let seen = RtpSeen::parse(self.now, ([127, 0, 0, 1], 9).into(), &datagram).unwrap();
                assert_eq!(seen.sequence, FIRST_SEQUENCE.wrapping_add(self.peer.frames as u16));
                self.peer.sees(&seen.payload, seen.timestamp, 160);
            }
            path::Output::PhoneAudio { timestamp_ms, body } => {
                let sent = self.server.send_audio(self.now, self.remote, RtmpTimestamp::from_ms(timestamp_ms), &body);
                assert!(sent, "the phone plays");
            }
            path::Output::Rtcp(_) => {}
            path::Output::DtmfReceived(_) | path::Output::PhoneCodecUnsupported(_) => panic!("{output:?}"),
        }
    }

    /// The phone speaks for 20 ms.
    fn phone_says(&mut self, number: u32) {
        let body: Bytes = [&[0x82][..], &frame(number)].concat().into();
        let time = RtmpTimestamp::from_ms(FIRST_MS.wrapping_add(20 * number));
        self.client.send_audio(self.now, self.local, time, &body);
        self.carry();
    }

    /// The peer does.
    fn peer_says(&mut self, number: u32) {
        let sequence = FIRST_SEQUENCE.wrapping_add(number as u16);
        let units = FIRST_UNITS.wrapping_add(160 * number);
        let datagram = packet(0, number == 0, sequence, units, 9, &frame(number));
        self.path.handle_input(self.now, path::Input::Rtp(&datagram));
        self.carry();
    }

    /// Lets time pass up to `end`: every timer at its instant.
    fn pass(&mut self, end: Instant) {
        loop {
            let due = [self.client.poll_timeout(), self.server.poll_timeout(), self.path.poll_timeout()];
            let Some(next) = due.into_iter().flatten().min().filter(|next| *next <= end) else { break };
            self.now = self.now.max(next);
            if due[0].is_some_and(|due| due <= self.now) {
                self.client.handle_input(self.now, Input::Timeout).unwrap();
            }
            if due[1].is_some_and(|due| due <= self.now) {
                self.server.handle_input(self.now, Input::Timeout).unwrap();
            }
            if due[2].is_some_and(|due| due <= self.now) {
                self.path.handle_input(self.now, path::Input::Timeout);
            }
            self.carry();
        }
        self.now = end;
    }
}

/// Says every frame at its time, to the last.
fn talk(says: fn(&mut Call, u32)) -> Call {
    let mut call = Call::begin();
    let begin = call.now;
    for number in 0..FRAMES {
        call.pass(begin + FRAME * number);
        says(&mut call, number);
    }
    call
}

#[test]
fn what_the_phone_says_in_five_hours_passes_every_wrap_and_mark_without_a_gap() {
    let heard = talk(Call::phone_says).peer;
    assert!(heard.frames >= FRAMES - ON_THE_WAY, "the peer heard {} of {FRAMES} frames", heard.frames);
    assert!(heard.last.is_some_and(|last| last < FIRST_UNITS), "no wrap");
}

#[test]
fn what_the_phone_hears_in_five_hours_passes_every_wrap_and_mark_without_a_gap() {
    let call = talk(Call::peer_says);
    let heard = call.phone;
    assert!(heard.frames >= FRAMES - ON_THE_WAY, "the phone heard {} of {FRAMES} frames", heard.frames);
    // Extended before the wrap, not for 4 h 39 min 37 s, and again for the last ten minutes.
    assert!(heard.last.is_some_and(|last| (0xFF_FFFF..FIRST_MS).contains(&last)), "{heard:?}");
    assert!((60_000..65_000).contains(&heard.extended), "{heard:?}");
    assert_eq!(call.path.stats().downlink.lost, 0);
}
