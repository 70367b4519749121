//! A high-band layer: the upper half of a wideband or ultra-wideband signal, coded relative to the lower half.
//!
//! ```text
//!   high ─ LPC ─ LSP ─ quantise ─▶ filters ─▶ residual ─▶ its level against the lower band's ─▶ gain
//!                                     └─▶ target ─▶ shapes (sub-modes 2 to 4; sub-mode 1 folds the lower band up)
//! ```
//!
//! Gains are measured where the bands meet: the ratio of the two filters' gains at that frequency is taken out of
//! them, so that a gain of one means a spectrum without a step.

use super::narrowband::{ring, LowerBand};
use crate::bits::BitWriter;
use crate::filters;
use crate::mode::{
    high_submode, HighBand, HighInnovation, FOLDING_GAIN_BITS, HIGH_GAIN_BITS, HIGH_LSP, HIGH_LSP_MARGIN, HIGH_ORDER,
    HIGH_SECOND_SHAPE, NARROW_SUBFRAME, SUBFRAMES,
};
use crate::search::{self, ShapeSearch};
use crate::simd::{self, FrameFilters, Simd, Subframe, LANES};
use crate::tables::{gain, window};
use crate::{lpc, lsp, math};

/// White noise (part of the energy) that the analysis adds.
const NOISE_FLOOR: f32 = 0.0002;
/// Zeros of the weighting filter W(z) = A(z / 0.9) / A(z / 0.6).
const WEIGHT_ZEROS: f32 = 0.9;
/// Poles of the weighting filter.
const WEIGHT_POLES: f32 = 0.6;
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
    pub fn analyse(&mut self, simd: Simd, input: &[f32]) -> Analysis {
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
        let filter = lpc::analyse(simd, windowed, NOISE_FLOOR);
        let lsp = lsp::from_lpc(simd, &filter).unwrap_or(self.lsp);
        Analysis { signal, lsp }
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
        let quantised_lsp = HIGH_LSP.quantise(simd, &analysis.lsp, bits);
        if self.first {
            self.lsp = analysis.lsp;
            self.quantised_lsp = quantised_lsp;
        }
        let mut report = LowerBand::default();
        let filters = self.filters(simd, &analysis.lsp, &quantised_lsp);
        let search = match submode.innovation {
            HighInnovation::Folded => None,
            HighInnovation::Shapes(book) => Some((book, false)),
            HighInnovation::TwoShapes(book) => Some((book, true)),
        };
        let responses = search.map(|(book, _)| {
            shapes.prepare(book);
            simd::responses(simd, &filters)
        });
        for subframe in 0..SUBFRAMES {
            let part = self.part(simd, analysis, filters.quantised[subframe], subframe, lower);
            report.edge_gain[subframe] = 1.0 + part.quantised.iter().sum::<f32>();
            let level = math::rms(&part.residual[..self.band.subframe]);
            let (responses, twice) = match (&responses, search) {
                (Some(responses), Some((_, twice))) => (responses, twice),
                _ => {
                    put_folding_gain(part.ratio * level / (1.0 + lower.innovation[subframe]), bits);
                    report.innovation[subframe] = level;
                    let mut excitation = part.residual;
                    let excitation = &mut excitation[..self.band.subframe];
                    filters::synthesise(&part.quantised, &mut self.ringing, excitation);
                    continue;
                }
            };
            let below = 1.0 + lower.excitation[subframe];
            let gain = put_gain(part.ratio * (1.0 + level) / below, bits) * below / part.ratio;
            let target = simd::convolve(simd, &responses.weighted[subframe], &self.ideal_excitation(&part));
            let wanted = Wanted { target, response: &responses.weighted[subframe], gain, twice };
            let innovation = wanted.quantise(simd, search::survivors(complexity), shapes, bits);
            // A layer above mirrors what is half as wide: half of the energy.
            report.innovation[subframe] = core::f32::consts::FRAC_1_SQRT_2 * math::rms(&innovation);
            ring(simd, &part.quantised, &responses.synthesis[subframe], &innovation, &mut self.ringing);
        }
        self.filter = filters.quantised[SUBFRAMES - 1];
        self.lsp = analysis.lsp;
        self.quantised_lsp = quantised_lsp;
        self.first = false;
        report
    }

    /// The filters of all sub-frames, between the last frame's and this one's.
    fn filters(&self, simd: Simd, new: &[f32; HIGH_ORDER], quantised: &[f32; HIGH_ORDER]) -> FrameFilters<HIGH_ORDER> {
        let mut frequencies = [[0.0; HIGH_ORDER]; LANES];
        let (coded, exact) = frequencies.split_at_mut(SUBFRAMES);
        for (subframe, (coded, exact)) in coded.iter_mut().zip(exact).enumerate() {
            *coded = lsp::interpolate(&self.quantised_lsp, quantised, subframe, HIGH_LSP_MARGIN);
            *exact = lsp::interpolate(&self.lsp, new, subframe, HIGH_LSP_MARGIN);
        }
        let all = simd::filters_of(simd, &frequencies);
        let (coded, exact) = all.split_at(SUBFRAMES);
        const NONE: [[f32; HIGH_ORDER]; SUBFRAMES] = [[0.0; HIGH_ORDER]; SUBFRAMES];
        let mut filters = FrameFilters { quantised: NONE, zeros: NONE, poles: NONE };
        for (subframe, (coded, exact)) in coded.iter().zip(exact).enumerate() {
            filters.quantised[subframe] = *coded;
            filters.zeros[subframe] = filters::widen(WEIGHT_ZEROS, exact);
            filters.poles[subframe] = filters::widen(WEIGHT_POLES, exact);
        }
        filters
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
        quantised: [f32; HIGH_ORDER],
        subframe: usize,
        lower: &LowerBand,
    ) -> Part<'a> {
        // The high band is mirrored: it meets the lower one at its own upper edge.
        let own_edge = quantised.chunks_exact(2).fold(1.0, |gain, pair| gain + (pair[1] - pair[0]));
        let signal = &analysis.signal[subframe * self.band.subframe..];
        let mut residual = [0.0; MAX_SUBFRAME];
        simd::residual(simd, &quantised, signal, &mut residual[..self.band.subframe]);
        let ratio = (lower.edge_gain[subframe] + RATIO_FLOOR) / (own_edge + RATIO_FLOOR);
        Part { signal, quantised, ratio, residual }
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
}

