//! The decoder.
//!
//! ```text
//! packet ──▶ frames (packet.rs) ──▶ narrow ──▶ high: wide ──▶ high: ultra-wide ──▶ samples
//!                                   0-4 kHz    4-8 kHz        8-16 kHz
//! ```
//!
//! A packet is looked through before a bit of state changes, so one that is refused leaves no trace.

mod enhance;
mod high;
#[cfg(test)]
mod hostile;
mod innovation;
mod narrow;
mod noise;

pub(crate) use self::enhance::tap_strength;
use self::high::HighDecoder;
use self::narrow::NarrowDecoder;
pub(crate) use self::narrow::FADE;
use crate::bits::BitReader;
use crate::error::DecodeError;
use crate::math;
use crate::mode::{self, Mode};
use crate::packet::{frame_count, Frame, Frames, Part};

/// Bound on every signal in the decoder: far above what honest streams reach, far below what overflows.
const LIMIT: f32 = 1e6;

/// `x` held within ±`limit`; NaN too. (By comparisons: `f32::max` is a library call in WebAssembly.)
#[inline]
fn tame(x: f32, limit: f32) -> f32 {
    let x = if x > -limit { x } else { -limit };
    if x < limit {
        x
    } else {
        limit
    }
}

fn tame_all(signal: &mut [f32]) {
    for x in signal {
        *x = tame(*x, LIMIT);
    }
}

/// Clears a filter's memory when it has gone out of bounds, and single values that are next to nothing: arithmetic
/// on the very smallest numbers is slow.
fn tame_memory(memory: &mut [f32]) {
    let sound = |due: &f32| math::abs(*due) <= 1e9;
    if !memory.iter().all(sound) {
        memory.fill(0.0);
    }
    for due in memory {
        if math::abs(*due) < 1e-20 {
            *due = 0.0;
        }
    }
}

/// The largest magnitude among these, or infinity if one is none.
#[cfg(test)]
fn peak<'a>(values: impl IntoIterator<Item = &'a f32>) -> f32 {
    values.into_iter().fold(0.0, |peak, x| if x.is_finite() { peak.max(math::abs(*x)) } else { f32::INFINITY })
}

/// A Speex decoder.
///
/// It keeps its state in itself (no allocation), so it can live on the stack or in an array.
///
/// ```
/// use speex_codec::{Decoder, Mode};
///
/// let mut decoder = Decoder::new(Mode::Wideband);
/// let mut samples = [0; 640];
/// // A frame of silence: narrowband sub-mode 0 (five bits), then the terminator.
/// assert_eq!(decoder.decode(&[0b0000_0011], &mut samples), Ok(320));
/// // The next packet is missing.
/// assert_eq!(decoder.conceal(&mut samples), 320);
/// ```
#[derive(Debug, Clone)]
pub struct Decoder {
    mode: Mode,
    narrow: NarrowDecoder,
    wide: HighDecoder,
    ultra_wide: HighDecoder,
}

impl Decoder {
    /// A decoder whose output is of `mode`, whatever the packets are. Perceptual enhancement is on.
    #[must_use]
    pub fn new(mode: Mode) -> Self {
        Self {
            mode,
            narrow: NarrowDecoder::new(mode != Mode::Narrowband),
            wide: HighDecoder::new(&mode::WIDE_BAND),
            ultra_wide: HighDecoder::new(&mode::ULTRA_WIDE_BAND),
        }
    }

    /// The mode given to [`Decoder::new`].
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Switches perceptual enhancement: less coding noise between the harmonics of a voice. It works on the
    /// narrowband part and costs about a third of the decoder's time.
    pub fn set_enhancement(&mut self, on: bool) {
        self.narrow.enhance = on;
    }

    /// Forgets all packets, as if made anew; the enhancement stays as it was set.
    pub fn reset(&mut self) {
        let enhance = self.narrow.enhance;
        *self = Self::new(self.mode);
        self.narrow.enhance = enhance;
    }

