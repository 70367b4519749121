//! SIP to phone: RTP packets come in as the network delivers them, one audio message per 20 ms goes out.
//!
//! ```text
//!  RTP -> source -> place on the timeline -> jitter buffer -> route ------------------> AudioTag -> message
//!         (SSRC)    (RTP time -> RTMP time)   order, gaps     relay: frames, bytes
//!            |                                                else: decode | conceal -> resample -> encode
//!            '---- telephone-event -> DtmfReceiver -> digit
//! ```

mod route;
mod source;

use std::time::Instant;

use bytes::Bytes;
use tracing::debug;

use crate::{
    codec::Codec,
    dtmf::{Digit, DtmfReceiver},
    flv::AudioTagWriter,
    jitter::{Arrival, HeldPacket, JitterBuffer, Release},
    limits::MAX_CONCEALED_FRAMES,
    media_time::MediaTime,
    reception::Reception,
    rtmp_time::RtmpTimestamp,
    rtp::{RtpError, RtpPacket},
    sdp::{Negotiated, PayloadFormat, TelephoneEvent},
    stats::DownlinkStats,
};
use route::Route;
use source::{Heard, Sources};

/// What the downlink gives out.
#[derive(Debug)]
pub enum Delivery {
    /// An audio message for the phone.
    Audio(RtmpTimestamp, Bytes),
    /// The peer pressed a key.
    Digit(Digit),
}

/// The receiving half of a call's media.
pub struct Downlink {
    phone_codec: Codec,
    formats: Vec<PayloadFormat>,
    events: Vec<TelephoneEvent>,
    comfort_noise: Option<u8>,
    may_receive: bool,
    sources: Sources,
    jitter: JitterBuffer,
    route: Option<Route>,
    dtmf: DtmfReceiver,
    timeline: PhoneClock,
    writer: AudioTagWriter,
    /// Frames invented in a row.
    invented: u64,
    /// Since when packets come that belong where noise has filled a pause, and how many.
    behind: Option<(Instant, u32)>,
    stats: DownlinkStats,
}

const FRAME: MediaTime = MediaTime::from_ms(20);
/// Packets behind the noise, at the pace of speech, that are believed.
const PACKETS_BEHIND: u32 = 3;

/// Media time to RTMP timestamps that never step back.
struct PhoneClock {
    base: RtmpTimestamp,
    last: Option<MediaTime>,
}

impl PhoneClock {
    fn at(&mut self, at: MediaTime) -> RtmpTimestamp {
        let at = self.last.map_or(at, |last| at.max(last));
        self.last = Some(at);
        self.base.plus(at.to_ms())
    }
}

/// What a payload type stands for.
enum Payload {
    Audio(Codec),
    Noise,
    Event,
    Unknown,
}

impl Downlink {
    /// Nothing flows before a packet comes. `rtmp_base` is the RTMP time of `now`.
    pub fn new(now: Instant, negotiated: &Negotiated, phone_codec: Codec, rtmp_base: RtmpTimestamp) -> Self {
        Self {
            phone_codec,
            formats: negotiated.receive.clone(),
            events: negotiated.receive_events.clone(),
            comfort_noise: negotiated.receive_comfort_noise,
            may_receive: negotiated.direction.receives(),
            sources: Sources::new(now),
            jitter: JitterBuffer::default(),
            route: None,
            dtmf: DtmfReceiver::default(),
            timeline: PhoneClock { base: rtmp_base, last: None },
            writer: AudioTagWriter::default(),
            invented: 0,
            behind: None,
            stats: DownlinkStats::default(),
        }
    }

    /// Takes up a new agreement; the phone's timeline goes on.
    pub fn renegotiate(&mut self, negotiated: &Negotiated) {
        self.formats.clone_from(&negotiated.receive);
        self.events.clone_from(&negotiated.receive_events);
        self.comfort_noise = negotiated.receive_comfort_noise;
        self.may_receive = negotiated.direction.receives();
        if !self.may_receive {
            self.jitter.reset();
            self.route = None;
        }
    }

