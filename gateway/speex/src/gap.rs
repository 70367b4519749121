//! Packets in place of lost ones, for a receiver whose decoder is not told that anything was lost.
//!
//! ```text
//!  sent        | A |   |   | B |          A frame's filter, pitch lag, pitch taps and level stand at known places in its
//!                \   ^   ^   /            bits. A gap is filled with copies in which these are set anew; what the
//!                 `->a   b<-'             decoder then plays goes on in the phase of its own past.
//!            frame_after   frame_before
//! ```
//! `a` does what a decoder's own concealment does: the filter stays, the last period goes on, fading, and noise takes the
//! place of what a period cannot tell. `b` is told by the frame behind the gap, ahead of its time: its filter and shapes,
//! the pitch that it begins with, a level between both sides. Nothing is decoded and nothing is encoded.

use crate::bits::{BitReader, BitWriter};
use crate::decoder::{tap_strength, FADE};
use crate::error::DecodeError;
use crate::math;
use crate::mode::*;
use crate::packet::{Frame, Frames, Part};

/// Where the fields of a narrowband frame are that lies at the start of a packet.
struct Fields {
    /// One pitch gain for the frame.
    pitch_gain: Option<usize>,
    level: usize,
    comfort: Option<usize>,
    subframes: [SubframeFields; SUBFRAMES],
}

#[derive(Clone, Copy, Default)]
struct SubframeFields {
    lag: Option<usize>,
    taps: Option<(usize, TapCodebook)>,
    shapes: usize,
    shape_bits: usize,
}

impl Fields {
    /// `None` for silence.
    fn of(code: usize) -> Option<Self> {
        let submode = narrow_submode(code)?;
        let mut at = 5 + submode.lsp.bits();
        let mut field = |bits: usize| {
            at += bits;
            at - bits
        };
        let lag_bits = LAG_BITS as usize;
        if !matches!(submode.pitch, Pitch::SubframeLag(_)) {
            field(lag_bits);
        }
        let forced = matches!(submode.pitch, Pitch::Forced);
        let pitch_gain = if forced { Some(field(FRAME_PITCH_GAIN_BITS as usize)) } else { None };
        let level = field(FRAME_GAIN_BITS as usize);
        let (shape_bits, noise) = match submode.innovation {
            Innovation::Noise => (0, true),
            Innovation::Shapes(book) => (book.subframe_bits(), false),
            Innovation::TwoShapes(book) => (2 * book.subframe_bits(), false),
        };
        let comfort = if noise { Some(field(COMFORT_BITS as usize)) } else { None };
        let mut subframes = [SubframeFields::default(); SUBFRAMES];
        for subframe in &mut subframes {
            let (lag, taps) = match submode.pitch {
                Pitch::Forced => (None, None),
                Pitch::FrameLag(book) => (None, Some(book)),
                Pitch::SubframeLag(book) => (Some(field(lag_bits)), Some(book)),
            };
            let taps = taps.map(|book| (field(book.len().trailing_zeros() as usize), book));
            field(submode.subframe_gain.map_or(0, |gain| gain.bits as usize));
            *subframe = SubframeFields { lag, taps, shapes: field(shape_bits), shape_bits };
        }
        Some(Self { pitch_gain, level, comfort, subframes })
    }

    /// How much of the frame its own past tells, as the decoder's concealment counts it.
    fn pitch_strength(&self, packet: &[u8]) -> f32 {
        if let Some(at) = self.pitch_gain {
            return FRAME_PITCH_GAIN_STEP * read(packet, at, FRAME_PITCH_GAIN_BITS) as f32;
        }
        let taps = self.subframes.iter().filter_map(|subframe| subframe.taps);
        taps.map(|(at, book)| strength_of(packet, at, book)).sum::<f32>() / SUBFRAMES as f32
    }

    /// The level of the excitation, in steps of the quantiser.
    fn level(&self, packet: &[u8]) -> f32 {
        read(packet, self.level, FRAME_GAIN_BITS) as f32
    }

    /// Whether the frame says that the sender leaves out what follows (DTX).
    fn begins_a_pause(&self, packet: &[u8]) -> bool {
        self.comfort.map_or(false, |at| read(packet, at, COMFORT_BITS) == COMFORT_DTX)
    }

    fn set_level(&self, packet: &mut [u8], level: f32) {
        let highest = ((1 << FRAME_GAIN_BITS) - 1) as f32;
        set(packet, self.level, FRAME_GAIN_BITS, (level + 0.5).max(0.0).min(highest) as u32);
    }

    fn set_lags(&self, packet: &mut [u8], from: usize) {
        if let Some(at) = self.subframes[from].lag {
            let lag = read(packet, at, LAG_BITS);
            self.subframes.iter().filter_map(|subframe| subframe.lag).for_each(|at| set(packet, at, LAG_BITS, lag));
        }
    }
}

