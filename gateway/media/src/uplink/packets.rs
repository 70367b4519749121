//! From units to RTP payloads: one or several to a packet (`a=ptime`), encoded on the way where they are linear.

use crate::{
    codec::{Codec, Encoder, EncoderSettings, Framing, OpusWishes, SampleRate},
    limits::{PTIME_MS, UPLINK_SPARE_UNITS},
    media_time::MediaTime,
    speex_frames::{FrameJoiner, FrameMap},
};

/// A grain of audio: linear samples to be encoded, or bytes that pass as they are.
#[derive(Debug, Default)]
pub(super) struct Unit {
    pub(super) spurt: bool,
    pub(super) pcm: Vec<i16>,
    pub(super) bytes: Vec<u8>,
}

impl Unit {
    pub(super) fn is_linear(&self) -> bool {
        !self.pcm.is_empty()
    }

    /// Begins as `other` would have gone on: nobody hears that it is not there.
    pub(super) fn blend_in(&mut self, other: &Self) {
        let length = self.pcm.len().min(other.pcm.len()) / 4;
        for (n, (sample, gone)) in self.pcm[..length].iter_mut().zip(&other.pcm).enumerate() {
            let share = (n + 1) as f32 / (length + 1) as f32;
            *sample = (*gone as f32 * (1.0 - share) + *sample as f32 * share) as i16;
        }
    }

    /// Begins from nothing.
    pub(super) fn fade_in(&mut self) {
        let length = self.pcm.len() / 4;
        for (n, sample) in self.pcm[..length].iter_mut().enumerate() {
            *sample = (*sample as f32 * (n + 1) as f32 / (length + 1) as f32) as i16;
        }
    }
}

/// Memory of units that were sent, for the next ones.
#[derive(Debug, Default)]
pub(super) struct UnitPool {
    spare: Vec<Unit>,
}

impl UnitPool {
    pub(super) fn empty(&mut self) -> Unit {
        self.spare.pop().unwrap_or_default()
    }

    pub(super) fn of_bytes(&mut self, bytes: &[u8]) -> Unit {
        let mut unit = self.empty();
        unit.bytes.extend_from_slice(bytes);
        unit
    }

    pub(super) fn of_pcm(&mut self, pcm: &[i16]) -> Unit {
        let mut unit = self.empty();
        unit.pcm.extend_from_slice(pcm);
        unit
    }

    pub(super) fn take_back(&mut self, mut unit: Unit) {
        if self.spare.len() < UPLINK_SPARE_UNITS {
            unit.spurt = false;
            unit.pcm.clear();
            unit.bytes.clear();
            self.spare.push(unit);
        }
    }
}

/// A payload and where it belongs.
#[derive(Debug)]
pub(super) struct Packet<'a> {
    pub(super) at: MediaTime,
    pub(super) marker: bool,
    pub(super) payload: &'a [u8],
}

/// A packet of Opus that is no longer than this says that nothing need be sent for now (RFC 7587 section 3.1.3).
const OPUS_PAUSE_BYTES: usize = 2;

/// Gathers units into packets.
pub(super) struct Packetiser {
    codec: Codec,
    settings: EncoderSettings,
    unit_ms: u32,
    units_per_packet: usize,
    /// Percent, where it was reported.
    expected_loss: Option<u8>,
    /// Made when there is something to encode: a relay never needs it.
    encoder: Option<Encoder>,
    joiner: FrameJoiner,
    pcm: Vec<i16>,
    payload: Vec<u8>,
    gathered: usize,
    /// What is gathered has yet to be encoded.
    linear: bool,
    first: MediaTime,
    marker: bool,
}

impl Packetiser {
    pub(super) fn new(codec: Codec, ptime_ms: u16, opus: OpusWishes) -> Self {
        let ptime: u32 = codec.packet_time(ptime_ms.clamp(*PTIME_MS.start(), *PTIME_MS.end())).into();
        // Frames of 20 ms where a packet is made of frames.
        let unit_ms = if ptime.is_multiple_of(20) { 20 } else { 10 };
        Self {
            codec,
            settings: EncoderSettings { opus, ..EncoderSettings::default() },
            unit_ms,
            units_per_packet: (ptime / unit_ms).max(1) as usize,
            expected_loss: None,
            encoder: None,
            joiner: FrameJoiner::default(),
            pcm: Vec::new(),
            payload: Vec::new(),
            gathered: 0,
            linear: false,
            first: MediaTime::ZERO,
            marker: false,
        }
    }

