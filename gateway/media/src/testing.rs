//! Signals made and measured, for tests: tones, a voice that is not recorded, and a network that is bad on purpose.

use std::f64::consts::TAU;

use crate::codec::SampleRate;

/// A generator of the same numbers for the same seed (xorshift64*).
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    /// Any seed will do.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// 64 bits.
    pub(crate) fn next_u64(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// 0.0..1.0
    pub(crate) fn uniform(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// True with this probability.
    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        self.uniform() < probability
    }

    /// 0..bound
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next_u64() % bound
    }
}

/// A sine of `amplitude`.
pub(crate) fn tone(frequency: f64, amplitude: f64, rate: SampleRate, ms: u32) -> Vec<i16> {
    let step = TAU * frequency / rate.hz() as f64;
    (0..rate.samples_in_ms(ms)).map(|n| (amplitude * (step * n as f64).sin()).round() as i16).collect()
}

/// Root mean square.
pub(crate) fn rms(samples: &[i16]) -> f64 {
    (samples.iter().map(|&s| (s as f64).powi(2)).sum::<f64>() / samples.len().max(1) as f64).sqrt()
}

/// A level in dB over one step of 16-bit audio.
pub(crate) fn level_db(rms: f64) -> f64 {
    20.0 * rms.max(1e-6).log10()
}

/// RMS level in dB of one frequency in `samples` (a single bin of a Hann-windowed Fourier transform).
pub(crate) fn tone_level_db(samples: &[i16], frequency: f64, rate: SampleRate) -> f64 {
    level_db(tone_amplitude(samples, frequency, rate) / 2f64.sqrt())
}

/// Amplitude of one frequency.
pub(crate) fn tone_amplitude(samples: &[i16], frequency: f64, rate: SampleRate) -> f64 {
    windowed_amplitude(&hann_windowed(samples), frequency, rate)
}

/// The strongest frequency between 50 Hz and half the rate, to about 2 Hz, from the first 200 ms.
pub(crate) fn strongest_frequency(samples: &[i16], rate: SampleRate) -> f64 {
    let windowed = hann_windowed(&samples[..samples.len().min(rate.samples_in_ms(200))]);
    let strongest = |frequencies: &mut dyn Iterator<Item = u32>| {
        frequencies
            .map(|f| (f, windowed_amplitude(&windowed, f as f64, rate)))
            .max_by(|a, b| a.1.total_cmp(&b.1))
            .map_or(0, |best| best.0)
    };
    let coarse = strongest(&mut (50..rate.hz() / 2).step_by(4));
    strongest(&mut (coarse - 4..=coarse + 4)) as f64
}

fn hann_windowed(samples: &[i16]) -> Vec<f64> {
    let length = samples.len() as f64;
    samples.iter().enumerate().map(|(n, &s)| s as f64 * (0.5 - 0.5 * (TAU * n as f64 / length).cos())).collect()
}

/// A single bin, by a turning phasor.
fn windowed_amplitude(windowed: &[f64], frequency: f64, rate: SampleRate) -> f64 {
    let (turn_im, turn_re) = (TAU * frequency / rate.hz() as f64).sin_cos();
    let (mut re, mut im, mut sum_re, mut sum_im) = (1.0, 0.0, 0.0, 0.0);
    for &sample in windowed {
        sum_re += sample * re;
        sum_im += sample * im;
        (re, im) = (re * turn_re - im * turn_im, re * turn_im + im * turn_re);
    }
    2.0 * sum_re.hypot(sum_im) / (windowed.len() as f64 / 2.0)
}

/// Level of a tone over everything else, in dB, however the tone's phase lies.
pub(crate) fn tone_to_noise_db(samples: &[i16], frequency: f64, rate: SampleRate) -> f64 {
    // Least squares fit of the sine and cosine, then what is left.
    let (mut ss, mut sc, mut cc, mut xs, mut xc) = (0.0, 0.0, 0.0, 0.0, 0.0);
    let angle = |n: usize| TAU * frequency * n as f64 / rate.hz() as f64;
    for (n, &x) in samples.iter().enumerate() {
        let (s, c) = angle(n).sin_cos();
        ss += s * s;
        sc += s * c;
        cc += c * c;
        xs += x as f64 * s;
        xc += x as f64 * c;
    }
    let determinant = ss * cc - sc * sc;
    let (a, b) = ((xs * cc - xc * sc) / determinant, (xc * ss - xs * sc) / determinant);
    let (mut signal, mut noise) = (0.0, 0.0);
    for (n, &x) in samples.iter().enumerate() {
        let (s, c) = angle(n).sin_cos();
        let fit = a * s + b * c;
        signal += fit * fit;
        noise += (x as f64 - fit).powi(2);
    }
    10.0 * (signal / noise.max(1e-9)).log10()
}

