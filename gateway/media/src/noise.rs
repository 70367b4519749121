//! The background of a call: level and colour are learned from the quietest frames, and made again where speech must end.
//! The same as a comfort noise payload (RFC 3389): a byte of level, then reflection coefficients.
//!
//! ```text
//! frames heard --> level of the quietest, autocorrelation --> reflection coefficients --> payload
//! payload ----------------------------------------------------------.    |
//!                                        white noise --> lattice filter --> * level --> samples
//! ```

/// A frame may lift the level that was learned by this much at most: 3 dB in a second of 20 ms frames.
const RISE: f32 = 0.007;
/// Louder than this is no background (-44 dB below full scale).
const LOUDEST: f32 = 200.0;
/// Before anything was heard, and at least: -70 dB, there and no more.
const UNKNOWN: f32 = 10.0;
/// A frame this much louder than the background is none.
const SPEECH: f32 = 1.5;
/// Of quiet frames one in so many tells of the colour, which is the dearer part.
const COLOUR_EVERY: u32 = 4;
/// Reflection coefficients that are learned and sent, and that are taken from a payload at most.
const ORDER: usize = 6;
/// Kept below one, so that the filter is stable and does not ring.
const LARGEST_REFLECTION: f32 = 0.95;
/// Root mean square of the loudest signal there is: 0 dBov (RFC 3389 section 3.1).
const OVERLOAD: f32 = 32_768.0;

/// Background noise: learner and generator.
#[derive(Debug, Clone)]
pub struct Noise {
    level: Option<f32>,
    quiet_frames: u32,
    correlation: [f32; ORDER + 1],
    /// `correlation` has more to say than `reflection`.
    stale: bool,
    reflection: [f32; ORDER],
    /// Scales white noise so that it comes out of the filter as loud as it went in.
    gain: f32,
    /// The lattice filter's memory.
    memory: [f32; ORDER + 1],
    state: u32,
}

impl Default for Noise {
    fn default() -> Self {
        Self {
            level: None,
            quiet_frames: 0,
            correlation: [0.0; ORDER + 1],
            stale: false,
            reflection: [0.0; ORDER],
            gain: 1.0,
            memory: [0.0; ORDER + 1],
            state: 0x2545_F491,
        }
    }
}

impl Noise {
    /// Learns from a frame that was heard.
    pub fn observe(&mut self, frame: &[i16]) {
        self.observe_one_of(1, frame);
    }

    /// Learns from a frame that stands for `frames` of 20 ms.
    pub fn observe_one_of(&mut self, frames: u32, frame: &[i16]) {
        let energy: f32 = frame.iter().map(|&s| s as f32 * s as f32).sum();
        let rms = (energy / frame.len().max(1) as f32).sqrt();
        let level = self.observe_level(frames, rms);
        if rms <= level * SPEECH && rms > 1.0 && frame.len() > ORDER {
            self.quiet_frames = self.quiet_frames.wrapping_add(1);
            if self.quiet_frames.is_multiple_of(COLOUR_EVERY) {
                self.learn_colour(frame, energy);
            }
        }
    }

    /// Learns from the level alone of a frame that stands for `frames` of 20 ms. Returns the background's.
    pub fn observe_level(&mut self, frames: u32, rms: f32) -> f32 {
        let highest = self.level.map_or(LOUDEST, |level| (level * (1.0 + RISE * frames as f32)).clamp(1.0, LOUDEST));
        *self.level.insert(rms.min(highest))
    }

    fn learn_colour(&mut self, frame: &[i16], energy: f32) {
        for (lag, slot) in self.correlation.iter_mut().enumerate() {
            let sum: f32 = frame[lag..].iter().zip(frame).map(|(&a, &b)| a as f32 * b as f32).sum();
            *slot += (sum / energy - *slot) / 8.0;
        }
        self.stale = true;
    }