    /// Decodes every frame of one packet to the start of `out` and returns the number of samples written: a multiple
    /// of [`Mode::frame_samples`].
    ///
    /// Requests and user data are skipped. Layers above the decoder's mode are skipped; bands that the packet lacks
    /// stay silent. When a frame is faulty, those before it are decoded and the rest of the packet is dropped.
    ///
    /// # Errors
    /// When the first frame is faulty or missing, or `out` too short for all frames
    /// ([`frame_count`](crate::frame_count) tells): then nothing has happened.
    pub fn decode(&mut self, packet: &[u8], out: &mut [i16]) -> Result<usize, DecodeError> {
        let length = self.mode.frame_samples();
        let needed = frame_count(packet, self.mode)? * length;
        if out.len() < needed {
            return Err(DecodeError::OutputTooSmall { needed });
        }
        let frames = Frames::new(packet, self.mode).map_while(Result::ok);
        for (frame, out) in frames.zip(out.chunks_exact_mut(length)) {
            self.decode_frame(packet, &frame, out);
        }
        Ok(needed)
    }

    /// Makes up one frame in place of a lost packet's, or, while the sender leaves frames out (DTX), a frame of
    /// comfort noise; returns the samples written. `out` must hold a frame: into a shorter one goes nothing.
    pub fn conceal(&mut self, out: &mut [i16]) -> usize {
        let length = self.mode.frame_samples();
        if out.len() < length {
            return 0;
        }
        self.run(&mut out[..length], Step::Conceal);
        length
    }

    fn decode_frame(&mut self, packet: &[u8], frame: &Frame, out: &mut [i16]) {
        self.run(out, Step::Decode { packet, frame });
    }

    /// One frame through all bands of the mode.
    fn run(&mut self, out: &mut [i16], step: Step) {
        let mut narrow = [0.0; mode::NARROW_FRAME];
        match step {
            Step::Decode { packet, frame } => {
                let mut bits = fields(packet, frame.narrow);
                self.narrow.decode(frame.narrow.code, &mut bits, &mut narrow);
            }
            Step::Conceal => self.narrow.conceal(&mut narrow),
        }
        if self.mode == Mode::Narrowband {
            return to_samples(&narrow, out);
        }
        let silent = self.narrow.silent;
        let mut wide = [0.0; 2 * mode::NARROW_FRAME];
        match step.layer(0, silent) {
            Some((code, mut bits)) => self.wide.decode(code, &mut bits, self.narrow.info(), &narrow, &mut wide),
            None => self.wide.conceal(silent, &narrow, &mut wide),
        }
        if self.mode == Mode::Wideband {
            return to_samples(&wide, out);
        }
        let mut ultra_wide = [0.0; 4 * mode::NARROW_FRAME];
        match step.layer(1, silent) {
            Some((code, mut bits)) => self.ultra_wide.decode(code, &mut bits, self.wide.info(), &wide, &mut ultra_wide),
            None => self.ultra_wide.conceal(silent, &wide, &mut ultra_wide),
        }
        to_samples(&ultra_wide, out);
    }
}

/// Where a frame comes from.
enum Step<'a> {
    Decode { packet: &'a [u8], frame: &'a Frame },
    Conceal,
}

impl<'a> Step<'a> {
    /// The code and fields of a layer; code 0 for one that the frame lacks. `None`: it is to be concealed, for it was
    /// lost or (`silent`) the sender leaves it out.
    fn layer(&self, number: usize, silent: bool) -> Option<(usize, BitReader<'a>)> {
        match self {
            Step::Decode { packet, frame } => match frame.layers[number] {
                Some(part) if part.code > 0 => Some((part.code, fields(packet, part))),
                _ if silent => None,
                _ => Some((0, BitReader::new(&[]))),
            },
            Step::Conceal => None,
        }
    }
}

fn fields(packet: &[u8], part: Part) -> BitReader<'_> {
    let mut bits = BitReader::new(packet);
    bits.skip(part.fields);
    bits
}

fn to_samples(signal: &[f32], out: &mut [i16]) {
    for (sample, x) in out.iter_mut().zip(signal) {
        *sample = math::to_sample(*x);
    }
}

/// Bytes of state that a decoder may have (a gateway holds thousands).
const _: () = assert!(core::mem::size_of::<Decoder>() <= 12 * 1024);
