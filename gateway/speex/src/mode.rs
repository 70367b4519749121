//! Modes and sub-modes: what each bit of a frame is.
//!
//! # Narrowband frame: 160 samples, 4 sub-frames of 40
//!
//! ```text
//! 0 | sub-mode 4 | LSP | [lag 7] | [pitch gain 4] | frame gain 5 | [comfort 4] | sub-frame x 4
//!                                          sub-frame: [lag 7] | [taps 5..7] | [gain 1..3] | innovation
//! ```
//!
//! | sub-mode        | LSP | lag  | gain | frame gain | sub-frame: lag | taps | gain | innovation | bits | bit/s |
//! |-----------------|-----|------|------|------------|----------------|------|------|------------|------|-------|
//! | 0 silence       |     |      |      |            |                |      |      |            | 5    | 250   |
//! | 1 vocoder       | 18  | 7    | 4    | 5          |                |      |      | noise      | 43¹  | 2150  |
//! | 2 very low      | 18  | 7    |      | 5          |                | 5    |      | 4 x 4      | 119  | 5950  |
//! | 3 low           | 18  |      |      | 5          | 7              | 5    | 1    | 4 x 5      | 160  | 8000  |
//! | 4 medium        | 18  |      |      | 5          | 7              | 5    | 1    | 5 x 7      | 220  | 11000 |
//! | 5 high          | 30  |      |      | 5          | 7              | 7    | 3    | 8 x 6      | 300  | 15000 |
//! | 6 very high     | 30  |      |      | 5          | 7              | 7    | 3    | 8 x 8      | 364  | 18200 |
//! | 7 extreme       | 30  |      |      | 5          | 7              | 7    | 3    | 2 x 8 x 6  | 492  | 24600 |
//! | 8 ultra low     | 18  | 7    | 4    | 5          |                |      |      | 2 x 5      | 79   | 3950  |
//!
//! ¹ of them 4 for comfort noise: 15 says that frames are left out until further notice (DTX).
//! Codes 9 to 12 are reserved. 13: user data, `size 4 | 5 + 8 x size bits`. 14: request to the peer, `code 4 | bits`.
//! 15: end of the packet (with the leading 0 this is also what a padding of `0111…` reads as).
//!
//! # High-band layer: 4 sub-frames of 40 (wideband) or 80 (ultra-wideband) samples at half the rate
//!
//! ```text
//! 1 | sub-mode 3 | LSP 12 | sub-frame x 4:  folding gain 5                (sub-mode 1)
//!                                           gain 4 | innovation [x 2]     (sub-modes 2 to 4)
//! ```
//!
//! | sub-mode | innovation                 | bits | bit/s |
//! |----------|----------------------------|------|-------|
//! | 0        | none: the band is silent   | 4    | 200   |
//! | 1        | the lower band's, folded   | 36   | 1800  |
//! | 2        | 4 x 5                      | 112  | 5600  |
//! | 3        | 5 x (sign 1 + 7)           | 192  | 9600  |
//! | 4        | 2 x 5 x (sign 1 + 7)       | 352  | 17600 |
//!
//! Ultra-wideband has sub-modes 0 and 1 only. Source: *The Speex Codec Manual* sections 9 and 10 (Jean-Marc Valin),
//! RFC 5574, and the reference decoder for what they leave open.

use crate::lsp::{LspQuantiser, HIGH_BAND, NARROW_18, NARROW_30};
use crate::tables::{gain, innovation};

/// The band that a coder covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// 8 kHz, 160 samples a frame.
    Narrowband,
    /// 16 kHz, 320 samples a frame.
    Wideband,
    /// 32 kHz, 640 samples a frame.
    UltraWideband,
}

impl Mode {
    /// Samples a second.
    pub const fn sample_rate(self) -> u32 {
        8000 << self.layers()
    }

    /// Samples in a frame of 20 ms.
    pub const fn frame_samples(self) -> usize {
        NARROW_FRAME << self.layers()
    }

    /// High-band layers on top of narrowband.
    pub(crate) const fn layers(self) -> usize {
        match self {
            Mode::Narrowband => 0,
            Mode::Wideband => 1,
            Mode::UltraWideband => 2,
        }
    }
}

