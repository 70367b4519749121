//! A high-band layer: the upper half of a wideband or ultra-wideband signal, coded relative to the lower half.
//!
//! ```text
//!   high ─ LPC ─ LSP ─ quantise ─▶ filters ─▶ residual ─▶ its level against the lower band's ─▶ gain
//!                                     └─▶ target ─▶ shapes (sub-modes 2 to 4; sub-mode 1 folds the lower band up)
//! ```
//!
//! Gains are measured where the bands meet: the ratio of the two filters' gains at that frequency is taken out of
//! them, so that a gain of one means a spectrum without a step.

use super::narrowband::LowerBand;
use crate::bits::BitWriter;
use crate::filters;
use crate::mode::{
    high_submode, HighBand, HighInnovation, FOLDING_GAIN_BITS, HIGH_GAIN_BITS, HIGH_LSP, HIGH_LSP_MARGIN, HIGH_ORDER,
    HIGH_SECOND_SHAPE, NARROW_SUBFRAME, SUBFRAMES,
};
use crate::search::{self, ShapeSearch};
use crate::simd::{self, Simd, Subframe};
use crate::tables::{gain, window};
use crate::{lpc, lsp, math};

/// White noise (part of the energy) that the analysis adds.
const NOISE_FLOOR: f32 = 0.0002;
/// Zeros of the weighting filter W(z) = A(z / 0.9) / A(z / 0.6).
const WEIGHT_ZEROS: f32 = 0.9;
/// Poles of the weighting filter.
const WEIGHT_POLES: f32 = 0.6;
/// Grids on which line spectral frequencies are looked for, the second one if the first misses some.
const LSP_STEPS: [f32; 2] = [0.2, 0.05];
/// Keeps the ratio of two filters' gains from dividing by zero.
const RATIO_FLOOR: f32 = 0.01;
/// The decoded gain is this part of the quantiser's border, which is where its cell has its mean.
const CENTRE: f32 = 0.873_6;
/// Numbers of the largest codebook: 128 shapes of 8.
const SHAPES: usize = 1024;
/// Samples of the widest high band in a frame and a sub-frame.
const MAX_FRAME: usize = 320;
const MAX_SUBFRAME: usize = MAX_FRAME / SUBFRAMES;

/// The memory of one layer's encoder.
#[derive(Debug, Clone)]
pub(super) struct Highband {
    band: &'static HighBand,
    /// Signal: the filters' past, and the newest samples, not coded yet.
    signal: [f32; HIGH_ORDER + MAX_SUBFRAME],
    lsp: [f32; HIGH_ORDER],
    quantised_lsp: [f32; HIGH_ORDER],
    /// Filter of the last sub-frame, and what it will add to the samples to come.
    filter: [f32; HIGH_ORDER],
    ringing: [f32; HIGH_ORDER],
    /// No frame before this one to interpolate from.
    first: bool,
}

/// The codebook of a layer that has shapes to search.
pub(super) type HighShapes = ShapeSearch<SHAPES>;

/// What is known of a frame before its sub-mode is.
pub(super) struct Analysis {
    /// Filters' past, the frame, and what was looked at ahead.
    signal: [f32; HIGH_ORDER + MAX_FRAME + MAX_SUBFRAME],
    lsp: [f32; HIGH_ORDER],
}

/// One sub-frame's signal and filters.
struct Part<'a> {
    /// Filters' past and the sub-frame.
    signal: &'a [f32],
    quantised: [f32; HIGH_ORDER],
    zeros: [f32; HIGH_ORDER],
    poles: [f32; HIGH_ORDER],
    /// The lower filter's gain over this one's, where the bands meet.
    ratio: f32,
    residual: [f32; MAX_SUBFRAME],
}

impl Highband {
    pub fn new(band: &'static HighBand) -> Self {
        let mut start = [0.0; HIGH_ORDER];
        for (i, frequency) in start.iter_mut().enumerate() {
            *frequency = core::f32::consts::PI * (i + 1) as f32 / (HIGH_ORDER + 1) as f32;
        }
        Self {
            band,
            signal: [0.0; HIGH_ORDER + MAX_SUBFRAME],
            lsp: start,
            quantised_lsp: start,
            filter: [0.0; HIGH_ORDER],
            ringing: [0.0; HIGH_ORDER],
            first: true,
        }
    }

