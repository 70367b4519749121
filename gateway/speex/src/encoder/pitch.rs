//! Pitch: how far back the excitation looks like itself, and with which gains.
//!
//! ```text
//!   open loop     weighted speech, whole frame ──correlation──▶ one lag, its strength
//!   closed loop   past excitation ──▶ filter ──▶ three responses, one sample apart ──gains──▶ target less that
//!                   ▲ lag: the few that correlate best with the target, each one tried
//! ```

use crate::bits::BitWriter;
use crate::math;
use crate::mode::{tap, TapCodebook, LAG_BITS, LAG_MAX, LAG_MIN, NARROW_FRAME, NARROW_SUBFRAME};
use crate::simd::{self, Simd, Subframe, TapProducts, LANES};

/// Samples before a frame that pitch may reach: the longest lag, and a tap on its far side.
pub(super) const PAST: usize = LAG_MAX + 2;
/// Lags that a sub-frame may name.
const LAGS: usize = simd::LAGS;
/// Rows of the largest tap codebook.
const MAX_TAPS: usize = 128;
/// Lags that are tried with all taps, at most.
const MAX_CANDIDATES: usize = 4;
/// Energies count a little more than they are when taps are chosen: gains come out smaller, and with them what a lost
/// packet does to the frames behind it.
const LOSS_CAUTION: f32 = 1.04;
/// Product of all pitch gains from which on only taps are allowed whose sum is well below 1 ...
const RUNAWAY_GAIN: f32 = 256.0;
/// ... the codebook's bound on that sum, in 32nds.
const TAME_SUM: i8 = 31;

/// Lags to try with all taps at a complexity from 1 to 10. All lags are ranked by what one tap at them can do, so the
/// best one is among the first few: more than these were measured to gain nothing.
pub(super) fn candidates(complexity: u8) -> usize {
    match complexity {
        0..=3 => usize::from(complexity).max(1),
        4..=7 => 3,
        _ => MAX_CANDIDATES,
    }
}

/// A signal with enough of its past for every lag, and a block of eight to spare.
pub(super) type History = [f32; PAST + NARROW_FRAME + LANES];

/// Makes room for the next frame: the last samples become the past.
pub(super) fn next_frame(history: &mut History) {
    history.copy_within(NARROW_FRAME..NARROW_FRAME + PAST, 0);
}

/// The pitch of a frame.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct OpenLoop {
    /// Samples; 0 when nobody asked.
    pub lag: usize,
    /// Correlation at this lag, 0 to 1.
    pub strength: f32,
}

/// The lag at which the frame (from [`PAST`] on) correlates best with what was before, or a fraction of that lag if
/// it is about as good.
pub(super) fn open_loop(simd: Simd, weighted: &History) -> OpenLoop {
    const CANDIDATES: usize = 6;
    let frame = &weighted[PAST..PAST + NARROW_FRAME];
    let past = &weighted[PAST - LAG_MAX..];
    let mut correlation = [0.0; LAGS];
    simd::correlate(simd, frame, &past[..NARROW_FRAME + LAGS - 1], &mut correlation);
    let energy = energies(past, NARROW_FRAME);
    let mut scores = [0.0; LAGS];
    simd::lag_scores(simd, &correlation, &energy, &mut scores);
    let loudness = math::sqrt(math::dot(frame, frame));
    let strength = |index: usize| (correlation[index] / (10.0 + loudness * math::sqrt(energy[index]))).max(0.0);
    let best = simd::greatest(simd, &scores);
    let mut found = OpenLoop { lag: LAG_MAX - best, strength: strength(best) };
    for _ in 1..CANDIDATES {
        scores[LAG_MAX - found.lag] = -1.0;
        let next = simd::greatest(simd, &scores);
        let lag = LAG_MAX - next;
        if strength(next) > 0.85 * found.strength && (2..=5).any(|n| (n * lag).abs_diff(found.lag) <= n) {
            found.lag = lag;
        }
        scores[next] = -1.0;
    }
    found
}

/// Energy of `length` samples from each of the first [`LAGS`] places on.
fn energies(signal: &[f32], length: usize) -> [f32; LAGS] {
    let mut energies = [0.0; LAGS];
    let mut energy = math::dot(&signal[..length], &signal[..length]);
    let gone = signal[..LAGS].iter();
    let come = signal[length..length + LAGS].iter();
    for ((place, gone), come) in energies.iter_mut().zip(gone).zip(come) {
        *place = energy;
        energy = (energy + (come * come - gone * gone)).max(0.0);
    }
    energies
}