/// Samples of a narrowband frame.
pub(crate) const NARROW_FRAME: usize = 160;
/// Samples of a narrowband sub-frame.
pub(crate) const NARROW_SUBFRAME: usize = 40;
/// Sub-frames of a frame, in every band.
pub(crate) const SUBFRAMES: usize = 4;
/// Order of the narrowband prediction filter.
pub(crate) const NARROW_ORDER: usize = 10;
/// Order of the high bands' prediction filters.
pub(crate) const HIGH_ORDER: usize = 8;
/// Shortest pitch lag, in samples at 8 kHz.
pub(crate) const LAG_MIN: usize = 17;
/// Longest pitch lag.
pub(crate) const LAG_MAX: usize = 144;
/// Distance that neighbouring LSPs (radians) keep in narrowband.
pub(crate) const NARROW_LSP_MARGIN: f32 = 0.002;
/// Distance that neighbouring LSPs (radians) keep in the high bands.
pub(crate) const HIGH_LSP_MARGIN: f32 = 0.05;
/// Factor on the second of two innovations, narrowband sub-mode 7.
pub(crate) const NARROW_SECOND_SHAPE: f32 = 0.454_545;
/// Factor on the second of two innovations, high-band sub-mode 4.
pub(crate) const HIGH_SECOND_SHAPE: f32 = 0.4;
/// Step of the 4-bit frame pitch gain.
pub(crate) const FRAME_PITCH_GAIN_STEP: f32 = 0.066_667;
/// Field widths that several sub-modes share.
pub(crate) const LAG_BITS: u32 = 7;
pub(crate) const FRAME_PITCH_GAIN_BITS: u32 = 4;
pub(crate) const FRAME_GAIN_BITS: u32 = 5;
pub(crate) const COMFORT_BITS: u32 = 4;
pub(crate) const FOLDING_GAIN_BITS: u32 = 5;
pub(crate) const HIGH_GAIN_BITS: u32 = 4;
/// In the comfort field of sub-mode 1: the frames that follow are left out.
pub(crate) const COMFORT_DTX: u32 = 15;
/// Narrowband code: user data follows.
pub(crate) const CODE_USER_DATA: u32 = 13;
/// Narrowband code: a request to the peer follows.
pub(crate) const CODE_REQUEST: u32 = 14;
/// Narrowband code: the packet ends here.
pub(crate) const CODE_END: u32 = 15;

/// A split codebook: the sub-frame's innovation is `vectors` shapes in a row.
#[derive(Debug)]
pub(crate) struct ShapeCodebook {
    /// Samples of a shape.
    pub length: usize,
    /// Shapes of a sub-frame.
    pub vectors: usize,
    /// Bits of an index.
    pub bits: u32,
    /// A sign bit goes before each index; 1 turns the shape.
    pub signed: bool,
    /// `1 << bits` shapes, one after the other, in units of [`ShapeCodebook::UNIT`].
    pub shapes: &'static [i8],
}

impl ShapeCodebook {
    /// What a shape's 1 is worth.
    pub const UNIT: f32 = 0.031_25;

    /// Shape `index`, below `1 << bits`.
    #[inline]
    pub fn shape(&self, index: usize) -> &'static [i8] {
        &self.shapes[index * self.length..][..self.length]
    }

    /// Bits of a sub-frame.
    pub const fn subframe_bits(&self) -> usize {
        self.vectors * (self.bits as usize + self.signed as usize)
    }
}

macro_rules! codebook {
    ($length:literal x $vectors:literal, $bits:literal bits, $signed:literal, $shapes:path) => {
        ShapeCodebook { length: $length, vectors: $vectors, bits: $bits, signed: $signed, shapes: &$shapes }
    };
}

