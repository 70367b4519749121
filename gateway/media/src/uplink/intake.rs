//! From the payload of an audio message to units of the packet time's grain: relayed as they are where codec and framing
//! agree, else decoded and resampled.

use crate::{
    codec::{Codec, CodecError, Decoder, opus},
    media_time::MediaTime,
    resample::Resampler,
    speex_frames::{FrameJoiner, FrameMap},
};

use super::packets::{Unit, UnitPool};

/// Turns one source codec into units for one target codec.
pub(super) struct Intake {
    source: Codec,
    target: Codec,
    route: Route,
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
    /// Through linear audio.
    Linear { decoder: Decoder, resampler: Resampler, decoded: Vec<i16>, carry: Vec<i16> },
}

impl Intake {
    pub(super) fn new(source: Codec, target: Codec, unit_ms: u32) -> Self {
        let rate = target.rate_beside(source);
        let route = match source {
            _ if source.is_speex() && target.is_speex() => Route::SpeexFrames {
                narrow: target == Codec::SpeexNarrowband,
                packet: Vec::new(),
                frames: None,
                joiner: FrameJoiner::default(),
            },
            _ if source == target && source.is_g711() => Route::Bytes { carry: Vec::new() },
            Codec::Opus if target == Codec::Opus => Route::Packets,
            _ => Route::Linear {
                decoder: Decoder::beside(source, target),
                resampler: Resampler::new(source.rate_beside(target), rate),
                decoded: Vec::new(),
                carry: Vec::new(),
            },
        };
        let unit_time = MediaTime::from_ms(unit_ms.into());
        Self { source, target, route, unit_samples: rate.samples_in_ms(unit_ms), unit_time, carry_at: MediaTime::ZERO }
    }

    pub(super) fn source(&self) -> Codec {
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
            Route::Linear { decoder, decoded, .. } => {
                decoded.clear();
                decoder.decode(payload, decoded)?;
                Ok(MediaTime::from_clock(decoded.len() as i64, decoder.rate().hz()))
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
            Route::Linear { resampler, decoded, carry, .. } => {
                let mut start = start_of(self.carry_at, at, carry.is_empty());
                resampler.process(decoded, carry);
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