/// Writes to `out` the packet of one frame that goes on after the last frame of `packet`: in place of lost frame number
/// `missing`, counted from 0 behind it. Returns its length; `out` is enough when it is as long as `packet`. Draws numbers
/// from `seed`.
///
/// # Errors
/// Those of [`frame_count`](crate::frame_count) for a wideband decoder; [`DecodeError::OutputTooSmall`] (in bytes).
pub fn frame_after(packet: &[u8], missing: usize, seed: &mut u32, out: &mut [u8]) -> Result<usize, DecodeError> {
    let frame = Frames::new(packet, Mode::Wideband).map_while(Result::ok).last();
    let (length, fields) = copied(packet, frame, out)?;
    let out = &mut out[..length];
    let fields = match fields {
        Some(fields) if !fields.begins_a_pause(out) => fields,
        // Silence stands for what follows it.
        _ => return Ok(length),
    };
    let fade = *FADE.get(missing).unwrap_or(&0.0);
    let gain = fade * fields.pitch_strength(out).min(0.85);
    let noise = fade * (1.0 - gain * gain);
    fields.set_level(out, if noise > 0.0 { fields.level(out) + LEVEL_STEPS * math::ln(noise) } else { 0.0 });
    fields.set_lags(out, SUBFRAMES - 1);
    if let Some(at) = fields.pitch_gain {
        set(out, at, FRAME_PITCH_GAIN_BITS, (gain / FRAME_PITCH_GAIN_STEP) as u32);
    }
    for subframe in &fields.subframes {
        if let Some((at, book)) = subframe.taps {
            set_strength(out, at, book, gain);
        }
        for bit in 0..subframe.shape_bits {
            *seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            set(out, subframe.shapes + bit, 1, *seed >> 31);
        }
    }
    Ok(length)
}

/// Writes to `out` the packet of one frame that leads from the last frame of `last` to the first one of `next`: in place
/// of the lost frame right before it. Returns its length; `out` is enough when it is as long as `next`.
///
/// # Errors
/// Those of [`frame_after`], of either packet.
pub fn frame_before(next: &[u8], last: &[u8], out: &mut [u8]) -> Result<usize, DecodeError> {
    /// Stronger taps would make the pitch of the past, which is made up, louder than it is.
    const STRONGEST: f32 = 0.95;
    /// Steps that a level told ahead of its time is lowered by.
    const CAUTION: f32 = 1.5;
    let before = Frames::new(last, Mode::Wideband).map_while(Result::ok).last().ok_or(DecodeError::NoFrame)?;
    let frame = Frames::new(next, Mode::Wideband).next().and_then(Result::ok);
    let (length, fields) = copied(next, frame, out)?;
    let out = &mut out[..length];
    let fields = match fields {
        Some(fields) => fields,
        None => return Ok(length),
    };
    let level = fields.level(out);
    let level_before = Fields::of(before.narrow.code)
        .map_or(level, |fields| read(last, before.narrow.start + fields.level, FRAME_GAIN_BITS) as f32);
    fields.set_level(out, 0.75 * level + 0.25 * level_before - CAUTION);
    fields.set_lags(out, 0);
    for (at, book) in fields.subframes.iter().filter_map(|subframe| subframe.taps) {
        if strength_of(out, at, book) > STRONGEST {
            set_strength(out, at, book, STRONGEST);
        }
    }
    Ok(length)
}

/// Steps of the frame gain's quantiser that are a factor of e.
const LEVEL_STEPS: f32 = 3.5;

/// Copies a frame of `packet` (to the wideband layer) to `out` as a packet of its own; returns its length and fields.
fn copied(packet: &[u8], frame: Option<Frame>, out: &mut [u8]) -> Result<(usize, Option<Fields>), DecodeError> {
    let frame = match frame {
        Some(frame) => frame,
        // Whatever is wrong with the packet.
        None => return Err(crate::frame_count(packet, Mode::Wideband).err().unwrap_or(DecodeError::NoFrame)),
    };
    let mut writer = BitWriter::new(out);
    let [wide, _] = frame.layers;
    for Part { start, end, .. } in core::iter::once(frame.narrow).chain(wide) {
        writer.copy(packet, start, end);
    }
    writer.terminate();
    let needed = (writer.position() + 7) / 8;
    let length = writer.finish().ok_or(DecodeError::OutputTooSmall { needed })?;
    Ok((length, Fields::of(frame.narrow.code)))
}

fn read(packet: &[u8], at: usize, bits: u32) -> u32 {
    let mut reader = BitReader::new(packet);
    reader.skip(at);
    reader.take(bits)
}