/// A tap codebook as the search wants it: all first gains, all second ones, all third ones.
#[derive(Debug, Clone)]
pub(super) struct TapSearch {
    book: Option<TapCodebook>,
    gains: [[f32; MAX_TAPS]; 3],
    /// Product of the gains of late: how far an error may spread.
    runaway: f32,
}

/// What pitch is searched for.
pub(super) struct Wanted<'a> {
    pub target: &'a Subframe,
    pub response: &'a Subframe,
    /// The excitation; the sub-frame's own place holds an estimate of what it will be.
    pub excitation: &'a History,
    /// Where the sub-frame starts in it.
    pub at: usize,
    /// Lags tried closely.
    pub candidates: usize,
}

/// Pitch of a sub-frame.
pub(super) struct Prediction {
    pub excitation: Subframe,
    /// The target without the response to it.
    pub target: Subframe,
}

/// A lag and the best taps for it.
#[derive(Clone, Copy)]
struct Candidate {
    lag: usize,
    row: usize,
    /// What it takes off the square error.
    gain: f32,
    responses: [Subframe; 3],
}

impl TapSearch {
    pub const NEW: Self = Self { book: None, gains: [[0.0; MAX_TAPS]; 3], runaway: 1.0 };

    fn prepare(&mut self, book: TapCodebook) {
        if self.book.map_or(false, |last| core::ptr::eq(last, book)) {
            return;
        }
        for (k, gains) in self.gains.iter_mut().enumerate() {
            for (gain, codes) in gains.iter_mut().zip(book) {
                *gain = tap(codes[k]);
            }
        }
        self.book = Some(book);
    }

    /// Finds the lag from `first` to `last`, and its taps, and writes them: the lag only if it has a range.
    pub fn quantise(
        &mut self,
        simd: Simd,
        book: TapCodebook,
        wanted: &Wanted,
        (first, last): (usize, usize),
        lag_bits: u32,
        bits: &mut BitWriter,
    ) -> Prediction {
        let tap_bits = book.len().trailing_zeros();
        if last < first {
            // No past to predict from yet: the first row has no gain at all.
            bits.put(0, lag_bits);
            bits.put(0, tap_bits);
            return Prediction { excitation: [0.0; NARROW_SUBFRAME], target: *wanted.target };
        }
        self.prepare(book);
        let mut lags = [first; MAX_CANDIDATES];
        let count = if first == last { 1 } else { nearest_lags(simd, wanted, first, last, &mut lags) };
        let mut best = self.try_lag(simd, wanted, lags[0]);
        for &lag in &lags[1..count] {
            let other = self.try_lag(simd, wanted, lag);
            if other.gain > best.gain {
                best = other;
            }
        }
        bits.put((best.lag - first) as u32, lag_bits);
        bits.put(best.row as u32, tap_bits);
        self.runaway = self.runaway.max(1.0) * f32::from(book[best.row][3]) / 32.0;
        predict(wanted, &best, book[best.row])
    }

    /// The best taps for a lag.
    fn try_lag(&self, simd: Simd, wanted: &Wanted, lag: usize) -> Candidate {
        let later = lagged(wanted, lag - 1, lag);
        let first = simd::convolve(simd, wanted.response, &later);
        let second = shifted(&first, wanted.response, wanted.excitation[wanted.at - lag]);
        let third = shifted(&second, wanted.response, wanted.excitation[wanted.at - lag - 1]);
        let responses = [first, second, third];
        let products = simd::tap_products(simd, wanted.target, &responses);
        let row = self.best_row(simd, &products);
        let gains = [self.gains[0][row], self.gains[1][row], self.gains[2][row]];
        Candidate { lag, row, gain: improvement(&products, gains), responses }
    }

    fn best_row(&self, simd: Simd, products: &TapProducts) -> usize {
        let book = self.book.unwrap_or(&[]);
        let careful = TapProducts { energy: products.energy.map(|energy| LOSS_CAUTION * energy), ..*products };
        let mut scores = [f32::NEG_INFINITY; MAX_TAPS];
        let scores = &mut scores[..book.len()];
        let gains = [&self.gains[0][..], &self.gains[1][..], &self.gains[2][..]];
        simd::tap_scores(simd, &careful, &gains, scores);
        if self.runaway > RUNAWAY_GAIN {
            for (score, codes) in scores.iter_mut().zip(book) {
                if codes[3] > TAME_SUM {
                    *score = f32::NEG_INFINITY;
                }
            }
        }
        simd::greatest(simd, scores)
    }
}