/// What the shapes of a sub-frame, of 40 samples, are searched for: only the wideband layer has any.
struct Wanted<'a> {
    target: Subframe,
    /// Impulse response of W(z) / A(z).
    response: &'a Subframe,
    gain: f32,
    /// The sub-mode adds a second, smaller set of shapes.
    twice: bool,
}

impl Wanted<'_> {
    /// Writes the shapes and returns them with their gain.
    fn quantise(mut self, simd: Simd, survivors: usize, shapes: &HighShapes, bits: &mut BitWriter) -> Subframe {
        let inverse = 1.0 / self.gain;
        for t in &mut self.target {
            *t *= inverse;
        }
        let responses = match shapes.respond(simd, self.response) {
            Some(responses) => responses,
            None => return [0.0; NARROW_SUBFRAME],
        };
        let mut innovation = responses.quantise(&self.target, survivors, bits);
        if self.twice {
            for (t, r) in self.target.iter_mut().zip(&simd::convolve(simd, self.response, &innovation)) {
                *t = (*t - r) * (1.0 / HIGH_SECOND_SHAPE);
            }
            for (i, second) in innovation.iter_mut().zip(&responses.quantise(&self.target, survivors, bits)) {
                *i += HIGH_SECOND_SHAPE * second;
            }
        }
        for i in &mut innovation {
            *i *= self.gain;
        }
        innovation
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
