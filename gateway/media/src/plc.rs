//! Packet loss concealment for codecs that bring none of their own (G.711): the last pitch period goes on, fading into
//! the background noise of the call; where the packet behind the gap is at hand already, its first period is led back
//! to meet it.
//!
//! ```text
//!  heard        |------------------ history ------------------|
//!                                            |<-- period P -->|
//!  lost                                                       |period|period|period| fading ...
//!  heard again                                                                      |cross-fade| frame
//!
//!  or, between two packets                                    |period|peri><iod|period| frame
//! ```
//! Nothing is delayed for it: the first joint is smoothed by a decaying offset, every later one by overlapping the end
//! of the period with what went before its start. (ITU-T G.711 appendix I holds all audio back by 3.75 ms for this.)

use crate::{codec::SampleRate, noise::Noise};

/// Pitch is looked for from 4 ms (250 Hz; a higher voice is found at twice its period) on ...
const SHORTEST_PERIOD_US: usize = 4000;
/// ... to 16 ms (62 Hz).
const LONGEST_PERIOD_US: usize = 16_000;
/// How much of the past a period must resemble.
const MATCH_US: usize = 8000;
/// The repeated period is as loud as speech was for this long,
const HOLD_US: usize = 10_000;
/// and gone after this.
const FADE_END_US: usize = 90_000;
/// Cross-fade into the first frame heard again.
const REJOIN_US: usize = 2500;
/// Cross-fade between what goes on from before a gap and what is led back from behind it.
const MEET_US: usize = 5000;

/// Conceals losses in one stream of linear audio.
pub struct Concealer {
    rate: SampleRate,
    history: Vec<i16>,
    /// What goes on while something is lost.
    voice: Option<Repetition>,
    noise: Noise,
}

impl Concealer {
    /// A concealer that has heard silence.
    pub fn new(rate: SampleRate) -> Self {
        let history = vec![0; samples(rate, LONGEST_PERIOD_US * 5 / 4 + MATCH_US)];
        Self { rate, history, voice: None, noise: Noise::default() }
    }

    /// Takes note of what was heard; after a loss, blends the invented sound into its beginning and returns true.
    pub fn heard(&mut self, frame: &mut [i16]) -> bool {
        let voice = self.voice.take();
        let rejoins = voice.is_some();
        if let Some(mut voice) = voice {
            let length = samples(self.rate, REJOIN_US).min(frame.len());
            for (n, sample) in frame[..length].iter_mut().enumerate() {
                let invented = voice.next(&mut self.noise);
                *sample = to_sample(fade(invented, *sample as f32, n, length));
            }
        }
        self.noise.observe(frame);
        self.remember(frame);
        rejoins
    }

    /// Appends `count` invented samples.
    pub fn conceal(&mut self, count: usize, out: &mut Vec<i16>) {
        let start = out.len();
        let voice = self.voice.get_or_insert_with(|| Repetition::of(&self.history, self.rate));
        out.extend((0..count).map(|_| to_sample(voice.next(&mut self.noise))));
        self.remember(&out[start..]);
    }

    /// Appends `count` invented samples that lead over to `next`, which is to be heard next.
    pub fn bridge(&mut self, count: usize, next: &[i16], out: &mut Vec<i16>) {
        if next.len() < samples(self.rate, MATCH_US + SHORTEST_PERIOD_US) {
            return self.conceal(count, out);
        }
        let mut voice = self.voice.take().unwrap_or_else(|| Repetition::of(&self.history, self.rate));
        let forward: Vec<f32> = (0..count).map(|_| voice.next(&mut self.noise)).collect();
        let reversed: Vec<i16> = next.iter().rev().copied().collect();
        let mut led_back = Repetition::of(&reversed, self.rate);
        let mut backward: Vec<f32> = (0..count).map(|_| led_back.next(&mut self.noise)).collect();
        backward.reverse();

        let length = samples(self.rate, MEET_US).min(count / 2);
        let meeting = best_meeting(&forward, &backward, length);
        let start = out.len();
        out.extend((0..count).map(|n| {
            to_sample(match n.checked_sub(meeting) {
                None => forward[n],
                Some(inside) if inside < length => fade(forward[n], backward[n], inside, length),
                Some(_) => backward[n],
            })
        }));
        self.remember(&out[start..]);
    }