    /// Whether a frame is louder than the background by far.
    pub fn is_speech(&self, frame: &[i16]) -> bool {
        let energy: f32 = frame.iter().map(|&s| s as f32 * s as f32).sum();
        self.is_speech_level((energy / frame.len().max(1) as f32).sqrt())
    }

    /// Whether this level is above that of the background by far.
    pub fn is_speech_level(&self, rms: f32) -> bool {
        rms > 2.0 * self.level.unwrap_or(UNKNOWN).max(2.0 * UNKNOWN)
    }

    /// The next sample of noise like the background.
    pub fn sample(&mut self) -> f32 {
        if self.stale {
            self.solve();
        }
        self.state = self.state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let uniform = (self.state >> 8) as f32 / (1 << 23) as f32 - 1.0;
        // A uniform distribution of width 2 has an RMS of 1/sqrt(3).
        let mut forward = uniform * 3f32.sqrt() * self.audible_level() * self.gain;
        for stage in (0..ORDER).rev() {
            forward -= self.reflection[stage] * self.memory[stage];
            self.memory[stage + 1] = self.memory[stage] + self.reflection[stage] * forward;
        }
        self.memory[0] = forward;
        forward
    }

    /// Not digital silence, even where that was heard.
    fn audible_level(&self) -> f32 {
        self.level.map_or(UNKNOWN, |level| level.max(UNKNOWN))
    }

    /// Appends `count` samples.
    pub fn samples(&mut self, count: usize, out: &mut Vec<i16>) {
        out.extend((0..count).map(|_| self.sample() as i16)); // `as` saturates
    }

    /// Reflection coefficients by Levinson and Durbin's recursion.
    fn solve(&mut self) {
        self.stale = false;
        let r = &self.correlation;
        let mut error = r[0] * 1.0001 + 1e-9; // a floor 40 dB below keeps it sound
        let mut a = [0.0f32; ORDER + 1];
        let mut reflection = [0.0f32; ORDER];
        for m in 1..=ORDER {
            let sum = r[m] + (1..m).map(|i| a[i] * r[m - i]).sum::<f32>();
            let k = (-sum / error).clamp(-LARGEST_REFLECTION, LARGEST_REFLECTION);
            let before = a;
            (1..m).for_each(|i| a[i] = before[i] + k * before[m - i]);
            a[m] = k;
            reflection[m - 1] = k;
            error *= 1.0 - k * k;
        }
        self.set_reflection(reflection);
    }

    fn set_reflection(&mut self, reflection: [f32; ORDER]) {
        self.reflection = reflection;
        self.gain = reflection.iter().map(|k| 1.0 - k * k).product::<f32>().sqrt();
    }

    /// Appends the payload that describes the background (RFC 3389 section 3).
    pub fn describe(&mut self, payload: &mut Vec<u8>) {
        if self.stale {
            self.solve();
        }
        let below = -20.0 * (self.audible_level() / OVERLOAD).log10();
        payload.push(below.clamp(0.0, 127.0).round() as u8);
        // k = 258 (N - 127) / 32768
        payload.extend(self.reflection.map(|k| (k * 32_768.0 / 258.0 + 127.0).round().clamp(0.0, 254.0) as u8));
    }

    /// Takes the background from a payload. False if it is none.
    pub fn assume(&mut self, payload: &[u8]) -> bool {
        let Some((&level, coefficients)) = payload.split_first() else { return false };
        self.level = Some(OVERLOAD * 10f32.powf(-((level & 0x7F) as f32) / 20.0)).map(|level| level.min(LOUDEST));
        let mut reflection = [0.0; ORDER];
        for (k, &n) in reflection.iter_mut().zip(coefficients) {
            *k = (258.0 * (n as f32 - 127.0) / 32_768.0).clamp(-LARGEST_REFLECTION, LARGEST_REFLECTION);
        }
        self.set_reflection(reflection);
        self.stale = false;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        codec::SampleRate,
        testing::{Random, rms, tone_level_db, voice},
    };