static SHAPES_VERY_LOW: ShapeCodebook = codebook!(10 x 4, 4 bits, false, innovation::SHAPES_10_16);
static SHAPES_ULTRA_LOW: ShapeCodebook = codebook!(20 x 2, 5 bits, false, innovation::SHAPES_20_32);
static SHAPES_LOW: ShapeCodebook = codebook!(10 x 4, 5 bits, false, innovation::SHAPES_10_32);
static SHAPES_MEDIUM: ShapeCodebook = codebook!(8 x 5, 7 bits, false, innovation::SHAPES_8_128);
static SHAPES_HIGH: ShapeCodebook = codebook!(5 x 8, 6 bits, false, innovation::SHAPES_5_64);
static SHAPES_VERY_HIGH: ShapeCodebook = codebook!(5 x 8, 8 bits, false, innovation::SHAPES_5_256);
static HIGH_SHAPES_LOW: ShapeCodebook = codebook!(10 x 4, 5 bits, false, innovation::HIGH_SHAPES_10_32);
static HIGH_SHAPES: ShapeCodebook = codebook!(8 x 5, 7 bits, true, innovation::HIGH_SHAPES_8_128);

/// A quantiser of three pitch taps: rows of three codes (see [`tap`]) and the encoder's bound on their sum.
pub(crate) type TapCodebook = &'static [[i8; 4]];

/// The gain of a tap's code.
#[inline]
pub(crate) fn tap(code: i8) -> f32 {
    0.5 + f32::from(code) / 64.0
}

/// How a frame tells its pitch.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pitch {
    /// One lag and one gain for the frame.
    Forced,
    /// One lag for the frame, taps for each sub-frame.
    FrameLag(TapCodebook),
    /// Lag and taps for each sub-frame.
    SubframeLag(TapCodebook),
}

/// Where the part of the excitation comes from that pitch cannot predict.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Innovation {
    /// Nothing is sent: the decoder draws noise.
    Noise,
    /// One codebook entry.
    Shapes(&'static ShapeCodebook),
    /// Two entries, the second one scaled down.
    TwoShapes(&'static ShapeCodebook),
}

/// Decoded gains and decision borders of a scalar quantiser.
#[derive(Debug)]
pub(crate) struct GainQuantiser {
    pub bits: u32,
    pub values: &'static [f32],
    /// One fewer than values: a gain above border `n` is value `n + 1` or a later one.
    #[allow(dead_code)]
    pub borders: &'static [f32],
}

static GAIN_1_BIT: GainQuantiser =
    GainQuantiser { bits: 1, values: &gain::SUBFRAME_1_BIT, borders: &gain::SUBFRAME_1_BIT_BORDERS };
static GAIN_3_BITS: GainQuantiser =
    GainQuantiser { bits: 3, values: &gain::SUBFRAME_3_BITS, borders: &gain::SUBFRAME_3_BITS_BORDERS };

/// A narrowband sub-mode: one row of the table above.
#[derive(Debug)]
pub(crate) struct NarrowSubmode {
    /// Bits of the frame with its header.
    pub bits: usize,
    pub lsp: &'static LspQuantiser<NARROW_ORDER>,
    pub pitch: Pitch,
    /// Each sub-frame's gain relative to the frame's, if it is sent.
    pub subframe_gain: Option<&'static GainQuantiser>,
    pub innovation: Innovation,
    /// Strength of the decoder's pitch enhancement; 0 is none.
    pub comb: f32,
}

/// The sub-mode with this code; `None` for silence (0) and for what is no sub-mode.
#[inline]
pub(crate) fn narrow_submode(code: usize) -> Option<&'static NarrowSubmode> {
    NARROW_SUBMODES.get(code.wrapping_sub(1))
}

