//! Debian's `libspandsp.so.2`: loss concealment for G.711 and a G.722 decoder that are not ours, to be measured against.
//!
//! Opened at run time like [`crate::libspeex`]; `apt-get install libspandsp2` provides it.

use std::ffi::{c_int, c_void};
use std::sync::OnceLock;

type Free = unsafe extern "C" fn(*mut c_void) -> c_int;

/// The functions that we use.
struct Library {
    _library: libloading::Library,
    plc_init: unsafe extern "C" fn(*mut c_void) -> *mut c_void,
    plc_free: Free,
    plc_rx: unsafe extern "C" fn(*mut c_void, *mut i16, c_int) -> c_int,
    plc_fillin: unsafe extern "C" fn(*mut c_void, *mut i16, c_int) -> c_int,
    g722_decode_init: unsafe extern "C" fn(*mut c_void, c_int, c_int) -> *mut c_void,
    g722_decode_free: Free,
    g722_decode: unsafe extern "C" fn(*mut c_void, *mut i16, *const u8, c_int) -> c_int,
}

impl Library {
    fn load() -> &'static Self {
        static LIBRARY: OnceLock<Library> = OnceLock::new();
        LIBRARY.get_or_init(|| Self::open().expect("libspandsp.so.2 is needed: apt-get install libspandsp2"))
    }

    fn open() -> Result<Self, libloading::Error> {
        // SAFETY: the names and signatures are those of spandsp/plc.h and spandsp/g722.h, and the library stays open as
        // long as the function pointers, since both live in the same value.
        unsafe {
            let library = libloading::Library::new("libspandsp.so.2")?;
            Ok(Self {
                plc_init: *library.get(b"plc_init\0")?,
                plc_free: *library.get(b"plc_free\0")?,
                plc_rx: *library.get(b"plc_rx\0")?,
                plc_fillin: *library.get(b"plc_fillin\0")?,
                g722_decode_init: *library.get(b"g722_decode_init\0")?,
                g722_decode_free: *library.get(b"g722_decode_free\0")?,
                g722_decode: *library.get(b"g722_decode\0")?,
                _library: library,
            })
        }
    }
}

/// spandsp's concealment of lost 8 kHz audio by repetition of the pitch period.
pub struct Plc(*mut c_void);

// SAFETY: the state is reached through `&mut self` only.
unsafe impl Send for Plc {}

impl Plc {
    /// One that has heard nothing.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        // SAFETY: a null state asks for a new one.
        let state = unsafe { (Library::load().plc_init)(std::ptr::null_mut()) };
        assert!(!state.is_null(), "spandsp has memory for a concealer");
        Self(state)
    }

    /// Takes note of what was heard; its beginning is blended after a loss.
    pub fn heard(&mut self, pcm: &mut [i16]) {
        // SAFETY: the state is alive, the samples are as many as we say.
        unsafe { (Library::load().plc_rx)(self.0, pcm.as_mut_ptr(), pcm.len() as c_int) };
    }

    /// Fills in for lost samples.
    pub fn conceal(&mut self, pcm: &mut [i16]) {
        // SAFETY: the state is alive, the samples are as many as we say.
        unsafe { (Library::load().plc_fillin)(self.0, pcm.as_mut_ptr(), pcm.len() as c_int) };
    }
}

impl Drop for Plc {
    fn drop(&mut self) {
        // SAFETY: made in `new`, freed once.
        unsafe { (Library::load().plc_free)(self.0) };
    }
}

/// spandsp's G.722 decoder, 64 kbit/s.
pub struct G722Decoder(*mut c_void);

// SAFETY: as for `Plc`.
unsafe impl Send for G722Decoder {}

impl G722Decoder {
    /// A decoder in its first state.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        // SAFETY: a null state asks for a new one; 0 is "16 kHz, bytes".
        let state = unsafe { (Library::load().g722_decode_init)(std::ptr::null_mut(), 64_000, 0) };
        assert!(!state.is_null(), "spandsp has memory for a decoder");
        Self(state)
    }

    /// Appends two samples for every byte.
    pub fn decode(&mut self, packet: &[u8], out: &mut Vec<i16>) {
        let start = out.len();
        out.resize(start + 2 * packet.len(), 0);
        // SAFETY: 64 kbit/s gives two samples for each byte, which is the room that was made.
        let written = unsafe {
            let room = out[start..].as_mut_ptr();
            (Library::load().g722_decode)(self.0, room, packet.as_ptr(), packet.len() as c_int)
        };
        out.truncate(start + written as usize);
    }
}

impl Drop for G722Decoder {
    fn drop(&mut self) {
        // SAFETY: made in `new`, freed once.
        unsafe { (Library::load().g722_decode_free)(self.0) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tone_goes_on_through_a_hole() {
        let tone = |n: usize| ((n as f64 * 0.16).sin() * 8000.0) as i16;
        let (mut plc, mut frame) = (Plc::new(), [0; 160]);
        for start in [0, 160, 320] {
            frame = std::array::from_fn(|n| tone(start + n));
            plc.heard(&mut frame);
        }
        plc.conceal(&mut frame);
        assert!(frame.iter().any(|sample| sample.abs() > 4000));
    }
}
