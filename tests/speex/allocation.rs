//! Encoding, decoding and concealing allocate nothing, whatever comes in, and their state is small.
// A counting allocator cannot be written without.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use gateway_tests::{libspeex, speex_corpus as corpus};
use speex_codec::{Decoder, Encoder, MAX_FRAME_BYTES, Mode, RateControl, frame_count, narrowband_layer};

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, counting what this thread asks of it.
struct Counting;

// SAFETY: everything is passed on to `System`; the counter is a plain cell that needs no allocation.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(run: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.with(Cell::get);
    run();
    ALLOCATIONS.with(Cell::get) - before
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| drop(std::hint::black_box(vec![0u8; 100]))), 1);
}

#[test]
fn a_decoder_does_not_allocate() {
    for mode in [Mode::Narrowband, Mode::Wideband, Mode::UltraWideband] {
        let sentence = corpus::sentences(mode).swap_remove(0);
        let mut encoder = libspeex::Encoder::new(mode);
        encoder.set_vbr(5.0);
        encoder.set_dtx(true);
        let packets: Vec<_> = sentence
            .samples
            .chunks_exact(3 * mode.frame_samples())
            .map(|pcm| {
                let mut packet = Vec::new();
                encoder.encode(pcm, &mut packet);
                packet
            })
            .collect();
        let (mut out, mut layer) = (vec![0; 3 * mode.frame_samples()], vec![0; 400]);
        let count = allocations(|| {
            let mut decoder = Decoder::new(mode);
            for (number, packet) in packets.iter().enumerate() {
                if number % 5 == 0 {
                    decoder.conceal(&mut out);
                }
                let cut = if number % 7 == 0 { packet.len() / 2 } else { packet.len() };
                let _ = frame_count(&packet[..cut], mode);
                let _ = narrowband_layer(&packet[..cut], &mut layer);
                let _ = decoder.decode(&packet[..cut], &mut out);
            }
            decoder.reset();
        });
        assert_eq!(count, 0, "{mode:?}");
    }
}

#[test]
fn an_encoder_does_not_allocate() {
    for mode in [Mode::Narrowband, Mode::Wideband, Mode::UltraWideband] {
        let sentence = corpus::sentences(mode).swap_remove(0);
        for quality in 0..=10 {
            let count = allocations(|| {
                let mut encoder = Encoder::new(mode);
                let mut packet = [0; MAX_FRAME_BYTES];
                encoder.set_quality(quality);
                encoder.set_complexity(quality);
                for (number, pcm) in sentence.samples.chunks_exact(mode.frame_samples()).take(60).enumerate() {
                    if number == 30 {
                        encoder.set_rate_control(RateControl::Average { bits_per_second: 15_000 });
                        encoder.set_dtx(true);
                    }
                    encoder.encode(pcm, &mut packet).expect("a frame");
                }
                encoder.reset();
            });
            assert_eq!(count, 0, "{mode:?} {quality}");
        }
    }
}

#[test]
fn an_encoder_fits_16_kilobytes() {
    assert!(size_of::<Encoder>() <= 16 * 1024, "{} bytes", size_of::<Encoder>());
}