    /// Prepares for this share of packets being lost, percent, where the receiver makes use of it.
    pub(super) fn expect_loss(&mut self, percent: u8) {
        if self.settings.opus.redundancy && self.expected_loss != Some(percent) {
            self.expected_loss = Some(percent);
            self.encoder.iter_mut().for_each(|encoder| encoder.set_expected_loss(percent));
        }
    }

    pub(super) fn unit_ms(&self) -> u32 {
        self.unit_ms
    }

    pub(super) fn unit_length(&self) -> MediaTime {
        MediaTime::from_ms(self.unit_ms as i64)
    }

    /// Whether units made for one fit the other.
    pub(super) fn same_framing(&self, other: &Self) -> bool {
        let framing = |it: &Self| (it.codec, it.settings, it.unit_ms, it.units_per_packet);
        framing(self) == framing(other)
    }

    /// Whether the unit goes into one packet with what was gathered. If not, [`Self::take_rest`] comes first.
    pub(super) fn continues(&self, at: MediaTime, unit: &Unit) -> bool {
        let expected = self.first + MediaTime::from_ms(self.unit_ms as i64 * self.gathered as i64);
        self.gathered == 0 || at == expected && unit.is_linear() == self.linear
    }

    /// Adds the unit at `at`.
    pub(super) fn add(&mut self, at: MediaTime, unit: &Unit) {
        if !self.continues(at, unit) || self.gathered == 0 {
            self.linear = unit.is_linear();
            self.start(at);
        }
        self.marker |= unit.spurt;
        self.gathered += 1;
        if self.linear {
            self.pcm.extend_from_slice(&unit.pcm);
        } else if self.codec.is_speex() && self.units_per_packet > 1 {
            let frames = FrameMap::of(&unit.bytes).expect("cut from a packet that was mapped");
            frames.frames().for_each(|bits| self.joiner.push(&unit.bytes, bits));
        } else {
            self.payload.extend_from_slice(&unit.bytes);
        }
    }

    fn start(&mut self, at: MediaTime) {
        self.first = at;
        self.gathered = 0;
        self.pcm.clear();
        self.payload.clear();
        self.joiner = FrameJoiner::default();
    }

    /// The packet, once it is full.
    pub(super) fn take(&mut self) -> Option<Packet<'_>> {
        // An Opus packet of the phone's passes as it is, however long.
        let whole = !self.linear && self.codec == Codec::Opus;
        let wanted = if whole { 1 } else { self.units_per_packet };
        if self.gathered < wanted { None } else { self.take_rest() }
    }

    /// The packet, full or not: nothing follows soon.
    pub(super) fn take_rest(&mut self) -> Option<Packet<'_>> {
        if self.gathered == 0 {
            return None;
        }
        let units = std::mem::take(&mut self.gathered);
        if self.linear {
            self.encode(units);
            if self.codec.info().framing == Framing::OpusPackets && self.payload.len() <= OPUS_PAUSE_BYTES {
                self.marker = true; // what follows the pause starts a talk spurt
                return None;
            }
        } else {
            self.joiner.finish(&mut self.payload);
        }
        let marker = std::mem::take(&mut self.marker);
        Some(Packet { at: self.first, marker, payload: &self.payload })
    }

    fn encode(&mut self, units: usize) {
        let per_unit = self.pcm.len() / units;
        let rate = SampleRate::ALL.into_iter().find(|rate| rate.samples_in_ms(self.unit_ms) == per_unit);
        let rate = rate.expect("a unit is as long as its rate says");
        let encoder = self.encoder.take().filter(|encoder| encoder.rate() == rate);
        let encoder = self.encoder.insert(encoder.unwrap_or_else(|| {
            let mut encoder = Encoder::at(self.codec, rate, &self.settings);
            self.expected_loss.into_iter().for_each(|percent| encoder.set_expected_loss(percent));
            encoder
        }));
        encoder.encode(&self.pcm, &mut self.payload).expect("units are whole frames");
    }
}
