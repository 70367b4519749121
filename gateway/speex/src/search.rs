//! The search for the innovation: which shapes, one after the other, come nearest to the target once they went
//! through the filter. It is where an encoder spends most of its time.
//!
//! ```text
//!   target, 40 samples   |  0  |  1  |  2  | ...      a shape's response rings on into the parts behind it,
//!   part 0: best shapes    ▲                          so it is taken off them before they are searched
//!           response       ╰──────────────────▶
//! ```
//!
//! With one survivor each part takes the shape that is best for it alone. With more, so many beginnings are kept
//! from part to part, and the one with the least error at the end wins (an M-algorithm, or beam search).
//!
//! No response is ever compared with the target itself. The error of shape s with the response H s is
//! `|t - Hs|² = |t|² - 2 (Hᵀt)·s + |Hs|²`: `Hᵀt` is computed once a part, `|Hs|²` once a sub-frame and shape, and what
//! is left is one short product for each shape, eight shapes at a time.

use crate::bits::BitWriter;
use crate::mode::{ShapeCodebook, NARROW_SUBFRAME};
use crate::simd::{self, Padded, Simd, Subframe};

/// Shapes of the largest codebook.
const MAX_SHAPES: usize = 256;
/// Samples of the longest shape.
const MAX_LENGTH: usize = 20;
/// Stands for a shape's length that is not known at compile time.
const ANY: usize = simd::ANY;
/// One search for shapes of all lengths, instead of one for each: slower, but WebAssembly is sent over networks.
const SMALL: bool = cfg!(target_arch = "wasm32");
/// Parts of the most finely split sub-frame.
const MAX_VECTORS: usize = 8;
/// Beginnings that are kept at complexity 10.
const MAX_SURVIVORS: usize = 9;

/// Beginnings to keep at a complexity from 1 to 10.
pub(crate) fn survivors(complexity: u8) -> usize {
    usize::from(complexity.saturating_sub(1)).clamp(1, MAX_SURVIVORS)
}

/// A codebook as the search wants it: its first samples, its second ones, and so on; SIZE numbers in all.
#[derive(Debug, Clone)]
pub(crate) struct ShapeSearch<const SIZE: usize> {
    book: Option<&'static ShapeCodebook>,
    shapes: [f32; SIZE],
}

/// A codebook for one sub-frame: with half the energy of each shape's response.
pub(crate) struct Responses<'a> {
    book: &'static ShapeCodebook,
    shapes: &'a [f32],
    response: Padded,
    energies: [f32; MAX_SHAPES],
    simd: Simd,
}

/// A choice of shapes for the first parts of a sub-frame.
#[derive(Clone, Copy)]
struct Path {
    /// The target without the responses to what was chosen; right from the next part on.
    target: Padded,
    /// Half the square error so far.
    error: f32,
    /// Code of each shape, sign in front.
    codes: [u16; MAX_VECTORS],
}

/// A way to go on: half the square error with it, the path it prolongs, the shape.
#[derive(Clone, Copy)]
struct Step {
    error: f32,
    path: usize,
    code: u16,
}

impl<const SIZE: usize> ShapeSearch<SIZE> {
    pub const NEW: Self = Self { book: None, shapes: [0.0; SIZE] };

    /// Gets ready for `book`, which has at most SIZE numbers. Costs time only when it is another one than last time.
    pub fn prepare(&mut self, book: &'static ShapeCodebook) {
        if self.book.map_or(false, |last| core::ptr::eq(last, book)) {
            return;
        }
        let count = 1 << book.bits;
        for (index, shape) in book.shapes.chunks_exact(book.length).enumerate() {
            for (k, &sample) in shape.iter().enumerate() {
                self.shapes[k * count + index] = ShapeCodebook::UNIT * f32::from(sample);
            }
        }
        self.book = Some(book);
    }

