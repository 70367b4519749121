//! Phone to SIP: audio messages come in as TCP delivers them, RTP packets leave on the media clock.
//!
//! ```text
//!  audio message -> AudioTag -> place on the timeline -> intake -------------> pacer ------> packets -> RTP
//!                               (RTMP time -> samples)   relay: frames, bytes   one unit      join, encode
//!                                                        else: decode, resample every 20 ms   number, stamp
//!                                                    nothing comes: noise ---'
//!  digit --------------------------------------------------------------------> DtmfSender -> RTP, same sequence
//! ```
//! RTP timestamps follow the samples and the gaps of the RTMP timestamps, never the arrival.
//!
//! A pause of the phone, its own or the network's, is comfort noise for the peer: in the codec, or as RFC 3389 has it where
//! that was agreed. RFC 3551 section 4.1 would allow to send nothing; but then the line sounds dead, and those on the way
//! take it for dead: so after ten seconds a packet every five remains.

mod background;
mod delivery;
mod intake;
mod loss;
mod pacer;
mod packets;
mod timeline;

use std::time::Instant;

use bytes::Bytes;
use tracing::{debug, warn};

use crate::{
    codec::Codec,
    dtmf::{Digit, DtmfSender},
    flv::{AudioTag, sound_format_name},
    limits::{UPLINK_DESCRIBE, UPLINK_HELD_UP},
    media_time::MediaTime,
    rtcp::SenderTotals,
    rtmp_time::RtmpTimestamp,
    rtp::{RtpTimestamp, RtpWriter},
    sdp::{Negotiated, TelephoneEvent},
    speex_frames::FrameMap,
    stats::UplinkStats,
};
use background::Background;
use intake::{Intake, Source};
use loss::ExpectedLoss;
use pacer::{Fill, Pacer, Popped};
use packets::{Packetiser, Unit, UnitPool};
use timeline::{Continuity, PhoneTimeline};

/// The sending half of a call's media.
pub struct Uplink {
    start: Instant,
    /// The driver's last look for audio.
    looked: Option<Instant>,
    may_send: bool,
    codec: Codec,
    payload_type: u8,
    telephone_event: Option<TelephoneEvent>,
    comfort_noise: Option<u8>,
    timeline: PhoneTimeline,
    intake: Option<Intake>,
    pool: UnitPool,
    pacer: Pacer<Unit>,
    packetiser: Packetiser,
    expected_loss: ExpectedLoss,
    background: Background,
    /// Noise was sent last.
    quiet: bool,
    dtmf: DtmfSender,
    /// Where the digit being sent starts.
    event_at: MediaTime,
    /// End of the last audio sent.
    sent_until: MediaTime,
    clock: RtpClock,
    writer: RtpWriter,
    /// The next unit starts a talk spurt (RFC 3551 section 4.1).
    spurt: bool,
    /// SoundFormats told as unsupported, a bit each.
    told_unsupported: u16,
    stats: UplinkStats,
}

/// Media time to RTP timestamps, over changes of the clock rate.
struct RtpClock {
    rate: u32,
    origin: MediaTime,
    origin_timestamp: RtpTimestamp,
}

impl RtpClock {
    fn at(&self, at: MediaTime) -> RtpTimestamp {
        self.origin_timestamp.plus((at - self.origin).to_clock(self.rate))
    }

    /// Goes on from `at` with another rate (RFC 7160 section 4.1 wants no step).
    fn change_rate(&mut self, at: MediaTime, rate: u32) {
        if rate != self.rate {
            *self = Self { rate, origin: at, origin_timestamp: self.at(at) };
        }
    }
}

