//! From an RTP payload to payloads of audio messages, 20 ms each: relayed where codec and framing agree, else decoded,
//! resampled and encoded. What is missing is invented in the same place.

use crate::{
    codec::{Codec, CodecError, Decoder, Encoder, EncoderSettings, OpusWishes, SpeexQuality, opus},
    limits::MAX_CONCEALED_FRAMES,
    media_time::MediaTime,
    noise::Noise,
    plc::{Concealer, Fader},
    resample::Resampler,
    speex_frames::{FrameJoiner, FrameMap},
    speex_gap::SpeexGap,
    speex_level,
};

const FRAME: MediaTime = MediaTime::from_ms(20);

/// From one source codec to the phone's codec.
pub(super) struct Route {
    source: Codec,
    kind: Kind,
    /// Where the next message belongs.
    next: MediaTime,
}

enum Kind {
    Speex(SpeexRelay),
    Bytes(ByteRelay),
    Packets,
    Linear(Transcoder),
}

type Emit<'a> = &'a mut dyn FnMut(MediaTime, &[u8]);

impl Route {
    pub(super) fn new(source: Codec, phone: Codec) -> Self {
        let kind = if source.is_speex() && phone.is_speex() {
            // Flash decodes narrowband and wideband frames under the same tag.
            Kind::Speex(SpeexRelay::default())
        } else if source == phone && source == Codec::Opus {
            Kind::Packets
        } else if source == phone && source.is_g711() {
            Kind::Bytes(ByteRelay::new(source))
        } else {
            Kind::Linear(Transcoder::new(source, phone))
        };
        Self { source, kind, next: MediaTime::ZERO }
    }

    pub(super) fn source(&self) -> Codec {
        self.source
    }

    /// Plays a payload that starts at `at`; returns how long it sounds.
    pub(super) fn play(&mut self, at: MediaTime, payload: &[u8], emit: Emit<'_>) -> Result<MediaTime, CodecError> {
        let carried = self.kind.carried();
        // Samples left over from the packet before go on unless time was skipped.
        if carried == MediaTime::ZERO || (at - self.next - carried).to_ms().abs() > 20 {
            self.flush(emit);
            self.next = at;
        }
        let Self { kind, next, .. } = self;
        match kind {
            Kind::Speex(relay) => relay.play(next, payload, emit),
            Kind::Bytes(relay) => relay.play(next, payload, emit),
            Kind::Packets => relay_packet(next, payload, emit),
            Kind::Linear(transcoder) => transcoder.play(next, payload, emit),
        }
    }

    /// Invents `length` of audio after what was played, leading over to the payload `next` if that is at hand; returns
    /// the frames made.
    pub(super) fn conceal(&mut self, length: MediaTime, next: Option<&[u8]>, emit: Emit<'_>) -> u64 {
        let frames = (length.to_ms() / 20).max(1) as usize;
        let Self { kind, next: place, .. } = self;
        match kind {
            Kind::Speex(relay) => relay.conceal(place, frames, next, emit),
            Kind::Bytes(relay) => relay.conceal(place, frames, next, emit),
            // The phone's decoder sees the gap in the timestamps, and has the redundancy of the packet behind it.
            Kind::Packets => 0,
            Kind::Linear(transcoder) => transcoder.conceal(place, frames, next, emit),
        }
    }

    /// The peer is silent from `at` on: gives out a frame of the background that its comfort noise payload describes, and
    /// conceals with more of it.
    pub(super) fn rest(&mut self, at: MediaTime, described: &[u8], emit: Emit<'_>) {
        self.flush(emit);
        self.next = at;
        match &mut self.kind {
            Kind::Speex(relay) => relay.rest(described),
            Kind::Bytes(relay) => relay.concealer.rest(described),
            Kind::Packets => {}
            Kind::Linear(transcoder) => transcoder.rest(described),
        }
        self.conceal(FRAME, None, emit);
    }

    /// Gives out what is left over of a frame, filled up with silence.
    pub(super) fn flush(&mut self, emit: Emit<'_>) {
        let Self { kind, next, .. } = self;
        match kind {
            Kind::Speex(_) | Kind::Packets => {}
            Kind::Bytes(relay) => relay.flush(next, emit),
            Kind::Linear(transcoder) => transcoder.flush(next, emit),
        }
    }
}

impl Kind {
    /// Audio taken in and not yet given out.
    fn carried(&self) -> MediaTime {
        match self {
            Self::Speex(_) | Self::Packets => MediaTime::ZERO,
            Self::Bytes(relay) => MediaTime::from_clock(relay.carry.len() as i64, relay.codec.sample_rate().hz()),
            Self::Linear(transcoder) => {
                MediaTime::from_clock(transcoder.carry.len() as i64, transcoder.encoder.rate().hz())
            }
        }
    }
}

