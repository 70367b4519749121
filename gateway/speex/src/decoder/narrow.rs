//! The narrowband decoder: 0 to 4 kHz, alone or as the lowest band of a wider mode.
//!
//! ```text
//!                past excitation ◀──────────────────┐
//! lag, taps ──▶  pitch prediction ──┐               │
//! shapes, gains ▶ innovation ───────+──▶ excitation ┴─▶ comb ──▶ 1/A(z) ──▶ high-pass ──▶ samples
//! LSP ──▶ interpolation ─────────────────────────────────────────▲
//! ```
//!
//! The synthesis filter runs one sub-frame behind the excitation: the comb may look 40 samples ahead.

use super::enhance::{self, comb, tap_strength};
use super::innovation::add_shapes;
use super::noise::Noise;
use super::{tame, tame_memory};
use crate::bits::BitReader;
use crate::filters::{synthesise, widen, Biquad};
use crate::lsp;
use crate::math;
use crate::mode::*;

/// Samples of excitation before the frame: two of the longest lags, the sub-frame that is not yet heard, and reach.
const PAST: usize = 2 * LAG_MAX + NARROW_SUBFRAME + enhance::REACH;
/// The excitation buffer; behind the frame are a few zeros, for the comb.
const EXCITATION: usize = PAST + NARROW_FRAME + enhance::REACH;
/// Bound on the pitch prediction: no honest encoder gets there.
const PREDICTION_LIMIT: f32 = 32_000.0;

/// What the bands above need to know of a frame.
pub(super) struct BandInfo<'a> {
    /// The innovation; zeros for a frame that has none.
    pub innovation: &'a [f32],
    /// Gain of A(z) at the upper edge of this band, by sub-frame.
    pub edge_gain: [f32; SUBFRAMES],
    /// Root mean square of the excitation, by sub-frame.
    pub level: [f32; SUBFRAMES],
}

/// A frame's pitch, as far as it is sent for the whole of it.
#[derive(Clone, Copy)]
struct FramePitch {
    lag: usize,
    gain: f32,
}

/// State of the narrowband decoder.
#[derive(Debug, Clone)]
pub(super) struct NarrowDecoder {
    excitation: [f32; EXCITATION],
    innovation: [f32; NARROW_FRAME],
    frequencies: [f32; NARROW_ORDER],
    lpc: [f32; NARROW_ORDER],
    memory: [f32; NARROW_ORDER],
    high_pass: Biquad,
    edge_gain: [f32; SUBFRAMES],
    noise: Noise,
    vocoder: Vocoder,
    loss: Loss,
    /// The next frame's LSPs have none before them to be interpolated from.
    first: bool,
    /// The sender leaves frames out (DTX): a missing one is no loss.
    pub silent: bool,
    /// Perceptual enhancement is on.
    pub enhance: bool,
}

/// What is remembered for, and during, the loss of frames.
#[derive(Debug, Clone)]
struct Loss {
    /// Frames lost in a row.
    count: u32,
    lag: usize,
    gain: f32,
    /// Pitch gains of the last three frames.
    gains: [f32; 3],
    next: usize,
}

/// The excitation fades by the number of lost frames; then there is silence.
pub(crate) const FADE: [f32; 10] = [1.0, 0.961, 0.852, 0.698, 0.527, 0.368, 0.237, 0.141, 0.077, 0.039];

impl Loss {
    const NEW: Self = Self { count: 0, lag: 40, gain: 0.0, gains: [0.0; 3], next: 0 };

    fn push_gain(&mut self, gain: f32) {
        self.gains[self.next] = gain;
        self.next = (self.next + 1) % self.gains.len();
    }

    fn median_gain(&self) -> f32 {
        let [a, b, c] = self.gains;
        a.min(b).max(a.max(b).min(c))
    }

    fn fade(&self) -> f32 {
        *FADE.get(self.count as usize).unwrap_or(&0.0)
    }

    /// Bound on the taps that lean on an excitation from before the loss.
    fn tap_bound(&self) -> f32 {
        (if self.count < 4 { self.gain } else { 0.5 * self.gain }).min(0.95)
    }
}

/// The pulse and noise generator of sub-mode 1.
#[derive(Debug, Clone)]
struct Vocoder {
    /// Samples to the next pulse.
    until_pulse: usize,
    last_pulse: f32,
    last_noise: f32,
    mean: f32,
}

impl Vocoder {
    const NEW: Self = Self { until_pulse: 0, last_pulse: 0.0, last_noise: 0.0, mean: 0.0 };

