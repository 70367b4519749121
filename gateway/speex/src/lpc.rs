//! Linear prediction: from a windowed stretch of signal to the filter that predicts it.

use crate::simd::{self, Simd};
use crate::tables::window;

/// White noise added to the signal's energy, so that silence has a filter too.
const FLOOR: f32 = 10.0;
/// Part of the energy that keeps a reflection from reaching 1.
const REFLECTION_GUARD: f32 = 0.003;

/// The prediction filter (of order 10 at most) of `signal`, which is windowed and made of whole blocks of eight: coefficients of z^-1 to z^-N, error = x[n] + sum a[k] x[n-k].
///
/// `noise_floor` (of the energy) is added to lag 0, and the lags are tapered, so that peaks do not get too sharp.
pub(crate) fn analyse<const N: usize>(simd: Simd, signal: &[f32], noise_floor: f32) -> [f32; N] {
    let products = simd::autocorrelate::<11>(simd, signal);
    let mut lags = [0.0; N];
    for ((lag, product), taper) in lags.iter_mut().zip(&products[1..]).zip(&window::LAG[1..]) {
        *lag = product * taper;
    }
    levinson((products[0] + FLOOR) * (1.0 + noise_floor) * window::LAG[0], &lags)
}

/// Levinson's recursion: the filter for an autocorrelation (lag 0; lags 1 to N).
pub(crate) fn levinson<const N: usize>(zero: f32, lags: &[f32; N]) -> [f32; N] {
    let mut lpc = [0.0; N];
    let mut error = zero;
    for i in 0..N {
        let predicted: f32 = lpc[..i].iter().zip(lags[..i].iter().rev()).map(|(a, lag)| a * lag).sum();
        let reflection = -(lags[i] + predicted) / (error + REFLECTION_GUARD * zero);
        let before = lpc;
        for j in 0..i {
            lpc[j] += reflection * before[i - 1 - j];
        }
        lpc[i] = reflection;
        error -= reflection * reflection * error;
    }
    lpc
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    #[test]
    fn the_filter_of_a_predictable_signal_predicts_it() {
        // A damped resonance, excited by a pulse every 50 samples.
        let mut signal = std::vec![0.0f32; 400];
        for n in 2..400 {
            signal[n] = 1.6 * signal[n - 1] - 0.81 * signal[n - 2] + if n % 50 == 0 { 1000.0 } else { 0.0 };
        }
        let lpc: [f32; 10] = analyse(Simd::detect(), &signal, 0.0);
        let (mut energy, mut error) = (0.0, 0.0);
        for n in 10..400 {
            let predicted: f32 = -lpc.iter().enumerate().map(|(k, a)| a * signal[n - 1 - k]).sum::<f32>();
            energy += signal[n] * signal[n];
            error += (signal[n] - predicted) * (signal[n] - predicted);
        }
        assert!(error < 0.2 * energy, "{error} of {energy}");
    }

    #[test]
    fn silence_has_a_flat_filter() {
        assert_eq!(analyse::<8>(Simd::detect(), &[0.0; 200], 0.0002), [0.0; 8]);
    }
}