    /// Takes a datagram of the RTP port.
    pub fn rtp(&mut self, now: Instant, datagram: &[u8], mut deliver: impl FnMut(Delivery)) -> Result<(), RtpError> {
        let packet = RtpPacket::parse(datagram)?;
        let (payload, clock_rate) = self.payload(packet.payload_type);
        let is_audio = matches!(payload, Payload::Audio(_) | Payload::Noise);
        let at = match self.sources.heard(now, &packet, is_audio, clock_rate, self.jitter.end()) {
            Heard::Probation => return Ok(()),
            Heard::Known(at) if is_audio => self.after_a_pause(now, at),
            Heard::Known(at) => at,
            Heard::New(at) => {
                self.jitter.reset();
                self.route = None;
                at
            }
        };
        self.stats.octets += packet.payload.len() as u64;
        if !self.may_receive {
            return Ok(());
        }
        match payload {
            Payload::Audio(codec) => {
                let arrival = self.jitter.insert(now, packet.sequence, Some(at), packet.payload_type, packet.payload);
                if arrival == Arrival::InOrder {
                    self.rest_until(at, &mut deliver);
                    self.play(at, codec, packet.payload, &mut deliver);
                }
            }
            Payload::Noise => {
                let arrival = self.jitter.insert(now, packet.sequence, Some(at), packet.payload_type, packet.payload);
                if arrival == Arrival::InOrder {
                    self.rest_until(at, &mut deliver);
                    self.rest(at, packet.payload, &mut deliver);
                }
            }
            other => {
                if matches!(other, Payload::Event) {
                    self.on_event(&packet, &mut deliver);
                } else {
                    self.stats.unknown_payload += 1;
                }
                // It has a place in the sequence, and no audio.
                self.jitter.insert(now, packet.sequence, None, packet.payload_type, &[]);
                self.jitter.paused();
            }
        }
        self.pump(now, deliver);
        Ok(())
    }

    /// A sender that paused and did not count the pause would come too late for ever where noise has filled it: it goes on
    /// behind the noise. What a network held back comes faster than it was sent, and is too late indeed.
    fn after_a_pause(&mut self, now: Instant, at: MediaTime) -> MediaTime {
        let Some(end) = self.jitter.end().filter(|end| at < *end && self.invented >= MAX_CONCEALED_FRAMES as u64)
        else {
            self.behind = None;
            return at;
        };
        let (since, count) = self.behind.map_or((now, 1), |(since, count)| (since, count + 1));
        self.behind = Some((since, count));
        let paced = now.saturating_duration_since(since) >= FRAME.to_duration() * (count - 1) * 3 / 4;
        if count < PACKETS_BEHIND || !paced {
            return at;
        }
        self.behind = None;
        self.sources.move_to(end);
        end
    }

    fn on_event(&mut self, packet: &RtpPacket<'_>, deliver: &mut impl FnMut(Delivery)) {
        if let Some(digit) = self.dtmf.receive(packet) {
            self.stats.digits += 1;
            deliver(Delivery::Digit(digit));
        }
    }

    /// Hands out what is due: packets whose gap closed or was given up, and audio invented for what is missing.
    pub fn pump(&mut self, now: Instant, mut deliver: impl FnMut(Delivery)) {
        while let Some(release) = self.jitter.release(now) {
            match release {
                Release::Packet(packet) => self.play_held(packet, &mut deliver),
                Release::Missing(length) => self.conceal(length, &mut deliver),
            }
        }
    }

    fn play_held(&mut self, packet: HeldPacket, deliver: &mut impl FnMut(Delivery)) {
        match (packet.at, self.payload(packet.payload_type)) {
            (Some(at), (Payload::Audio(codec), _)) => self.play(at, codec, &packet.payload, deliver),
            (Some(at), (Payload::Noise, _)) => self.rest(at, &packet.payload, deliver),
            _ => {}
        }
        self.jitter.recycle(packet);
    }

    fn play(&mut self, at: MediaTime, codec: Codec, payload: &[u8], deliver: &mut impl FnMut(Delivery)) {
        let (timeline, writer, stats) = (&mut self.timeline, &mut self.writer, &mut self.stats);
        let phone_codec = self.phone_codec;
        let mut emit = |at: MediaTime, payload: &[u8]| {
            stats.messages += 1;
            deliver(Delivery::Audio(timeline.at(at), writer.message(phone_codec, payload)));
        };
        if self.route.as_ref().is_none_or(|route| route.source() != codec) {
            if let Some(mut old) = self.route.take() {
                old.flush(&mut emit);
            }
            self.route = Some(Route::new(codec, phone_codec));
        }
        let route = self.route.as_mut().expect("made above if there was none");
        match route.play(at, payload, &mut emit) {
            Ok(length) => {
                self.invented = 0;
                self.jitter.played(at, length);
            }
            Err(error) => {
                self.stats.undecodable += 1;
                debug!(?codec, bytes = payload.len(), %error, "RTP payload cannot be decoded");
            }
        }
    }

