//! The encoder's inner loops, eight lanes at a time, and the only `unsafe` code of the crate.
//!
//! Every loop is written once, over [`Lanes`], and compiled for what the processor has:
//!
//! ```text
//!                 ┌─ x86-64 with AVX2 (asked once, when an encoder is made) ─▶ one 256-bit register
//!   kernel<V> ────┼─ any other x86-64: SSE2, which all of them have ─────────▶ two 128-bit registers
//!                 └─ elsewhere (WebAssembly, ARM) ───────────────────────────▶ an array, for LLVM to vectorise
//! ```
//!
//! All three do the same operations in the same order, without fused multiply-add, so they give the same bits: a
//! stream does not depend on the machine that made it.
#![allow(unsafe_code)]

use crate::mode::NARROW_SUBFRAME as SUBFRAME;

/// What the processor can do. Only [`Simd::detect`] makes one with AVX2, so having it proves that the machine does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Simd {
    avx2: bool,
}

impl Simd {
    /// What every processor of the target can do.
    pub const BASELINE: Self = Self { avx2: false };

    /// Asks the processor, and whether the operating system saves its wide registers.
    #[cfg(target_arch = "x86_64")]
    pub fn detect() -> Self {
        use core::arch::x86_64::{__cpuid, __cpuid_count, _xgetbv};
        #[target_feature(enable = "xsave")]
        unsafe fn saved_registers() -> u64 {
            _xgetbv(0)
        }
        const OSXSAVE_AND_AVX: u32 = 1 << 27 | 1 << 28;
        const AVX2: u32 = 1 << 5;
        const XMM_AND_YMM: u64 = 6;
        // SAFETY: every x86-64 has CPUID; leaf 7 is asked for only if there is one, XGETBV only if OSXSAVE is set.
        let avx2 = unsafe {
            __cpuid(0).eax >= 7
                && __cpuid(1).ecx & OSXSAVE_AND_AVX == OSXSAVE_AND_AVX
                && saved_registers() & XMM_AND_YMM == XMM_AND_YMM
                && __cpuid_count(7, 0).ebx & AVX2 != 0
        };
        Self { avx2 }
    }

    /// What every processor of the target can do.
    #[cfg(not(target_arch = "x86_64"))]
    pub fn detect() -> Self {
        Self::BASELINE
    }
}

/// Lanes of a vector.
pub(crate) const LANES: usize = 8;

/// Eight numbers that are worked on together.
trait Lanes: Copy {
    fn splat(x: f32) -> Self;
    /// The eight numbers from `x[at]` on.
    fn load(x: &[f32], at: usize) -> Self;
    fn store(self, x: &mut [f32], at: usize);
    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    fn div(self, other: Self) -> Self;
    fn max(self, other: Self) -> Self;
    fn to_array(self) -> [f32; LANES];
    /// One bit for each lane that has an equal in `other`, the first lane's lowest.
    fn equal(self, other: Self) -> u32;

    /// The sum, in the order of `math::dot`.
    #[inline(always)]
    fn sum(self) -> f32 {
        let [a, b, c, d, e, f, g, h] = self.to_array();
        ((a + e) + (b + f)) + ((c + g) + (d + h))
    }
}

/// Lanes in an array.
#[derive(Clone, Copy)]
#[cfg_attr(target_arch = "x86_64", allow(dead_code))]
struct Portable([f32; LANES]);

impl Portable {
    #[inline(always)]
    fn zip(self, other: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        let mut result = self;
        for (a, b) in result.0.iter_mut().zip(other.0) {
            *a = f(*a, b);
        }
        result
    }
}

