//! Ears: where one recording lies in another, how alike they are, how loud, and which tone is in it.

use std::f64::consts::PI;

/// Where a recording was found in another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Alignment {
    /// `heard[lag + n]` is `reference[n]`.
    pub lag: isize,
    /// Normalised correlation at that place, -1 to 1 (1: the same but for loudness).
    pub correlation: f64,
}

/// Finds `reference` in `heard` by cross-correlation, over lags of at most `max_lag` samples either way.
pub fn align(reference: &[i16], heard: &[i16], max_lag: usize) -> Alignment {
    let size = (reference.len() + heard.len()).next_power_of_two();
    let mut spectrum = transform(reference, size);
    let other = transform(heard, size);
    for (a, b) in spectrum.iter_mut().zip(&other) {
        // conj(reference) * heard: peaks where heard is reference, delayed.
        *a = (a.0 * b.0 + a.1 * b.1, a.0 * b.1 - a.1 * b.0);
    }
    // Inverse by conjugation; only the real part is wanted, so the second conjugation is left out.
    for value in &mut spectrum {
        value.1 = -value.1;
    }
    fft(&mut spectrum);
    let at = |lag: isize| spectrum[lag.rem_euclid(size as isize) as usize].0;
    let reach = max_lag as isize;
    let lag = (-reach..=reach).max_by(|a, b| at(*a).total_cmp(&at(*b))).unwrap_or(0);
    Alignment { lag, correlation: correlation(reference, heard, lag) }
}

/// Normalised correlation where the two overlap at this lag.
pub fn correlation(reference: &[i16], heard: &[i16], lag: isize) -> f64 {
    let (a, b) = overlap(reference, heard, lag);
    let dot = |x: &[i16], y: &[i16]| x.iter().zip(y).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
    let power = (dot(a, a) * dot(b, b)).sqrt();
    if power == 0.0 { 0.0 } else { dot(a, b) / power }
}

/// The typical likeness of two-second windows, each aligned by itself around `lag`: what a jitter buffer that moved in between leaves
/// of a correlation. Windows of silence do not count.
pub fn piecewise_correlation(reference: &[i16], heard: &[i16], lag: isize, rate: u32) -> f64 {
    let (window, reach) = (rate as usize * 2, rate as usize / 4);
    let mut found: Vec<f64> = Vec::new();
    for (number, piece) in reference.chunks_exact(window).enumerate() {
        let begin = (number * window) as isize + lag - reach as isize;
        let begin = usize::try_from(begin).unwrap_or(0).min(heard.len());
        let around = &heard[begin..(begin + window + 2 * reach).min(heard.len())];
        if level(piece) > 100.0 {
            found.push(align(piece, around, 2 * reach).correlation);
        }
    }
    found.sort_by(f64::total_cmp);
    found.get(found.len() / 2).copied().unwrap_or(0.0)
}

/// Samples as raw files hold them: 16 bit, little-endian.
pub fn to_bytes(pcm: &[i16]) -> Vec<u8> {
    pcm.iter().flat_map(|sample| sample.to_le_bytes()).collect()
}

/// The samples of such bytes.
pub fn from_bytes(bytes: &[u8]) -> Vec<i16> {
    bytes.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect()
}

/// What was heard of `reference`, as long as that: each second by itself, as far as a quarter of a second from where the one before
/// was. What a jitter buffer cut out or put in is gone from it but for the seconds where it did so.
pub fn realigned(reference: &[i16], heard: &[i16], lag: isize, rate: u32) -> Vec<i16> {
    let (window, reach) = (rate as usize, rate as isize / 4);
    let sample = |at: isize| usize::try_from(at).ok().and_then(|at| heard.get(at)).copied().unwrap_or(0);
    let (mut lag, mut out) = (lag, Vec::with_capacity(reference.len()));
    for (number, piece) in reference.chunks(window).enumerate() {
        let begin = (number * window) as isize;
        let around: Vec<i16> = (-reach..piece.len() as isize + reach).map(|n| sample(begin + lag + n)).collect();
        let found = align(piece, &around, 2 * reach as usize);
        if level(piece) > 100.0 && found.correlation > 0.5 {
            lag += (found.lag - reach).clamp(-reach, reach);
        }
        out.extend((0..piece.len() as isize).map(|n| sample(begin + lag + n)));
    }
    out
}

