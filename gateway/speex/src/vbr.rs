//! Rate control: which sub-modes a frame gets.
//!
//! ```text
//!   frame ─▶ Listener: how much would a listener miss? ─▶ score, -1 (silence) to 10 (an attack, a clear vowel)
//!                                                            │
//!   quality (given, or steered towards a mean rate) ─▶ threshold of each sub-mode ─▶ the one just below the score
//!                                                            │
//!   voice activity detection: score below 2 ─▶ comfort noise, and with DTX after a first frame nothing at all
//! ```
//!
//! The scores' scale is the standard's thresholds' (`tables::vbr`), so that a quality means about the same rate as
//! with other encoders.

use crate::math;
use crate::mode::{high_bits, narrow_bits, quality, Mode, NARROW_FRAME};
use crate::tables::vbr;

/// What the bit rate follows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RateControl {
    /// The quality's rate, frame by frame.
    Constant,
    /// As many bits as a frame needs for this quality, 0.0 to 10.0.
    Variable {
        /// 0.0 to 10.0 (clamped).
        quality: f32,
    },
    /// A variable rate with this mean in the long run, as far as the sub-modes reach.
    Average {
        /// The mean to keep.
        bits_per_second: u32,
    },
}

/// The sub-modes of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Decision {
    pub low: usize,
    /// Of the wideband and of the ultra-wideband layer.
    pub high: [usize; 2],
    /// The frame says that those after it will be left out.
    pub comfort: bool,
}

/// What a decision is made from.
pub(crate) struct Features<'a> {
    pub signal: &'a [f32; NARROW_FRAME],
    /// Correlation at the frame's pitch lag, 0 to 1.
    pub pitch: f32,
    /// How far the spectrum is from the last frame's: square distance of the line spectral frequencies.
    pub change: f32,
}

/// Without this feature the rate is the quality's, always: an optimiser leaves out what would judge speech.
const VARIABLE_RATE: bool = cfg!(feature = "variable-rate");
/// Frames of 20 ms in a second.
const FRAMES_A_SECOND: f32 = 50.0;
/// A band below another one gets its quality so much higher: errors there are heard in both.
const LOWER_BAND_BONUS: f32 = 0.6;
/// Score below which a frame is no speech.
const SPEECH: f32 = 2.0;
/// Frames after which comfort noise is described again.
const COMFORT_INTERVAL: u32 = 20;
/// Change of spectrum from which on comfort noise is described again.
const COMFORT_CHANGE: f32 = 0.05;
/// Sub-mode for frames without speech.
const COMFORT_SUBMODE: usize = 1;

/// The state of rate control.
#[derive(Debug, Clone)]
pub(crate) struct Rate {
    control: RateControl,
    pub vad: bool,
    pub dtx: bool,
    /// Quality of the topmost band.
    quality: f32,
    mean: MeanRate,
    listener: Listener,
    /// Level of each layer over that of the band below it, as far as it counts for the score.
    balance: [f32; 2],
    /// Frames since comfort noise was described; 0 in speech.
    quiet_frames: u32,
}

impl Rate {
    pub fn new(mode: Mode) -> Self {
        let mut rate = Self {
            control: RateControl::Constant,
            vad: false,
            dtx: false,
            quality: 8.0,
            mean: MeanRate::NEW,
            listener: Listener::new(),
            balance: [0.0; 2],
            quiet_frames: 0,
        };
        rate.set_control(RateControl::Constant, mode);
        rate
    }

    pub fn set_control(&mut self, control: RateControl, mode: Mode) {
        self.control = control;
        self.mean = MeanRate::NEW;
        match control {
            RateControl::Constant => {}
            // In this order: NaN becomes 0.
            RateControl::Variable { quality } => self.quality = quality.max(0.0).min(10.0),
            RateControl::Average { bits_per_second } => self.quality = nearest_quality(bits_per_second, mode),
        }
    }

    /// A fresh state with the same settings.
    pub fn restarted(&self, mode: Mode) -> Self {
        let mut rate = Self { vad: self.vad, dtx: self.dtx, ..Self::new(mode) };
        rate.set_control(self.control, mode);
        rate
    }