fn give(next: &mut MediaTime, payload: &[u8], emit: Emit<'_>) {
    emit(*next, payload);
    *next += FRAME;
}

/// Opus as it is, each packet as long as the peer made it.
fn relay_packet(next: &mut MediaTime, payload: &[u8], emit: Emit<'_>) -> Result<MediaTime, CodecError> {
    let length = MediaTime::from_clock(opus::packet_length(payload)?.into(), 48_000);
    emit(*next, payload);
    *next += length;
    Ok(length)
}

/// Fills `pcm` with invented sound that leads over to the payload `next`, if that is at hand.
fn invent(concealer: &mut Concealer, decoder: &mut Decoder, count: usize, next: Option<&[u8]>, pcm: &mut Vec<i16>) {
    let ahead = next.map_or(&[][..], |payload| decoder.decode_ahead(payload));
    pcm.clear();
    concealer.bridge(count, ahead, pcm);
}

/// Speex frames as they are, one to a message.
#[derive(Default)]
struct SpeexRelay {
    joiner: FrameJoiner,
    gap: SpeexGap,
    /// Frames missing in a row.
    missing: usize,
    noise: Noise,
    /// Made when there is noise to encode.
    encoder: Option<Encoder>,
    pcm: Vec<i16>,
    packet: Vec<u8>,
}

/// Frames missing after which the rest is noise.
const SPEEX_FRAMES_TO_NOISE: usize = MAX_CONCEALED_FRAMES as usize;

impl SpeexRelay {
    fn play(&mut self, next: &mut MediaTime, payload: &[u8], emit: Emit<'_>) -> Result<MediaTime, CodecError> {
        let map = FrameMap::of(payload).map_err(|_| CodecError::Malformed)?;
        self.missing = 0;
        self.gap.heard(payload);
        if let Some(level) = speex_level::noise_level(payload) {
            self.noise.observe_level(map.count() as u32, level);
        }
        if map.count() == 1 && !map.is_ultra_wideband() {
            give(next, payload, emit);
            return Ok(FRAME);
        }
        // Flash has no layer above wideband.
        for bits in map.wideband_frames() {
            self.packet.clear();
            self.joiner.push(payload, bits);
            self.joiner.finish(&mut self.packet);
            give(next, &self.packet, emit);
        }
        Ok(MediaTime::from_ms(20 * map.count() as i64))
    }

    /// Frames that lead from one side of the gap to the other; a long gap goes on with noise.
    fn conceal(&mut self, place: &mut MediaTime, frames: usize, next: Option<&[u8]>, emit: Emit<'_>) -> u64 {
        let mut made = 0;
        for n in 0..frames {
            self.missing += 1;
            let next = next.filter(|_| n + 1 == frames);
            self.packet.clear();
            if self.missing > SPEEX_FRAMES_TO_NOISE && next.is_none() {
                self.make_noise();
            } else if !self.gap.fill(next, &mut self.packet) {
                *place += FRAME;
                continue;
            }
            give(place, &self.packet, emit);
            made += 1;
        }
        made
    }

    fn rest(&mut self, described: &[u8]) {
        self.noise.assume(described);
        self.missing = SPEEX_FRAMES_TO_NOISE;
    }

    fn make_noise(&mut self) {
        let encoder = self.encoder.get_or_insert_with(|| Encoder::new(Codec::SpeexNarrowband));
        self.pcm.clear();
        self.noise.samples(encoder.rate().samples_in_ms(20), &mut self.pcm);
        let encoded = encoder.encode(&self.pcm, &mut self.packet);
        debug_assert!(encoded.is_ok(), "a whole frame is encoded");
    }
}

/// G.711 as it is; decoded only to know what to go on with when something is missing.
struct ByteRelay {
    codec: Codec,
    decoder: Decoder,
    encoder: Encoder,
    concealer: Concealer,
    pcm: Vec<i16>,
    carry: Vec<u8>,
}

impl ByteRelay {
    fn new(codec: Codec) -> Self {
        Self {
            codec,
            decoder: Decoder::new(codec),
            encoder: Encoder::new(codec),
            concealer: Concealer::new(codec.sample_rate()),
            pcm: Vec::new(),
            carry: Vec::new(),
        }
    }

    fn play(&mut self, next: &mut MediaTime, payload: &[u8], emit: Emit<'_>) -> Result<MediaTime, CodecError> {
        self.pcm.clear();
        self.decoder.decode(payload, &mut self.pcm)?;
        if self.concealer.heard(&mut self.pcm) {
            self.encoder.encode(&self.pcm, &mut self.carry)?; // its beginning was blended
        } else {
            self.carry.extend_from_slice(payload);
        }
        self.give_frames(next, emit);
        Ok(MediaTime::from_clock(payload.len() as i64, self.codec.sample_rate().hz()))
    }

