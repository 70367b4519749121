//! A phone that speaks Nellymoser, or says so: messages of any bytes, one behind the other into one decoder.
//!
//! `cargo +nightly fuzz run nellymoser -- -max_len=1024`
#![no_main]

use call_media::codec::nellymoser::{NellymoserDecoder, BLOCK_BYTES, BLOCK_SAMPLES};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let (mut decoder, mut pcm) = (NellymoserDecoder::default(), Vec::new());
    for message in input.chunks(3 * BLOCK_BYTES) {
        let before = pcm.len();
        let whole = message.len() % BLOCK_BYTES == 0;
        assert_eq!(decoder.decode(message, &mut pcm).is_ok(), whole);
        let samples = if whole { message.len() / BLOCK_BYTES * BLOCK_SAMPLES } else { 0 };
        assert_eq!(pcm.len() - before, samples);
    }
});
