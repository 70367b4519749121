//! From the payload of an audio message to units of the packet time's grain: relayed as they are where codec and framing
//! agree, else decoded and resampled.

use crate::{
    codec::{Codec, CodecError, Decoder, NellymoserDecoder, NellymoserRate, SampleRate, opus},
    media_time::MediaTime,
    resample::Resampler,
    speex_frames::{FrameJoiner, FrameMap},
};

use super::packets::{Unit, UnitPool};

/// What a phone's messages are coded in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Codec(Codec),
    Nellymoser(NellymoserRate),
}

/// Turns one source codec into units for one target codec.
pub(super) struct Intake {
    source: Source,
    target: Codec,
    route: Route,
    /// Of linear audio for the target.
    rate: SampleRate,
    /// Samples (or bytes) of a unit.
    unit_samples: usize,
    unit_time: MediaTime,
    /// Where the samples left over start.
    carry_at: MediaTime,
}

enum Route {
    /// Speex frames pass undecoded. Flash sends wideband whatever was negotiated: a wideband receiver reads
    /// narrowband frames as well, for a narrowband one the upper band is cut off.
    SpeexFrames { narrow: bool, packet: Vec<u8>, frames: Option<FrameMap>, joiner: FrameJoiner },
    /// G.711 bytes pass undecoded.
    Bytes { carry: Vec<u8> },
    /// Opus packets pass undecoded, each as long as the phone made it.
    Packets,
    /// Through linear audio. `fresh` is what was read last, at the target's rate: messages of Nellymoser last no whole
    /// number of ticks, but what comes out of the resampler does.
    Linear { decoder: SourceDecoder, resampler: Resampler, decoded: Vec<i16>, fresh: Vec<i16>, carry: Vec<i16> },
}

enum SourceDecoder {
    Codec(Decoder),
    Nellymoser(Box<NellymoserDecoder>),
}

impl SourceDecoder {
    fn decode(&mut self, payload: &[u8], out: &mut Vec<i16>) -> Result<(), CodecError> {
        match self {
            Self::Codec(decoder) => decoder.decode(payload, out),
            Self::Nellymoser(decoder) => decoder.decode(payload, out),
        }
    }

    fn reset(&mut self) {
        match self {
            Self::Codec(decoder) => decoder.reset(),
            Self::Nellymoser(decoder) => decoder.reset(),
        }
    }
}

impl Route {
    fn of_codec(source: Codec, target: Codec) -> Self {
        match source {
            _ if source.is_speex() && target.is_speex() => Self::SpeexFrames {
                narrow: target == Codec::SpeexNarrowband,
                packet: Vec::new(),
                frames: None,
                joiner: FrameJoiner::default(),
            },
            _ if source == target && source.is_g711() => Self::Bytes { carry: Vec::new() },
            Codec::Opus if target == Codec::Opus => Self::Packets,
            _ => Self::linear(
                SourceDecoder::Codec(Decoder::beside(source, target)),
                Resampler::new(source.rate_beside(target), target.rate_beside(source)),
            ),
        }
    }

    fn linear(decoder: SourceDecoder, resampler: Resampler) -> Self {
        Self::Linear { decoder, resampler, decoded: Vec::new(), fresh: Vec::new(), carry: Vec::new() }
    }
}

impl Intake {
    pub(super) fn new(source: Source, target: Codec, unit_ms: u32) -> Self {
        let (rate, route) = match source {
            Source::Codec(codec) => (target.rate_beside(codec), Route::of_codec(codec, target)),
            Source::Nellymoser(source) => {
                let rate = target.rate_for(source.band());
                (
                    rate,
                    Route::linear(SourceDecoder::Nellymoser(Box::default()), Resampler::from_nellymoser(source, rate)),
                )
            }
        };
        let unit_time = MediaTime::from_ms(unit_ms.into());
        let unit_samples = rate.samples_in_ms(unit_ms);
        Self { source, target, route, rate, unit_samples, unit_time, carry_at: MediaTime::ZERO }
    }

    pub(super) fn source(&self) -> Source {
        self.source
    }

    /// Whether a unit is a packet of the phone's, however long.
    pub(super) fn keeps_packets(&self) -> bool {
        matches!(self.route, Route::Packets)
    }