    /// Goes on with the background that a payload describes (RFC 3389), without a trace of the voice.
    pub fn rest(&mut self, described: &[u8]) {
        self.noise.assume(described);
        self.voice = Some(Repetition::gone(self.rate));
    }

    fn remember(&mut self, frame: &[i16]) {
        let tail = &frame[frame.len().saturating_sub(self.history.len())..];
        self.history.copy_within(tail.len().., 0);
        let keep = self.history.len() - tail.len();
        self.history[keep..].copy_from_slice(tail);
    }
}

/// Leads what a codec's own concealment makes over to background noise: by itself it ends in silence, or hums on.
#[derive(Debug, Default)]
pub struct Fader {
    noise: Noise,
    /// Frames made in a row.
    made: usize,
}

/// Frames of a codec's own concealment that are left alone, and those over which it fades.
const OWN_FRAMES: usize = 5;
const FADING_FRAMES: usize = 3;

impl Fader {
    /// Takes note of what was heard.
    pub fn heard(&mut self, frame: &[i16]) {
        self.made = 0;
        self.noise.observe(frame);
    }

    /// Goes on with the background that a payload describes (RFC 3389).
    pub fn rest(&mut self, described: &[u8]) {
        self.noise.assume(described);
        self.made = OWN_FRAMES + FADING_FRAMES;
    }

    /// Whether the next frame is noise alone, whatever the codec makes.
    pub fn is_noise(&self) -> bool {
        self.made >= OWN_FRAMES + FADING_FRAMES
    }

    /// Turns the next frame that was concealed as far into noise as is due.
    pub fn blend(&mut self, frame: &mut [i16]) {
        let from = self.made.saturating_sub(OWN_FRAMES).min(FADING_FRAMES) as f32;
        self.made += 1;
        let to = self.made.saturating_sub(OWN_FRAMES).min(FADING_FRAMES) as f32;
        if to == 0.0 {
            return;
        }
        let count = frame.len() as f32;
        for (n, sample) in frame.iter_mut().enumerate() {
            let share = (from + (to - from) * n as f32 / count) / FADING_FRAMES as f32;
            *sample = to_sample(*sample as f32 * (1.0 - share) + self.noise.sample() * share);
        }
    }
}

/// Goes on with the last pitch period of a sound, fading.
struct Repetition {
    rate: SampleRate,
    /// One pitch period with its end laid over what went before its start.
    period: Vec<f32>,
    position: usize,
    /// Samples made.
    made: usize,
    /// Added to the repetition to meet the last sample heard; decays.
    offset: f32,
}

impl Repetition {
    fn of(history: &[i16], rate: SampleRate) -> Self {
        let length = best_period(history, rate);
        let overlap = length / 4;
        let end = history.len();
        let mut period: Vec<f32> = history[end - length..].iter().map(|&s| s as f32).collect();
        for n in 0..overlap {
            let before_start = history[end - length - overlap + n] as f32;
            let at = length - overlap + n;
            period[at] = fade(period[at], before_start, n, overlap);
        }
        let offset = history[end - 1] as f32 - history[end - 1 - length] as f32;
        Self { rate, period, position: 0, made: 0, offset }
    }

    /// Nothing of a voice: noise alone.
    fn gone(rate: SampleRate) -> Self {
        Self { rate, period: vec![0.0], position: 0, made: samples(rate, FADE_END_US), offset: 0.0 }
    }

    fn next(&mut self, noise: &mut Noise) -> f32 {
        const OFFSET_DECAY: f32 = 0.85;
        self.offset *= OFFSET_DECAY;
        let voice = self.period[self.position] + self.offset;
        self.position = (self.position + 1) % self.period.len();
        let gain = self.gain();
        self.made += 1;
        voice * gain + noise.sample() * (1.0 - gain)
    }

