//! Encoding beside libspeex: time for 8 s of recorded speech, 400 frames of 20 ms.
//!
//! `cargo bench -p gateway-tests --bench speex_encode`; `speex/speed.rs` gives the same as a table, undisturbed by a busy
//! machine.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use gateway_tests::{libspeex, speex_corpus as corpus};
use speex_codec::{Encoder, MAX_FRAME_BYTES, Mode};

/// Frames in one pass.
const FRAMES: usize = 400;

fn encode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode");
    group.throughput(Throughput::Elements(FRAMES as u64));
    for (mode, quality, complexity) in [
        (Mode::Narrowband, 2, 1),
        (Mode::Narrowband, 4, 2),
        (Mode::Narrowband, 6, 2),
        (Mode::Narrowband, 8, 2),
        (Mode::Narrowband, 8, 5),
        (Mode::Wideband, 4, 2),
        (Mode::Wideband, 6, 2),
        (Mode::Wideband, 8, 2),
        (Mode::Wideband, 8, 5),
        (Mode::Wideband, 10, 3),
    ] {
        let speech: Vec<i16> =
            corpus::sentences(mode).into_iter().step_by(6).flat_map(|sentence| sentence.samples).collect();
        let frames = || speech.chunks_exact(mode.frame_samples()).take(FRAMES);
        let name = format!("{mode:?}-q{quality}-c{complexity}");
        let encoders = [("ours", Encoder::new(mode)), ("ours-baseline", Encoder::without_wide_registers(mode))];
        for (who, mut encoder) in encoders {
            encoder.set_quality(quality);
            encoder.set_complexity(complexity);
            let mut packet = [0; MAX_FRAME_BYTES];
            group.bench_function(BenchmarkId::new(who, &name), |bencher| {
                bencher.iter(|| {
                    for pcm in frames() {
                        black_box(encoder.encode(black_box(pcm), &mut packet)).expect("a whole frame");
                    }
                });
            });
        }
        let mut theirs = libspeex::Encoder::new(mode);
        theirs.set_quality(quality.into());
        theirs.set_complexity(complexity.into());
        let mut packet = Vec::with_capacity(MAX_FRAME_BYTES);
        group.bench_function(BenchmarkId::new("libspeex", &name), |bencher| {
            bencher.iter(|| {
                for pcm in frames() {
                    theirs.encode(black_box(pcm), &mut packet);
                    black_box(&packet);
                }
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).measurement_time(Duration::from_secs(2));
    targets = encode
}
criterion_main!(benches);