impl Uplink {
    /// A stream that starts with the given random values (RFC 3550 section 5.1).
    pub fn new(now: Instant, negotiated: &Negotiated, ssrc: u32, sequence: u16, timestamp: u32) -> Self {
        let codec = negotiated.send.codec;
        let packetiser = Packetiser::new(codec, negotiated.ptime_ms, negotiated.opus);
        Self {
            start: now,
            looked: None,
            may_send: may_send(negotiated),
            codec,
            payload_type: negotiated.send.payload_type,
            telephone_event: negotiated.telephone_event,
            comfort_noise: negotiated.comfort_noise,
            timeline: PhoneTimeline::default(),
            intake: None,
            pool: UnitPool::default(),
            pacer: Pacer::new(packetiser.unit_length()),
            packetiser,
            expected_loss: ExpectedLoss::new(),
            background: Background::default(),
            quiet: false,
            dtmf: DtmfSender::default(),
            event_at: MediaTime::ZERO,
            sent_until: MediaTime::ZERO,
            clock: RtpClock {
                rate: codec.clock_rate(),
                origin: MediaTime::ZERO,
                origin_timestamp: RtpTimestamp(timestamp),
            },
            writer: RtpWriter::new(ssrc, sequence),
            spurt: true,
            told_unsupported: 0,
            stats: UplinkStats::default(),
        }
    }

    /// Takes up a new agreement; source, sequence and timeline go on.
    pub fn renegotiate(&mut self, now: Instant, negotiated: &Negotiated) {
        let may_send = may_send(negotiated);
        if !may_send {
            self.dtmf.clear();
        }
        let codec = negotiated.send.codec;
        let packetiser = Packetiser::new(codec, negotiated.ptime_ms, negotiated.opus);
        if !may_send || codec != self.codec || !packetiser.same_framing(&self.packetiser) {
            self.pacer.clear(packetiser.unit_length());
            self.intake = None;
            self.packetiser = packetiser;
            self.packetiser.expect_loss(self.expected_loss.percent());
            self.spurt = true;
        }
        self.clock.change_rate(self.position(now), codec.clock_rate());
        self.codec = codec;
        self.payload_type = negotiated.send.payload_type;
        self.telephone_event = negotiated.telephone_event;
        self.comfort_noise = negotiated.comfort_noise;
        self.may_send = may_send;
        if may_send {
            self.pacer.wake(now);
        }
    }

    /// What comes next was not there yet at this moment.
    pub fn looked(&mut self, at: Instant) {
        self.looked = Some(at);
    }

    /// When what is found now may have come.
    pub fn came(&self, now: Instant) -> Instant {
        self.looked.map_or(now, |looked| looked.max(now - UPLINK_HELD_UP).min(now))
    }

    /// Takes an audio message. A SoundFormat that we do not have is returned the first time that it comes.
    pub fn phone_audio(&mut self, now: Instant, timestamp: RtmpTimestamp, body: &[u8]) -> Option<u8> {
        self.stats.messages += 1;
        match AudioTag::parse(body) {
            AudioTag::Silence => self.on_silence(now),
            AudioTag::Packet { codec, payload } => {
                let source = Source::Codec(self.as_narrow_as_it_is(codec, payload));
                self.on_packet(now, timestamp, source, payload);
            }
            AudioTag::Nellymoser { rate, payload } => {
                self.on_packet(now, timestamp, Source::Nellymoser(rate), payload);
            }
            AudioTag::Unsupported(format) => return self.on_unsupported(format),
        }
        None
    }

    fn on_unsupported(&mut self, format: u8) -> Option<u8> {
        self.stats.unsupported += 1;
        let bit = 1 << format;
        if self.told_unsupported & bit != 0 {
            return None;
        }
        self.told_unsupported |= bit;
        warn!(
            format,
            codec = sound_format_name(format),
            "the phone sends audio that we cannot read; it is not sent on"
        );
        Some(format)
    }

    /// The phone stops speaking: what is left over goes out, the next packet starts afresh (reliability T11).
    fn on_silence(&mut self, now: Instant) {
        let (came, length) = (self.came(now), self.packetiser.unit_length());
        if let Some(intake) = &mut self.intake {
            intake.flush(&mut self.pool, &mut |at, unit| self.pacer.push(now, came, at, length, unit));
            intake.reset();
        }
        self.spurt = true;
    }

