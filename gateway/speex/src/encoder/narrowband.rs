//! The narrowband layer: 160 samples at 8 kHz become a frame.
//!
//! ```text
//!          ┌ LPC ─ LSP ─ quantise ─▶ interpolate ─▶ filters of the sub-frame
//!  speech ─┤                                          │ A(z) leaves the residual; W(z)/A(z) weighs errors
//!          └ open-loop pitch, gain of the frame       ▼
//!                          target = residual through W/A, less pitch, less innovation ─▶ as small as can be
//! ```
//!
//! The frame that is coded ends 40 samples (5 ms) before the newest input: the analysis looks that far ahead.
//!
//! The target needs no memory of the weighting filter: what is asked for is the difference between speech and what
//! the decoder's filter still rings with, and that difference is zero before the sub-frame. So it is the residual,
//! corrected in its first samples for what the decoder remembers otherwise, through the filters' impulse response.

use super::pitch::{self, History, OpenLoop, TapSearch, Wanted, PAST, SUBFRAME_LAG_BITS};
use crate::bits::BitWriter;
use crate::filters::{self, Biquad};
use crate::mode::{
    narrow_submode, Innovation, NarrowSubmode, Pitch, COMFORT_BITS, COMFORT_DTX, FRAME_GAIN_BITS,
    FRAME_PITCH_GAIN_BITS, FRAME_PITCH_GAIN_STEP, LAG_BITS, LAG_MIN, NARROW_FRAME, NARROW_LSP_MARGIN, NARROW_ORDER,
    NARROW_SECOND_SHAPE, NARROW_SUBFRAME, SUBFRAMES,
};
use crate::search::{self, ShapeSearch};
use crate::simd::{self, FrameFilters, Simd, Subframe, LANES};
use crate::tables::window;
use crate::{lpc, lsp, math};

/// White noise (part of the energy) that the analysis adds.
const NOISE_FLOOR: f32 = 0.0002;
/// Zeros of the weighting filter W(z) = A(z / 0.92) / A(z / 0.6).
const WEIGHT_ZEROS: f32 = 0.92;
/// Poles of the weighting filter.
const WEIGHT_POLES: f32 = 0.6;
/// Samples that the analysis window looks ahead.
const AHEAD: usize = NARROW_SUBFRAME;
/// Numbers of the largest codebook: 256 shapes of 5.
const SHAPES: usize = 1280;
/// The frame gain is exp(index / 3.5).
const FRAME_GAIN_STEPS: f32 = 3.5;

/// The narrowband encoder's memory.
#[derive(Debug, Clone)]
pub(super) struct Narrowband {
    highpass: Biquad,
    /// Speech: the filters' past, and the newest samples, not coded yet.
    speech: [f32; NARROW_ORDER + AHEAD],
    excitation: History,
    weighted: History,
    weighted_memory: [f32; NARROW_ORDER],
    lsp: [f32; NARROW_ORDER],
    quantised_lsp: [f32; NARROW_ORDER],
    /// What the decoder's filter will add to the samples to come.
    ringing: [f32; NARROW_ORDER],
    /// No frame before this one to interpolate from.
    first: bool,
    /// No excitation before this frame that a decoder has too.
    fresh: bool,
    taps: TapSearch,
    shapes: ShapeSearch<SHAPES>,
}

/// What is known of a frame before its sub-mode is.
pub(super) struct Analysis {
    /// Filters' past, the frame, and what was looked at ahead.
    speech: [f32; NARROW_ORDER + NARROW_FRAME + AHEAD],
    lsp: [f32; NARROW_ORDER],
    pub pitch: OpenLoop,
    /// RMS of the frame's residual.
    residual: f32,
    /// Square distance from the last frame's frequencies.
    pub change: f32,
}

/// What a high band takes over from the band below it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct LowerBand {
    /// Gain of the filter A(z) at the band's upper edge, for each sub-frame.
    pub edge_gain: [f32; SUBFRAMES],
    /// RMS of each sub-frame's innovation.
    pub innovation: [f32; SUBFRAMES],
    /// RMS of each sub-frame's excitation.
    pub excitation: [f32; SUBFRAMES],
}

/// The filters of a sub-frame.
struct Filters<'a> {
    quantised: &'a [f32; NARROW_ORDER],
    /// Impulse response of 1 / A(z).
    synthesis: &'a Subframe,
    /// Impulse response of W(z) / A(z).
    response: &'a Subframe,
}