    /// Reads a payload and tells how long it sounds; [`Self::take_units`] must follow.
    pub(super) fn read(&mut self, payload: &[u8]) -> Result<MediaTime, CodecError> {
        match &mut self.route {
            Route::SpeexFrames { narrow, packet, frames, .. } => {
                packet.clear();
                if *narrow {
                    packet.resize(payload.len(), 0);
                    let length = speex_codec::narrowband_layer(payload, packet).map_err(|_| CodecError::Malformed)?;
                    packet.truncate(length);
                } else {
                    packet.extend_from_slice(payload);
                }
                let map = FrameMap::of(packet).map_err(|_| CodecError::Malformed)?;
                *frames = Some(map);
                Ok(MediaTime::from_ms(20 * map.count() as i64))
            }
            Route::Bytes { .. } => Ok(MediaTime::from_clock(payload.len() as i64, self.target.sample_rate().hz())),
            Route::Packets => Ok(MediaTime::from_clock(opus::packet_length(payload)?.into(), 48_000)),
            Route::Linear { decoder, resampler, decoded, fresh, .. } => {
                decoded.clear();
                decoder.decode(payload, decoded)?;
                fresh.clear();
                resampler.process(decoded, fresh);
                Ok(MediaTime::from_clock(fresh.len() as i64, self.rate.hz()))
            }
        }
    }

    /// Hands out the units of what was read, which starts at `at`. The first one bears `spurt`.
    pub(super) fn take_units(
        &mut self,
        at: MediaTime,
        payload: &[u8],
        pool: &mut UnitPool,
        spurt: &mut bool,
        push: &mut impl FnMut(MediaTime, Unit),
    ) {
        let (length, unit_time) = (self.unit_samples, self.unit_time);
        let mut push = |at: &mut MediaTime, mut unit: Unit| {
            unit.spurt = std::mem::take(spurt);
            push(*at, unit);
            *at += unit_time;
        };
        match &mut self.route {
            Route::SpeexFrames { packet, frames, joiner, .. } => {
                let Some(map) = frames.take() else { return };
                let mut at = at;
                if map.count() == 1 {
                    push(&mut at, pool.of_bytes(packet));
                    return;
                }
                for bits in map.frames() {
                    let mut unit = pool.empty();
                    joiner.push(packet, bits);
                    joiner.finish(&mut unit.bytes);
                    push(&mut at, unit);
                }
            }
            Route::Bytes { carry } => {
                let mut start = start_of(self.carry_at, at, carry.is_empty());
                carry.extend_from_slice(payload);
                for bytes in whole_units(carry, length) {
                    push(&mut start, pool.of_bytes(bytes));
                }
                drop_whole_units(carry, length);
                self.carry_at = start;
            }
            Route::Packets => {
                let mut at = at;
                push(&mut at, pool.of_bytes(payload));
            }
            Route::Linear { fresh, carry, .. } => {
                let mut start = start_of(self.carry_at, at, carry.is_empty());
                carry.append(fresh);
                for pcm in whole_units(carry, length) {
                    push(&mut start, pool.of_pcm(pcm));
                }
                drop_whole_units(carry, length);
                self.carry_at = start;
            }
        }
    }

    /// Fills up with silence what is left over of a unit, and hands it out.
    pub(super) fn flush(&mut self, pool: &mut UnitPool, push: &mut impl FnMut(MediaTime, Unit)) {
        let length = self.unit_samples;
        match &mut self.route {
            Route::Bytes { carry } if !carry.is_empty() => {
                carry.resize(length, if self.target == Codec::Pcma { 0xD5 } else { 0xFF });
                push(self.carry_at, pool.of_bytes(carry));
                carry.clear();
            }
            Route::Linear { carry, .. } if !carry.is_empty() => {
                carry.resize(length, 0);
                push(self.carry_at, pool.of_pcm(carry));
                carry.clear();
            }
            _ => {}
        }
    }

    /// Forgets the past: the next message starts a talk spurt.
    pub(super) fn reset(&mut self) {
        if let Route::Linear { decoder, .. } = &mut self.route {
            decoder.reset();
        }
    }
}

fn start_of(carry_at: MediaTime, at: MediaTime, nothing_left: bool) -> MediaTime {
    if nothing_left { at } else { carry_at }
}

fn whole_units<T>(carry: &[T], length: usize) -> impl Iterator<Item = &[T]> {
    carry.chunks_exact(length)
}

fn drop_whole_units<T>(carry: &mut Vec<T>, length: usize) {
    carry.drain(..carry.len() / length * length);
}