    /// The codebook that is ready, behind a filter with this impulse response; `None` before the first `prepare`.
    pub fn respond(&self, simd: Simd, response: &Subframe) -> Option<Responses<'_>> {
        let book = self.book?;
        let mut responses = Responses {
            book,
            shapes: &self.shapes[..book.length << book.bits],
            response: simd::pad(response),
            energies: [0.0; MAX_SHAPES],
            simd,
        };
        let energies = &mut responses.energies[..1 << book.bits];
        match book.length {
            _ if SMALL => simd::shape_energies::<ANY>(simd, response, responses.shapes, energies),
            5 => simd::shape_energies::<5>(simd, response, responses.shapes, energies),
            8 => simd::shape_energies::<8>(simd, response, responses.shapes, energies),
            10 => simd::shape_energies::<10>(simd, response, responses.shapes, energies),
            _ => simd::shape_energies::<MAX_LENGTH>(simd, response, responses.shapes, energies),
        }
        Some(responses)
    }
}

impl Responses<'_> {
    /// Finds the shapes for `target`, writes their codes, and returns them: what a decoder will add up, before gain.
    pub fn quantise(&self, target: &Subframe, survivors: usize, bits: &mut BitWriter) -> Subframe {
        let codes = match self.book.length {
            _ if SMALL => self.search::<ANY>(target, survivors),
            5 => self.search::<5>(target, survivors),
            8 => self.search::<8>(target, survivors),
            10 => self.search::<10>(target, survivors),
            _ => self.search::<MAX_LENGTH>(target, survivors),
        };
        let mut innovation = [0.0; NARROW_SUBFRAME];
        for (part, &code) in innovation.chunks_exact_mut(self.book.length).zip(&codes) {
            bits.put(u32::from(code), self.book.bits + u32::from(self.book.signed));
            self.shape(code, part);
        }
        innovation
    }

    /// The shape with this code, sign included.
    fn shape(&self, code: u16, out: &mut [f32]) {
        let count = 1 << self.book.bits;
        let unit = if usize::from(code) >= count { -ShapeCodebook::UNIT } else { ShapeCodebook::UNIT };
        for (out, &sample) in out.iter_mut().zip(self.book.shape(usize::from(code) % count)) {
            *out = unit * f32::from(sample);
        }
    }

    /// Samples of a shape: N, unless that is [`ANY`].
    #[inline(always)]
    fn length<const N: usize>(&self) -> usize {
        if N == ANY {
            self.book.length
        } else {
            N
        }
    }

    fn search<const N: usize>(&self, target: &Subframe, survivors: usize) -> [u16; MAX_VECTORS] {
        let start = Path { target: simd::pad(target), error: 0.0, codes: [0; MAX_VECTORS] };
        if survivors <= 1 {
            return self.greedy::<N>(start);
        }
        let (mut these, mut those) = ([start; MAX_SURVIVORS], [start; MAX_SURVIVORS]);
        let (mut paths, mut next) = (&mut these, &mut those);
        let mut count = 1;
        for part in 0..self.book.vectors {
            let mut steps = Steps::new(survivors.min(MAX_SURVIVORS));
            for (number, path) in paths[..count].iter().enumerate() {
                self.steps::<N>(path, number, part, &mut steps);
            }
            for (step, next) in steps.found().iter().zip(next.iter_mut()) {
                *next = paths[step.path];
                next.error = step.error;
                next.codes[part] = step.code;
                self.take_off::<N>(step.code, part, &mut next.target);
            }
            count = steps.found().len();
            core::mem::swap(&mut paths, &mut next);
        }
        paths[0].codes
    }

    /// One survivor: no errors to compare, nothing to copy.
    fn greedy<const N: usize>(&self, mut path: Path) -> [u16; MAX_VECTORS] {
        let mut scores = [0.0; MAX_SHAPES];
        for part in 0..self.book.vectors {
            let wanted = self.wanted::<N>(&path.target, part);
            let scores = self.scores::<N>(&wanted, &mut scores);
            path.codes[part] = self.code(simd::greatest(self.simd, scores), &wanted);
            self.take_off::<N>(path.codes[part], part, &mut path.target);
        }
        path.codes
    }

    /// The best ways to prolong `path`, as far as they are among the best of all paths.
    fn steps<const N: usize>(&self, path: &Path, number: usize, part: usize, steps: &mut Steps) {
        let mut scores = [0.0; MAX_SHAPES];
        let wanted = self.wanted::<N>(&path.target, part);
        let scores = self.scores::<N>(&wanted, &mut scores);
        let length = self.length::<N>();
        let energy: f32 = path.target[part * length..][..length].iter().map(|t| t * t).sum();
        for _ in 0..steps.wanted {
            let index = simd::greatest(self.simd, scores);
            let error = path.error + (0.5 * energy - scores[index]);
            if !steps.insert(Step { error, path: number, code: self.code(index, &wanted) }) {
                break;
            }
            scores[index] = f32::NEG_INFINITY;
        }
    }

    /// The part of the target, backwards through the filter.
    fn wanted<const N: usize>(&self, target: &Padded, part: usize) -> [f32; MAX_LENGTH] {
        let length = self.length::<N>();
        let target = &target[part * length..][..length];
        let mut wanted = [0.0; MAX_LENGTH];
        for (k, wanted) in wanted[..length].iter_mut().enumerate() {
            *wanted = target[k..].iter().zip(&self.response).map(|(t, h)| t * h).sum();
        }
        wanted
    }

    fn scores<'a, const N: usize>(
        &self,
        wanted: &[f32; MAX_LENGTH],
        scores: &'a mut [f32; MAX_SHAPES],
    ) -> &'a mut [f32] {
        let count = 1 << self.book.bits;
        let (energies, scores) = (&self.energies[..count], &mut scores[..count]);
        let wanted = &wanted[..self.length::<N>()];
        if SMALL {
            simd::any_shape_scores::<N>(self.simd, self.book.signed, wanted, self.shapes, energies, scores);
        } else if self.book.signed {
            simd::signed_shape_scores::<N>(self.simd, wanted, self.shapes, energies, scores);
        } else {
            simd::shape_scores::<N>(self.simd, wanted, self.shapes, energies, scores);
        }
        scores
    }

    /// The code of shape `index` for what is wanted: turned over if that is better.
    fn code(&self, index: usize, wanted: &[f32]) -> u16 {
        let turned = self.book.signed && {
            let shape = self.book.shape(index);
            wanted.iter().zip(shape).map(|(w, &s)| w * f32::from(s)).sum::<f32>() < 0.0
        };
        (index + if turned { 1 << self.book.bits } else { 0 }) as u16
    }

    fn take_off<const N: usize>(&self, code: u16, part: usize, target: &mut Padded) {
        let length = self.length::<N>();
        let mut shape = [0.0; MAX_LENGTH];
        let shape = &mut shape[..length];
        self.shape(code, shape);
        simd::take_off(self.simd, &self.response, shape, (part + 1) * length, target);
    }
}

/// The best ways to go on, the best one first.
struct Steps {
    wanted: usize,
    count: usize,
    list: [Step; MAX_SURVIVORS],
}

impl Steps {
    fn new(wanted: usize) -> Self {
        Self { wanted, count: 0, list: [Step { error: f32::INFINITY, path: 0, code: 0 }; MAX_SURVIVORS] }
    }

    fn found(&self) -> &[Step] {
        &self.list[..self.count]
    }

    /// False when `step` is not among the best.
    fn insert(&mut self, step: Step) -> bool {
        let place = self.list[..self.count].iter().position(|other| step.error < other.error).unwrap_or(self.count);
        if place >= self.wanted {
            return false;
        }
        self.count = (self.count + 1).min(self.wanted);
        self.list.copy_within(place..self.count - 1, place + 1);
        self.list[place] = step;
        true
    }
}