impl Lanes for Portable {
    #[inline(always)]
    fn splat(x: f32) -> Self {
        Self([x; LANES])
    }
    #[inline(always)]
    fn load(x: &[f32], at: usize) -> Self {
        let mut lanes = [0.0; LANES];
        lanes.copy_from_slice(&x[at..at + LANES]);
        Self(lanes)
    }
    #[inline(always)]
    fn store(self, x: &mut [f32], at: usize) {
        x[at..at + LANES].copy_from_slice(&self.0);
    }
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.zip(other, |a, b| a + b)
    }
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self.zip(other, |a, b| a - b)
    }
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        self.zip(other, |a, b| a * b)
    }
    #[inline(always)]
    fn div(self, other: Self) -> Self {
        self.zip(other, |a, b| a / b)
    }
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        self.zip(other, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    fn to_array(self) -> [f32; LANES] {
        self.0
    }
    #[inline(always)]
    fn equal(self, other: Self) -> u32 {
        self.0.iter().zip(other.0).rev().fold(0, |mask, (&a, b)| mask << 1 | (a == b) as u32)
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{Lanes, LANES};
    use core::arch::x86_64::*;

    /// Two SSE registers.
    #[derive(Clone, Copy)]
    pub(super) struct Sse2(__m128, __m128);

    impl Lanes for Sse2 {
        #[inline(always)]
        fn splat(x: f32) -> Self {
            // SAFETY (here and below): SSE2 is part of x86-64.
            let half = unsafe { _mm_set1_ps(x) };
            Self(half, half)
        }
        #[inline(always)]
        fn load(x: &[f32], at: usize) -> Self {
            let x = &x[at..at + LANES];
            // SAFETY: `x` has eight elements.
            unsafe { Self(_mm_loadu_ps(x.as_ptr()), _mm_loadu_ps(x.as_ptr().add(4))) }
        }
        #[inline(always)]
        fn store(self, x: &mut [f32], at: usize) {
            let x = &mut x[at..at + LANES];
            // SAFETY: `x` has eight elements.
            unsafe {
                _mm_storeu_ps(x.as_mut_ptr(), self.0);
                _mm_storeu_ps(x.as_mut_ptr().add(4), self.1);
            }
        }
        #[inline(always)]
        fn add(self, other: Self) -> Self {
            unsafe { Self(_mm_add_ps(self.0, other.0), _mm_add_ps(self.1, other.1)) }
        }
        #[inline(always)]
        fn sub(self, other: Self) -> Self {
            unsafe { Self(_mm_sub_ps(self.0, other.0), _mm_sub_ps(self.1, other.1)) }
        }
        #[inline(always)]
        fn mul(self, other: Self) -> Self {
            unsafe { Self(_mm_mul_ps(self.0, other.0), _mm_mul_ps(self.1, other.1)) }
        }
        #[inline(always)]
        fn div(self, other: Self) -> Self {
            unsafe { Self(_mm_div_ps(self.0, other.0), _mm_div_ps(self.1, other.1)) }
        }
        #[inline(always)]
        fn max(self, other: Self) -> Self {
            unsafe { Self(_mm_max_ps(self.0, other.0), _mm_max_ps(self.1, other.1)) }
        }
        #[inline(always)]
        fn to_array(self) -> [f32; LANES] {
            let mut lanes = [0.0; LANES];
            self.store(&mut lanes, 0);
            lanes
        }
        #[inline(always)]
        fn equal(self, other: Self) -> u32 {
            unsafe {
                let low = _mm_movemask_ps(_mm_cmpeq_ps(self.0, other.0));
                (low | _mm_movemask_ps(_mm_cmpeq_ps(self.1, other.1)) << 4) as u32
            }
        }
        #[inline(always)]
        fn sum(self) -> f32 {
            unsafe { sum_of_four(_mm_add_ps(self.0, self.1)) }
        }
    }

    /// (a + b) + (c + d).
    #[inline(always)]
    unsafe fn sum_of_four(x: __m128) -> f32 {
        let pairs = _mm_add_ps(x, _mm_shuffle_ps(x, x, 0b10_11_00_01));
        _mm_cvtss_f32(_mm_add_ss(pairs, _mm_movehl_ps(pairs, pairs)))
    }

    /// One AVX register. Only [`super::Simd`] with AVX2 leads here.
    #[derive(Clone, Copy)]
    pub(super) struct Avx2(__m256);

    impl Lanes for Avx2 {
        #[inline(always)]
        fn splat(x: f32) -> Self {
            // SAFETY (here and below): kernels over `Avx2` run only behind a `Simd` that has it.
            unsafe { Self(_mm256_set1_ps(x)) }
        }
        #[inline(always)]
        fn load(x: &[f32], at: usize) -> Self {
            let x = &x[at..at + LANES];
            // SAFETY: `x` has eight elements.
            unsafe { Self(_mm256_loadu_ps(x.as_ptr())) }
        }
        #[inline(always)]
        fn store(self, x: &mut [f32], at: usize) {
            let x = &mut x[at..at + LANES];
            // SAFETY: `x` has eight elements.
            unsafe { _mm256_storeu_ps(x.as_mut_ptr(), self.0) }
        }
        #[inline(always)]
        fn add(self, other: Self) -> Self {
            unsafe { Self(_mm256_add_ps(self.0, other.0)) }
        }
        #[inline(always)]
        fn sub(self, other: Self) -> Self {
            unsafe { Self(_mm256_sub_ps(self.0, other.0)) }
        }
        #[inline(always)]
        fn mul(self, other: Self) -> Self {
            unsafe { Self(_mm256_mul_ps(self.0, other.0)) }
        }
        #[inline(always)]
        fn div(self, other: Self) -> Self {
            unsafe { Self(_mm256_div_ps(self.0, other.0)) }
        }
        #[inline(always)]
        fn max(self, other: Self) -> Self {
            unsafe { Self(_mm256_max_ps(self.0, other.0)) }
        }
        #[inline(always)]
        fn to_array(self) -> [f32; LANES] {
            let mut lanes = [0.0; LANES];
            self.store(&mut lanes, 0);
            lanes
        }
        #[inline(always)]
        fn equal(self, other: Self) -> u32 {
            unsafe { _mm256_movemask_ps(_mm256_cmp_ps(self.0, other.0, _CMP_EQ_OQ)) as u32 }
        }
        #[inline(always)]
        fn sum(self) -> f32 {
            unsafe { sum_of_four(_mm_add_ps(_mm256_castps256_ps128(self.0), _mm256_extractf128_ps(self.0, 1))) }
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
type Baseline = Portable;
#[cfg(target_arch = "x86_64")]
type Baseline = x86::Sse2;

/// Defines the entry of a kernel: the same arguments after a [`Simd`] that picks the instructions.
macro_rules! entry {
    ($(#[$doc:meta])* $name:ident [$($const:ident)?] ($($arg:ident: $type:ty),*) $(-> $result:ty)?, $kernel:ident) => {
        $(#[$doc])*
        #[inline]
        pub(crate) fn $name $(<const $const: usize>)? (simd: Simd, $($arg: $type),*) $(-> $result)? {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2")]
                unsafe fn wide $(<const $const: usize>)? ($($arg: $type),*) $(-> $result)? {
                    $kernel::<x86::Avx2 $(, $const)?>($($arg),*)
                }
                if simd.avx2 {
                    // SAFETY: this `Simd` was made by `detect` on a processor with AVX2.
                    return unsafe { wide $(::<$const>)? ($($arg),*) };
                }
            }
            let _ = simd;
            $kernel::<Baseline $(, $const)?>($($arg),*)
        }
    };
}

/// A sub-frame of signal.
pub(crate) type Subframe = [f32; SUBFRAME];
/// Vectors of a sub-frame.
const BLOCKS: usize = SUBFRAME / LANES;

entry! {
    /// The first 40 samples of `response` convolved with `signal`.
    convolve[](response: &Subframe, signal: &Subframe) -> Subframe, convolve_kernel
}

#[inline(always)]
fn convolve_kernel<V: Lanes>(response: &Subframe, signal: &Subframe) -> Subframe {
    // Zeros in front, so that a block may start before the response does.
    let mut padded = [0.0; LANES - 1 + SUBFRAME];
    padded[LANES - 1..].copy_from_slice(response);
    let mut result = [0.0; SUBFRAME];
    for block in 0..BLOCKS {
        let start = block * LANES;
        let (mut even, mut odd) = (V::splat(0.0), V::splat(0.0));
        for k in (0..start + LANES).step_by(2) {
            even = even.add(V::splat(signal[k]).mul(V::load(&padded, start + LANES - 1 - k)));
            odd = odd.add(V::splat(signal[k + 1]).mul(V::load(&padded, start + LANES - 2 - k)));
        }
        even.add(odd).store(&mut result, start);
    }
    result
}

entry! {
    /// out[i] = sum over n of x[n] * y[i + n]. `x` and `out` are whole blocks of eight; `y` holds both, less one.
    correlate[](x: &[f32], y: &[f32], out: &mut [f32]), correlate_kernel
}

#[inline(always)]
fn correlate_kernel<V: Lanes>(x: &[f32], y: &[f32], out: &mut [f32]) {
    const AT_ONCE: usize = 4;
    let y = &y[..x.len() + out.len() - 1];
    for (group, out) in out.chunks_mut(AT_ONCE * LANES).enumerate() {
        let start = group * AT_ONCE * LANES;
        if out.len() == AT_ONCE * LANES {
            let mut sums = [V::splat(0.0); AT_ONCE];
            let y = &y[start..start + x.len() - 1 + AT_ONCE * LANES];
            for (n, &x) in x.iter().enumerate() {
                let x = V::splat(x);
                for (block, sum) in sums.iter_mut().enumerate() {
                    *sum = sum.add(x.mul(V::load(y, n + block * LANES)));
                }
            }
            for (block, sum) in sums.iter().enumerate() {
                sum.store(out, block * LANES);
            }
        } else {
            for block in 0..out.len() / LANES {
                let mut sum = V::splat(0.0);
                for (n, &x) in x.iter().enumerate() {
                    sum = sum.add(V::splat(x).mul(V::load(y, start + n + block * LANES)));
                }
                sum.store(out, block * LANES);
            }
        }
    }
}

entry! {
    /// What the prediction filter of order N leaves of `signal`, which starts with N samples of the past.
    residual[N](lpc: &[f32; N], signal: &[f32], out: &mut [f32]), residual_kernel
}

#[inline(always)]
fn residual_kernel<V: Lanes, const N: usize>(lpc: &[f32; N], signal: &[f32], out: &mut [f32]) {
    let signal = &signal[..N + out.len()];
    for block in 0..out.len() / LANES {
        let at = N + block * LANES;
        let mut sum = V::load(signal, at);
        for (k, &a) in lpc.iter().enumerate() {
            sum = sum.add(V::splat(a).mul(V::load(signal, at - 1 - k)));
        }
        sum.store(out, block * LANES);
    }
}

/// What the search for pitch taps needs of a lag: products of the target and of the responses to the excitation one
/// sample later than the lag (0), at the lag (1) and one sample earlier (2).
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct TapProducts {
    /// Target with response 0, 1, 2.
    pub target: [f32; 3],
    /// Each response with itself.
    pub energy: [f32; 3],
    /// 0 with 1, 1 with 2, 0 with 2.
    pub cross: [f32; 3],
}

entry! {
    /// All products of the target and the three responses.
    tap_products[](target: &Subframe, responses: &[Subframe; 3]) -> TapProducts, tap_products_kernel
}

#[inline(always)]
fn tap_products_kernel<V: Lanes>(target: &Subframe, responses: &[Subframe; 3]) -> TapProducts {
    let mut sums = [V::splat(0.0); 9];
    let [r0, r1, r2] = responses;
    for block in 0..BLOCKS {
        let at = block * LANES;
        let (t, a, b, c) = (V::load(target, at), V::load(r0, at), V::load(r1, at), V::load(r2, at));
        let products =
            [t.mul(a), t.mul(b), t.mul(c), a.mul(a), b.mul(b), c.mul(c), a.mul(b), b.mul(c), a.mul(c)];
        for (sum, product) in sums.iter_mut().zip(products) {
            *sum = sum.add(product);
        }
    }
    let [ta, tb, tc, aa, bb, cc, ab, bc, ac] = sums;
    TapProducts {
        target: [ta.sum(), tb.sum(), tc.sum()],
        energy: [aa.sum(), bb.sum(), cc.sum()],
        cross: [ab.sum(), bc.sum(), ac.sum()],
    }
}

entry! {
    /// For each row of a tap codebook (`taps`: all first taps, all second, all third) what it takes off the error,
    /// halved. Energies come in `products` as they are to be weighed.
    tap_scores[](products: &TapProducts, taps: &[&[f32]; 3], scores: &mut [f32]), tap_scores_kernel
}

#[inline(always)]
fn tap_scores_kernel<V: Lanes>(products: &TapProducts, taps: &[&[f32]; 3], scores: &mut [f32]) {
    let [t0, t1, t2] = products.target.map(V::splat);
    let [e0, e1, e2] = products.energy.map(|energy| V::splat(0.5 * energy));
    let [c01, c12, c02] = products.cross.map(V::splat);
    let length = scores.len();
    let [taps0, taps1, taps2] = taps.map(|taps| &taps[..length]);
    for at in (0..length / LANES * LANES).step_by(LANES) {
        let (g0, g1, g2) = (V::load(taps0, at), V::load(taps1, at), V::load(taps2, at));
        let first = t0.sub(g1.mul(c01)).sub(g2.mul(c02)).sub(g0.mul(e0));
        let second = t1.sub(g2.mul(c12)).sub(g1.mul(e1));
        let third = t2.sub(g2.mul(e2));
        g0.mul(first).add(g1.mul(second)).add(g2.mul(third)).store(scores, at);
    }
}

entry! {
    /// Index of the greatest of `values` (whole blocks of eight, no NaN); the first one if there are several.
    greatest[](values: &[f32]) -> usize, greatest_kernel
}

#[inline(always)]
fn greatest_kernel<V: Lanes>(values: &[f32]) -> usize {
    let mut best = V::load(values, 0);
    for at in (LANES..values.len()).step_by(LANES) {
        best = best.max(V::load(values, at));
    }
    let top = V::splat(best.to_array().iter().fold(f32::NEG_INFINITY, |top, &x| if x > top { x } else { top }));
    for at in (0..values.len()).step_by(LANES) {
        let mask = V::load(values, at).equal(top);
        if mask != 0 {
            return at + mask.trailing_zeros() as usize;
        }
    }
    0
}

/// A sub-frame with room for the last block of eight, wherever it starts.
pub(crate) type Padded = [f32; SUBFRAME + LANES];

/// `subframe` with zeros behind.
#[inline]
pub(crate) fn pad(subframe: &Subframe) -> Padded {
    let mut padded = [0.0; SUBFRAME + LANES];
    padded[..SUBFRAME].copy_from_slice(subframe);
    padded
}

entry! {
    /// Takes the response to a shape that ends before sample `end` off the rest of `target`.
    take_off[](response: &Padded, shape: &[f32], end: usize, target: &mut Padded), take_off_kernel
}

#[inline(always)]
fn take_off_kernel<V: Lanes>(response: &Padded, shape: &[f32], end: usize, target: &mut Padded) {
    for at in (end..SUBFRAME).step_by(LANES) {
        let mut left = V::load(target, at);
        for (m, &s) in shape.iter().enumerate() {
            left = left.sub(V::splat(s).mul(V::load(response, at - end + shape.len() - m)));
        }
        left.store(target, at);
    }
}

entry! {
    /// Half the energy of each shape's response. `shapes` holds all first samples, all second ones and so on.
    shape_energies[N](response: &Subframe, shapes: &[f32], energies: &mut [f32]), shape_energies_kernel
}

#[inline(always)]
fn shape_energies_kernel<V: Lanes, const N: usize>(response: &Subframe, shapes: &[f32], energies: &mut [f32]) {
    let count = energies.len();
    let shapes = &shapes[..N * count];
    for at in (0..count / LANES * LANES).step_by(LANES) {
        let mut shape = [V::splat(0.0); N];
        for (k, sample) in shape.iter_mut().enumerate() {
            *sample = V::load(shapes, k * count + at);
        }
        let mut energy = V::splat(0.0);
        for j in 0..N {
            let mut sum = V::splat(0.0);
            for k in 0..=j {
                sum = sum.add(V::splat(response[j - k]).mul(shape[k]));
            }
            energy = energy.add(sum.mul(sum));
        }
        energy.mul(V::splat(0.5)).store(energies, at);
    }
}

entry! {
    /// For each shape what it takes off the error, halved: its product with `wanted` less half of its energy.
    shape_scores[N](wanted: &[f32; N], shapes: &[f32], energies: &[f32], scores: &mut [f32]), shape_scores_kernel
}

#[inline(always)]
fn shape_scores_kernel<V: Lanes, const N: usize>(
    wanted: &[f32; N],
    shapes: &[f32],
    energies: &[f32],
    scores: &mut [f32],
) {
    let count = energies.len();
    let (shapes, scores) = (&shapes[..N * count], &mut scores[..count]);
    for at in (0..count / LANES * LANES).step_by(LANES) {
        let mut sum = V::splat(0.0);
        for (k, &w) in wanted.iter().enumerate() {
            sum = sum.add(V::splat(w).mul(V::load(shapes, k * count + at)));
        }
        sum.sub(V::load(energies, at)).store(scores, at);
    }
}

entry! {
    /// [`shape_scores`] for shapes that may be turned over: the better of both signs.
    signed_shape_scores[N](wanted: &[f32; N], shapes: &[f32], energies: &[f32], scores: &mut [f32]),
    signed_shape_scores_kernel
}

#[inline(always)]
fn signed_shape_scores_kernel<V: Lanes, const N: usize>(
    wanted: &[f32; N],
    shapes: &[f32],
    energies: &[f32],
    scores: &mut [f32],
) {
    let count = energies.len();
    let (shapes, scores) = (&shapes[..N * count], &mut scores[..count]);
    for at in (0..count / LANES * LANES).step_by(LANES) {
        let mut sum = V::splat(0.0);
        for (k, &w) in wanted.iter().enumerate() {
            sum = sum.add(V::splat(w).mul(V::load(shapes, k * count + at)));
        }
        sum.max(V::splat(0.0).sub(sum)).sub(V::load(energies, at)).store(scores, at);
    }
}

entry! {
    /// scores[i] = corr[i]^2 / (energy[i] + 1), where energy[i] is that of y[i..i + n]; out: both, whole blocks.
    lag_scores[](correlation: &[f32], energy: &[f32], scores: &mut [f32]), lag_scores_kernel
}

#[inline(always)]
fn lag_scores_kernel<V: Lanes>(correlation: &[f32], energy: &[f32], scores: &mut [f32]) {
    let length = scores.len();
    let (correlation, energy) = (&correlation[..length], &energy[..length]);
    for at in (0..length / LANES * LANES).step_by(LANES) {
        let c = V::load(correlation, at);
        c.mul(c).div(V::load(energy, at).add(V::splat(1.0))).store(scores, at);
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    /// Numbers between -1 and 1, the same at each run.
    fn noise(count: usize, mut seed: u32) -> Vec<f32> {
        (0..count)
            .map(|_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (seed >> 8) as f32 / (1 << 23) as f32 - 1.0
            })
            .collect()
    }

    fn subframe(seed: u32) -> Subframe {
        let mut subframe = [0.0; SUBFRAME];
        subframe.copy_from_slice(&noise(SUBFRAME, seed));
        subframe
    }

    fn close(a: f32, b: f32) -> bool {
        (a - b).abs() < 1e-4
    }

    #[test]
    fn a_convolution_is_the_sum_of_its_definition() {
        let (h, x) = (subframe(1), subframe(2));
        for (n, y) in convolve(Simd::detect(), &h, &x).iter().enumerate() {
            assert!(close(*y, (0..=n).map(|k| x[k] * h[n - k]).sum()));
        }
    }

    #[test]
    fn correlations_are_the_sums_of_their_definition() {
        for (length, lags) in [(40, 128), (160, 128), (40, 24)] {
            let (x, y) = (noise(length, 3), noise(length + lags - 1, 4));
            let mut out = std::vec![0.0; lags];
            correlate(Simd::detect(), &x, &y, &mut out);
            for (i, c) in out.iter().enumerate() {
                assert!(close(*c, (0..length).map(|n| x[n] * y[i + n]).sum()), "{length} {lags} {i}");
            }
        }
    }

    #[test]
    fn scores_of_shapes_are_what_they_take_off_the_error() {
        const N: usize = 8;
        const COUNT: usize = 32;
        let (h, shapes, wanted) = (subframe(5), noise(N * COUNT, 6), noise(N, 7));
        let mut backward = [0.0f32; N];
        for (k, b) in backward.iter_mut().enumerate() {
            *b = (k..N).map(|n| wanted[n] * h[n - k]).sum();
        }
        let (mut energies, mut scores) = ([0.0; COUNT], [0.0; COUNT]);
        shape_energies::<N>(Simd::detect(), &h, &shapes, &mut energies);
        shape_scores::<N>(Simd::detect(), &backward, &shapes, &energies, &mut scores);
        for i in 0..COUNT {
            let response = |n: usize| (0..=n).map(|k| shapes[k * COUNT + i] * h[n - k]).sum::<f32>();
            let before: f32 = wanted.iter().map(|w| w * w).sum();
            let after: f32 = (0..N).map(|n| (wanted[n] - response(n)) * (wanted[n] - response(n))).sum();
            assert!(close(2.0 * scores[i], before - after));
        }
    }

    #[test]
    fn wide_and_narrow_registers_give_the_same_bits() {
        let simd = Simd::detect();
        let (h, x) = (subframe(8), subframe(9));
        assert_eq!(convolve(simd, &h, &x), convolve(Simd::BASELINE, &h, &x));
        assert_eq!(convolve(simd, &h, &x), convolve_kernel::<Portable>(&h, &x));
        let responses = [subframe(10), subframe(11), subframe(12)];
        let (wide, narrow) = (tap_products(simd, &x, &responses), tap_products(Simd::BASELINE, &x, &responses));
        let portable = tap_products_kernel::<Portable>(&x, &responses);
        for other in [narrow, portable] {
            assert_eq!((wide.target, wide.energy, wide.cross), (other.target, other.energy, other.cross));
        }
        let (y, shapes) = (noise(300, 13), noise(5 * 64, 14));
        let (mut a, mut b) = ([0.0; 128], [0.0; 128]);
        correlate(simd, &x, &y, &mut a);
        correlate_kernel::<Portable>(&x, &y, &mut b);
        assert_eq!(a, b);
        let (mut a, mut b) = ([0.0; 64], [0.0; 64]);
        shape_energies::<5>(simd, &h, &shapes, &mut a);
        shape_energies_kernel::<Portable, 5>(&h, &shapes, &mut b);
        assert_eq!(a, b);
    }

    #[test]
    fn the_greatest_is_the_first_of_its_equals() {
        let mut values = noise(64, 15);
        values[37] = 2.0;
        values[52] = 2.0;
        assert_eq!(greatest(Simd::detect(), &values), 37);
    }
}