/// How the frame is coded as a whole.
struct Plan {
    submode: &'static NarrowSubmode,
    lag: usize,
    pitch_gain: f32,
    gain: f32,
    candidates: usize,
    survivors: usize,
}

impl Narrowband {
    /// A narrowband encoder, alone or `under` a wideband layer.
    pub fn new(under: bool) -> Self {
        let mut start = [0.0; NARROW_ORDER];
        for (i, frequency) in start.iter_mut().enumerate() {
            *frequency = core::f32::consts::PI * (i + 1) as f32 / (NARROW_ORDER + 1) as f32;
        }
        Self {
            highpass: if under { Biquad::WIDE_INPUT } else { Biquad::NARROW_INPUT },
            speech: [0.0; NARROW_ORDER + AHEAD],
            excitation: [0.0; PAST + NARROW_FRAME + LANES],
            weighted: [0.0; PAST + NARROW_FRAME + LANES],
            weighted_memory: [0.0; NARROW_ORDER],
            lsp: start,
            quantised_lsp: start,
            ringing: [0.0; NARROW_ORDER],
            first: true,
            fresh: true,
            taps: TapSearch::NEW,
            shapes: ShapeSearch::NEW,
        }
    }

    /// Takes in the next 160 samples and measures the frame. Its pitch is looked for if `with_pitch`.
    pub fn analyse(&mut self, simd: Simd, input: &mut [f32; NARROW_FRAME], with_pitch: bool) -> Analysis {
        self.highpass.run(input);
        let mut speech = [0.0; NARROW_ORDER + NARROW_FRAME + AHEAD];
        let known = self.speech.len();
        speech[..known].copy_from_slice(&self.speech);
        speech[known..].copy_from_slice(input);
        self.speech.copy_from_slice(&speech[NARROW_FRAME..]);

        let mut windowed = [0.0; NARROW_FRAME + AHEAD];
        for ((w, s), window) in windowed.iter_mut().zip(&speech[NARROW_ORDER..]).zip(&window::ANALYSIS) {
            *w = s * window;
        }
        let lsp = lsp::from_lpc(simd, &lpc::analyse(simd, &windowed, NOISE_FLOOR)).unwrap_or(self.lsp);
        let middle = if self.first { lsp } else { mix(&self.lsp, &lsp, 0.625) };
        let filter = lsp::to_lpc(&middle);
        let mut residual = [0.0; NARROW_FRAME];
        simd::residual(simd, &filter, &speech, &mut residual);
        let pitch = if with_pitch { self.open_loop(simd, &filter, &speech) } else { OpenLoop::default() };
        let change = self.lsp.iter().zip(&lsp).map(|(last, this)| (last - this) * (last - this)).sum();
        Analysis { speech, lsp, pitch, residual: math::rms(&residual), change }
    }

    fn open_loop(&mut self, simd: Simd, filter: &[f32; NARROW_ORDER], speech: &[f32]) -> OpenLoop {
        pitch::next_frame(&mut self.weighted);
        let frame = &mut self.weighted[PAST..PAST + NARROW_FRAME];
        frame.copy_from_slice(&speech[NARROW_ORDER..NARROW_ORDER + NARROW_FRAME]);
        let (zeros, poles) = (filters::widen(0.9, filter), filters::widen(0.55, filter));
        filters::pole_zero(&zeros, &poles, &mut self.weighted_memory, frame);
        pitch::open_loop(simd, &self.weighted)
    }