/// The parts of both that belong together at this lag, of equal length.
pub fn overlap<'a>(reference: &'a [i16], heard: &'a [i16], lag: isize) -> (&'a [i16], &'a [i16]) {
    let a = &reference[usize::try_from(-lag).unwrap_or(0).min(reference.len())..];
    let b = &heard[usize::try_from(lag).unwrap_or(0).min(heard.len())..];
    let length = a.len().min(b.len());
    (&a[..length], &b[..length])
}

/// Root mean square of samples, 0 to 32767.
pub fn level(pcm: &[i16]) -> f64 {
    if pcm.is_empty() {
        return 0.0;
    }
    (pcm.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / pcm.len() as f64).sqrt()
}

/// The share of the energy that lies at one frequency, 0 to 1 (Goertzel).
pub fn tone_share(pcm: &[i16], rate: u32, frequency: f64) -> f64 {
    let turn = 2.0 * PI * frequency / f64::from(rate);
    let (mut re, mut im, mut energy) = (0.0, 0.0, 0.0);
    for (n, sample) in pcm.iter().enumerate() {
        let (sin, cos) = (turn * n as f64).sin_cos();
        re += f64::from(*sample) * cos;
        im += f64::from(*sample) * sin;
        energy += f64::from(*sample).powi(2);
    }
    if energy == 0.0 { 0.0 } else { 2.0 * (re * re + im * im) / (energy * pcm.len() as f64) }
}

/// A sine, `amplitude` 0 to 32767.
pub fn tone(rate: u32, frequency: f64, seconds: f64, amplitude: f64) -> Vec<i16> {
    let turn = 2.0 * PI * frequency / f64::from(rate);
    (0..(f64::from(rate) * seconds) as usize).map(|n| (amplitude * (turn * n as f64).sin()) as i16).collect()
}

/// Stretches of at least `run` samples of silence (below `floor`) that lie inside sound, in samples: cuts in what was heard.
pub fn gaps(pcm: &[i16], floor: i16, run: usize) -> Vec<(usize, usize)> {
    let loud = |s: &i16| s.unsigned_abs() > floor.unsigned_abs();
    let Some(first) = pcm.iter().position(loud) else { return Vec::new() };
    let last = pcm.iter().rposition(loud).unwrap_or(first);
    let mut found = Vec::new();
    let mut start = first;
    for (n, sample) in pcm.iter().enumerate().take(last + 1).skip(first) {
        if loud(sample) {
            if n - start > run {
                found.push((start, n - start));
            }
            start = n + 1;
        }
    }
    found
}

/// Half the sample rate, through a linear-phase low-pass that ends just below the new half rate. No delay.
pub fn halve(pcm: &[i16]) -> Vec<i16> {
    let taps = half_band();
    (0..pcm.len() / 2).map(|n| filter_at(&taps, |k| pcm.get(k).copied(), 2 * n, 1.0)).collect()
}

/// Twice the sample rate, through the same low-pass. No delay.
pub fn double(pcm: &[i16]) -> Vec<i16> {
    let taps = half_band();
    let spread = |k: usize| if k.is_multiple_of(2) { pcm.get(k / 2).copied() } else { Some(0) };
    (0..pcm.len() * 2).map(|n| filter_at(&taps, spread, n, 2.0)).collect()
}

const HALF_TAPS: isize = 64;

/// A windowed sinc with its edge at 0.235 of the rate: 3760 Hz at 16 kHz.
fn half_band() -> Vec<f64> {
    (-HALF_TAPS..=HALF_TAPS)
        .map(|n| {
            let x = 2.0 * 0.235 * n as f64;
            let sinc = if n == 0 { 1.0 } else { (PI * x).sin() / (PI * x) };
            let window = 0.5 + 0.5 * (PI * n as f64 / (HALF_TAPS + 1) as f64).cos();
            2.0 * 0.235 * sinc * window
        })
        .collect()
}