/// Sub-modes 1 to 8.
static NARROW_SUBMODES: [NarrowSubmode; 8] = [
    NarrowSubmode {
        bits: 43,
        lsp: &NARROW_18,
        pitch: Pitch::Forced,
        subframe_gain: None,
        innovation: Innovation::Noise,
        comb: 0.0,
    },
    NarrowSubmode {
        bits: 119,
        lsp: &NARROW_18,
        pitch: Pitch::FrameLag(&gain::PITCH_5_BITS),
        subframe_gain: None,
        innovation: Innovation::Shapes(&SHAPES_VERY_LOW),
        comb: 0.6,
    },
    NarrowSubmode {
        bits: 160,
        lsp: &NARROW_18,
        pitch: Pitch::SubframeLag(&gain::PITCH_5_BITS),
        subframe_gain: Some(&GAIN_1_BIT),
        innovation: Innovation::Shapes(&SHAPES_LOW),
        comb: 0.55,
    },
    NarrowSubmode {
        bits: 220,
        lsp: &NARROW_18,
        pitch: Pitch::SubframeLag(&gain::PITCH_5_BITS),
        subframe_gain: Some(&GAIN_1_BIT),
        innovation: Innovation::Shapes(&SHAPES_MEDIUM),
        comb: 0.45,
    },
    NarrowSubmode {
        bits: 300,
        lsp: &NARROW_30,
        pitch: Pitch::SubframeLag(&gain::PITCH_7_BITS),
        subframe_gain: Some(&GAIN_3_BITS),
        innovation: Innovation::Shapes(&SHAPES_HIGH),
        comb: 0.25,
    },
    NarrowSubmode {
        bits: 364,
        lsp: &NARROW_30,
        pitch: Pitch::SubframeLag(&gain::PITCH_7_BITS),
        subframe_gain: Some(&GAIN_3_BITS),
        innovation: Innovation::Shapes(&SHAPES_VERY_HIGH),
        comb: 0.15,
    },
    NarrowSubmode {
        bits: 492,
        lsp: &NARROW_30,
        pitch: Pitch::SubframeLag(&gain::PITCH_7_BITS),
        subframe_gain: Some(&GAIN_3_BITS),
        innovation: Innovation::TwoShapes(&SHAPES_HIGH),
        comb: 0.05,
    },
    NarrowSubmode {
        bits: 79,
        lsp: &NARROW_18,
        pitch: Pitch::Forced,
        subframe_gain: None,
        innovation: Innovation::Shapes(&SHAPES_ULTRA_LOW),
        comb: 0.5,
    },
];

/// Bits of a frame in a narrowband sub-mode, header included.
pub(crate) fn narrow_bits(code: usize) -> Option<usize> {
    if code == 0 {
        Some(5)
    } else {
        narrow_submode(code).map(|submode| submode.bits)
    }
}