    fn conceal(&mut self, place: &mut MediaTime, frames: usize, next: Option<&[u8]>, emit: Emit<'_>) -> u64 {
        let count = frames * self.codec.frame_samples();
        invent(&mut self.concealer, &mut self.decoder, count, next, &mut self.pcm);
        let encoded = self.encoder.encode(&self.pcm, &mut self.carry);
        debug_assert!(encoded.is_ok(), "G.711 takes any number of samples");
        self.give_frames(place, emit);
        frames as u64
    }

    fn flush(&mut self, next: &mut MediaTime, emit: Emit<'_>) {
        if !self.carry.is_empty() {
            let silence = vec![0; self.codec.frame_samples() - self.carry.len()];
            let filled = self.encoder.encode(&silence, &mut self.carry);
            debug_assert!(filled.is_ok(), "G.711 takes any number of samples");
            self.give_frames(next, emit);
        }
    }

    fn give_frames(&mut self, next: &mut MediaTime, emit: Emit<'_>) {
        let frame = self.codec.frame_samples();
        for bytes in self.carry.chunks_exact(frame) {
            give(next, bytes, emit);
        }
        self.carry.drain(..self.carry.len() / frame * frame);
    }
}

/// Everything else, through linear audio.
struct Transcoder {
    decoder: Decoder,
    /// For codecs that have no concealment of their own.
    concealer: Option<Concealer>,
    /// For those that have.
    fader: Fader,
    resampler: Resampler,
    encoder: Encoder,
    pcm: Vec<i16>,
    carry: Vec<i16>,
    packet: Vec<u8>,
}

impl Transcoder {
    fn new(source: Codec, phone: Codec) -> Self {
        let decoder = Decoder::beside(source, phone);
        // What reaches a phone by TCP is not lost on the way: no redundancy.
        let settings = EncoderSettings { speex_quality: SpeexQuality::ToPhone, opus: OpusWishes::default() };
        let encoder = Encoder::beside(phone, source, &settings);
        Self {
            concealer: (!decoder.can_conceal()).then(|| Concealer::new(decoder.rate())),
            fader: Fader::default(),
            resampler: Resampler::new(decoder.rate(), encoder.rate()),
            decoder,
            encoder,
            pcm: Vec::new(),
            carry: Vec::new(),
            packet: Vec::new(),
        }
    }

    fn play(&mut self, next: &mut MediaTime, payload: &[u8], emit: Emit<'_>) -> Result<MediaTime, CodecError> {
        self.pcm.clear();
        self.decoder.decode(payload, &mut self.pcm)?;
        if let Some(concealer) = &mut self.concealer {
            concealer.heard(&mut self.pcm);
        } else {
            self.fader.heard(&self.pcm);
        }
        self.give_frames(next, emit)?;
        Ok(MediaTime::from_clock(self.pcm.len() as i64, self.decoder.rate().hz()))
    }

    fn conceal(&mut self, place: &mut MediaTime, frames: usize, next: Option<&[u8]>, emit: Emit<'_>) -> u64 {
        match &mut self.concealer {
            Some(concealer) => {
                let count = frames * self.decoder.rate().samples_in_ms(20);
                invent(concealer, &mut self.decoder, count, next, &mut self.pcm);
            }
            None => {
                self.pcm.clear();
                let length = self.decoder.rate().samples_in_ms(20);
                if !self.fader.is_noise() || next.is_some() {
                    self.decoder.conceal(frames, next, &mut self.pcm);
                }
                self.pcm.resize(frames * length, 0);
                self.pcm.chunks_exact_mut(length).for_each(|frame| self.fader.blend(frame));
            }
        }
        let given = self.give_frames(place, emit);
        debug_assert!(given.is_ok(), "whole frames are encoded");
        frames as u64
    }

    fn rest(&mut self, described: &[u8]) {
        match &mut self.concealer {
            Some(concealer) => concealer.rest(described),
            None => self.fader.rest(described),
        }
    }

    fn flush(&mut self, next: &mut MediaTime, emit: Emit<'_>) {
        if !self.carry.is_empty() {
            self.carry.resize(self.encoder.rate().samples_in_ms(20), 0);
            self.pcm.clear();
            let given = self.give_frames(next, emit);
            debug_assert!(given.is_ok(), "whole frames are encoded");
        }
    }

    fn give_frames(&mut self, next: &mut MediaTime, emit: Emit<'_>) -> Result<(), CodecError> {
        self.resampler.process(&self.pcm, &mut self.carry);
        let frame = self.encoder.rate().samples_in_ms(20);
        for samples in self.carry.chunks_exact(frame) {
            self.packet.clear();
            self.encoder.encode(samples, &mut self.packet)?;
            give(next, &self.packet, emit);
        }
        self.carry.drain(..self.carry.len() / frame * frame);
        Ok(())
    }
}