    /// Takes in the next frame of the band and measures it.
    pub fn analyse(&mut self, input: &[f32]) -> Analysis {
        let (frame, ahead) = (self.band.frame, self.band.subframe);
        let known = HIGH_ORDER + ahead;
        let mut signal = [0.0; HIGH_ORDER + MAX_FRAME + MAX_SUBFRAME];
        signal[..known].copy_from_slice(&self.signal[..known]);
        signal[known..known + frame].copy_from_slice(input);
        self.signal[..known].copy_from_slice(&signal[frame..frame + known]);

        // The window has 200 samples; in the wider band each of them serves twice.
        let stretch = ahead / NARROW_SUBFRAME;
        let mut windowed = [0.0; MAX_FRAME + MAX_SUBFRAME];
        let windowed = &mut windowed[..frame + ahead];
        for (i, (w, s)) in windowed.iter_mut().zip(&signal[HIGH_ORDER..]).enumerate() {
            *w = s * window::ANALYSIS[i / stretch];
        }
        let filter = lpc::analyse(windowed, NOISE_FLOOR);
        let found = LSP_STEPS.iter().find_map(|&step| lsp::from_lpc(&filter, step));
        Analysis { signal, lsp: found.unwrap_or(self.lsp) }
    }

    /// Writes the layer in a sub-mode (0: silence).
    #[allow(clippy::too_many_arguments)]
    pub fn encode(
        &mut self,
        simd: Simd,
        analysis: &Analysis,
        code: usize,
        complexity: u8,
        lower: &LowerBand,
        shapes: &mut HighShapes,
        bits: &mut BitWriter,
    ) -> LowerBand {
        bits.put(1, 1);
        bits.put(code as u32, 3);
        let submode = match high_submode(code) {
            Some(submode) => submode,
            None => return self.silence(),
        };
        let quantised_lsp = HIGH_LSP.quantise(&analysis.lsp, bits);
        if self.first {
            self.lsp = analysis.lsp;
            self.quantised_lsp = quantised_lsp;
        }
        let mut report = LowerBand::default();
        for subframe in 0..SUBFRAMES {
            let part = self.part(simd, analysis, &quantised_lsp, subframe, lower);
            report.edge_gain[subframe] = 1.0 + part.quantised.iter().sum::<f32>();
            let level = math::rms(&part.residual[..self.band.subframe]);
            let (book, twice) = match submode.innovation {
                HighInnovation::Folded => {
                    put_folding_gain(part.ratio * level / (1.0 + lower.innovation[subframe]), bits);
                    report.innovation[subframe] = level;
                    let mut excitation = part.residual;
                    self.remember(&part, &mut excitation);
                    continue;
                }
                HighInnovation::Shapes(book) => (book, false),
                HighInnovation::TwoShapes(book) => (book, true),
            };
            shapes.prepare(book);
            let below = 1.0 + lower.excitation[subframe];
            let gain = put_gain(part.ratio * (1.0 + level) / below, bits) * below / part.ratio;
            let innovation = self.shapes(simd, &part, gain, twice, search::survivors(complexity), shapes, bits);
            // A layer above mirrors what is half as wide: half of the energy.
            report.innovation[subframe] = core::f32::consts::FRAC_1_SQRT_2 * math::rms(&innovation);
            let mut excitation = [0.0; MAX_SUBFRAME];
            excitation[..NARROW_SUBFRAME].copy_from_slice(&innovation);
            self.remember(&part, &mut excitation);
        }
        self.lsp = analysis.lsp;
        self.quantised_lsp = quantised_lsp;
        self.first = false;
        report
    }

    /// The layer has no fields: its filter rings on, and the next frame starts anew.
    fn silence(&mut self) -> LowerBand {
        let mut rest = [0.0; MAX_FRAME];
        filters::synthesise(&self.filter, &mut self.ringing, &mut rest[..self.band.frame]);
        self.first = true;
        LowerBand::default()
    }