fn set(packet: &mut [u8], at: usize, bits: u32, value: u32) {
    BitWriter::new(packet).patch(at, value, bits);
}

fn taps(row: &[i8; 4]) -> [f32; 3] {
    [tap(row[0]), tap(row[1]), tap(row[2])]
}

fn strength_of(packet: &[u8], at: usize, book: TapCodebook) -> f32 {
    let bits = book.len().trailing_zeros();
    tap_strength(taps(&book[read(packet, at, bits) as usize]))
}

/// Sets taps that predict about as strongly as one of `gain`, and are as smooth as those of voices.
fn set_strength(packet: &mut [u8], at: usize, book: TapCodebook, gain: f32) {
    let wanted = [0.06 * gain, 0.88 * gain, 0.06 * gain];
    let mut best = (0, f32::INFINITY);
    for (index, row) in book.iter().enumerate() {
        let off: f32 = taps(row).iter().zip(&wanted).map(|(tap, wanted)| (tap - wanted) * (tap - wanted)).sum();
        if off < best.1 {
            best = (index, off);
        }
    }
    set(packet, at, book.len().trailing_zeros(), best.0 as u32);
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::{frame_count, Decoder, Encoder, MAX_FRAME_BYTES};
    use std::vec::Vec;

    /// Frames of a voice of 100 Hz, one packet each.
    fn packets(mode: Mode, quality: u8, count: usize) -> Vec<Vec<u8>> {
        let rate = mode.sample_rate() as usize;
        let mut encoder = Encoder::new(mode);
        encoder.set_quality(quality);
        let mut state = 0.0f32;
        let mut buzz = |n: usize| {
            state = 0.9 * state + if n % (rate / 100) == 0 { 8000.0 } else { 0.0 };
            state as i16
        };
        let pcm: Vec<i16> = (0..count * mode.frame_samples()).map(&mut buzz).collect();
        let encode = |frame: &[i16]| {
            let mut packet = std::vec![0; MAX_FRAME_BYTES];
            let length = encoder.encode(frame, &mut packet).unwrap();
            packet.truncate(length);
            packet
        };
        pcm.chunks_exact(mode.frame_samples()).map(encode).collect()
    }

    fn after(packet: &[u8], missing: usize) -> Vec<u8> {
        let mut out = std::vec![0; packet.len()];
        let length = frame_after(packet, missing, &mut 7, &mut out).unwrap();
        out.truncate(length);
        out
    }

    fn before(next: &[u8], last: &[u8]) -> Vec<u8> {
        let mut out = std::vec![0; next.len()];
        let length = frame_before(next, last, &mut out).unwrap();
        out.truncate(length);
        out
    }

    fn fields(packet: &[u8]) -> Fields {
        Fields::of(read(packet, 0, 5) as usize).unwrap()
    }

    fn lags(packet: &[u8]) -> Vec<u32> {
        fields(packet).subframes.iter().filter_map(|s| s.lag).map(|at| read(packet, at, LAG_BITS)).collect()
    }

    #[test]
    fn the_fields_end_where_the_frame_ends() {
        for code in 1..=8 {
            let [.., last] = Fields::of(code).unwrap().subframes;
            assert_eq!(last.shapes + last.shape_bits, mode_bits(code), "sub-mode {}", code);
        }
    }

    fn mode_bits(code: usize) -> usize {
        narrow_bits(code).unwrap()
    }

    #[test]
    fn at_every_quality_a_gap_is_filled_with_the_filter_of_the_frame_beside_it() {
        for mode in [Mode::Narrowband, Mode::Wideband] {
            for quality in 0..=10 {
                let sent = packets(mode, quality, 12);
                let (last, next) = (&sent[9], &sent[11]);
                for (made, beside) in [(after(last, 0), last), (before(next, last), next)] {
                    assert_eq!(frame_count(&made, mode), Ok(1));
                    assert_eq!(made.len(), beside.len(), "{:?} {}", mode, quality);
                    let filter = narrow_submode(read(beside, 0, 5) as usize).unwrap().lsp.bits();
                    for at in 0..5 + filter {
                        assert_eq!(read(&made, at, 1), read(beside, at, 1), "{:?} {} bit {}", mode, quality, at);
                    }
                }
                if let Some(lag) = lags(last).last() {
                    assert!(lags(&after(last, 0)).iter().all(|made| made == lag));
                    assert!(lags(&before(next, last)).iter().all(|made| *made == lags(next)[0]));
                }
            }
        }
    }

    #[test]
    fn the_level_before_the_next_frame_lies_between_both_and_is_cautious() {
        let sent = packets(Mode::Narrowband, 8, 12);
        let at = fields(&sent[9]).level;
        let with_level = |level| {
            let mut packet = sent[9].clone();
            set(&mut packet, at, FRAME_GAIN_BITS, level);
            packet
        };
        let level = |next, last| read(&before(&with_level(next), &with_level(last)), at, FRAME_GAIN_BITS);
        assert_eq!([level(20, 20), level(20, 12), level(12, 20), level(0, 0), level(31, 31)], [19, 17, 13, 0, 30]);
    }

    #[test]
    fn frames_after_the_last_one_fade_to_silence() {
        let sent = packets(Mode::Wideband, 8, 20);
        let (mut decoder, mut pcm) = (Decoder::new(Mode::Wideband), [0; 320]);
        for packet in &sent {
            decoder.decode(packet, &mut pcm).unwrap();
        }
        let energy = |pcm: &[i16]| pcm.iter().map(|s| f32::from(*s) * f32::from(*s)).sum::<f32>();
        let spoken = energy(&pcm);
        let energies: Vec<f32> = (0..12)
            .map(|missing| {
                decoder.decode(&after(&sent[19], missing), &mut pcm).unwrap();
                energy(&pcm)
            })
            .collect();
        assert!((0.1 * spoken..1.5 * spoken).contains(&energies[0]), "{} {:?}", spoken, energies);
        assert!(energies.windows(2).skip(1).all(|pair| pair[1] <= pair[0].max(1e4)), "{:?}", energies);
        assert!(energies[11] < 1e-4 * spoken, "{} {:?}", spoken, energies);
    }

    #[test]
    fn silence_and_the_frame_that_begins_a_pause_stand_for_what_follows() {
        let silence = [0b0000_0011];
        assert_eq!(after(&silence, 0), silence);
        let mut pause = packets(Mode::Narrowband, 0, 5).pop().unwrap();
        assert_ne!(after(&pause, 0), pause);
        let comfort = fields(&pause).comfort.unwrap();
        set(&mut pause, comfort, COMFORT_BITS, COMFORT_DTX);
        assert_eq!(after(&pause, 3), pause);
    }

    #[test]
    fn of_packets_of_several_frames_the_ones_beside_the_gap_count() {
        let mut encoder = Encoder::new(Mode::Narrowband);
        let pcm: Vec<i16> = (0..480).map(|n| if n % 80 == 0 { 9000 } else { (n % 7) as i16 * 50 }).collect();
        let mut packet = std::vec![0; 200];
        let length = encoder.encode(&pcm, &mut packet).unwrap();
        packet.truncate(length);
        let frames: Vec<Frame> = Frames::new(&packet, Mode::Narrowband).map(Result::unwrap).collect();
        let filter = |packet: &[u8], start: usize| read(packet, start + 5, 30);
        assert_ne!(filter(&packet, 0), filter(&packet, frames[2].narrow.start));
        assert_eq!(filter(&after(&packet, 0), 0), filter(&packet, frames[2].narrow.start));
        assert_eq!(filter(&before(&packet, &packet), 0), filter(&packet, 0));
    }

    #[test]
    fn what_is_no_packet_or_finds_no_room_is_refused() {
        let packet = packets(Mode::Narrowband, 8, 3).pop().unwrap();
        let mut room = [0; 200];
        assert_eq!(frame_after(&[], 0, &mut 1, &mut room), Err(DecodeError::NoFrame));
        assert_eq!(frame_after(&packet[..20], 0, &mut 1, &mut room), Err(DecodeError::Truncated));
        assert_eq!(frame_before(&packet, &[], &mut room), Err(DecodeError::NoFrame));
        assert_eq!(frame_after(&packet, 0, &mut 1, &mut room[..37]), Err(DecodeError::OutputTooSmall { needed: 38 }));
    }

    #[test]
    fn of_two_hundred_thousand_random_packets_those_with_a_frame_are_gone_on_from() {
        let mut seed = 1u64;
        let mut random = |below: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) as usize % below
        };
        let (mut last, mut room, mut made) = (std::vec![0b0000_0011], [0; 300], 0);
        for _ in 0..200_000 {
            let mut packet: Vec<u8> = (0..random(120)).map(|_| random(256) as u8).collect();
            if let Some(first) = packet.first_mut() {
                *first = (random(10) << 3) as u8 | *first & 7;
            }
            for way in 0..2 {
                let written = match way {
                    0 => frame_after(&packet, random(15), &mut 9, &mut room),
                    _ => frame_before(&packet, &last, &mut room),
                };
                if let Ok(length) = written {
                    assert!(length <= packet.len());
                    assert_eq!(frame_count(&room[..length], Mode::Wideband), Ok(1));
                    made += 1;
                }
            }
            if frame_count(&packet, Mode::Wideband).is_ok() {
                last = packet;
            }
        }
        assert!(made > 100_000, "{}", made);
    }
}
