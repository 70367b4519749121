//! Debian's `libspeex.so.1` as an independent judge of our codec.
//!
//! The library is opened at run time (`dlopen`), so this package builds on machines that have neither its headers nor
//! its link-time symlink. `apt-get install libspeex1` provides it; [`Library::load`] says so when it is missing.
//!
//! ```text
//!   pcm ──► Encoder::encode ──► packet ──► Decoder::decode ──► pcm      (each side may also be ours)
//! ```

use std::ffi::{c_char, c_int, c_void};
use std::sync::OnceLock;

use speex_codec::Mode;

/// `speex_encoder_ctl` and `speex_decoder_ctl` request numbers (speex.h).
mod request {
    pub(super) const SET_ENH: i32 = 0;
    pub(super) const SET_QUALITY: i32 = 4;
    pub(super) const SET_VBR: i32 = 12;
    pub(super) const SET_VBR_QUALITY: i32 = 14;
    pub(super) const SET_COMPLEXITY: i32 = 16;
    pub(super) const GET_BITRATE: i32 = 19;
    pub(super) const RESET_STATE: i32 = 26;
    pub(super) const SET_VAD: i32 = 30;
    pub(super) const SET_ABR: i32 = 32;
    pub(super) const SET_DTX: i32 = 34;
    pub(super) const SET_SUBMODE: i32 = 6;
    pub(super) const SET_LOW_MODE: i32 = 8;
    pub(super) const SET_HIGH_MODE: i32 = 10;
    pub(super) const GET_LOOKAHEAD: i32 = 39;
    pub(super) const SET_HIGHPASS: i32 = 44;
}

/// `SpeexBits` of speex_bits.h.
#[repr(C)]
struct RawBits {
    chars: *mut c_char,
    bit_count: c_int,
    char_index: c_int,
    bit_index: c_int,
    owner: c_int,
    overflow: c_int,
    buffer_size: c_int,
    reserved1: c_int,
    reserved2: *mut c_void,
}

type Init = unsafe extern "C" fn(*const c_void) -> *mut c_void;
type Destroy = unsafe extern "C" fn(*mut c_void);
type Ctl = unsafe extern "C" fn(*mut c_void, c_int, *mut c_void) -> c_int;

/// The functions that we use. They have no state of their own, so one copy serves every thread.
pub struct Library {
    _library: libloading::Library,
    get_mode: unsafe extern "C" fn(c_int) -> *const c_void,
    encoder_init: Init,
    encoder_destroy: Destroy,
    encoder_ctl: Ctl,
    encode_int: unsafe extern "C" fn(*mut c_void, *mut i16, *mut RawBits) -> c_int,
    decoder_init: Init,
    decoder_destroy: Destroy,
    decoder_ctl: Ctl,
    decode_int: unsafe extern "C" fn(*mut c_void, *mut RawBits, *mut i16) -> c_int,
    bits_init: unsafe extern "C" fn(*mut RawBits),
    bits_destroy: unsafe extern "C" fn(*mut RawBits),
    bits_reset: unsafe extern "C" fn(*mut RawBits),
    bits_read_from: unsafe extern "C" fn(*mut RawBits, *const c_char, c_int),
    bits_write: unsafe extern "C" fn(*mut RawBits, *mut c_char, c_int) -> c_int,
    bits_insert_terminator: unsafe extern "C" fn(*mut RawBits),
    bits_remaining: unsafe extern "C" fn(*mut RawBits) -> c_int,
}

impl Library {
    /// Opens `libspeex.so.1` once for the process.
    ///
    /// # Panics
    /// When the library is not installed.
    pub fn load() -> &'static Library {
        static LIBRARY: OnceLock<Library> = OnceLock::new();
        LIBRARY.get_or_init(|| Self::open().expect("libspeex.so.1 is needed: apt-get install libspeex1"))
    }

    fn open() -> Result<Library, libloading::Error> {
        // SAFETY: the names and signatures are those of speex.h and speex_bits.h, and the library stays open as long
        // as the function pointers, since both live in the same value.
        unsafe {
            let library = libloading::Library::new("libspeex.so.1")?;
            Ok(Library {
                get_mode: *library.get(b"speex_lib_get_mode\0")?,
                encoder_init: *library.get(b"speex_encoder_init\0")?,
                encoder_destroy: *library.get(b"speex_encoder_destroy\0")?,
                encoder_ctl: *library.get(b"speex_encoder_ctl\0")?,
                encode_int: *library.get(b"speex_encode_int\0")?,
                decoder_init: *library.get(b"speex_decoder_init\0")?,
                decoder_destroy: *library.get(b"speex_decoder_destroy\0")?,
                decoder_ctl: *library.get(b"speex_decoder_ctl\0")?,
                decode_int: *library.get(b"speex_decode_int\0")?,
                bits_init: *library.get(b"speex_bits_init\0")?,
                bits_destroy: *library.get(b"speex_bits_destroy\0")?,
                bits_reset: *library.get(b"speex_bits_reset\0")?,
                bits_read_from: *library.get(b"speex_bits_read_from\0")?,
                bits_write: *library.get(b"speex_bits_write\0")?,
                bits_insert_terminator: *library.get(b"speex_bits_insert_terminator\0")?,
                bits_remaining: *library.get(b"speex_bits_remaining\0")?,
                _library: library,
            })
        }
    }

    fn mode(&self, mode: Mode) -> *const c_void {
        let id = match mode {
            Mode::Narrowband => 0,
            Mode::Wideband => 1,
            Mode::UltraWideband => 2,
        };
        // SAFETY: 0 to 2 are the modes that the library has; the result is a static.
        unsafe { (self.get_mode)(id) }
    }
}