    fn on_packet(&mut self, now: Instant, timestamp: RtmpTimestamp, source: Source, payload: &[u8]) {
        if !self.may_send {
            return;
        }
        let came = self.came(now);
        if self.intake.as_ref().is_none_or(|intake| intake.source() != source) {
            self.intake = Some(Intake::new(source, self.codec, self.packetiser.unit_ms()));
        }
        let position = self.pacer.phone_position(now).unwrap_or_else(|| self.since_start(now));
        let intake = self.intake.as_mut().expect("made above if there was none");
        let Ok(length) = intake.read(payload) else {
            self.stats.undecodable += 1;
            debug!(?source, bytes = payload.len(), "audio message cannot be decoded");
            return;
        };
        let placed = self.timeline.place(now, timestamp, length, position);
        if placed.continuity == Continuity::Restart {
            self.pacer.rebase();
        }
        if !intake.keeps_packets() {
            self.pacer.expect_messages_of(length);
        }
        let length = if intake.keeps_packets() { length } else { self.packetiser.unit_length() };
        let mut push = |at, unit| self.pacer.push(now, came, at, length, unit);
        if placed.continuity != Continuity::Continuous {
            intake.flush(&mut self.pool, &mut push);
            self.spurt = true;
        }
        intake.take_units(placed.at, payload, &mut self.pool, &mut self.spurt, &mut push);
    }

    /// All Speex comes under one tag. A phone that has sent nothing but narrowband is decoded as such: no wider band is
    /// made up, and no filter takes it away again.
    fn as_narrow_as_it_is(&self, codec: Codec, payload: &[u8]) -> Codec {
        let wide = Source::Codec(Codec::SpeexWideband);
        let was_wide = || self.intake.as_ref().is_some_and(|intake| intake.source() == wide);
        if codec == Codec::SpeexWideband && !was_wide() && FrameMap::of(payload).is_ok_and(|map| map.is_narrowband()) {
            return Codec::SpeexNarrowband;
        }
        codec
    }

    /// Queues digits behind those still being sent (RFC 4733); what is no digit is left out.
    pub fn send_digits(&mut self, now: Instant, digits: &str) {
        if !self.may_send || self.telephone_event.is_none() {
            debug!("digits are not sent: no telephone-event, or the call is on hold");
            return;
        }
        for digit in digits.chars().filter_map(Digit::from_char) {
            if self.dtmf.push(now, digit) {
                self.stats.digits += 1;
                // A jitter buffer may keep the digit's end until packets come behind it (baresip's does).
                self.pacer.wake(now);
            }
        }
    }

    /// Hands out every packet that is due, and noise for what was missing at `missed`.
    pub fn pump(&mut self, now: Instant, missed: Instant, mut send: impl FnMut(Bytes)) {
        self.pump_digits(now, &mut send);
        let describe =
            if self.comfort_noise.is_some() { UPLINK_DESCRIBE } else { self.packetiser.unit_length().to_duration() };
        loop {
            let (background, codec) = (&mut self.background, self.codec);
            if let Some(popped) = self.pacer.pop(now, |unit| background.is_quiet(codec, unit)) {
                self.send_unit(popped, &mut send);
            } else if let Some(fill) = self.pacer.fill(missed, describe) {
                self.send_noise(fill, &mut send);
            } else {
                break;
            }
        }
        self.stats.dropped_frames = self.pacer.dropped();
    }

    fn send_unit(&mut self, popped: Popped<Unit>, send: &mut impl FnMut(Bytes)) {
        let Popped { at, mut unit, skipped, repeated } = popped;
        if let Some(skipped) = skipped {
            unit.blend_in(&skipped);
            self.pool.take_back(skipped);
        }
        if self.makes_way(at) {
            self.background.learn(self.codec, &unit);
            if std::mem::take(&mut self.quiet) {
                unit.spurt = true;
                unit.fade_in();
            }
            self.add(at, &unit, send);
            if let Some(at) = repeated {
                unit.spurt = false;
                self.add(at, &unit, send);
            }
        }
        self.pool.take_back(unit);
    }

