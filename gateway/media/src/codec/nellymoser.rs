//! Nellymoser Asao, what Flash Player's microphone sends unless it is told to use Speex; decoded only, since every player of
//! it plays Speex.
//!
//! ```text
//!  64 bytes  |6| 22 x 5 |  198 bits  |  198 bits  |      bits from the lowest of each byte on
//!             |     |         |            |
//!             loudness of     coefficients of the first and of the second 128 samples
//!             23 bands --> amplitudes --> x levels --> inverse lapped transform --> 256 samples, a half behind
//!                    '---> bits a coefficient, the same in both halves
//! ```
//! A coefficient without bits is noise as loud as its band. A block does not say its sample rate, its container does; a message
//! may hold several.
//!
//! There is no specification. The facts, the layout and the numbers in [`tables`] are those that were found out for nelly2pcm
//! (2007) and that FFmpeg's `libavcodec/nellymoser*` (MIT) is built on, whose encoder and decoder judge this one.

mod allocation;
mod lapped;
mod tables;
#[cfg(test)]
mod tests;

use super::{CodecError, SampleRate};
use crate::limits::MAX_NELLYMOSER_BLOCKS;
use lapped::{LENGTH, Lapped};

/// Bytes of a block.
pub const BLOCK_BYTES: usize = 64;
/// Samples of a block.
pub const BLOCK_SAMPLES: usize = 2 * LENGTH;

const BANDS: usize = 23;
/// Coefficients of each half that bands cover.
const CODED: usize = 124;
const HEADER_BITS: usize = 6 + 22 * 5;
/// Bits of the coefficients of one half.
const HALF_BITS: usize = (8 * BLOCK_BYTES - HEADER_BITS) / 2;
/// Bits that a coefficient has at most.
const DEEPEST: usize = 6;
/// Loudness that is 16-bit full scale and well beyond; only nonsense is louder.
const LOUDEST: i32 = 40 << 10;

/// The sample rates that FLV has for it (FLV specification 10.1, section E.4.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NellymoserRate {
    /// 5512.5 Hz, an eighth of a compact disc's rate.
    Hz5512,
    /// 8 kHz.
    Hz8000,
    /// 11025 Hz.
    Hz11025,
    /// 16 kHz.
    Hz16000,
    /// 22050 Hz.
    Hz22050,
    /// 44100 Hz.
    Hz44100,
}

impl NellymoserRate {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Hz5512, Self::Hz8000, Self::Hz11025, Self::Hz16000, Self::Hz22050, Self::Hz44100];

    /// Samples in two seconds: a whole number for each.
    pub const fn samples_in_2s(self) -> u32 {
        match self {
            Self::Hz5512 => 11_025,
            Self::Hz8000 => 16_000,
            Self::Hz11025 => 22_050,
            Self::Hz16000 => 32_000,
            Self::Hz22050 => 44_100,
            Self::Hz44100 => 88_200,
        }
    }

    /// The least rate of ours that has room for all of its band.
    pub const fn band(self) -> SampleRate {
        match self {
            Self::Hz5512 | Self::Hz8000 => SampleRate::Hz8000,
            Self::Hz11025 | Self::Hz16000 => SampleRate::Hz16000,
            Self::Hz22050 => SampleRate::Hz32000,
            Self::Hz44100 => SampleRate::Hz48000,
        }
    }
}

/// A decoder of one channel, which is all that there is.
pub struct NellymoserDecoder {
    lapped: Lapped,
    noise: Signs,
}

impl Default for NellymoserDecoder {
    fn default() -> Self {
        Self { lapped: Lapped::new(), noise: Signs(FIRST_SIGNS) }
    }
}

impl NellymoserDecoder {
    /// Appends the samples of whole blocks, [`MAX_NELLYMOSER_BLOCKS`] at most; `out` is left as it was on an error.
    pub fn decode(&mut self, payload: &[u8], out: &mut Vec<i16>) -> Result<(), CodecError> {
        let (blocks, rest) = payload.as_chunks::<BLOCK_BYTES>();
        if blocks.is_empty() || !rest.is_empty() || blocks.len() > MAX_NELLYMOSER_BLOCKS {
            return Err(CodecError::Malformed);
        }
        out.reserve(blocks.len() * BLOCK_SAMPLES);
        blocks.iter().for_each(|block| self.decode_block(block, out));
        Ok(())
    }

    fn decode_block(&mut self, block: &[u8; BLOCK_BYTES], out: &mut Vec<i16>) {
        let mut bits = Bits { block, at: 0 };
        let loudness = read_loudness(&mut bits);
        let amplitudes = loudness.map(amplitude);
        let depths = allocation::allocate(&loudness);
        for half in 0..2 {
            bits.at = HEADER_BITS + half * HALF_BITS;
            let mut coefficients = [0.0; LENGTH];
            let mut at = 0;
            for (width, amplitude) in tables::BAND_WIDTHS.into_iter().zip(amplitudes) {
                for (coefficient, depth) in coefficients[at..at + width].iter_mut().zip(&depths[at..]) {
                    let share = match usize::from(*depth).checked_sub(1) {
                        Some(table) => tables::LEVELS[table][bits.take(table + 1)],
                        None => self.noise.next() * std::f32::consts::FRAC_1_SQRT_2,
                    };
                    *coefficient = amplitude * share;
                }
                at += width;
            }
            // `as` saturates
            out.extend(self.lapped.inverse(&coefficients).map(|sample| sample.round_ties_even() as i16));
        }
    }

    /// Forgets the past: the next block starts a stream.
    pub fn reset(&mut self) {
        *self = Self::default();
    }
}

/// In 1/2048 of an octave.
fn read_loudness(bits: &mut Bits<'_>) -> [i32; BANDS] {
    let mut loudness = tables::FIRST_LOUDNESS[bits.take(6)];
    let mut bands = [loudness; BANDS];
    for band in &mut bands[1..] {
        loudness += tables::LOUDNESS_STEPS[bits.take(5)];
        *band = loudness;
    }
    bands
}

/// Of a coefficient, so that samples are of 16 bits.
fn amplitude(loudness: i32) -> f32 {
    (loudness.min(LOUDEST) as f32 / 2048.0).exp2() / 8.0
}

/// Reads a block from the lowest bit of its first byte on.
struct Bits<'a> {
    block: &'a [u8; BLOCK_BYTES],
    at: usize,
}

impl Bits<'_> {
    /// The next bits, eight at most; behind the block there are zeros.
    fn take(&mut self, count: usize) -> usize {
        let byte = |at: usize| usize::from(self.block.get(at).copied().unwrap_or(0));
        let pair = byte(self.at / 8) | byte(self.at / 8 + 1) << 8;
        let value = pair >> (self.at % 8) & ((1 << count) - 1);
        self.at += count;
        value
    }
}

const FIRST_SIGNS: u32 = 0x9E37_79B9;

/// Signs that nobody can tell from chance, the same ones for each stream (xorshift32, Marsaglia 2003).
struct Signs(u32);

impl Signs {
    /// 1 or -1.
    fn next(&mut self) -> f32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        if self.0 & 0x8000_0000 == 0 { 1.0 } else { -1.0 }
    }
}