    /// Turns a sub-frame of noise into pulses (the more voiced, the higher) and noise (the less).
    fn excite(&mut self, pitch: FramePitch, level: f32, noise: &[f32], out: &mut [f32]) {
        let voiced = (1.5 * (pitch.gain - 0.2)).clamp(0.0, 1.0);
        let height = math::sqrt(2.0 * pitch.lag as f32) * (voiced * level);
        for (x, &noise) in out.iter_mut().zip(noise) {
            let mut pulse = 0.0;
            if self.until_pulse == 0 {
                pulse = height;
                self.until_pulse = pitch.lag;
            }
            self.until_pulse -= 1;
            let mixed =
                0.7 * pulse + 0.3 * self.last_pulse + (1.0 - 0.85 * voiced) * noise - 0.15 * voiced * self.last_noise;
            self.last_pulse = pulse;
            self.last_noise = noise;
            self.mean = 0.8 * self.mean + 0.2 * mixed;
            *x = mixed - self.mean;
        }
    }
}

/// Pitch of a frame as the concealment sees it: gathered over the sub-frames.
struct PitchTrack {
    lag: usize,
    best: f32,
    sum: f32,
}

impl PitchTrack {
    const NEW: Self = Self { lag: 40, best: 0.0, sum: 0.0 };

    /// Takes the strongest lag; a multiple of it has to be much stronger, a fraction may be a little weaker.
    fn push(&mut self, lag: usize, strength: f32) {
        let is_multiple = |lag: usize, of: usize| (2..=4).any(|n| (n * of).abs_diff(lag) <= n);
        self.sum += strength;
        // In f64, for the same reason as in `tap_strength`.
        let (strong, best) = (f64::from(strength), f64::from(self.best));
        let better = if is_multiple(lag, self.lag) { 0.67 * strong > best } else { strong > best };
        let fraction = is_multiple(self.lag, lag) && strong > 0.6 * best;
        if better || fraction {
            self.lag = lag;
            self.best = self.best.max(strength);
        }
    }
}

impl NarrowDecoder {
    /// A decoder alone, or (`wide`) below a high band.
    pub fn new(wide: bool) -> Self {
        Self {
            excitation: [0.0; EXCITATION],
            innovation: [0.0; NARROW_FRAME],
            frequencies: [0.0; NARROW_ORDER],
            lpc: [0.0; NARROW_ORDER],
            memory: [0.0; NARROW_ORDER],
            high_pass: if wide { Biquad::WIDE_OUTPUT } else { Biquad::NARROW_OUTPUT },
            edge_gain: [0.0; SUBFRAMES],
            noise: Noise::NEW,
            vocoder: Vocoder::NEW,
            loss: Loss::NEW,
            first: true,
            silent: false,
            enhance: true,
        }
    }