    /// White noise through one pole: a rumble.
    fn rumble(level: f64, count: usize) -> Vec<i16> {
        let (mut random, mut last) = (Random::new(5), 0.0);
        let made = (0..count).map(|_| {
            last = 0.9 * last + (random.uniform() - 0.5);
            last
        });
        let made: Vec<f64> = made.collect();
        let scale = level / (made.iter().map(|s| s * s).sum::<f64>() / count as f64).sqrt();
        made.into_iter().map(|s| (s * scale) as i16).collect()
    }

    /// Level of a band over that of another, dB.
    fn tilt(samples: &[i16]) -> f64 {
        let band = |from: u32| {
            (from..from + 400).step_by(20).map(|f| tone_level_db(samples, f as f64, SampleRate::Hz8000)).sum::<f64>()
        };
        (band(200) - band(3000)) / 20.0
    }

    #[test]
    fn the_level_of_pauses_is_learned_and_made_again() {
        let mut noise = Noise::default();
        let mut speech = voice(SampleRate::Hz8000, 4000, 1);
        for (n, sample) in speech.iter_mut().enumerate() {
            *sample = sample.saturating_add(if n % 2 == 0 { 20 } else { -20 });
            if n % 8000 < 800 {
                *sample = if n % 2 == 0 { 20 } else { -20 };
            }
        }
        speech.chunks(160).for_each(|frame| noise.observe(frame));
        let made: Vec<i16> = (0..8000).map(|_| noise.sample() as i16).collect();
        assert!((10.0..60.0).contains(&rms(&made)), "{}", rms(&made));
    }

    #[test]
    fn a_rumble_comes_back_as_a_rumble_as_loud_as_it_was() {
        let background = rumble(60.0, 16_000);
        let mut noise = Noise::default();
        background.chunks(160).for_each(|frame| noise.observe(frame));
        let mut made = Vec::new();
        noise.samples(16_000, &mut made);
        let level = 20.0 * (rms(&made) / rms(&background)).log10();
        assert!(level.abs() < 3.0, "{level} dB");
        let (was, is) = (tilt(&background), tilt(&made));
        assert!(was > 15.0 && (was - is).abs() < 5.0, "{was} dB became {is} dB");
    }

    #[test]
    fn a_payload_says_what_the_background_is_like() {
        let background = rumble(60.0, 16_000);
        let (mut here, mut there) = (Noise::default(), Noise::default());
        background.chunks(160).for_each(|frame| here.observe(frame));
        let mut payload = Vec::new();
        here.describe(&mut payload);
        assert_eq!(payload.len(), 7);
        assert!((53..=58).contains(&payload[0]), "-54.7 dBov and a little less: {}", payload[0]);
        assert!(there.assume(&payload));
        let (mut at_home, mut abroad) = (Vec::new(), Vec::new());
        here.samples(16_000, &mut at_home);
        there.samples(16_000, &mut abroad);
        assert!((rms(&at_home) / rms(&abroad) - 1.0).abs() < 0.2, "{} {}", rms(&at_home), rms(&abroad));
        assert!((tilt(&at_home) - tilt(&abroad)).abs() < 3.0);
    }

    #[test]
    fn any_payload_makes_noise_that_stays_in_bounds() {
        let mut random = Random::new(3);
        for _ in 0..2000 {
            let payload: Vec<u8> = (0..random.below(20)).map(|_| random.next_u64() as u8).collect();
            let mut noise = Noise::default();
            assert_eq!(noise.assume(&payload), !payload.is_empty());
            let loudest = (0..800).map(|_| noise.sample().abs()).fold(0.0, f32::max);
            assert!(loudest.is_finite() && loudest < 8000.0, "{loudest} from {payload:?}");
        }
    }

    #[test]
    fn before_anything_was_heard_the_noise_is_barely_there() {
        let mut made = Vec::new();
        Noise::default().samples(8000, &mut made);
        assert!((5.0..15.0).contains(&rms(&made)));
    }
}