    fn gain(&self) -> f32 {
        let hold = samples(self.rate, HOLD_US);
        let end = samples(self.rate, FADE_END_US);
        1.0 - (self.made.saturating_sub(hold) as f32 / (end - hold) as f32).min(1.0)
    }
}

/// Step `n` of `length` of the way from one value to another, both ends left out.
fn fade(from: f32, to: f32, n: usize, length: usize) -> f32 {
    let weight = (n + 1) as f32 / (length + 1) as f32;
    from * (1.0 - weight) + to * weight
}

fn to_sample(value: f32) -> i16 {
    value as i16 // `as` saturates
}

/// Where in the middle half of a gap the two sounds are most alike over `length`.
fn best_meeting(forward: &[f32], backward: &[f32], length: usize) -> usize {
    let count = forward.len();
    let likeness = |at: usize| {
        let (mut product, mut energy) = (0.0f32, 1.0f32);
        for (a, b) in forward[at..at + length].iter().zip(&backward[at..at + length]) {
            product += a * b;
            energy += a * a + b * b;
        }
        product / energy
    };
    let last = (3 * count / 4).min(count - length);
    (count / 4..=last).map(|at| (at, likeness(at))).max_by(|a, b| a.1.total_cmp(&b.1)).map_or(0, |best| best.0)
}

const fn samples(rate: SampleRate, microseconds: usize) -> usize {
    rate.hz() as usize * microseconds / 1_000_000
}

