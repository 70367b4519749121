//! Debian's `libspeexdsp.so.1`: a resampler that is not ours, to be measured against.
//!
//! Opened at run time like [`crate::libspeex`]; `apt-get install libspeexdsp1` provides it.

use std::ffi::{c_int, c_void};
use std::sync::OnceLock;

/// The functions that we use.
struct Library {
    _library: libloading::Library,
    init: unsafe extern "C" fn(u32, u32, u32, c_int, *mut c_int) -> *mut c_void,
    destroy: unsafe extern "C" fn(*mut c_void),
    process: unsafe extern "C" fn(*mut c_void, u32, *const i16, *mut u32, *mut i16, *mut u32) -> c_int,
}

impl Library {
    fn load() -> &'static Self {
        static LIBRARY: OnceLock<Library> = OnceLock::new();
        LIBRARY.get_or_init(|| Self::open().expect("libspeexdsp.so.1 is needed: apt-get install libspeexdsp1"))
    }

    fn open() -> Result<Self, libloading::Error> {
        // SAFETY: the names and signatures are those of speex_resampler.h, and the library stays open as long as the
        // function pointers, since both live in the same value.
        unsafe {
            let library = libloading::Library::new("libspeexdsp.so.1")?;
            Ok(Self {
                init: *library.get(b"speex_resampler_init\0")?,
                destroy: *library.get(b"speex_resampler_destroy\0")?,
                process: *library.get(b"speex_resampler_process_int\0")?,
                _library: library,
            })
        }
    }
}

/// speexdsp's resampler of one channel.
pub struct Resampler(*mut c_void);

// SAFETY: the state is reached through `&mut self` only.
unsafe impl Send for Resampler {}

impl Resampler {
    /// From one rate to another at a quality of 0 to 10.
    pub fn new(from: u32, to: u32, quality: i32) -> Self {
        let mut error = 0;
        // SAFETY: `error` outlives the call.
        let state = unsafe { (Library::load().init)(1, from, to, quality, &mut error) };
        assert!(!state.is_null(), "speexdsp makes a resampler: {error}");
        Self(state)
    }

    /// Converts all of `input` into `out`, which has room for it; the samples written are returned.
    pub fn process(&mut self, input: &[i16], out: &mut [i16]) -> usize {
        let (mut taken, mut written) = (input.len() as u32, out.len() as u32);
        // SAFETY: both counts are the lengths of their slices, and the library writes back what it used of each.
        let answer =
            unsafe { (Library::load().process)(self.0, 0, input.as_ptr(), &mut taken, out.as_mut_ptr(), &mut written) };
        assert_eq!((answer, taken as usize), (0, input.len()), "speexdsp takes all");
        written as usize
    }
}

impl Drop for Resampler {
    fn drop(&mut self) {
        // SAFETY: made in `new`, destroyed once.
        unsafe { (Library::load().destroy)(self.0) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_the_rate_is_half_the_samples() {
        let mut out = [0; 400];
        assert_eq!(Resampler::new(16_000, 8000, 3).process(&[1000; 320], &mut out), 160);
        assert!((900..1100).contains(&out[100]), "{}", out[100]);
    }
}
