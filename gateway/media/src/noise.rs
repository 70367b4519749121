//! The background of a call: its level is learned from the quietest frames, and made again where speech must end.

/// A frame may lift the level that was learned by this much at most: 3 dB in a second of 20 ms frames.
const RISE: f32 = 1.007;
/// Louder than this is no background (-44 dB below full scale).
const LOUDEST: f32 = 200.0;

/// Background noise: learner and generator.
#[derive(Debug, Clone)]
pub struct Noise {
    level: f32,
    state: u32,
}

impl Default for Noise {
    fn default() -> Self {
        Self { level: LOUDEST, state: 0x2545_F491 }
    }
}

impl Noise {
    /// Learns from a frame that was heard.
    pub fn observe(&mut self, frame: &[i16]) {
        let energy: f32 = frame.iter().map(|&s| s as f32 * s as f32).sum();
        let rms = (energy / frame.len().max(1) as f32).sqrt();
        self.level = rms.min((self.level * RISE).max(1.0)).min(LOUDEST);
    }

    /// The next sample of white noise at the level learned.
    pub fn sample(&mut self) -> f32 {
        self.state = self.state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let uniform = (self.state >> 8) as f32 / (1 << 23) as f32 - 1.0;
        uniform * 3f32.sqrt() * self.level // a uniform distribution of width 2 has an RMS of 1/sqrt(3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        codec::SampleRate,
        testing::{rms, voice},
    };

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
}
