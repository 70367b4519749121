//! Decoding beside libspeex: microseconds per 20 ms frame, on recorded speech.
//!
//! `cargo bench -p gateway-tests --bench speex_decode`

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use gateway_tests::{libspeex, speex_corpus as corpus};
use speex_codec::{Decoder, Mode};

/// Frames in one pass: 8 s of speech.
const FRAMES: usize = 400;

/// Packets of libspeex's encoder, one frame each.
fn packets(mode: Mode, quality: i32) -> Vec<Vec<u8>> {
    let speech: Vec<i16> =
        corpus::sentences(mode).into_iter().step_by(6).flat_map(|sentence| sentence.samples).collect();
    let mut encoder = libspeex::Encoder::new(mode);
    encoder.set_quality(quality);
    speech
        .chunks_exact(mode.frame_samples())
        .take(FRAMES)
        .map(|pcm| {
            let mut packet = Vec::new();
            encoder.encode(pcm, &mut packet);
            packet
        })
        .collect()
}

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    group.throughput(Throughput::Elements(FRAMES as u64));
    for (mode, quality) in [
        (Mode::Narrowband, 3),
        (Mode::Narrowband, 6),
        (Mode::Narrowband, 8),
        (Mode::Wideband, 3),
        (Mode::Wideband, 6),
        (Mode::Wideband, 8),
        (Mode::Wideband, 10),
        (Mode::UltraWideband, 6),
    ] {
        let packets = packets(mode, quality);
        let name = format!("{mode:?}-q{quality}");
        let (mut ours, mut out) = (Decoder::new(mode), vec![0; mode.frame_samples()]);
        group.bench_function(BenchmarkId::new("ours", &name), |bencher| {
            bencher.iter(|| {
                for packet in &packets {
                    black_box(ours.decode(black_box(packet), &mut out)).expect("a good packet");
                }
            });
        });
        let (mut theirs, mut out) = (libspeex::Decoder::new(mode), Vec::with_capacity(mode.frame_samples()));
        group.bench_function(BenchmarkId::new("libspeex", &name), |bencher| {
            bencher.iter(|| {
                for packet in &packets {
                    out.clear();
                    black_box(theirs.decode(black_box(packet), &mut out));
                }
            });
        });
    }
    group.finish();
}

fn conceal(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("conceal");
    group.throughput(Throughput::Elements(3));
    for mode in [Mode::Narrowband, Mode::Wideband] {
        // Three frames lost after each good one: the decoder never gets silent.
        let packets = packets(mode, 6);
        let (mut ours, mut out) = (Decoder::new(mode), vec![0; mode.frame_samples()]);
        let mut next = packets.iter().cycle();
        group.bench_function(BenchmarkId::new("ours", format!("{mode:?}")), |bencher| {
            bencher.iter(|| {
                ours.decode(next.next().expect("a cycle has no end"), &mut out).expect("a good packet");
                (0..3).for_each(|_| assert_eq!(black_box(ours.conceal(&mut out)), out.len()));
            });
        });
        let (mut theirs, mut out) = (libspeex::Decoder::new(mode), Vec::with_capacity(4 * mode.frame_samples()));
        let mut next = packets.iter().cycle();
        group.bench_function(BenchmarkId::new("libspeex", format!("{mode:?}")), |bencher| {
            bencher.iter(|| {
                out.clear();
                theirs.decode(next.next().expect("a cycle has no end"), &mut out);
                (0..3).for_each(|_| theirs.conceal(&mut out));
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1)).sample_size(20);
    targets = decode, conceal
}
criterion_main!(benches);