    /// What the last frame left for the band above.
    pub fn info(&self) -> BandInfo<'_> {
        let mut level = [0.0; SUBFRAMES];
        for (level, subframe) in level.iter_mut().zip(self.excitation[PAST..].chunks_exact(NARROW_SUBFRAME)) {
            *level = math::rms(subframe);
        }
        BandInfo { innovation: &self.innovation, edge_gain: self.edge_gain, level }
    }

    /// Decodes the frame of sub-mode `code` whose fields are next in `bits`.
    pub fn decode(&mut self, code: usize, bits: &mut BitReader, out: &mut [f32]) {
        match narrow_submode(code) {
            Some(submode) => self.decode_speech(code, submode, bits, out),
            None => self.fill_silence(out),
        }
    }

    /// A frame that did not come.
    pub fn conceal(&mut self, out: &mut [f32]) {
        if self.silent {
            self.fill_silence(out);
        } else {
            self.stretch(out);
        }
    }

    /// Makes room for a frame of excitation.
    fn shift(&mut self) {
        self.excitation.copy_within(NARROW_FRAME.., 0);
        self.innovation = [0.0; NARROW_FRAME];
    }

    /// Sub-mode 0, and frames left out by DTX: noise like the last frame.
    fn fill_silence(&mut self, out: &mut [f32]) {
        self.shift();
        // The shift leaves the last frame standing here as well, but for six samples: its level goes on.
        let frame = &mut self.excitation[PAST..PAST + NARROW_FRAME];
        self.noise.fill(math::rms(frame), frame);
        out.copy_from_slice(frame);
        synthesise(&widen(0.93, &self.lpc), &mut self.memory, out);
        self.settle(out);
        self.first = true;
        self.loss.count = 0;
    }

    /// A lost frame: the last period goes on, weaker and with more noise from frame to frame.
    fn stretch(&mut self, out: &mut [f32]) {
        self.loss.gain = self.loss.gain.min(self.loss.median_gain());
        let fade = self.loss.fade();
        let gain = fade * self.loss.gain.min(0.85);
        let level = math::rms(&self.excitation[PAST..PAST + NARROW_FRAME]);
        let noise_level = level * (fade * (1.0 - gain * gain));
        self.shift();
        // The lag strays more and more, lest a long loss become a buzz.
        let stray = self.noise.next((1 + self.loss.count.min(100)) as f32) as i32;
        let lag = (self.loss.lag as i32 + stray).clamp(LAG_MIN as i32, LAG_MAX as i32) as usize;
        for at in PAST..PAST + NARROW_FRAME {
            self.excitation[at] = gain * self.excitation[at - lag] + self.noise.next(noise_level);
        }
        self.lpc = widen(0.98, &self.lpc);
        out.copy_from_slice(&self.excitation[PAST - NARROW_SUBFRAME..][..NARROW_FRAME]);
        synthesise(&self.lpc, &mut self.memory, out);
        self.settle(out);
        self.high_pass.run_as(&Biquad::NARROW_OUTPUT, out);
        self.first = false;
        self.loss.count = self.loss.count.saturating_add(1);
        self.loss.push_gain(gain);
    }

    fn decode_speech(&mut self, code: usize, submode: &NarrowSubmode, bits: &mut BitReader, out: &mut [f32]) {
        self.shift();
        let frequencies = submode.lsp.dequantise(bits);
        self.recover(&frequencies);
        let lag = match submode.pitch {
            Pitch::SubframeLag(_) => 0,
            Pitch::Forced | Pitch::FrameLag(_) => LAG_MIN + bits.index(LAG_BITS),
        };
        let gain = match submode.pitch {
            Pitch::Forced => FRAME_PITCH_GAIN_STEP * bits.take(FRAME_PITCH_GAIN_BITS) as f32,
            _ => 0.0,
        };
        let pitch = FramePitch { lag, gain };
        let level = math::exp(bits.take(FRAME_GAIN_BITS) as f32 / 3.5);
        self.silent = code == 1 && bits.take(COMFORT_BITS) == COMFORT_DTX;

        let mut track = PitchTrack::NEW;
        for subframe in 0..SUBFRAMES {
            self.predict(subframe, submode.pitch, pitch, bits, &mut track);
            self.innovate(subframe, submode, pitch, level, bits);
        }

        self.hear(submode, track.lag, level, out);
        for (subframe, out) in out.chunks_exact_mut(NARROW_SUBFRAME).enumerate() {
            synthesise(&self.lpc, &mut self.memory, out);
            let mixed = lsp::interpolate(&self.frequencies, &frequencies, subframe, NARROW_LSP_MARGIN);
            self.lpc = lsp::to_lpc(&mixed);
            self.edge_gain[subframe] = 1.0 + self.lpc.chunks_exact(2).map(|a| a[1] - a[0]).sum::<f32>();
        }
        self.settle(out);
        self.high_pass.run(out);

        self.frequencies = frequencies;
        self.first = false;
        self.loss.count = 0;
        self.loss.lag = track.lag;
        self.loss.gain = 0.25 * track.sum;
        self.loss.push_gain(self.loss.gain);
    }

    /// After a loss: the filter's memory is worth the less, the more the filter has changed since.
    fn recover(&mut self, frequencies: &[f32; NARROW_ORDER]) {
        if self.loss.count > 0 {
            let moved: f32 = self.frequencies.iter().zip(frequencies).map(|(a, b)| math::abs(a - b)).sum();
            let keep = 0.6 * math::exp(-0.2 * moved);
            for due in &mut self.memory {
                *due *= keep;
            }
        }
        if self.first || self.loss.count > 0 {
            self.frequencies = *frequencies;
        }
    }

    /// The excitation that the past predicts, for one sub-frame.
    fn predict(
        &mut self,
        subframe: usize,
        kind: Pitch,
        frame: FramePitch,
        bits: &mut BitReader,
        track: &mut PitchTrack,
    ) {
        let at = PAST + subframe * NARROW_SUBFRAME;
        let (past, now) = self.excitation.split_at_mut(at);
        let now = &mut now[..NARROW_SUBFRAME];
        let (lag, taps) = match kind {
            Pitch::Forced => (frame.lag, [0.0, frame.gain.min(0.99), 0.0]),
            Pitch::FrameLag(book) => (frame.lag, read_taps(book, bits)),
            Pitch::SubframeLag(book) => (LAG_MIN + bits.index(LAG_BITS), read_taps(book, bits)),
        };
        let mut taps = taps;
        if let Pitch::Forced = kind {
            repeat(past, lag, taps[1], now);
        } else {
            let strength = tap_strength(taps);
            if self.loss.count > 0 && lag > subframe * NARROW_SUBFRAME && strength > self.loss.tap_bound() {
                let scale = self.loss.tap_bound() / strength;
                taps = taps.map(|tap| scale * tap);
            }
            filter_past(past, lag, taps, now);
        }
        for x in now {
            *x = tame(*x, PREDICTION_LIMIT);
        }
        track.push(lag, tap_strength(taps));
    }

    /// Adds to one sub-frame what could not be predicted.
    fn innovate(
        &mut self,
        subframe: usize,
        submode: &NarrowSubmode,
        pitch: FramePitch,
        level: f32,
        bits: &mut BitReader,
    ) {
        let start = subframe * NARROW_SUBFRAME;
        let innovation = &mut self.innovation[start..][..NARROW_SUBFRAME];
        let gain = submode.subframe_gain.map_or(level, |gain| gain.values[bits.index(gain.bits)] * level);
        let excitation = &mut self.excitation[PAST + start..][..NARROW_SUBFRAME];
        match submode.innovation {
            Innovation::Noise => {
                self.noise.fill(gain, innovation);
                self.vocoder.excite(pitch, level, innovation, excitation);
                return;
            }
            Innovation::Shapes(book) => add_shapes(book, bits, gain, innovation),
            Innovation::TwoShapes(book) => {
                add_shapes(book, bits, gain, innovation);
                add_shapes(book, bits, NARROW_SECOND_SHAPE * gain, innovation);
            }
        }
        for (x, innovation) in excitation.iter_mut().zip(innovation) {
            *x += *innovation;
        }
    }

    /// The excitation as it goes into the synthesis filter, a sub-frame late.
    fn hear(&mut self, submode: &NarrowSubmode, lag: usize, level: f32, out: &mut [f32]) {
        const HEARD: usize = PAST - NARROW_SUBFRAME;
        if self.loss.count > 0 {
            // The pitch prediction came from a made-up past: trust the level that was sent instead.
            let frame = &mut self.excitation[PAST..PAST + NARROW_FRAME];
            let scale = (level / (math::rms(frame) + 1.0)).min(2.0);
            for x in frame {
                *x *= scale;
            }
        } else if self.enhance && submode.comb > 0.0 {
            for (block, out) in out.chunks_exact_mut(enhance::BLOCK).enumerate() {
                comb(&self.excitation, HEARD + block * enhance::BLOCK, lag, submode.comb, out);
            }
            return;
        }
        out.copy_from_slice(&self.excitation[HEARD..HEARD + NARROW_FRAME]);
    }

    /// The largest magnitude in the state.
    #[cfg(test)]
    pub fn peak(&self) -> f32 {
        let Self { excitation, innovation, frequencies, lpc, memory, edge_gain, loss, .. } = self;
        let signals = excitation.iter().chain(innovation).chain(memory).chain(self.high_pass.memory());
        super::peak(
            signals
                .chain(frequencies)
                .chain(lpc)
                .chain(edge_gain)
                .chain(&loss.gains)
                .chain([&loss.gain, &self.vocoder.mean]),
        )
    }

    /// Keeps hostile filters from going beyond all bounds.
    fn settle(&mut self, out: &mut [f32]) {
        super::tame_all(out);
        tame_memory(&mut self.memory);
    }
}