    fn part<'a>(
        &self,
        simd: Simd,
        analysis: &'a Analysis,
        quantised: &[f32; HIGH_ORDER],
        subframe: usize,
        lower: &LowerBand,
    ) -> Part<'a> {
        let exact = lsp::to_lpc(&lsp::interpolate(&self.lsp, &analysis.lsp, subframe, HIGH_LSP_MARGIN));
        let interpolated = lsp::interpolate(&self.quantised_lsp, quantised, subframe, HIGH_LSP_MARGIN);
        let quantised = lsp::to_lpc(&interpolated);
        // The high band is mirrored: it meets the lower one at its own upper edge.
        let own_edge = quantised.chunks_exact(2).fold(1.0, |gain, pair| gain + (pair[1] - pair[0]));
        let signal = &analysis.signal[subframe * self.band.subframe..];
        let mut residual = [0.0; MAX_SUBFRAME];
        simd::residual(simd, &quantised, signal, &mut residual[..self.band.subframe]);
        Part {
            signal,
            quantised,
            zeros: filters::widen(WEIGHT_ZEROS, &exact),
            poles: filters::widen(WEIGHT_POLES, &exact),
            ratio: (lower.edge_gain[subframe] + RATIO_FLOOR) / (own_edge + RATIO_FLOOR),
            residual,
        }
    }

    /// Searches the shapes of a sub-frame, of 40 samples: only the wideband layer has any.
    #[allow(clippy::too_many_arguments)]
    fn shapes(
        &self,
        simd: Simd,
        part: &Part,
        gain: f32,
        twice: bool,
        survivors: usize,
        shapes: &HighShapes,
        bits: &mut BitWriter,
    ) -> Subframe {
        let mut response = [0.0; NARROW_SUBFRAME];
        response[0] = 1.0;
        response[1..=HIGH_ORDER].copy_from_slice(&part.zeros);
        filters::synthesise(&part.poles, &mut [0.0; HIGH_ORDER], &mut response);
        filters::synthesise(&part.quantised, &mut [0.0; HIGH_ORDER], &mut response);
        let mut target = simd::convolve(simd, &response, &self.ideal_excitation(part));
        for t in &mut target {
            *t /= gain;
        }
        let responses = match shapes.respond(simd, &response) {
            Some(responses) => responses,
            None => return [0.0; NARROW_SUBFRAME],
        };
        let mut innovation = responses.quantise(&target, survivors, bits);
        if twice {
            for (t, r) in target.iter_mut().zip(&simd::convolve(simd, &response, &innovation)) {
                *t = (*t - r) / HIGH_SECOND_SHAPE;
            }
            for (i, second) in innovation.iter_mut().zip(&responses.quantise(&target, survivors, bits)) {
                *i += HIGH_SECOND_SHAPE * second;
            }
        }
        for i in &mut innovation {
            *i *= gain;
        }
        innovation
    }

    /// The excitation that would give exactly the signal: the residual, but with the decoder's past for its own.
    fn ideal_excitation(&self, part: &Part) -> Subframe {
        let mut ideal = [0.0; NARROW_SUBFRAME];
        ideal.copy_from_slice(&part.residual[..NARROW_SUBFRAME]);
        for (n, (ideal, ringing)) in ideal.iter_mut().zip(&self.ringing).enumerate() {
            let past = part.signal[n..HIGH_ORDER].iter().rev();
            *ideal -= part.quantised[n..].iter().zip(past).map(|(a, s)| a * s).sum::<f32>() + ringing;
        }
        ideal
    }

    /// Follows what the decoder's filter remembers.
    fn remember(&mut self, part: &Part, excitation: &mut [f32; MAX_SUBFRAME]) {
        filters::synthesise(&part.quantised, &mut self.ringing, &mut excitation[..self.band.subframe]);
        self.filter = part.quantised;
    }
}

/// Writes the gain of a folded sub-frame.
fn put_folding_gain(wanted: f32, bits: &mut BitWriter) {
    let borders = &gain::FOLDING_5_BITS_BORDERS;
    let index = borders[..borders.len() - 1].iter().take_while(|&&border| wanted > border).count();
    bits.put(index as u32, FOLDING_GAIN_BITS);
}

/// Writes the gain of a sub-frame's shapes and returns what a decoder makes of it.
fn put_gain(wanted: f32, bits: &mut BitWriter) -> f32 {
    let borders = &gain::HIGH_BAND_4_BITS;
    let index = borders[..borders.len() - 1].iter().take_while(|&&border| wanted > border).count();
    bits.put(index as u32, HIGH_GAIN_BITS);
    CENTRE * borders[index]
}