/// What taps take off the square error.
fn improvement(products: &TapProducts, [a, b, c]: [f32; 3]) -> f32 {
    let TapProducts { target, energy, cross } = products;
    let linear = a * target[0] + b * target[1] + c * target[2];
    let square = a * a * energy[0] + b * b * energy[1] + c * c * energy[2];
    let mixed = a * b * cross[0] + b * c * cross[1] + a * c * cross[2];
    2.0 * (linear - mixed) - square
}

/// The lags at which the excitation, through the filter, comes nearest to the target, best first; returns how many.
fn nearest_lags(simd: Simd, wanted: &Wanted, first: usize, last: usize, lags: &mut [usize; MAX_CANDIDATES]) -> usize {
    let past = &wanted.excitation[wanted.at - LAG_MAX..][..LAGS + NARROW_SUBFRAME];
    let mut gains = [0.0; LAGS];
    simd::lag_gains(simd, wanted.response, wanted.target, past, &mut gains);
    let lag_at = |place: usize| LAG_MIN + simd::LAG_RUN * (place % LANES) + place / LANES;
    if first > LAG_MIN || last < LAG_MAX {
        for (place, gain) in gains.iter_mut().enumerate() {
            if lag_at(place) < first || lag_at(place) > last {
                *gain = -1.0;
            }
        }
    }
    let count = wanted.candidates.clamp(1, MAX_CANDIDATES).min(last - first + 1);
    for lag in &mut lags[..count] {
        let place = simd::greatest(simd, &gains);
        *lag = lag_at(place);
        gains[place] = -1.0;
    }
    count
}

/// The excitation `distance` samples ago. Where that is not known yet, it is taken a `period` earlier still; a
/// decoder does the same.
fn lagged(wanted: &Wanted, distance: usize, period: usize) -> Subframe {
    let mut signal = [0.0; NARROW_SUBFRAME];
    let known = distance.min(NARROW_SUBFRAME);
    signal[..known].copy_from_slice(&wanted.excitation[wanted.at - distance..][..known]);
    if known < NARROW_SUBFRAME {
        let more = (NARROW_SUBFRAME - known).min(period);
        signal[known..known + more].copy_from_slice(&wanted.excitation[wanted.at - period..][..more]);
    }
    signal
}

/// The response to an excitation that is one sample later, with `sample` in front.
fn shifted(response: &Subframe, impulse: &Subframe, sample: f32) -> Subframe {
    let mut shifted = [0.0; NARROW_SUBFRAME];
    shifted[0] = sample * impulse[0];
    for ((out, before), h) in shifted[1..].iter_mut().zip(response).zip(&impulse[1..]) {
        *out = before + sample * h;
    }
    shifted
}

/// What the taps make of the past, and what is left of the target.
fn predict(wanted: &Wanted, found: &Candidate, codes: [i8; 4]) -> Prediction {
    let mut prediction = Prediction { excitation: [0.0; NARROW_SUBFRAME], target: *wanted.target };
    for (k, response) in found.responses.iter().enumerate() {
        let gain = tap(codes[k]);
        let past = lagged(wanted, found.lag + k - 1, found.lag);
        for (e, past) in prediction.excitation.iter_mut().zip(&past) {
            *e += gain * past;
        }
        for (left, response) in prediction.target.iter_mut().zip(response) {
            *left -= gain * response;
        }
    }
    prediction
}

/// Pitch with one gain and no taps, as the lowest sub-modes have it.
pub(super) fn forced(simd: Simd, wanted: &Wanted, lag: usize, gain: f32) -> Prediction {
    let mut excitation = [0.0; NARROW_SUBFRAME];
    for i in 0..NARROW_SUBFRAME {
        let past = if i < lag { wanted.excitation[wanted.at + i - lag] } else { excitation[i - lag] };
        excitation[i] = gain * past;
    }
    let mut target = *wanted.target;
    for (left, response) in target.iter_mut().zip(&simd::convolve(simd, wanted.response, &excitation)) {
        *left -= response;
    }
    Prediction { excitation, target }
}

/// Width of a lag's field where it is sent.
pub(super) const SUBFRAME_LAG_BITS: u32 = LAG_BITS;
