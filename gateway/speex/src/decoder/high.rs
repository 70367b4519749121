//! A high-band decoder: the upper half of what a wideband or ultra-wideband decoder puts out.
//!
//! ```text
//! lower band's innovation ──▶ folded ──┐ (sub-mode 1)
//! shapes ──▶ x gain x lower level ─────┴──▶ excitation ──▶ 1/A(z) ──▶ high ──┐
//!                                                                            QMF ──▶ samples
//! lower band's samples ──────────────────────────────────────────────────────┘
//! ```
//!
//! Gains are relative to the lower band, and to the ratio of the two filters' gains where the bands meet.

use super::innovation::add_shapes;
use super::narrow::BandInfo;
use super::noise::Noise;
use super::{tame, tame_all, tame_memory, LIMIT};
use crate::bits::BitReader;
use crate::filters::{synthesise, widen, QmfSynthesis};
use crate::lsp;
use crate::math;
use crate::mode::*;
use crate::tables::gain;

/// Samples of the widest high band in a frame and a sub-frame.
const MAX_FRAME: usize = 320;
const MAX_SUBFRAME: usize = MAX_FRAME / SUBFRAMES;
/// Keeps the ratio of two filters' gains from dividing by zero.
const RATIO_FLOOR: f32 = 0.01;

/// State of one high-band layer.
#[derive(Debug, Clone)]
pub(super) struct HighDecoder {
    band: &'static HighBand,
    /// Excitation of the sub-frame that is heard next.
    late: [f32; MAX_SUBFRAME],
    /// The excitation of the whole frame, for a layer above.
    innovation: [f32; MAX_FRAME],
    frequencies: [f32; HIGH_ORDER],
    lpc: [f32; HIGH_ORDER],
    memory: [f32; HIGH_ORDER],
    edge_gain: [f32; SUBFRAMES],
    /// Root mean square of the last frame's excitation.
    level: f32,
    noise: Noise,
    /// The next frame's LSPs have none before them to be interpolated from.
    first: bool,
    join: QmfSynthesis,
}

impl HighDecoder {
    pub fn new(band: &'static HighBand) -> Self {
        Self {
            band,
            late: [0.0; MAX_SUBFRAME],
            innovation: [0.0; MAX_FRAME],
            frequencies: [0.0; HIGH_ORDER],
            lpc: [0.0; HIGH_ORDER],
            memory: [0.0; HIGH_ORDER],
            edge_gain: [0.0; SUBFRAMES],
            level: 0.0,
            noise: Noise::NEW,
            first: true,
            join: QmfSynthesis::NEW,
        }
    }