fn read_taps(book: TapCodebook, bits: &mut BitReader) -> [f32; 3] {
    let [a, b, c, _] = book[bits.index(book.len().trailing_zeros())];
    [tap(a), tap(b), tap(c)]
}

/// One tap, `lag` back from the start of `now`; where that is in `now` itself, what was just predicted.
fn repeat(past: &[f32], lag: usize, gain: f32, now: &mut [f32]) {
    for i in 0..now.len() {
        let x = if i < lag { past[past.len() - lag + i] } else { now[i - lag] };
        now[i] = gain * x;
    }
}

/// Three taps around `lag`; where they reach into `now`, the period before stands for it.
fn filter_past(past: &[f32], lag: usize, taps: [f32; 3], now: &mut [f32]) {
    now.fill(0.0);
    for (tap, lag_of_tap) in taps.into_iter().zip([lag - 1, lag, lag + 1]).rev() {
        let (fresh, wrapped) = now.split_at_mut(lag_of_tap.min(now.len()));
        for (x, past) in fresh.iter_mut().zip(&past[past.len() - lag_of_tap..]) {
            *x += tap * past;
        }
        // At most one more period: beyond it the prediction is zero.
        for (x, past) in wrapped.iter_mut().take(lag).zip(&past[past.len() - lag..]) {
            *x += tap * past;
        }
    }
}