    fn send_noise(&mut self, fill: Fill, send: &mut impl FnMut(Bytes)) {
        let Fill { at, first, alone } = fill;
        if first {
            self.send_audio(true, send);
        }
        self.quiet = true;
        if !self.makes_way(at) {
            return;
        }
        if let Some(payload_type) = self.comfort_noise {
            let payload = self.background.payload();
            send(self.writer.packet(false, payload_type, self.clock.at(at), payload));
            self.stats.packets += 1;
            self.stats.octets += payload.len() as u64;
            self.sent_until = at + self.packetiser.unit_length();
        } else {
            let mut unit = self.pool.empty();
            self.background.make_unit(self.codec, self.packetiser.unit_ms(), &mut unit.pcm);
            self.add(at, &unit, send);
            self.pool.take_back(unit);
            self.send_audio(alone, send);
        }
        self.stats.filled_frames += 1;
    }

    /// Whether no digit is being sent there.
    fn makes_way(&self, at: MediaTime) -> bool {
        !self.dtmf.is_active() && at >= self.event_at
    }

    fn add(&mut self, at: MediaTime, unit: &Unit, send: &mut impl FnMut(Bytes)) {
        if !self.packetiser.continues(at, unit) {
            self.send_audio(true, send);
        }
        self.packetiser.add(at, unit);
        self.sent_until = at + self.packetiser.unit_length();
        self.send_audio(false, send);
    }

    /// Sends the packet that is full, or what there is of it.
    fn send_audio(&mut self, rest: bool, send: &mut impl FnMut(Bytes)) {
        let packet = if rest { self.packetiser.take_rest() } else { self.packetiser.take() };
        let Some(packet) = packet else { return };
        let timestamp = self.clock.at(packet.at);
        send(self.writer.packet(packet.marker, self.payload_type, timestamp, packet.payload));
        self.stats.packets += 1;
        self.stats.octets += packet.payload.len() as u64;
    }

    fn pump_digits(&mut self, now: Instant, send: &mut impl FnMut(Bytes)) {
        let Some(format) = self.telephone_event else { return };
        while let Some(due) = self.dtmf.deadline() {
            let Some(packet) = self.dtmf.poll(now, format.clock_rate) else { break };
            if packet.marker {
                self.event_at = self.position(due).max(self.sent_until).max(self.event_at);
                self.sent_until = self.event_at + MediaTime::from_ms(100);
            }
            let timestamp = self.clock.at(self.event_at);
            send(self.writer.packet(packet.marker, format.payload_type, timestamp, &packet.payload));
            self.stats.packets += 1;
            self.stats.octets += packet.payload.len() as u64;
        }
    }

    /// When [`Self::pump`] has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        self.pacer.deadline().into_iter().chain(self.dtmf.deadline()).min()
    }

    /// Our synchronisation source.
    pub fn ssrc(&self) -> u32 {
        self.writer.ssrc()
    }

    /// The peer reports this share of our packets lost, in 1/256 (RFC 3550 section 6.4.1).
    pub fn reported_loss(&mut self, fraction_lost: u8) {
        self.expected_loss.reported(fraction_lost);
        self.packetiser.expect_loss(self.expected_loss.percent());
    }

    /// For sender reports.
    pub fn totals(&self, now: Instant) -> SenderTotals {
        SenderTotals {
            packets: self.stats.packets as u32, // both count modulo 2^32
            octets: self.stats.octets as u32,
            timestamp: self.clock.at(self.position(now)),
            clock_rate: self.clock.rate,
        }
    }

    /// Counters.
    pub fn stats(&self) -> UplinkStats {
        UplinkStats { delay: self.pacer.delay(), shift_ms: self.pacer.shift().to_ms(), ..self.stats }
    }

    /// Where in the stream this moment lies.
    fn position(&self, now: Instant) -> MediaTime {
        self.pacer.position(now).unwrap_or_else(|| self.since_start(now))
    }

    fn since_start(&self, now: Instant) -> MediaTime {
        MediaTime::from_duration(now.duration_since(self.start))
    }
}

fn may_send(negotiated: &Negotiated) -> bool {
    negotiated.direction.sends() && negotiated.remote_rtp.is_some()
}