fn filter_at(taps: &[f64], sample: impl Fn(usize) -> Option<i16>, centre: usize, gain: f64) -> i16 {
    let sum: f64 = (-HALF_TAPS..=HALF_TAPS)
        .zip(taps)
        .filter_map(|(offset, tap)| {
            let index = usize::try_from(centre as isize + offset).ok()?;
            Some(tap * f64::from(sample(index)?))
        })
        .sum();
    (gain * sum).round().clamp(-32_768.0, 32_767.0) as i16
}

fn transform(pcm: &[i16], size: usize) -> Vec<(f64, f64)> {
    let mut values: Vec<(f64, f64)> = pcm.iter().map(|s| (f64::from(*s), 0.0)).collect();
    values.resize(size, (0.0, 0.0));
    fft(&mut values);
    values
}

/// In-place radix-2 transform (Cooley and Tukey); the length is a power of two.
fn fft(values: &mut [(f64, f64)]) {
    let size = values.len();
    let shift = usize::BITS - size.trailing_zeros();
    for n in 0..size {
        let mirrored = if size == 1 { 0 } else { n.reverse_bits() >> shift };
        if n < mirrored {
            values.swap(n, mirrored);
        }
    }
    let mut span = 1;
    while span < size {
        let twiddles: Vec<(f64, f64)> = (0..span).map(|k| (-PI * k as f64 / span as f64).sin_cos()).collect();
        for block in values.chunks_exact_mut(2 * span) {
            let (low, high) = block.split_at_mut(span);
            for ((a, b), (sin, cos)) in low.iter_mut().zip(high).zip(&twiddles) {
                let turned = (b.0 * cos - b.1 * sin, b.0 * sin + b.1 * cos);
                *b = (a.0 - turned.0, a.1 - turned.1);
                *a = (a.0 + turned.0, a.1 + turned.1);
            }
        }
        span *= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(samples: usize) -> Vec<i16> {
        let mut state = 1u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 17) as i16 - 16_384
        };
        (0..samples).map(|_| next()).collect()
    }

    #[test]
    fn a_delayed_and_quieter_copy_is_found_where_it_lies() {
        let reference = noise(5000);
        let late: Vec<i16> = std::iter::repeat_n(0, 321).chain(reference.iter().map(|s| s / 3)).collect();
        let found = align(&reference, &late, 1000);
        assert_eq!(found.lag, 321);
        assert!(found.correlation > 0.999, "{found:?}");
        assert_eq!(align(&late, &reference, 1000).lag, -321);
    }

    #[test]
    fn what_a_jitter_buffer_cut_out_is_put_in_line_again() {
        let reference: Vec<i16> = noise(40_000).iter().map(|s| s / 4).collect();
        let heard: Vec<i16> = [vec![0; 700], reference[..16_000].to_vec(), reference[16_480..].to_vec()].concat();
        let again = realigned(&reference, &heard, 700, 8000);
        assert_eq!(again.len(), reference.len());
        assert_eq!(again[..16_000], reference[..16_000]);
        assert_eq!(again[16_480..39_000], reference[16_480..39_000]);
    }

    #[test]
    fn unrelated_noise_correlates_with_nothing() {
        let both = noise(10_000);
        assert!(align(&both[..5000], &both[5000..], 1000).correlation.abs() < 0.1);
    }

    #[test]
    fn a_tone_is_found_and_survives_halving_and_doubling() {
        let pcm = tone(16_000, 1000.0, 0.5, 8000.0);
        assert!(tone_share(&pcm, 16_000, 1000.0) > 0.99);
        assert!(tone_share(&pcm, 16_000, 1500.0) < 0.01);
        let there_and_back = double(&halve(&pcm));
        assert!(align(&pcm, &there_and_back, 100).correlation > 0.999);
        assert_eq!(align(&pcm, &there_and_back, 7).lag, 0);
        let high = tone(16_000, 6000.0, 0.5, 8000.0);
        assert!(level(&halve(&high)) < 30.0, "{}", level(&halve(&high)));
    }

    #[test]
    fn a_cut_in_the_middle_is_a_gap_and_silence_at_the_ends_is_none() {
        let mut pcm = vec![0; 400];
        pcm.extend([9000; 400]);
        pcm.extend([0; 300]);
        pcm.extend([9000; 400]);
        pcm.extend([0; 400]);
        assert_eq!(gaps(&pcm, 100, 160), [(800, 300)]);
    }
}