    /// What the last frame left for the layer above; only folding sub-modes exist there, and they need no level.
    pub fn info(&self) -> BandInfo<'_> {
        BandInfo { innovation: &self.innovation[..self.band.frame], edge_gain: self.edge_gain, level: [0.0; SUBFRAMES] }
    }

    /// Decodes the layer of sub-mode `code` (whose fields are next in `bits`) and joins it with the `lower` samples.
    pub fn decode(&mut self, code: usize, bits: &mut BitReader, info: BandInfo, lower: &[f32], out: &mut [f32]) {
        let mut high = [0.0; MAX_FRAME];
        let high = &mut high[..self.band.frame];
        match high_submode(code) {
            Some(submode) => self.decode_band(submode, bits, info, high),
            None => self.ring(high),
        }
        self.join.join(lower, high, out);
    }

    /// A frame whose layer is missing, because it was lost or (`silent`) left out: noise, fading in the first case.
    pub fn conceal(&mut self, silent: bool, lower: &[f32], out: &mut [f32]) {
        let mut high = [0.0; MAX_FRAME];
        let high = &mut high[..self.band.frame];
        if !silent {
            self.lpc = widen(0.99, &self.lpc);
            self.level *= 0.9;
        }
        self.noise.fill(self.level, high);
        self.ring(high);
        self.join.join(lower, high, out);
    }

    /// A frame without fields: what is left in the filter, and whatever excitation stands in `high`.
    fn ring(&mut self, high: &mut [f32]) {
        self.innovation = [0.0; MAX_FRAME];
        synthesise(&self.lpc, &mut self.memory, high);
        self.settle(high);
        self.first = true;
    }

    fn decode_band(&mut self, submode: &HighSubmode, bits: &mut BitReader, info: BandInfo, high: &mut [f32]) {
        let length = self.band.subframe;
        let frequencies = HIGH_LSP.dequantise(bits);
        if self.first {
            self.frequencies = frequencies;
        }
        let mut energy = 0.0;
        for (subframe, high) in high.chunks_exact_mut(length).enumerate() {
            let mixed = lsp::interpolate(&self.frequencies, &frequencies, subframe, HIGH_LSP_MARGIN);
            let lpc = lsp::to_lpc(&mixed);
            self.edge_gain[subframe] = 1.0 + lpc.iter().sum::<f32>();
            // The high band is mirrored: it meets the lower one at its own upper edge.
            let own_edge = 1.0 + lpc.chunks_exact(2).map(|a| a[1] - a[0]).sum::<f32>();
            let ratio = (info.edge_gain[subframe] + RATIO_FLOOR) / (own_edge + RATIO_FLOOR);

            let mut excitation = [0.0; MAX_SUBFRAME];
            let excitation = &mut excitation[..length];
            let share = info.innovation.len() / SUBFRAMES;
            let lower = &info.innovation[subframe * share..][..share];
            self.excite(submode, bits, lower, info.level[subframe], ratio, excitation);
            self.innovation[subframe * length..][..length].copy_from_slice(excitation);

            high.copy_from_slice(&self.late[..length]);
            synthesise(&self.lpc, &mut self.memory, high);
            self.settle(high);
            self.late[..length].copy_from_slice(excitation);
            self.lpc = lpc;
            let level = math::rms(excitation);
            energy += level * level / SUBFRAMES as f32;
        }
        self.level = math::sqrt(energy);
        self.frequencies = frequencies;
        self.first = false;
    }

    /// Reads one sub-frame's excitation.
    fn excite(
        &self,
        submode: &HighSubmode,
        bits: &mut BitReader,
        lower: &[f32],
        level: f32,
        ratio: f32,
        out: &mut [f32],
    ) {
        match submode.innovation {
            HighInnovation::Folded => {
                let index = bits.take(FOLDING_GAIN_BITS) as f32;
                let gain = self.band.folding * (math::exp(0.125 * (index - 10.0)) / ratio);
                fold(lower, gain, out);
            }
            HighInnovation::Shapes(book) => {
                let gain = high_gain(bits, level, ratio);
                add_shapes(book, bits, gain, out);
            }
            HighInnovation::TwoShapes(book) => {
                let gain = high_gain(bits, level, ratio);
                add_shapes(book, bits, gain, out);
                add_shapes(book, bits, HIGH_SECOND_SHAPE * gain, out);
            }
        }
        for x in out {
            *x = tame(*x, LIMIT);
        }
    }

    /// The largest magnitude in the state.
    #[cfg(test)]
    pub fn peak(&self) -> f32 {
        let Self { late, innovation, frequencies, lpc, memory, edge_gain, join, .. } = self;
        let signals = late.iter().chain(innovation).chain(memory).chain(join.memory());
        super::peak(signals.chain(frequencies).chain(lpc).chain(edge_gain).chain([&self.level]))
    }

    /// Keeps hostile filters from going beyond all bounds.
    fn settle(&mut self, high: &mut [f32]) {
        tame_all(high);
        tame_memory(&mut self.memory);
    }
}

/// Mirrors the spectrum of the lower band's innovation, by turning every second sample. A narrowband innovation has
/// this band's rate; that of a high band has half of it, and gets a zero after each sample.
fn fold(lower: &[f32], gain: f32, out: &mut [f32]) {
    if lower.len() == out.len() {
        for (out, lower) in out.chunks_exact_mut(2).zip(lower.chunks_exact(2)) {
            (out[0], out[1]) = (gain * lower[0], -gain * lower[1]);
        }
    } else {
        for (out, lower) in out.chunks_exact_mut(2).zip(lower) {
            (out[0], out[1]) = (gain * lower, 0.0);
        }
    }
}

/// The gain of a sub-frame's shapes.
fn high_gain(bits: &mut BitReader, level: f32, ratio: f32) -> f32 {
    /// The decoded gain is this part of the quantiser's border, which is where its cell has its mean.
    const CENTRE: f32 = 0.873_6;
    CENTRE * gain::HIGH_BAND_4_BITS[bits.index(HIGH_GAIN_BITS)] * level / ratio
}