    /// True when the decision needs the frame's pitch and levels.
    pub fn is_variable(&self) -> bool {
        VARIABLE_RATE && (self.vad || self.control != RateControl::Constant)
    }

    /// Takes the levels of the bands, before anything is filtered out of them.
    pub fn listen(&mut self, narrow: &[f32], wide: &[f32], ultra: &[f32], mode: Mode) {
        if !self.is_variable() || mode.layers() == 0 {
            return;
        }
        let level = |band: &[f32]| 1.0 + math::rms(band);
        let balance = |high: f32, low: f32| (2.0 * math::ln(high / low)).clamp(-4.0, 2.0);
        self.balance[0] = balance(level(wide), level(narrow));
        if mode.layers() == 2 {
            // The two lower bands together.
            let (a, b) = (math::rms(narrow), math::rms(wide));
            self.balance[1] = balance(level(ultra), 1.0 + math::sqrt(2.0 * (a * a + b * b)));
        }
    }

    /// The sub-modes for a frame; `fixed` are those of the constant rate.
    pub fn decide(&mut self, features: &Features, fixed: Decision, mode: Mode) -> Decision {
        if !self.is_variable() {
            return fixed;
        }
        let score = self.listener.score(features.signal, features.pitch);
        if self.control == RateControl::Constant {
            return if score < SPEECH { self.no_speech(features.change) } else { self.speech(fixed) };
        }
        if let RateControl::Average { bits_per_second } = self.control {
            self.quality = (self.quality + self.mean.correction()).clamp(0.0, 10.0);
            let decision = self.by_score(score, features.change, mode);
            self.mean.count(bits(&decision, mode) as f32 * FRAMES_A_SECOND - bits_per_second as f32);
            return decision;
        }
        self.by_score(score, features.change, mode)
    }

    fn speech(&mut self, decision: Decision) -> Decision {
        self.quiet_frames = 0;
        decision
    }

    fn no_speech(&mut self, change: f32) -> Decision {
        let describe =
            !self.dtx || self.quiet_frames == 0 || self.quiet_frames > COMFORT_INTERVAL || change > COMFORT_CHANGE;
        if describe {
            self.quiet_frames = 1;
            return Decision { low: COMFORT_SUBMODE, high: [1; 2], comfort: self.dtx };
        }
        self.quiet_frames += 1;
        Decision { low: 0, high: [0; 2], comfort: false }
    }

    fn by_score(&mut self, score: f32, change: f32, mode: Mode) -> Decision {
        let layers = mode.layers();
        let quality = |above: usize| (self.quality + LOWER_BAND_BONUS * above as f32).min(10.0);
        let low_quality = quality(layers);
        // The sub-mode whose threshold is the nearest below the score: they are not in the order of their rates.
        let passed = vbr::NARROWBAND.iter().map(|row| score - threshold(row, low_quality)).enumerate().skip(1);
        let nearest = passed.filter(|&(_, above)| above > 0.0 && above < 100.0);
        let low = nearest.fold((0, 100.0), |best, next| if next.1 <= best.1 { next } else { best }).0;
        let (wide_quality, ultra_quality) = (quality(layers.saturating_sub(1)), self.quality);
        let mut decision =
            if low == 0 { self.no_speech(change) } else { self.speech(Decision { low, high: [0; 2], comfort: false }) };
        if decision.low == 0 {
            return decision;
        }
        let wide_score = (score + self.balance[0] + 2.0).max(-1.0);
        let ultra_score = (wide_score + self.balance[1] + 2.0).max(-1.0);
        decision.high = [
            highest(&vbr::WIDEBAND, wide_quality, wide_score),
            highest(&vbr::ULTRA_WIDEBAND, ultra_quality, ultra_score),
        ];
        decision
    }
}

/// The threshold of a sub-mode at a quality between two columns.
fn threshold(row: &[f32; 11], quality: f32) -> f32 {
    let column = (quality as usize).min(9);
    let share = quality - column as f32;
    (1.0 - share) * row[column] + share * row[column + 1]
}

