//! Time to encode a frame, ours beside libspeex, interleaved so that a noisy machine disturbs both alike.
//!
//! ```text
//! speed [nb|wb|uwb QUALITY COMPLEXITY]...      default: a table of the usual settings
//! ```
//! Prints, in microseconds a frame of 20 ms, slices of the corpus at their best of some rounds: with the widest registers, without
//! them, libspeex, and the ratios to libspeex. With SPEEX_SPEED_AS_IS set, no noise is added to the recordings.

use std::time::Instant;

use gateway_tests::{libspeex, speex_corpus as corpus};
use speex_codec::{Encoder, Mode};

const ROUNDS: usize = 9;
const SENTENCES: usize = 5;
/// Frames that are timed together: short enough to be left alone by other programs once in so many rounds.
const SLICE: usize = 25;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    println!("mode quality complexity | wide  baseline  libspeex | ratios");
    let mut settings: Vec<_> = arguments
        .chunks_exact(3)
        .map(|chosen| {
            let mode = match chosen[0].as_str() {
                "nb" => Mode::Narrowband,
                "wb" => Mode::Wideband,
                _ => Mode::UltraWideband,
            };
            (mode, number(&chosen[1]), number(&chosen[2]))
        })
        .collect();
    if settings.is_empty() {
        for mode in [Mode::Narrowband, Mode::Wideband] {
            for quality in [2, 4, 6, 8, 10] {
                settings.extend([1, 2, 3, 5].map(|complexity| (mode, quality, complexity)));
            }
        }
    }
    for (mode, quality, complexity) in settings {
        measure(mode, quality, complexity);
    }
}

fn number(text: &str) -> u8 {
    text.parse().expect("quality and complexity are numbers")
}

fn measure(mode: Mode, quality: u8, complexity: u8) {
    let all = corpus::sentences(mode);
    let step = all.len() / SENTENCES;
    let speech = all.iter().step_by(step).flat_map(|sentence| sentence.samples.clone());
    let samples: Vec<i16> = match std::env::var_os("SPEEX_SPEED_AS_IS") {
        Some(_) => speech.collect(),
        None => with_noise(speech),
    };
    let frames = samples.len() / mode.frame_samples();
    let mut best = [(); 3].map(|()| vec![f64::MAX; frames.div_ceil(SLICE)]);
    for _ in 0..ROUNDS {
        for (number, best) in best.iter_mut().enumerate() {
            match number {
                0 => ours(Encoder::new(mode), quality, complexity, &samples, best),
                1 => ours(Encoder::without_wide_registers(mode), quality, complexity, &samples, best),
                _ => theirs(mode, quality, complexity, &samples, best),
            }
        }
    }
    let [wide, baseline, lib] = best.map(|slices| slices.iter().sum::<f64>() * 1e6 / frames as f64);
    println!(
        "{mode:?} q{quality:<2} c{complexity:<2} | {wide:6.2} {baseline:6.2} {lib:6.2} | {:.2} {:.2}",
        wide / lib,
        baseline / lib
    );
}

/// The pauses of the corpus are digital silence, where libspeex falls into subnormal numbers and takes several times as
/// long. A microphone is never that quiet: noise of two steps makes the comparison fair.
fn with_noise(speech: impl Iterator<Item = i16>) -> Vec<i16> {
    let mut seed = 1u32;
    speech
        .map(|sample| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            sample.saturating_add((seed >> 16) as i16 % 3)
        })
        .collect()
}

/// Runs `encode` over all frames and keeps, for each slice of them, the shortest time that it ever took.
fn time(samples: &[i16], frame: usize, best: &mut [f64], mut encode: impl FnMut(&[i16])) {
    for (slice, best) in samples.chunks(frame * SLICE).zip(best) {
        let start = Instant::now();
        slice.chunks_exact(frame).for_each(|frame| encode(std::hint::black_box(frame)));
        *best = best.min(start.elapsed().as_secs_f64());
    }
}

fn ours(mut encoder: Encoder, quality: u8, complexity: u8, samples: &[i16], best: &mut [f64]) {
    encoder.set_quality(quality);
    encoder.set_complexity(complexity);
    let mut packet = [0u8; speex_codec::MAX_FRAME_BYTES];
    time(samples, encoder.mode().frame_samples(), best, |frame| {
        let written = encoder.encode(frame, &mut packet);
        assert!(std::hint::black_box(written).is_ok());
    });
}

fn theirs(mode: Mode, quality: u8, complexity: u8, samples: &[i16], best: &mut [f64]) {
    let mut encoder = libspeex::Encoder::new(mode);
    encoder.set_quality(quality.into());
    encoder.set_complexity(complexity.into());
    let mut packet = Vec::new();
    time(samples, mode.frame_samples(), best, |frame| {
        encoder.encode(frame, &mut packet);
        std::hint::black_box(&packet);
    });
}