/// What fills the high band.
#[derive(Debug, Clone, Copy)]
pub(crate) enum HighInnovation {
    /// The lower band's innovation, its spectrum mirrored.
    Folded,
    /// One codebook entry.
    Shapes(&'static ShapeCodebook),
    /// Two entries, the second one scaled down.
    TwoShapes(&'static ShapeCodebook),
}

/// A high-band sub-mode.
#[derive(Debug)]
pub(crate) struct HighSubmode {
    /// Bits of the layer with its header.
    pub bits: usize,
    pub innovation: HighInnovation,
}

/// The LSP quantiser of all high-band sub-modes.
pub(crate) static HIGH_LSP: &LspQuantiser<HIGH_ORDER> = &HIGH_BAND;

/// Sub-modes 1 to 4.
static HIGH_SUBMODES: [HighSubmode; 4] = [
    HighSubmode { bits: 36, innovation: HighInnovation::Folded },
    HighSubmode { bits: 112, innovation: HighInnovation::Shapes(&HIGH_SHAPES_LOW) },
    HighSubmode { bits: 192, innovation: HighInnovation::Shapes(&HIGH_SHAPES) },
    HighSubmode { bits: 352, innovation: HighInnovation::TwoShapes(&HIGH_SHAPES) },
];

/// The layer's sub-mode with this code; `None` for silence (0) and for what is no sub-mode.
#[inline]
pub(crate) fn high_submode(code: usize) -> Option<&'static HighSubmode> {
    HIGH_SUBMODES.get(code.wrapping_sub(1))
}

/// Bits of a layer in a high-band sub-mode, header included.
pub(crate) fn high_bits(code: usize) -> Option<usize> {
    if code == 0 {
        Some(4)
    } else {
        high_submode(code).map(|submode| submode.bits)
    }
}

/// Parameters of a high band.
#[derive(Debug)]
pub(crate) struct HighBand {
    /// Samples of the band in a frame, at half of the rate of the whole.
    pub frame: usize,
    /// Samples of a sub-frame.
    pub subframe: usize,
    /// Factor on the folded innovation.
    pub folding: f32,
    /// Highest sub-mode that the band knows.
    pub submodes: usize,
}

/// 4 to 8 kHz.
pub(crate) static WIDE_BAND: HighBand = HighBand { frame: 160, subframe: 40, folding: 0.9, submodes: 4 };
/// 8 to 16 kHz.
pub(crate) static ULTRA_WIDE_BAND: HighBand = HighBand { frame: 320, subframe: 80, folding: 0.7, submodes: 1 };

/// Sub-modes by quality 0 to 10.
#[allow(dead_code)]
pub(crate) mod quality {
    /// Narrowband sub-mode of a narrowband coder.
    pub static NARROWBAND: [usize; 11] = [1, 8, 2, 3, 3, 4, 4, 5, 5, 6, 7];
    /// Narrowband sub-mode under a wideband layer.
    pub static WIDEBAND_LOW: [usize; 11] = [1, 8, 2, 3, 4, 5, 5, 6, 6, 7, 7];
    /// Wideband layer's sub-mode.
    pub static WIDEBAND_HIGH: [usize; 11] = [1, 1, 1, 1, 1, 1, 2, 2, 3, 3, 4];
    /// Ultra-wideband layer's sub-mode; below it is wideband of the same quality.
    pub static ULTRA_WIDEBAND_HIGH: [usize; 11] = [0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_of_every_narrowband_submode_add_up_to_its_size() {
        for submode in &NARROW_SUBMODES {
            let lag = LAG_BITS as usize;
            let (frame, subframe) = match submode.pitch {
                Pitch::Forced => (lag + FRAME_PITCH_GAIN_BITS as usize, 0),
                Pitch::FrameLag(taps) => (lag, taps.len().trailing_zeros() as usize),
                Pitch::SubframeLag(taps) => (0, lag + taps.len().trailing_zeros() as usize),
            };
            let (comfort, innovation) = match submode.innovation {
                Innovation::Noise => (COMFORT_BITS as usize, 0),
                Innovation::Shapes(shapes) => (0, shapes.subframe_bits()),
                Innovation::TwoShapes(shapes) => (0, 2 * shapes.subframe_bits()),
            };
            let gain = submode.subframe_gain.map_or(0, |quantiser| quantiser.bits as usize);
            let sum = 5 + submode.lsp.bits() + frame + FRAME_GAIN_BITS as usize + comfort;
            assert_eq!(submode.bits, sum + SUBFRAMES * (subframe + gain + innovation));
        }
    }

    #[test]
    fn the_fields_of_every_layer_add_up_to_its_size() {
        for submode in &HIGH_SUBMODES {
            let subframe = match submode.innovation {
                HighInnovation::Folded => FOLDING_GAIN_BITS as usize,
                HighInnovation::Shapes(shapes) => HIGH_GAIN_BITS as usize + shapes.subframe_bits(),
                HighInnovation::TwoShapes(shapes) => HIGH_GAIN_BITS as usize + 2 * shapes.subframe_bits(),
            };
            assert_eq!(submode.bits, 4 + HIGH_LSP.bits() + SUBFRAMES * subframe);
        }
    }

    #[test]
    fn every_codebook_has_as_many_shapes_as_its_index_can_name() {
        for book in [
            &SHAPES_VERY_LOW,
            &SHAPES_ULTRA_LOW,
            &SHAPES_LOW,
            &SHAPES_MEDIUM,
            &SHAPES_HIGH,
            &SHAPES_VERY_HIGH,
            &HIGH_SHAPES_LOW,
            &HIGH_SHAPES,
        ] {
            assert_eq!(book.shapes.len(), book.length << book.bits);
            assert_eq!(book.length * book.vectors, NARROW_SUBFRAME);
        }
        for quantiser in [&GAIN_1_BIT, &GAIN_3_BITS] {
            assert_eq!(quantiser.values.len(), 1 << quantiser.bits);
            assert_eq!(quantiser.borders.len() + 1, quantiser.values.len());
        }
    }
}