/// Something like speech: a glottal pulse train of moving pitch through three moving formants, in syllables with pauses.
pub(crate) fn voice(rate: SampleRate, ms: u32, seed: u64) -> Vec<i16> {
    const VOWELS: [[f64; 3]; 5] =
        [[730., 1090., 2440.], [270., 2290., 3010.], [300., 870., 2240.], [530., 1840., 2480.], [570., 840., 2410.]];
    let hz = rate.hz() as f64;
    let mut random = Random::new(seed);
    let mut formants = [Formant::default(); 3];
    let mut out = Vec::with_capacity(rate.samples_in_ms(ms));
    let (mut phase, mut pitch, mut vowel, mut left, mut length, mut voiced) = (0.0, 120.0, VOWELS[0], 0, 1, true);
    for n in 0..rate.samples_in_ms(ms) {
        if left == 0 {
            length = ((0.12 + 0.15 * random.uniform()) * hz) as usize;
            left = length;
            vowel = VOWELS[random.below(5) as usize];
            voiced = random.chance(0.85);
            pitch = 95.0 + 60.0 * random.uniform();
        }
        left -= 1;
        let envelope = (std::f64::consts::PI * left as f64 / length as f64).sin().powf(0.7);
        phase += (pitch + 8.0 * (n as f64 / hz * 5.0).sin()) / hz;
        let pulse = if phase >= 1.0 {
            phase -= 1.0;
            1.0
        } else {
            0.0
        };
        let breath = (random.uniform() - 0.5) * 0.05;
        let mut sample = if voiced { pulse + breath } else { breath * 2.0 };
        for (formant, frequency) in formants.iter_mut().zip(vowel) {
            sample = formant.step(sample, frequency, 90.0, hz);
        }
        out.push((sample * envelope * 9000.0).clamp(-28_000.0, 28_000.0) as i16);
    }
    out
}

/// A two-pole resonator.
#[derive(Debug, Clone, Copy, Default)]
struct Formant(f64, f64);

impl Formant {
    fn step(&mut self, input: f64, frequency: f64, bandwidth: f64, hz: f64) -> f64 {
        let radius = (-std::f64::consts::PI * bandwidth / hz).exp();
        let b = 2.0 * radius * (TAU * frequency / hz).cos();
        let gain = 1.0 - b + radius * radius;
        let out = gain * input * 4.0 + b * self.0 - radius * radius * self.1;
        (self.0, self.1) = (out, self.0);
        out
    }
}

/// Largest normalised correlation of `heard` with `said` over lags of 0..=`max_lag` samples, and the lag.
pub(crate) fn best_correlation(said: &[i16], heard: &[i16], max_lag: usize) -> (f64, usize) {
    (0..=max_lag.min(heard.len().saturating_sub(1)))
        .map(|lag| (correlation(said, &heard[lag..]), lag))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .unwrap_or((0.0, 0))
}

/// Normalised correlation over the common length.
pub(crate) fn correlation(a: &[i16], b: &[i16]) -> f64 {
    let (mut ab, mut aa, mut bb) = (0.0, 1e-9, 1e-9);
    for (&x, &y) in a.iter().zip(b) {
        ab += x as f64 * y as f64;
        aa += (x as f64).powi(2);
        bb += (y as f64).powi(2);
    }
    ab / (aa * bb).sqrt()
}

/// How different two recordings are to the ear, roughly: mean distance in dB of their band levels, frame by frame of
/// 20 ms, where `said` is not quiet.
pub(crate) fn band_distance_db(said: &[i16], heard: &[i16], rate: SampleRate) -> f64 {
    let frame = rate.samples_in_ms(20);
    let (mut total, mut count) = (0.0, 0);
    for (a, b) in said.chunks_exact(frame).zip(heard.chunks_exact(frame)) {
        if rms(a) < 100.0 {
            continue;
        }
        for band in (200..3400).step_by(200) {
            let level = |samples| level_db(tone_amplitude(samples, band as f64, rate)).max(10.0);
            total += (level(a) - level(b)).abs();
            count += 1;
        }
    }
    total / count.max(1) as f64
}

/// Where virtual time starts. The value does not matter; it is read once.
#[allow(clippy::disallowed_methods)] // the only way to make an `Instant`; no test waits for it
pub(crate) fn epoch() -> std::time::Instant {
    static EPOCH: std::sync::LazyLock<std::time::Instant> = std::sync::LazyLock::new(std::time::Instant::now);
    *EPOCH + std::time::Duration::from_secs(1000)
}

/// An agreement on one codec, both ways, with telephone events.
pub(crate) fn negotiated(codec: crate::codec::Codec) -> crate::sdp::Negotiated {
    use crate::sdp::{Direction, Negotiated, PayloadFormat, TelephoneEvent};
    let format = PayloadFormat { payload_type: codec.info().static_payload_type.unwrap_or(96), codec };
    let event = TelephoneEvent { payload_type: 101, clock_rate: 8000 };
    Negotiated {
        remote_rtp: Some(([192, 0, 2, 1], 4000).into()),
        remote_rtcp: Some(([192, 0, 2, 1], 4001).into()),
        send: format,
        receive: vec![format],
        telephone_event: Some(event),
        receive_events: vec![event],
        opus: crate::codec::OpusWishes::default(),
        comfort_noise: None,
        receive_comfort_noise: None,
        direction: Direction::SendRecv,
        ptime_ms: 20,
    }
}
