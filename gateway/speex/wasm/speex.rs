//! The codec as a WebAssembly module without imports: one encoder and one decoder an instance, and two buffers in
//! its memory through which samples and packets go in and out. `build-wasm.sh` makes `speex.wasm` of it.
//!
//! ```text
//! JavaScript: new Int16Array(memory.buffer, speex_pcm(), …).set(samples)
//!             length = speex_encode(samples.length)              packet ──▶ speex_packet()
//!             new Uint8Array(memory.buffer, speex_packet(), …).set(packet)
//!             samples = speex_decode(packet.length)              samples ──▶ speex_pcm()
//! ```
//!
//! Functions that return a length return a negative number when they fail: -1 no frame, or no whole frame; -2 cut
//! short; -3 reserved sub-mode; -4 buffer too small; -5 not started.
#![no_std]
#![deny(unsafe_op_in_unsafe_fn, missing_docs)]

use core::mem::MaybeUninit;
use core::ptr::addr_of_mut;
use speex_codec::{DecodeError, Decoder, EncodeError, Encoder, Mode, MAX_FRAME_BYTES};

/// Frames that the buffers have room for.
const FRAMES: usize = 16;
const PCM_SAMPLES: usize = FRAMES * 640;
const PACKET_BYTES: usize = FRAMES * MAX_FRAME_BYTES;
const NOT_STARTED: i32 = -5;

/// An engine and whether it is there. An `Option` would do, but for its `None`, which is not all zeros and so would
/// be stored in the file, byte by byte.
struct Slot<T> {
    started: bool,
    engine: MaybeUninit<T>,
}

impl<T> Slot<T> {
    const EMPTY: Self = Self { started: false, engine: MaybeUninit::uninit() };

    fn start(&mut self, engine: T) -> &mut T {
        self.started = true;
        self.engine.write(engine)
    }

    fn get(&mut self) -> Option<&mut T> {
        // SAFETY: `start` wrote the engine before it set `started`.
        self.started.then(|| unsafe { self.engine.assume_init_mut() })
    }
}

struct Instance {
    encoder: Slot<Encoder>,
    decoder: Slot<Decoder>,
    pcm: [i16; PCM_SAMPLES],
    packet: [u8; PACKET_BYTES],
}

static mut INSTANCE: Instance =
    Instance { encoder: Slot::EMPTY, decoder: Slot::EMPTY, pcm: [0; PCM_SAMPLES], packet: [0; PACKET_BYTES] };

/// The instance's only state.
fn instance() -> &'static mut Instance {
    // SAFETY: a module without imports runs one call at a time, on one thread, and no function here calls another
    // one that is exported: there is never a second reference.
    unsafe { &mut *addr_of_mut!(INSTANCE) }
}

fn mode(number: u32) -> Mode {
    match number {
        0 => Mode::Narrowband,
        1 => Mode::Wideband,
        _ => Mode::UltraWideband,
    }
}

fn decode_status(result: Result<usize, DecodeError>) -> i32 {
    match result {
        Ok(length) => length as i32,
        Err(DecodeError::Truncated) => -2,
        Err(DecodeError::Reserved) => -3,
        Err(DecodeError::OutputTooSmall { .. }) => -4,
        Err(_) => -1,
    }
}

/// The address of the samples: 16 bit, this machine's byte order (little).
#[no_mangle]
pub extern "C" fn speex_pcm() -> *mut i16 {
    instance().pcm.as_mut_ptr()
}

/// Samples that have room at [`speex_pcm`].
#[no_mangle]
pub extern "C" fn speex_pcm_samples() -> u32 {
    PCM_SAMPLES as u32
}

/// The address of the packet.
#[no_mangle]
pub extern "C" fn speex_packet() -> *mut u8 {
    instance().packet.as_mut_ptr()
}

/// Bytes that have room at [`speex_packet`].
#[no_mangle]
pub extern "C" fn speex_packet_bytes() -> u32 {
    PACKET_BYTES as u32
}

/// Samples of a frame in a mode (0 narrowband, 1 wideband, 2 ultra-wideband).
#[no_mangle]
pub extern "C" fn speex_frame_samples(number: u32) -> u32 {
    mode(number).frame_samples() as u32
}

/// Starts the encoder anew in a mode, at a quality (0 to 10) and complexity (1 to 10).
#[no_mangle]
pub extern "C" fn speex_encoder(number: u32, quality: u32, complexity: u32) {
    let encoder = instance().encoder.start(Encoder::new(mode(number)));
    encoder.set_quality(quality.min(10) as u8);
    encoder.set_complexity(complexity.min(10) as u8);
}

/// Encodes the first `samples` at [`speex_pcm`] (whole frames) to one packet; returns its bytes.
#[no_mangle]
pub extern "C" fn speex_encode(samples: u32) -> i32 {
    let Instance { encoder, pcm, packet, .. } = instance();
    match (encoder.get(), pcm.get(..samples as usize)) {
        (None, _) => NOT_STARTED,
        (_, None) => -4,
        (Some(encoder), Some(pcm)) => match encoder.encode(pcm, packet) {
            Ok(bytes) => bytes as i32,
            Err(EncodeError::OutputTooSmall { .. }) => -4,
            Err(_) => -1,
        },
    }
}

/// Starts the decoder anew in a mode.
#[no_mangle]
pub extern "C" fn speex_decoder(number: u32) {
    instance().decoder.start(Decoder::new(mode(number)));
}

/// Turns perceptual enhancement on (1, as at the start) or off (0).
#[no_mangle]
pub extern "C" fn speex_decoder_enhance(on: u32) {
    if let Some(decoder) = instance().decoder.get() {
        decoder.set_enhancement(on != 0);
    }
}

/// Decodes the first `bytes` at [`speex_packet`]; returns the samples at [`speex_pcm`].
#[no_mangle]
pub extern "C" fn speex_decode(bytes: u32) -> i32 {
    let Instance { decoder, pcm, packet, .. } = instance();
    match (decoder.get(), packet.get(..bytes as usize)) {
        (None, _) => NOT_STARTED,
        (_, None) => -4,
        (Some(decoder), Some(packet)) => decode_status(decoder.decode(packet, pcm)),
    }
}

/// Makes up a frame for a lost packet; returns the samples at [`speex_pcm`].
#[no_mangle]
pub extern "C" fn speex_conceal() -> i32 {
    let Instance { decoder, pcm, .. } = instance();
    decoder.get().map_or(NOT_STARTED, |decoder| decoder.conceal(pcm) as i32)
}

#[panic_handler]
fn trap(_: &core::panic::PanicInfo) -> ! {
    core::arch::wasm32::unreachable()
}