/// An owned bit buffer of libspeex.
struct Bits {
    library: &'static Library,
    raw: Box<RawBits>,
}

impl Bits {
    fn new(library: &'static Library) -> Self {
        let mut raw = Box::new(RawBits {
            chars: std::ptr::null_mut(),
            bit_count: 0,
            char_index: 0,
            bit_index: 0,
            owner: 0,
            overflow: 0,
            buffer_size: 0,
            reserved1: 0,
            reserved2: std::ptr::null_mut(),
        });
        // SAFETY: a struct of the right layout, initialised before any other use.
        unsafe { (library.bits_init)(&mut *raw) };
        Bits { library, raw }
    }
}

impl Drop for Bits {
    fn drop(&mut self) {
        // SAFETY: initialised in `new`, destroyed once.
        unsafe { (self.library.bits_destroy)(&mut *self.raw) }
    }
}

/// libspeex's encoder: quality 8, complexity 2 and a constant rate until told otherwise.
pub struct Encoder {
    library: &'static Library,
    state: *mut c_void,
    bits: Bits,
    mode: Mode,
    transmit: bool,
}

// SAFETY: the state is reached through `&mut self` only and libspeex keeps nothing in thread-local storage.
unsafe impl Send for Encoder {}

impl Encoder {
    /// A fresh encoder for `mode`.
    pub fn new(mode: Mode) -> Self {
        let library = Library::load();
        // SAFETY: the mode pointer is a static of the library.
        let state = unsafe { (library.encoder_init)(library.mode(mode)) };
        assert!(!state.is_null(), "libspeex has memory for an encoder");
        Encoder { library, state, bits: Bits::new(library), mode, transmit: true }
    }

    fn set(&mut self, request: i32, mut value: i32) {
        // SAFETY: every request sent through here takes a `spx_int32_t`.
        let answer = unsafe { (self.library.encoder_ctl)(self.state, request, (&raw mut value).cast()) };
        assert_eq!(answer, 0, "libspeex knows encoder request {request}");
    }

    fn get(&mut self, request: i32) -> i32 {
        let mut value = 0i32;
        // SAFETY: every request sent through here writes a `spx_int32_t`.
        unsafe { (self.library.encoder_ctl)(self.state, request, (&raw mut value).cast()) };
        value
    }

    /// `SPEEX_SET_QUALITY`, 0 to 10.
    pub fn set_quality(&mut self, quality: i32) {
        self.set(request::SET_QUALITY, quality);
    }

    /// `SPEEX_SET_COMPLEXITY`, 1 to 10.
    pub fn set_complexity(&mut self, complexity: i32) {
        self.set(request::SET_COMPLEXITY, complexity);
    }

    /// `SPEEX_SET_MODE` (narrowband sub-mode number; for the other modes a quality).
    pub fn set_submode(&mut self, submode: i32) {
        self.set(request::SET_SUBMODE, submode);
    }

    /// `SPEEX_SET_LOW_MODE`: the sub-mode of the embedded narrowband layer.
    pub fn set_low_submode(&mut self, submode: i32) {
        self.set(request::SET_LOW_MODE, submode);
    }

    /// `SPEEX_SET_HIGH_MODE`: the sub-mode of the topmost layer.
    pub fn set_high_submode(&mut self, submode: i32) {
        self.set(request::SET_HIGH_MODE, submode);
    }

    /// `SPEEX_SET_VBR_QUALITY` and `SPEEX_SET_VBR`.
    pub fn set_vbr(&mut self, quality: f32) {
        let mut value = quality;
        self.set(request::SET_VBR, 1);
        // SAFETY: this request takes a `float`.
        unsafe { (self.library.encoder_ctl)(self.state, request::SET_VBR_QUALITY, (&raw mut value).cast()) };
    }

    /// `SPEEX_SET_ABR`, bits per second.
    pub fn set_abr(&mut self, bits_per_second: i32) {
        self.set(request::SET_ABR, bits_per_second);
    }

    /// `SPEEX_SET_VAD`.
    pub fn set_vad(&mut self, on: bool) {
        self.set(request::SET_VAD, i32::from(on));
    }

    /// `SPEEX_SET_DTX`.
    pub fn set_dtx(&mut self, on: bool) {
        self.set(request::SET_DTX, i32::from(on));
    }

    /// `SPEEX_SET_HIGHPASS`.
    pub fn set_highpass(&mut self, on: bool) {
        self.set(request::SET_HIGHPASS, i32::from(on));
    }

