//! A resampler for judges: a windowed sinc of 64 zero crossings either way, no delay. Slow, and nothing of the gateway's.

use std::f64::consts::PI;

const CROSSINGS: f64 = 64.0;

/// The same sound at another rate, in Hz, as long and in the same place.
pub(crate) fn convert(input: &[i16], from: u32, to: u32) -> Vec<i16> {
    if from == to {
        return input.to_vec();
    }
    let (from, to) = (from as usize, to as usize);
    // Cut off just below half of the lower rate, in cycles a sample of the input.
    let cutoff = 0.485 * (to as f64 / from as f64).min(1.0);
    let reach = CROSSINGS / (2.0 * cutoff);
    // The place between two input samples repeats: taps once for each.
    let step = from / gcd(from, to);
    let phases = to / gcd(from, to);
    let taps: Vec<Vec<f64>> = (0..phases)
        .map(|phase| {
            let place = (phase * step % phases) as f64 / phases as f64;
            (-(reach as isize)..=reach as isize).map(|n| tap(n as f64 - place, cutoff, reach)).collect()
        })
        .collect();
    (0..input.len() * to / from)
        .map(|n| {
            let first = (n * from / to) as isize - reach as isize;
            let sum: f64 = taps[n % phases]
                .iter()
                .enumerate()
                .filter_map(|(k, tap)| Some(f64::from(*input.get(usize::try_from(first + k as isize).ok()?)?) * tap))
                .sum();
            sum.round() as i16 // `as` saturates
        })
        .collect()
}

fn tap(at: f64, cutoff: f64, reach: f64) -> f64 {
    if at.abs() >= reach {
        return 0.0;
    }
    let window = 0.5 + 0.5 * (PI * at / reach).cos();
    let x = 2.0 * cutoff * at;
    2.0 * cutoff * window * if x == 0.0 { 1.0 } else { (PI * x).sin() / (PI * x) }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}