    /// The peer says what its silence sounds like (RFC 3389), and sends nothing more for a while.
    fn rest(&mut self, at: MediaTime, described: &[u8], deliver: &mut impl FnMut(Delivery)) {
        let (timeline, writer, stats) = (&mut self.timeline, &mut self.writer, &mut self.stats);
        let phone_codec = self.phone_codec;
        // Before any audio the first codec agreed on stands for what will come.
        let Some(first) = self.formats.first() else { return };
        let route = self.route.get_or_insert_with(|| Route::new(first.codec, phone_codec));
        route.rest(at, described, &mut |at: MediaTime, payload: &[u8]| {
            stats.messages += 1;
            deliver(Delivery::Audio(timeline.at(at), writer.message(phone_codec, payload)));
        });
        self.invented = MAX_CONCEALED_FRAMES as u64; // what follows is the peer's own wish
        self.jitter.played(at, FRAME);
        self.jitter.resting();
    }

    /// Noise up to the packet that follows comfort noise, for the time that was still waited for it: a peer that describes its
    /// silence often is not heard in pieces (ffmpeg does each 80 ms, browsers each 100).
    fn rest_until(&mut self, at: MediaTime, deliver: &mut impl FnMut(Delivery)) {
        if let Some(missing) = self.jitter.rested_until(at) {
            self.conceal(missing, deliver);
        }
    }

    /// The peer said goodbye: nothing more is expected of it.
    pub fn left(&mut self) {
        self.jitter.paused();
    }

    fn conceal(&mut self, length: MediaTime, deliver: &mut impl FnMut(Delivery)) {
        let Some(route) = &mut self.route else { return };
        let formats = &self.formats;
        let next = self.jitter.upcoming().filter(|packet| {
            formats.iter().any(|format| format.payload_type == packet.payload_type && format.codec == route.source())
        });
        let next = next.map(|packet| &packet.payload[..]);
        let (timeline, writer, stats) = (&mut self.timeline, &mut self.writer, &mut self.stats);
        let phone_codec = self.phone_codec;
        let invented = route.conceal(length, next, &mut |at: MediaTime, payload: &[u8]| {
            stats.messages += 1;
            deliver(Delivery::Audio(timeline.at(at), writer.message(phone_codec, payload)));
        });
        // Noise after that is no concealment.
        let before = self.invented.min(MAX_CONCEALED_FRAMES as u64);
        self.invented += invented;
        self.stats.concealed_frames += self.invented.min(MAX_CONCEALED_FRAMES as u64) - before;
    }

    /// When [`Self::pump`] has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        self.jitter.deadline()
    }

    /// The current source's figures, for reports.
    pub fn reception(&mut self) -> Option<&mut Reception> {
        self.sources.reception()
    }

    /// Counters.
    pub fn stats(&self) -> DownlinkStats {
        let jitter = self.jitter.stats();
        let (packets, missing) = self.sources.totals();
        DownlinkStats {
            packets,
            // RFC 3550 counts a duplicate as if it made up for a loss, and what came too late as if it had been heard.
            lost: (missing + (jitter.duplicated + jitter.late) as i64).max(0) as u64,
            late: jitter.late,
            duplicated: jitter.duplicated,
            reordered: jitter.reordered,
            source_changes: self.sources.changes(),
            jitter: self.sources.jitter(),
            ..self.stats
        }
    }

    /// What a payload type stands for, and its clock rate.
    fn payload(&self, payload_type: u8) -> (Payload, u32) {
        if let Some(format) = self.formats.iter().find(|format| format.payload_type == payload_type) {
            return (Payload::Audio(format.codec), format.codec.clock_rate());
        }
        if self.comfort_noise == Some(payload_type) {
            return (Payload::Noise, 8000); // RFC 3389 section 4
        }
        let event = self.events.iter().any(|event| event.payload_type == payload_type);
        let clock_rate = self.formats.first().map_or(8000, |format| format.codec.clock_rate());
        (if event { Payload::Event } else { Payload::Unknown }, clock_rate)
    }
}