    /// Writes the frame in a sub-mode (0 to 8). `left_out`: tells the decoder that frames will be missing (DTX).
    pub fn encode(
        &mut self,
        simd: Simd,
        analysis: &Analysis,
        code: usize,
        complexity: u8,
        left_out: bool,
        bits: &mut BitWriter,
    ) -> LowerBand {
        bits.put(0, 1);
        bits.put(code as u32, 4);
        pitch::next_frame(&mut self.excitation);
        let submode = match narrow_submode(code) {
            Some(submode) => submode,
            None => return self.silence(),
        };
        if self.first {
            self.lsp = analysis.lsp;
        }
        let quantised_lsp = submode.lsp.quantise(simd, &analysis.lsp, bits);
        if self.first {
            self.quantised_lsp = quantised_lsp;
        }
        let plan = self.plan(analysis, submode, complexity, bits);
        let mut report = LowerBand::default();
        let all = self.filters(simd, &analysis.lsp, &quantised_lsp);
        let responses = simd::responses(simd, &all);
        for subframe in 0..SUBFRAMES {
            let filters = Filters {
                quantised: &all.quantised[subframe],
                synthesis: &responses.synthesis[subframe],
                response: &responses.weighted[subframe],
            };
            report.edge_gain[subframe] = edge_gain(filters.quantised);
            report.innovation[subframe] = self.subframe(simd, analysis, &plan, &filters, subframe, bits);
            let at = PAST + subframe * NARROW_SUBFRAME;
            report.excitation[subframe] = math::rms(&self.excitation[at..at + NARROW_SUBFRAME]);
        }
        if let Innovation::Noise = submode.innovation {
            bits.put(if left_out { COMFORT_DTX } else { 0 }, COMFORT_BITS);
        }
        self.lsp = analysis.lsp;
        self.quantised_lsp = quantised_lsp;
        self.first = false;
        // A decoder's noise is its own: nothing to predict from.
        self.fresh = matches!(submode.innovation, Innovation::Noise);
        report
    }

    /// Sub-mode 0: the frame is not sent, and a decoder starts anew.
    fn silence(&mut self) -> LowerBand {
        self.excitation[PAST..].fill(0.0);
        self.ringing = [0.0; NARROW_ORDER];
        self.first = true;
        self.fresh = true;
        LowerBand::default()
    }

    /// Writes what is sent once a frame.
    fn plan(
        &mut self,
        analysis: &Analysis,
        submode: &'static NarrowSubmode,
        complexity: u8,
        bits: &mut BitWriter,
    ) -> Plan {
        let OpenLoop { lag, mut strength } = analysis.pitch;
        let lag = lag.max(LAG_MIN);
        let mut pitch_gain = 0.0;
        if !matches!(submode.pitch, Pitch::SubframeLag(_)) {
            bits.put((lag - LAG_MIN) as u32, LAG_BITS);
        }
        if let Pitch::Forced = submode.pitch {
            strength *= 0.9;
            let index = (0.5 + 15.0 * strength).clamp(0.0, 15.0) as u32;
            bits.put(index, FRAME_PITCH_GAIN_BITS);
            strength = index as f32 * FRAME_PITCH_GAIN_STEP;
            pitch_gain = strength.min(0.99);
        }
        let mut gain = analysis.residual;
        if analysis.pitch.lag > 0 && !matches!(submode.innovation, Innovation::Noise) {
            gain *= 1.1 * math::sqrt(1.0 - 0.8 * strength * strength);
        }
        let index = (0.5 + FRAME_GAIN_STEPS * math::ln(gain)).clamp(0.0, 31.0) as u32;
        bits.put(index, FRAME_GAIN_BITS);
        Plan {
            submode,
            lag,
            pitch_gain,
            gain: math::exp(index as f32 / FRAME_GAIN_STEPS),
            candidates: pitch::candidates(complexity),
            survivors: search::survivors(complexity),
        }
    }

    /// The filters of all sub-frames, between the last frame's and this one's.
    fn filters(
        &self,
        simd: Simd,
        new: &[f32; NARROW_ORDER],
        quantised: &[f32; NARROW_ORDER],
    ) -> FrameFilters<NARROW_ORDER> {
        let mut frequencies = [[0.0; NARROW_ORDER]; LANES];
        let (coded, exact) = frequencies.split_at_mut(SUBFRAMES);
        for (subframe, (coded, exact)) in coded.iter_mut().zip(exact).enumerate() {
            *coded = lsp::interpolate(&self.quantised_lsp, quantised, subframe, NARROW_LSP_MARGIN);
            *exact = lsp::interpolate(&self.lsp, new, subframe, NARROW_LSP_MARGIN);
        }
        let all = simd::filters_of(simd, &frequencies);
        let (coded, exact) = all.split_at(SUBFRAMES);
        const NONE: [[f32; NARROW_ORDER]; SUBFRAMES] = [[0.0; NARROW_ORDER]; SUBFRAMES];
        let mut filters = FrameFilters { quantised: NONE, zeros: NONE, poles: NONE };
        for (subframe, (coded, exact)) in coded.iter().zip(exact).enumerate() {
            filters.quantised[subframe] = *coded;
            filters.zeros[subframe] = filters::widen(WEIGHT_ZEROS, exact);
            filters.poles[subframe] = filters::widen(WEIGHT_POLES, exact);
        }
        filters
    }