/// The highest sub-mode whose threshold is not above the score.
fn highest(rows: &[[f32; 11]], quality: f32, score: f32) -> usize {
    rows.iter().rposition(|row| score >= threshold(row, quality)).unwrap_or(0)
}

fn bits(decision: &Decision, mode: Mode) -> usize {
    let layers = decision.high.iter().take(mode.layers());
    narrow_bits(decision.low).unwrap_or(0) + layers.map(|&code| high_bits(code).unwrap_or(0)).sum::<usize>()
}

/// The highest quality whose constant rate is not above `bits_per_second`.
fn nearest_quality(bits_per_second: u32, mode: Mode) -> f32 {
    let low = if mode.layers() == 0 { &quality::NARROWBAND } else { &quality::WIDEBAND_LOW };
    let fits = |&quality: &usize| {
        let high = [quality::WIDEBAND_HIGH[quality], quality::ULTRA_WIDEBAND_HIGH[quality]];
        bits(&Decision { low: low[quality], high, comfort: false }, mode) as u32 * 50 <= bits_per_second
    };
    (0..=10).rev().find(fits).unwrap_or(0) as f32
}

/// Steers the quality so that the mean rate comes out right.
#[derive(Debug, Clone)]
struct MeanRate {
    /// Sum of what the frames were above the wanted rate, bits per second.
    excess: f32,
    /// The same of late.
    recent: f32,
    frames: f32,
}

impl MeanRate {
    const NEW: Self = Self { excess: 0.0, recent: 0.0, frames: 0.0 };
    /// Frames over which the mean is kept.
    const MEMORY: f32 = 1500.0;
    /// Quality a frame for each bit per second that the mean is off, and at most.
    const SLOPE: f32 = 1e-5;
    const LARGEST_STEP: f32 = 0.05;

    fn count(&mut self, excess: f32) {
        if self.frames < Self::MEMORY {
            self.frames += 1.0;
        } else {
            self.excess -= self.excess / Self::MEMORY;
        }
        self.excess += excess;
        self.recent = 0.95 * self.recent + 0.05 * excess;
    }

    /// What the quality should change by: nothing while the rate is on its way back already.
    fn correction(&self) -> f32 {
        if self.excess * self.recent <= 0.0 {
            return 0.0;
        }
        (-Self::SLOPE * self.excess / (1.0 + self.frames)).clamp(-Self::LARGEST_STEP, Self::LARGEST_STEP)
    }
}

/// Judges how much a listener would miss if a frame were coded badly.
#[derive(Debug, Clone)]
struct Listener {
    mean_energy: f32,
    last_energy: f32,
    last_score: f32,
    /// Pitch strength, smoothed.
    voicing: f32,
    noise: NoiseLevel,
    /// Log energy of the last frames, newest first.
    log_energies: [f32; 5],
}

/// The level of the background, as energy to the power of [`NoiseLevel::POWER`].
#[derive(Debug, Clone)]
struct NoiseLevel {
    sum: f32,
    weight: f32,
    /// Frames in a row that sounded like noise.
    run: u32,
}

/// Energy of a frame that is as good as silent.
const SILENCE: f32 = 6000.0;
/// Energy of a frame of soft speech.
const SOFT: f32 = 1_600_000.0;

impl NoiseLevel {
    const POWER: f32 = 0.3;
    const SHARE: f32 = 0.05;

    fn new() -> Self {
        Self { sum: Self::SHARE * math::pow(SILENCE, Self::POWER), weight: Self::SHARE, run: 0 }
    }

    fn learn(&mut self, level: f32) {
        self.sum += Self::SHARE * (level - self.sum);
        self.weight += Self::SHARE * (1.0 - self.weight);
    }

