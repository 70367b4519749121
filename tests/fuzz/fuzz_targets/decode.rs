//! A call with a hostile peer: packets of any bytes, some lost, into one decoder.
//!
//! `cargo +nightly fuzz run decode -- -max_len=1024`
//!
//! ```text
//! input: mode and flags 1 | { length 1 | packet }...      length 255: the packet is lost
//! ```
#![no_main]

use libfuzzer_sys::fuzz_target;
use speex_codec::{frame_count, narrowband_layer, DecodeError, Decoder, Mode};

/// Frames that the output has room for.
const ROOM: usize = 6;
const LOST: u8 = 255;

fuzz_target!(|input: &[u8]| {
    let Some((&flags, mut rest)) = input.split_first() else { return };
    let mode = [Mode::Narrowband, Mode::Wideband, Mode::UltraWideband][usize::from(flags % 3)];
    let mut decoder = Decoder::new(mode);
    decoder.set_enhancement(flags & 0x80 == 0);
    let mut out = [0i16; ROOM * 640];
    let out = &mut out[..ROOM * mode.frame_samples()];
    while let Some((&length, tail)) = rest.split_first() {
        if length == LOST {
            assert_eq!(decoder.conceal(out), mode.frame_samples());
            rest = tail;
            continue;
        }
        let (packet, tail) = tail.split_at(tail.len().min(usize::from(length)));
        rest = tail;
        let frames = frame_count(packet, mode);
        match decoder.decode(packet, out) {
            Ok(written) => assert_eq!(frames, Ok(written / mode.frame_samples())),
            Err(DecodeError::OutputTooSmall { needed }) => assert!(needed > out.len()),
            Err(error) => assert_eq!(frames, Err(error)),
        }
        let mut layer = [0; 256];
        if let Ok(written) = narrowband_layer(packet, &mut layer) {
            let narrow = Mode::Narrowband;
            assert_eq!(frame_count(&layer[..written], narrow), frame_count(packet, narrow));
        }
    }
});
