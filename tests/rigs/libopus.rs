//! Debian's `libopus.so.0`: an Opus codec that is not the gateway's, to be measured against.
//!
//! Opened at run time like [`crate::libspeex`]; `apt-get install libopus0` provides it.

use std::ffi::{c_int, c_void};
use std::sync::OnceLock;

/// The functions that we use.
struct Library {
    _library: libloading::Library,
    create: unsafe extern "C" fn(i32, c_int, *mut c_int) -> *mut c_void,
    destroy: unsafe extern "C" fn(*mut c_void),
    encoder_create: unsafe extern "C" fn(i32, c_int, c_int, *mut c_int) -> *mut c_void,
    encoder_destroy: unsafe extern "C" fn(*mut c_void),
    encoder_ctl: unsafe extern "C" fn(*mut c_void, c_int, ...) -> c_int,
    encode: unsafe extern "C" fn(*mut c_void, *const i16, c_int, *mut u8, i32) -> i32,
    decode: unsafe extern "C" fn(*mut c_void, *const u8, i32, *mut i16, c_int, c_int) -> c_int,
}

impl Library {
    fn load() -> &'static Self {
        static LIBRARY: OnceLock<Library> = OnceLock::new();
        LIBRARY.get_or_init(|| Self::open().expect("libopus.so.0 is needed: apt-get install libopus0"))
    }

    fn open() -> Result<Self, libloading::Error> {
        // SAFETY: the names and signatures are those of opus.h, and the library stays open as long as the function
        // pointers, since both live in the same value.
        unsafe {
            let library = libloading::Library::new("libopus.so.0")?;
            Ok(Self {
                create: *library.get(b"opus_decoder_create\0")?,
                destroy: *library.get(b"opus_decoder_destroy\0")?,
                encoder_create: *library.get(b"opus_encoder_create\0")?,
                encoder_destroy: *library.get(b"opus_encoder_destroy\0")?,
                encoder_ctl: *library.get(b"opus_encoder_ctl\0")?,
                encode: *library.get(b"opus_encode\0")?,
                decode: *library.get(b"opus_decode\0")?,
                _library: library,
            })
        }
    }
}

/// A decoder of one channel.
pub struct Decoder {
    state: *mut c_void,
    rate: u32,
}

// SAFETY: the state is reached through `&mut self` only.
unsafe impl Send for Decoder {}

impl Decoder {
    /// A decoder that gives `rate` samples a second: 8000, 12000, 16000, 24000 or 48000.
    pub fn new(rate: u32) -> Self {
        let mut error = 0;
        // SAFETY: `error` outlives the call.
        let state = unsafe { (Library::load().create)(rate as i32, 1, &mut error) };
        assert!(!state.is_null(), "libopus makes a decoder for {rate} Hz: {error}");
        Self { state, rate }
    }

    /// Appends the samples of a packet.
    ///
    /// # Panics
    /// When it is none.
    pub fn decode(&mut self, packet: &[u8], out: &mut Vec<i16>) {
        let longest = self.rate as usize * 120 / 1000;
        let written = self.run(Some(packet), longest, false, out);
        assert!(written > 0, "libopus decodes every packet: {written}");
    }

    /// Appends `samples` for what was lost; with the packet behind it, what that knows of it.
    pub fn conceal(&mut self, samples: usize, next: Option<&[u8]>, out: &mut Vec<i16>) {
        let written = self.run(next, samples, next.is_some(), out);
        assert_eq!(written, samples as i32, "libopus conceals as much as it is asked for");
    }

    fn run(&mut self, packet: Option<&[u8]>, samples: usize, redundancy: bool, out: &mut Vec<i16>) -> i32 {
        let start = out.len();
        out.resize(start + samples, 0);
        let (data, length) = packet.map_or((std::ptr::null(), 0), |packet| (packet.as_ptr(), packet.len() as i32));
        // SAFETY: the state is alive, `data` holds `length` bytes, and there is room for `samples` samples.
        let written = unsafe {
            let room = out[start..].as_mut_ptr();
            (Library::load().decode)(self.state, data, length, room, samples as c_int, c_int::from(redundancy))
        };
        out.truncate(start + usize::try_from(written).unwrap_or(0));
        written
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        // SAFETY: made in `new`, destroyed once.
        unsafe { (Library::load().destroy)(self.state) };
    }
}

/// `OPUS_APPLICATION_VOIP` and the requests that we use (opus_defines.h).
mod request {
    pub(super) const VOIP: i32 = 2048;
    pub(super) const SET_BITRATE: i32 = 4002;
    pub(super) const SET_INBAND_FEC: i32 = 4012;
    pub(super) const SET_PACKET_LOSS_PERC: i32 = 4014;
}

/// An encoder of speech of one channel, with the library's defaults.
pub struct Encoder(*mut c_void);

// SAFETY: the state is reached through `&mut self` only.
unsafe impl Send for Encoder {}

impl Encoder {
    /// An encoder at so many samples and bits a second, which prepares for so many lost packets of a hundred by in-band
    /// redundancy (none for 0).
    pub fn new(rate: u32, bits_a_second: i32, loss_percent: i32) -> Self {
        let library = Library::load();
        let mut error = 0;
        // SAFETY: `error` outlives the call; every request takes one `opus_int32`.
        unsafe {
            let state = (library.encoder_create)(rate as i32, 1, request::VOIP, &mut error);
            assert!(!state.is_null(), "libopus makes an encoder for {rate} Hz: {error}");
            let answers = [
                (library.encoder_ctl)(state, request::SET_BITRATE, bits_a_second),
                (library.encoder_ctl)(state, request::SET_INBAND_FEC, i32::from(loss_percent > 0)),
                (library.encoder_ctl)(state, request::SET_PACKET_LOSS_PERC, loss_percent),
            ];
            assert_eq!(answers, [0; 3], "libopus takes every setting");
            Self(state)
        }
    }

    /// One packet of a whole frame.
    ///
    /// # Panics
    /// When it is no length of a frame.
    pub fn encode(&mut self, pcm: &[i16]) -> Vec<u8> {
        let mut packet = vec![0; 1275];
        // SAFETY: the state is alive, `pcm` holds as many samples as we say, `packet` has as much room.
        let written = unsafe {
            let (samples, room) = (pcm.len() as c_int, packet.len() as i32);
            (Library::load().encode)(self.0, pcm.as_ptr(), samples, packet.as_mut_ptr(), room)
        };
        assert!(written > 0, "libopus encodes a whole frame: {written}");
        packet.truncate(written as usize);
        packet
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        // SAFETY: made in `new`, destroyed once.
        unsafe { (Library::load().encoder_destroy)(self.0) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speech_comes_back_and_a_lost_packet_is_told_by_the_next() {
        let tone: Vec<i16> = (0..16_000).map(|n| ((f64::from(n) * 0.08).sin() * 8000.0) as i16).collect();
        let (mut encoder, mut decoder) = (Encoder::new(16_000, 24_000, 10), Decoder::new(16_000));
        let packets: Vec<Vec<u8>> = tone.chunks_exact(320).map(|frame| encoder.encode(frame)).collect();
        let mut out = Vec::new();
        for packet in &packets[..40] {
            decoder.decode(packet, &mut out);
        }
        decoder.conceal(320, Some(&packets[41]), &mut out);
        decoder.decode(&packets[41], &mut out);
        assert_eq!(out.len(), 42 * 320);
        let loudest = out[40 * 320..41 * 320].iter().map(|sample| sample.unsigned_abs()).max().unwrap();
        assert!((5000..12_000).contains(&loudest), "{loudest}");
    }
}