    /// `SPEEX_GET_BITRATE`, bits per second.
    pub fn bit_rate(&mut self) -> i32 {
        self.get(request::GET_BITRATE)
    }

    /// Samples by which the encoder delays the signal.
    pub fn lookahead(&mut self) -> usize {
        self.get(request::GET_LOOKAHEAD) as usize
    }

    /// `SPEEX_RESET_STATE`.
    pub fn reset(&mut self) {
        self.set(request::RESET_STATE, 0);
    }

    /// Encodes whole frames into one packet that ends with the terminator.
    pub fn encode(&mut self, pcm: &[i16], out: &mut Vec<u8>) {
        let frame = self.mode.frame_samples();
        assert!(!pcm.is_empty() && pcm.len().is_multiple_of(frame), "whole frames only");
        // SAFETY: `samples` holds a whole frame, the bit buffer grows by itself, and `packet` is as long as we say.
        unsafe {
            (self.library.bits_reset)(&mut *self.bits.raw);
            self.transmit = false;
            for chunk in pcm.chunks_exact(frame) {
                let mut samples = [0i16; 640];
                samples[..frame].copy_from_slice(chunk);
                let wanted = (self.library.encode_int)(self.state, samples.as_mut_ptr(), &mut *self.bits.raw);
                self.transmit |= wanted != 0;
            }
            (self.library.bits_insert_terminator)(&mut *self.bits.raw);
            let mut packet = [0u8; 2000];
            let written = (self.library.bits_write)(&mut *self.bits.raw, packet.as_mut_ptr().cast(), 2000);
            out.clear();
            out.extend_from_slice(&packet[..written as usize]);
        }
    }

    /// What `speex_encode_int` returned last: false means that the packet need not be sent.
    pub fn transmit(&self) -> bool {
        self.transmit
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        // SAFETY: made in `new`, destroyed once.
        unsafe { (self.library.encoder_destroy)(self.state) }
    }
}

/// libspeex's decoder, perceptual enhancement on.
pub struct Decoder {
    library: &'static Library,
    state: *mut c_void,
    bits: Bits,
    mode: Mode,
}

// SAFETY: as for `Encoder`.
unsafe impl Send for Decoder {}

impl Decoder {
    /// A fresh decoder for `mode`.
    pub fn new(mode: Mode) -> Self {
        let library = Library::load();
        // SAFETY: the mode pointer is a static of the library.
        let state = unsafe { (library.decoder_init)(library.mode(mode)) };
        assert!(!state.is_null(), "libspeex has memory for a decoder");
        Decoder { library, state, bits: Bits::new(library), mode }
    }

    fn ctl(&mut self, request: i32, mut value: i32) -> i32 {
        // SAFETY: the requests sent through here read or write a `spx_int32_t`.
        unsafe { (self.library.decoder_ctl)(self.state, request, (&raw mut value).cast()) };
        value
    }

    /// `SPEEX_SET_ENH`.
    pub fn set_enhancement(&mut self, on: bool) {
        self.ctl(request::SET_ENH, i32::from(on));
    }

    /// `SPEEX_SET_HIGHPASS`.
    pub fn set_highpass(&mut self, on: bool) {
        self.ctl(request::SET_HIGHPASS, i32::from(on));
    }

    /// `SPEEX_RESET_STATE`.
    pub fn reset(&mut self) {
        self.ctl(request::RESET_STATE, 0);
    }

    /// Samples by which the decoder delays the signal.
    pub fn lookahead(&mut self) -> usize {
        self.ctl(request::GET_LOOKAHEAD, 0) as usize
    }

    /// Decodes every frame of `packet` and appends the samples; the answer is the last code of `speex_decode_int`:
    /// 0 fine, -1 no frame at all (the terminator after a frame is fine), -2 corrupt.
    pub fn decode(&mut self, packet: &[u8], out: &mut Vec<i16>) -> i32 {
        // SAFETY: the packet outlives the call, `samples` holds the largest frame.
        unsafe {
            (self.library.bits_read_from)(&mut *self.bits.raw, packet.as_ptr().cast(), packet.len() as c_int);
            let start = out.len();
            loop {
                let mut samples = [0i16; 640];
                let code = (self.library.decode_int)(self.state, &mut *self.bits.raw, samples.as_mut_ptr());
                if code != 0 {
                    return if code == -1 && out.len() > start { 0 } else { code };
                }
                out.extend_from_slice(&samples[..self.mode.frame_samples()]);
                if (self.library.bits_remaining)(&mut *self.bits.raw) < 5 {
                    return 0;
                }
            }
        }
    }

    /// One frame of concealment, appended to `out`.
    pub fn conceal(&mut self, out: &mut Vec<i16>) {
        let mut samples = [0i16; 640];
        // SAFETY: a null bit buffer asks for concealment; `samples` holds the largest frame.
        unsafe { (self.library.decode_int)(self.state, std::ptr::null_mut(), samples.as_mut_ptr()) };
        out.extend_from_slice(&samples[..self.mode.frame_samples()]);
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        // SAFETY: made in `new`, destroyed once.
        unsafe { (self.library.decoder_destroy)(self.state) }
    }
}