    /// Codes a sub-frame; returns the RMS of its innovation.
    fn subframe(
        &mut self,
        simd: Simd,
        analysis: &Analysis,
        plan: &Plan,
        filters: &Filters,
        subframe: usize,
        bits: &mut BitWriter,
    ) -> f32 {
        let at = PAST + subframe * NARROW_SUBFRAME;
        let speech = &analysis.speech[subframe * NARROW_SUBFRAME..];
        let mut residual = [0.0; NARROW_SUBFRAME];
        simd::residual(simd, filters.quantised, speech, &mut residual);
        let ideal = self.ideal_excitation(&residual, filters.quantised, speech);
        let target = simd::convolve(simd, filters.response, &ideal);
        self.excitation[at..at + NARROW_SUBFRAME].copy_from_slice(&ideal);

        let offset = subframe * NARROW_SUBFRAME;
        let prediction = self.pitch(simd, plan, &target, filters.response, (at, offset), bits);
        let mut innovation = [0.0; NARROW_SUBFRAME];
        for ((i, r), p) in innovation.iter_mut().zip(&residual).zip(&prediction.excitation) {
            *i = r - p;
        }
        let gain_at = bits.position();
        let gain = quantise_gain(plan, math::rms(&innovation), bits);
        match plan.submode.innovation {
            Innovation::Noise => {
                for ((i, r), p) in innovation.iter_mut().zip(&ideal).zip(&prediction.excitation) {
                    *i = r - p;
                }
            }
            Innovation::Shapes(book) => {
                self.shapes.prepare(book);
                innovation =
                    quantise_shapes(simd, &self.shapes, filters, &prediction.target, gain, plan, gain_at, false, bits);
            }
            Innovation::TwoShapes(book) => {
                self.shapes.prepare(book);
                innovation =
                    quantise_shapes(simd, &self.shapes, filters, &prediction.target, gain, plan, gain_at, true, bits);
            }
        }
        let mut excitation = prediction.excitation;
        for (e, i) in excitation.iter_mut().zip(&innovation) {
            *e += i;
        }
        self.excitation[at..at + NARROW_SUBFRAME].copy_from_slice(&excitation);
        ring(simd, filters.quantised, filters.synthesis, &excitation, &mut self.ringing);
        math::rms(&innovation)
    }

    /// The excitation that would give exactly the speech: the residual, but with the decoder's past for its own.
    fn ideal_excitation(&self, residual: &Subframe, filter: &[f32; NARROW_ORDER], speech: &[f32]) -> Subframe {
        let mut ideal = *residual;
        for (n, (ideal, ringing)) in ideal.iter_mut().zip(&self.ringing).enumerate() {
            let past = speech[n..NARROW_ORDER].iter().rev();
            *ideal -= filter[n..].iter().zip(past).map(|(a, s)| a * s).sum::<f32>() + ringing;
        }
        ideal
    }

    fn pitch(
        &mut self,
        simd: Simd,
        plan: &Plan,
        target: &Subframe,
        response: &Subframe,
        (at, offset): (usize, usize),
        bits: &mut BitWriter,
    ) -> pitch::Prediction {
        let wanted = Wanted { target, response, excitation: &self.excitation, at, candidates: plan.candidates };
        let (book, first, last, lag_bits) = match plan.submode.pitch {
            Pitch::Forced => return pitch::forced(simd, &wanted, plan.lag, plan.pitch_gain),
            Pitch::FrameLag(book) => (book, plan.lag, plan.lag, 0),
            Pitch::SubframeLag(book) => (book, LAG_MIN, crate::mode::LAG_MAX, SUBFRAME_LAG_BITS),
        };
        let last = if self.fresh { last.min(offset) } else { last };
        self.taps.quantise(simd, book, &wanted, (first, last), lag_bits, bits)
    }
}