/// The lag at which the end of `history` resembles what went before it most, by normalised cross-correlation: first on
/// every second lag, then around the best.
fn best_period(history: &[i16], rate: SampleRate) -> usize {
    let length = samples(rate, MATCH_US);
    let end = history.len();
    let recent = &history[end - length..];
    let score = |lag: usize| {
        let past = &history[end - length - lag..end - lag];
        let (mut product, mut energy) = (0.0f32, 1.0f32);
        for (&a, &b) in recent.iter().zip(past) {
            product += a as f32 * b as f32;
            energy += b as f32 * b as f32;
        }
        product / energy.sqrt()
    };
    let best_of = |lags: &mut dyn Iterator<Item = usize>| {
        lags.map(|lag| (lag, score(lag))).max_by(|a, b| a.1.total_cmp(&b.1)).map_or(length, |best| best.0)
    };
    let shortest = samples(rate, SHORTEST_PERIOD_US);
    // The overlap before the period is a quarter of it.
    let longest = samples(rate, LONGEST_PERIOD_US).min(end - length).min(end * 4 / 5);
    let coarse = best_of(&mut (shortest..=longest).step_by(2));
    best_of(&mut (coarse.saturating_sub(1).max(shortest)..=(coarse + 1).min(longest)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Random, band_distance_db, correlation, rms, strongest_frequency, tone, voice};

    const RATE: SampleRate = SampleRate::Hz8000;

    /// Runs 20 ms frames through a concealer, the ones that `lost` picks replaced.
    fn with_losses(input: &[i16], mut lost: impl FnMut(usize) -> bool) -> Vec<i16> {
        let mut concealer = Concealer::new(RATE);
        let mut out = Vec::new();
        for (n, frame) in input.chunks_exact(160).enumerate() {
            if lost(n) {
                concealer.conceal(160, &mut out);
            } else {
                let mut frame = frame.to_vec();
                concealer.heard(&mut frame);
                out.extend(frame);
            }
        }
        out
    }

    #[test]
    fn a_tone_goes_on_through_a_lost_frame() {
        for frequency in [90.0, 150.0, 220.0, 440.0, 1000.0] {
            let input = tone(frequency, 8000.0, RATE, 400);
            let out = with_losses(&input, |n| n == 10);
            let hole = &out[1600..1760];
            assert!(rms(hole) > 0.6 * rms(&input), "{frequency} Hz: {}", rms(hole));
            assert!(correlation(hole, &input[1600..1760]) > 0.9, "{frequency} Hz");
        }
    }

    #[test]
    fn the_joints_do_not_click() {
        let input = tone(220.0, 8000.0, RATE, 400);
        let out = with_losses(&input, |n| n == 10 || n == 11);
        let steepest = |s: &[i16]| s.windows(2).map(|p| (p[0] as i32 - p[1] as i32).abs()).max().unwrap();
        assert!(steepest(&out) < 2 * steepest(&input), "{} against {}", steepest(&out), steepest(&input));
    }

    #[test]
    fn a_long_loss_fades_to_the_background_within_a_tenth_of_a_second() {
        let input = tone(220.0, 8000.0, RATE, 400);
        let mut concealer = Concealer::new(RATE);
        concealer.heard(&mut vec![0; 160]);
        for frame in input.chunks_exact(160) {
            concealer.heard(&mut frame.to_vec());
        }
        let mut out = Vec::new();
        concealer.conceal(8000, &mut out);
        let levels: Vec<f64> = out.chunks(160).map(rms).collect();
        assert!(levels[0] > 4000.0 && levels[2] < levels[1] && levels[3] < levels[2]);
        assert!(levels[5..].iter().all(|&level| level < 201.0), "{levels:?}");
    }

    #[test]
    fn concealed_speech_resembles_speech_more_than_holes_do() {
        let mut random = Random::new(3);
        let (mut ours, mut holes) = (0.0, 0.0);
        for seed in 0..12 {
            let input = voice(RATE, 5000, seed);
            let pattern: Vec<bool> = (0..250).map(|_| random.chance(0.1)).collect();
            let out = with_losses(&input, |n| pattern[n]);
            let mut zeroed = input.clone();
            for (n, frame) in zeroed.chunks_exact_mut(160).enumerate() {
                if pattern[n] {
                    frame.fill(0);
                }
            }
            ours += band_distance_db(&input, &out, RATE) / 12.0;
            holes += band_distance_db(&input, &zeroed, RATE) / 12.0;
        }
        assert!(ours < 0.4 * holes, "{ours:.2} dB against {holes:.2} dB");
    }

    #[test]
    fn a_gap_between_two_packets_is_bridged_better_than_it_is_filled() {
        let (mut filled, mut bridged) = (0.0, 0.0);
        for seed in 0..8 {
            let input = voice(RATE, 4000, seed);
            let lost = |n: usize| n % 6 == 5;
            filled += band_distance_db(&input, &with_losses(&input, lost), RATE) / 8.0;
            let (mut concealer, mut out) = (Concealer::new(RATE), Vec::new());
            for (n, frame) in input.chunks_exact(160).enumerate() {
                match input.get((n + 1) * 160..(n + 2) * 160) {
                    Some(next) if lost(n) => concealer.bridge(160, next, &mut out),
                    _ => {
                        let mut frame = frame.to_vec();
                        assert!(!concealer.heard(&mut frame), "nothing is to be blended after a bridge");
                        out.extend(frame);
                    }
                }
            }
            bridged += band_distance_db(&input, &out, RATE) / 8.0;
        }
        println!("filled {filled:.2} dB, bridged {bridged:.2} dB");
        assert!(bridged < 0.95 * filled, "filled {filled:.2} dB, bridged {bridged:.2} dB");
    }

    #[test]
    fn bridges_of_any_length_to_frames_of_any_length_are_built() {
        let mut random = Random::new(1);
        for _ in 0..300 {
            let mut concealer = Concealer::new(if random.chance(0.5) { RATE } else { SampleRate::Hz16000 });
            let mut noise: Vec<i16> = (0..random.below(600)).map(|_| random.next_u64() as i16).collect();
            concealer.heard(&mut noise);
            let mut out = Vec::new();
            let count = random.below(900) as usize;
            let next = noise.len().min(random.below(600) as usize);
            concealer.bridge(count, &noise[..next], &mut out);
            assert_eq!(out.len(), count);
        }
    }

    #[test]
    fn the_pitch_is_found() {
        let input = tone(200.0, 8000.0, RATE, 100);
        let out = with_losses(&input, |n| n == 4);
        assert!((strongest_frequency(&out[400..], RATE) - 200.0).abs() < 6.0);
    }
}