    /// Takes in a frame: is it noise, and how loud is noise now?
    fn hear(&mut self, energy: f32, voicing: f32, unsteadiness: f32) {
        let loudness = math::pow(energy, Self::POWER);
        if self.weight < 0.06 && energy > SILENCE {
            // Nothing learnt yet: the first sound is the best guess.
            self.sum = Self::SHARE * loudness;
        }
        let level = self.sum / self.weight;
        let below = |factor: f32| loudness < factor * level;
        let steady = unsteadiness < 0.05;
        let noisy = (voicing < 0.3 && unsteadiness < 0.2 && below(1.2))
            || (voicing < 0.3 && steady && below(1.5))
            || (voicing < 0.4 && steady && below(1.2))
            || (voicing < 0.0 && steady);
        if noisy {
            self.run += 1;
            if self.run >= 4 {
                self.learn(loudness.min(3.0 * level));
            }
        } else {
            self.run = 0;
        }
        if loudness < level && energy > SILENCE {
            self.learn(loudness);
        }
    }

    /// Grows with the time that only noise was heard.
    fn boredom(&self) -> f32 {
        math::ln(1.0 + self.run as f32 / 3.0)
    }
}

impl Listener {
    fn new() -> Self {
        Self {
            mean_energy: SOFT,
            last_energy: 1.0,
            last_score: 0.0,
            voicing: 0.0,
            noise: NoiseLevel::new(),
            log_energies: [math::ln(SILENCE); 5],
        }
    }

    fn score(&mut self, signal: &[f32; NARROW_FRAME], pitch: f32) -> f32 {
        let (first, second) = signal.split_at(NARROW_FRAME / 2);
        let (first, second) = (math::dot(first, first), math::dot(second, second));
        let energy = first + second;
        let above = pitch - 0.4;
        let voicing = 3.0 * above * math::abs(above);
        let unsteadiness = self.unsteadiness(energy);
        self.mean_energy += 0.1 * (energy - self.mean_energy);
        self.noise.hear(energy, voicing, unsteadiness);
        self.voicing += 0.2 * (pitch - self.voicing);

        let mut score = 7.0 + self.loudness(energy, second > 1.6 * first);
        self.last_energy = energy;
        score += 2.2 * (above + (self.voicing - 0.4));
        if score < self.last_score {
            // A sound that fades still masks what follows it.
            score = 0.5 * (score + self.last_score);
        }
        score = self.discount(score.clamp(4.0, 10.0), energy);
        self.last_score = score;
        score
    }

    /// How much the energy differs from that of the last frames, 0 to 1.
    fn unsteadiness(&mut self, energy: f32) -> f32 {
        let now = math::ln(energy + SILENCE);
        let sum: f32 = self.log_energies.iter().map(|then| (now - then) * (now - then)).sum();
        self.log_energies.rotate_right(1);
        self.log_energies[0] = now;
        (sum / (30.0 * self.log_energies.len() as f32)).min(1.0)
    }

    /// What loudness, and a rise of it, add to the score.
    fn loudness(&self, energy: f32, rising: bool) -> f32 {
        if energy < 30_000.0 {
            return -0.7 * [30_000.0, 10_000.0, 3_000.0].iter().filter(|&&limit| energy < limit).count() as f32;
        }
        let over_mean = math::ln((energy + 1.0) / (1.0 + self.mean_energy)).clamp(-5.0, 2.0);
        let over_last = math::ln((energy + 1.0) / (1.0 + self.last_energy)).clamp(0.0, 5.0);
        let attack = if rising { 0.5 } else { 0.0 };
        over_mean * (if over_mean > 0.0 { 0.6 } else { 0.5 }) + over_last + attack
    }

    /// Takes off what noise, and soft frames, are worth less.
    fn discount(&self, mut score: f32, energy: f32) -> f32 {
        let NoiseLevel { run, .. } = self.noise;
        let boredom = self.noise.boredom();
        if run >= 3 {
            score = 4.0;
        }
        score = (score - boredom).max(0.0);
        if energy < SOFT {
            if run > 2 {
                let silent = if energy < 10_000.0 { 2.0 } else { 1.0 };
                score = (score - 0.5 * silent * boredom).max(0.0);
            }
            score += 0.3 * math::ln(0.0001 + energy / SOFT);
        }
        score.max(-1.0)
    }
}