/// What a synthesis filter will add to the samples after a sub-frame of `excitation`, given what it added to this one.
///
/// What rings from before is as good as excitation: both together through the filter make the samples, of which only
/// the last few are needed.
pub(super) fn ring<const N: usize>(
    simd: Simd,
    filter: &[f32; N],
    impulse: &Subframe,
    excitation: &Subframe,
    ringing: &mut [f32; N],
) {
    let mut input = *excitation;
    for (x, ringing) in input.iter_mut().zip(ringing.iter()) {
        *x += ringing;
    }
    let end = simd::convolution_end(simd, impulse, &input);
    for (m, ringing) in ringing.iter_mut().enumerate() {
        let past = end.iter().rev();
        *ringing = -filter[m..].iter().zip(past).map(|(a, y)| a * y).sum::<f32>();
    }
}

/// True when a sub-mode needs the frame's pitch: to send it, or to spend complexity on a better gain.
pub(super) fn wants_pitch(code: usize, complexity: u8) -> bool {
    narrow_submode(code).map_or(true, |submode| {
        let coarse_gain = submode.subframe_gain.map_or(true, |quantiser| quantiser.bits < 3);
        !matches!(submode.pitch, Pitch::SubframeLag(_)) || complexity > 2 && coarse_gain
    })
}

/// The last and this frame's frequencies, `share` of this one's.
fn mix(last: &[f32; NARROW_ORDER], this: &[f32; NARROW_ORDER], share: f32) -> [f32; NARROW_ORDER] {
    let mut mixed = *this;
    for (f, last) in mixed.iter_mut().zip(last) {
        *f = share * *f + (1.0 - share) * last;
    }
    mixed
}

/// |A(z)| at z = -1, half of the sample rate.
fn edge_gain(filter: &[f32; NARROW_ORDER]) -> f32 {
    filter.chunks_exact(2).fold(1.0, |gain, pair| gain + (pair[1] - pair[0]))
}

/// Writes the sub-frame's gain, if it has one, and returns what a decoder makes of it.
fn quantise_gain(plan: &Plan, wanted: f32, bits: &mut BitWriter) -> f32 {
    match plan.submode.subframe_gain {
        None => plan.gain,
        Some(quantiser) => {
            let relative = wanted / plan.gain;
            let index = quantiser.borders.iter().take_while(|&&border| relative > border).count();
            bits.put(index as u32, quantiser.bits);
            quantiser.values[index] * plan.gain
        }
    }
}

/// Writes the innovation and returns it.
#[allow(clippy::too_many_arguments)]
fn quantise_shapes(
    simd: Simd,
    shapes: &ShapeSearch<SHAPES>,
    filters: &Filters,
    target: &Subframe,
    gain: f32,
    plan: &Plan,
    gain_at: usize,
    twice: bool,
    bits: &mut BitWriter,
) -> Subframe {
    let mut normalised = *target;
    let inverse = 1.0 / gain;
    for t in &mut normalised {
        *t *= inverse;
    }
    let responses = match shapes.respond(simd, filters.response) {
        Some(responses) => responses,
        None => return [0.0; NARROW_SUBFRAME],
    };
    let mut innovation = responses.quantise(&normalised, plan.survivors, bits);
    if twice {
        let response = simd::convolve(simd, filters.response, &innovation);
        for (t, r) in normalised.iter_mut().zip(&response) {
            *t = (*t - r) * (1.0 / NARROW_SECOND_SHAPE);
        }
        let second = responses.quantise(&normalised, plan.survivors, bits);
        for (i, s) in innovation.iter_mut().zip(&second) {
            *i += NARROW_SECOND_SHAPE * s;
        }
    }
    if let Some(quantiser) = plan.submode.subframe_gain {
        let response = simd::convolve(simd, filters.response, &innovation);
        let (ty, yy) = (math::dot(target, &response), math::dot(&response, &response));
        let mut best = (f32::INFINITY, 0);
        for (index, value) in quantiser.values.iter().enumerate() {
            let g = value * plan.gain;
            let error = g * g * yy - 2.0 * g * ty;
            if error < best.0 {
                best = (error, index);
            }
        }
        bits.patch(gain_at, best.1 as u32, quantiser.bits);
        let g = quantiser.values[best.1] * plan.gain;
        for i in &mut innovation {
            *i *= g;
        }
        return innovation;
    }
    for i in &mut innovation {
        *i *= gain;
    }
    innovation
}
