//! Stand-in over Debian's libspeex until the crate in /work/speex lands (same API).
use std::ffi::{c_int, c_void};

#[link(name = "speex")]
extern "C" {
    fn speex_lib_get_mode(mode: c_int) -> *const c_void;
    fn speex_encoder_init(mode: *const c_void) -> *mut c_void;
    fn speex_encoder_destroy(state: *mut c_void);
    fn speex_encode_int(state: *mut c_void, input: *mut i16, bits: *mut Bits) -> c_int;
    fn speex_encoder_ctl(state: *mut c_void, request: c_int, ptr: *mut c_void) -> c_int;
    fn speex_decoder_init(mode: *const c_void) -> *mut c_void;
    fn speex_decoder_destroy(state: *mut c_void);
    fn speex_decode_int(state: *mut c_void, bits: *mut Bits, out: *mut i16) -> c_int;
    fn speex_decoder_ctl(state: *mut c_void, request: c_int, ptr: *mut c_void) -> c_int;
    fn speex_bits_init(bits: *mut Bits);
    fn speex_bits_destroy(bits: *mut Bits);
    fn speex_bits_reset(bits: *mut Bits);
    fn speex_bits_read_from(bits: *mut Bits, bytes: *const u8, len: c_int);
    fn speex_bits_write(bits: *mut Bits, bytes: *mut u8, max: c_int) -> c_int;
    fn speex_bits_insert_terminator(bits: *mut Bits);
    fn speex_bits_remaining(bits: *mut Bits) -> c_int;
}

#[repr(C)]
struct Bits {
    chars: *mut u8,
    nb_bits: c_int,
    char_ptr: c_int,
    bit_ptr: c_int,
    owner: c_int,
    overflow: c_int,
    buf_size: c_int,
    r1: c_int,
    r2: *mut c_void,
}

fn new_bits() -> Box<Bits> {
    let mut b: Box<Bits> = Box::new(unsafe { std::mem::zeroed() });
    unsafe { speex_bits_init(&mut *b) };
    b
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Narrowband,
    Wideband,
    UltraWideband,
}
impl Mode {
    pub fn sample_rate(self) -> u32 {
        8000 << self as u32
    }
    pub fn frame_samples(self) -> usize {
        160 << self as usize
    }
}
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RateControl {
    Constant,
    Variable { quality: f32 },
    Average { bits_per_second: u32 },
}
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecodeError {
    Corrupt,
    OutputTooSmall,
}
impl std::fmt::Display for DecodeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self)
    }
}
impl std::error::Error for DecodeError {}
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EncodeError {
    PartialFrame,
    OutputTooSmall,
}
impl std::fmt::Display for EncodeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self)
    }
}
impl std::error::Error for EncodeError {}

pub struct Decoder {
    mode: Mode,
    state: *mut c_void,
    bits: Box<Bits>,
}
unsafe impl Send for Decoder {}
impl Decoder {
    pub fn new(mode: Mode) -> Self {
        let state = unsafe { speex_decoder_init(speex_lib_get_mode(mode as c_int)) };
        Self { mode, state, bits: new_bits() }
    }
    pub fn mode(&self) -> Mode {
        self.mode
    }
    pub fn set_enhancement(&mut self, on: bool) {
        let mut v = on as c_int;
        unsafe { speex_decoder_ctl(self.state, 0, &mut v as *mut c_int as *mut c_void) };
    }
    pub fn decode(&mut self, packet: &[u8], out: &mut [i16]) -> Result<usize, DecodeError> {
        unsafe { speex_bits_read_from(&mut *self.bits, packet.as_ptr(), packet.len() as c_int) };
        let n = self.mode.frame_samples();
        let mut written = 0;
        while unsafe { speex_bits_remaining(&mut *self.bits) } > 4 {
            if out.len() < written + n {
                return Err(DecodeError::OutputTooSmall);
            }
            match unsafe { speex_decode_int(self.state, &mut *self.bits, out[written..].as_mut_ptr()) } {
                0 => written += n,
                -1 => break,
                _ => return Err(DecodeError::Corrupt),
            }
        }
        Ok(written)
    }
    pub fn conceal(&mut self, out: &mut [i16]) -> usize {
        assert!(out.len() >= self.mode.frame_samples());
        unsafe { speex_decode_int(self.state, std::ptr::null_mut(), out.as_mut_ptr()) };
        self.mode.frame_samples()
    }
    pub fn reset(&mut self) {
        *self = Self::new(self.mode);
    }
}
impl Drop for Decoder {
    fn drop(&mut self) {
        unsafe {
            speex_decoder_destroy(self.state);
            speex_bits_destroy(&mut *self.bits);
        }
    }
}
pub struct Encoder {
    mode: Mode,
    state: *mut c_void,
    bits: Box<Bits>,
}
unsafe impl Send for Encoder {}
impl Encoder {
    pub fn new(mode: Mode) -> Self {
        let state = unsafe { speex_encoder_init(speex_lib_get_mode(mode as c_int)) };
        let mut e = Self { mode, state, bits: new_bits() };
        e.set_quality(8);
        e.set_complexity(2);
        e
    }
    fn ctl(&mut self, request: c_int, value: c_int) {
        let mut v = value;
        unsafe { speex_encoder_ctl(self.state, request, &mut v as *mut c_int as *mut c_void) };
    }
    pub fn mode(&self) -> Mode {
        self.mode
    }
    pub fn set_quality(&mut self, quality: u8) {
        self.ctl(4, quality.min(10) as c_int)
    }
    pub fn set_complexity(&mut self, complexity: u8) {
        self.ctl(16, complexity.clamp(1, 10) as c_int)
    }
    pub fn set_dtx(&mut self, on: bool) {
        self.ctl(34, on as c_int)
    }
    pub fn set_vad(&mut self, on: bool) {
        self.ctl(30, on as c_int)
    }
    pub fn encode(&mut self, pcm: &[i16], out: &mut [u8]) -> Result<usize, EncodeError> {
        let n = self.mode.frame_samples();
        if pcm.is_empty() || pcm.len() % n != 0 {
            return Err(EncodeError::PartialFrame);
        }
        unsafe {
            speex_bits_reset(&mut *self.bits);
            for f in pcm.chunks_exact(n) {
                let mut frame = f.to_vec();
                speex_encode_int(self.state, frame.as_mut_ptr(), &mut *self.bits);
            }
            speex_bits_insert_terminator(&mut *self.bits);
            Ok(speex_bits_write(&mut *self.bits, out.as_mut_ptr(), out.len() as c_int) as usize)
        }
    }
    pub fn reset(&mut self) {
        *self = Self::new(self.mode);
    }
}
impl Drop for Encoder {
    fn drop(&mut self) {
        unsafe {
            speex_encoder_destroy(self.state);
            speex_bits_destroy(&mut *self.bits);
        }
    }
}
