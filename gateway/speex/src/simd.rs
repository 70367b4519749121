//! The encoder's inner loops, eight lanes at a time, and the only `unsafe` code of the crate.
//!
//! Every loop is written once, over [`Lanes`], and compiled for what the processor has:
//!
//! ```text
//!                 ┌─ x86-64 with AVX2 (asked once, when an encoder is made) ─▶ one 256-bit register
//!   kernel<V> ────┴─ any other x86-64: SSE2, which all of them have ─────────▶ two 128-bit registers
//!   WebAssembly with SIMD ─────────────────────────────────────────────────────▶ two 128-bit vectors
//!   elsewhere (ARM, WebAssembly without) ──────────────────────────────────────▶ an array, for LLVM to vectorise
//! ```
//!
//! All of them do the same operations in the same order, without fused multiply-add, so they give the same bits: a
//! stream does not depend on the machine that made it.
#![allow(unsafe_code)]

use crate::math::{dot, LSP_COS};
use crate::mode::{NARROW_SUBFRAME as SUBFRAME, SUBFRAMES};

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

/// WebAssembly is sent over networks: there the shortest code that does the same operations is the best one.
const SMALL: bool = cfg!(target_arch = "wasm32");

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
    /// Lane by lane: `yes` where this one's sign bit is set, else `no`.
    fn where_negative(self, yes: Self, no: Self) -> Self;
    /// Eight bytes from `x[at]` on.
    fn load_bytes(x: &[i8], at: usize) -> Self;
    fn to_array(self) -> [f32; LANES];
    /// Rows for columns.
    fn transpose(rows: [Self; LANES]) -> [Self; LANES];
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
#[cfg_attr(any(target_arch = "x86_64", target_feature = "simd128"), allow(dead_code))]
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
    fn where_negative(self, yes: Self, no: Self) -> Self {
        let mut result = no;
        for ((lane, condition), yes) in result.0.iter_mut().zip(self.0).zip(yes.0) {
            if condition.to_bits() >> 31 == 1 {
                *lane = yes;
            }
        }
        result
    }
    #[inline(always)]
    fn load_bytes(x: &[i8], at: usize) -> Self {
        let mut lanes = [0.0; LANES];
        for (lane, &byte) in lanes.iter_mut().zip(&x[at..at + LANES]) {
            *lane = byte.into();
        }
        Self(lanes)
    }
    #[inline(always)]
    fn to_array(self) -> [f32; LANES] {
        self.0
    }
    #[inline(always)]
    fn transpose(rows: [Self; LANES]) -> [Self; LANES] {
        let mut columns = rows;
        for (j, column) in columns.iter_mut().enumerate() {
            for (lane, row) in column.0.iter_mut().zip(&rows) {
                *lane = row.0[j];
            }
        }
        columns
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
        fn where_negative(self, yes: Self, no: Self) -> Self {
            let pick = |condition: __m128, yes: __m128, no: __m128| unsafe {
                let mask = _mm_castsi128_ps(_mm_srai_epi32(_mm_castps_si128(condition), 31));
                _mm_or_ps(_mm_and_ps(mask, yes), _mm_andnot_ps(mask, no))
            };
            Self(pick(self.0, yes.0, no.0), pick(self.1, yes.1, no.1))
        }
        #[inline(always)]
        fn load_bytes(x: &[i8], at: usize) -> Self {
            let x = &x[at..at + LANES];
            // SAFETY: `x` has eight elements.
            unsafe {
                let bytes = _mm_loadl_epi64(x.as_ptr().cast());
                let words = _mm_unpacklo_epi8(bytes, bytes);
                // Each byte four times over, shifted down: a sign-extended double word.
                let low = _mm_srai_epi32(_mm_unpacklo_epi16(words, words), 24);
                let high = _mm_srai_epi32(_mm_unpackhi_epi16(words, words), 24);
                Self(_mm_cvtepi32_ps(low), _mm_cvtepi32_ps(high))
            }
        }
        #[inline(always)]
        fn to_array(self) -> [f32; LANES] {
            let mut lanes = [0.0; LANES];
            self.store(&mut lanes, 0);
            lanes
        }
        #[inline(always)]
        fn transpose(rows: [Self; LANES]) -> [Self; LANES] {
            let [a, b, c, d, e, f, g, h] = rows;
            // SAFETY: as above.
            let (left, right, low_left, low_right) = unsafe {
                (
                    transpose_four(a.0, b.0, c.0, d.0),
                    transpose_four(a.1, b.1, c.1, d.1),
                    transpose_four(e.0, f.0, g.0, h.0),
                    transpose_four(e.1, f.1, g.1, h.1),
                )
            };
            let mut columns = rows;
            for i in 0..4 {
                columns[i] = Self(left[i], low_left[i]);
                columns[i + 4] = Self(right[i], low_right[i]);
            }
            columns
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

    #[inline(always)]
    unsafe fn transpose_four(a: __m128, b: __m128, c: __m128, d: __m128) -> [__m128; 4] {
        let (ab_low, cd_low) = (_mm_unpacklo_ps(a, b), _mm_unpacklo_ps(c, d));
        let (ab_high, cd_high) = (_mm_unpackhi_ps(a, b), _mm_unpackhi_ps(c, d));
        [
            _mm_movelh_ps(ab_low, cd_low),
            _mm_movehl_ps(cd_low, ab_low),
            _mm_movelh_ps(ab_high, cd_high),
            _mm_movehl_ps(cd_high, ab_high),
        ]
    }

    /// (a + b) + (c + d).
    #[inline(always)]
    unsafe fn sum_of_four(x: __m128) -> f32 {
        let pairs = _mm_add_ps(x, _mm_shuffle_ps(x, x, 0b10_11_00_01));
        _mm_cvtss_f32(_mm_add_ss(pairs, _mm_movehl_ps(pairs, pairs)))
    }

    /// [`transpose_four`] in both halves.
    #[inline(always)]
    unsafe fn transpose_pairs(a: __m256, b: __m256, c: __m256, d: __m256) -> [__m256; 4] {
        let (ab_low, cd_low) = (_mm256_unpacklo_ps(a, b), _mm256_unpacklo_ps(c, d));
        let (ab_high, cd_high) = (_mm256_unpackhi_ps(a, b), _mm256_unpackhi_ps(c, d));
        [
            _mm256_shuffle_ps(ab_low, cd_low, 0b01_00_01_00),
            _mm256_shuffle_ps(ab_low, cd_low, 0b11_10_11_10),
            _mm256_shuffle_ps(ab_high, cd_high, 0b01_00_01_00),
            _mm256_shuffle_ps(ab_high, cd_high, 0b11_10_11_10),
        ]
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
        fn where_negative(self, yes: Self, no: Self) -> Self {
            unsafe { Self(_mm256_blendv_ps(no.0, yes.0, self.0)) }
        }
        #[inline(always)]
        fn load_bytes(x: &[i8], at: usize) -> Self {
            let x = &x[at..at + LANES];
            // SAFETY: `x` has eight elements.
            unsafe { Self(_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(x.as_ptr().cast())))) }
        }
        #[inline(always)]
        fn to_array(self) -> [f32; LANES] {
            let mut lanes = [0.0; LANES];
            self.store(&mut lanes, 0);
            lanes
        }
        #[inline(always)]
        fn transpose(rows: [Self; LANES]) -> [Self; LANES] {
            let mut columns = rows;
            // SAFETY: as above. (No closures: what is in one is compiled without AVX2.)
            unsafe {
                // Columns 0 and 4 of four rows, 1 and 5, 2 and 6, 3 and 7.
                let top = transpose_pairs(rows[0].0, rows[1].0, rows[2].0, rows[3].0);
                let bottom = transpose_pairs(rows[4].0, rows[5].0, rows[6].0, rows[7].0);
                for i in 0..4 {
                    columns[i] = Self(_mm256_permute2f128_ps(top[i], bottom[i], 0x20));
                    columns[i + 4] = Self(_mm256_permute2f128_ps(top[i], bottom[i], 0x31));
                }
            }
            columns
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

/// WebAssembly with vectors (`-C target-feature=+simd128`; every browser since 2023).
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod wasm {
    use super::{Lanes, LANES};
    use core::arch::wasm32::*;

    /// Two vectors.
    #[derive(Clone, Copy)]
    pub(super) struct Simd128(v128, v128);

    impl Lanes for Simd128 {
        #[inline(always)]
        fn splat(x: f32) -> Self {
            Self(f32x4_splat(x), f32x4_splat(x))
        }
        #[inline(always)]
        fn load(x: &[f32], at: usize) -> Self {
            let x: *const f32 = x[at..at + LANES].as_ptr();
            // SAFETY: eight elements were there to be sliced; no alignment is asked for.
            unsafe { Self(v128_load(x.cast()), v128_load(x.add(4).cast())) }
        }
        #[inline(always)]
        fn store(self, x: &mut [f32], at: usize) {
            let x: *mut f32 = x[at..at + LANES].as_mut_ptr();
            // SAFETY: as in `load`.
            unsafe {
                v128_store(x.cast(), self.0);
                v128_store(x.add(4).cast(), self.1);
            }
        }
        #[inline(always)]
        fn add(self, other: Self) -> Self {
            Self(f32x4_add(self.0, other.0), f32x4_add(self.1, other.1))
        }
        #[inline(always)]
        fn sub(self, other: Self) -> Self {
            Self(f32x4_sub(self.0, other.0), f32x4_sub(self.1, other.1))
        }
        #[inline(always)]
        fn mul(self, other: Self) -> Self {
            Self(f32x4_mul(self.0, other.0), f32x4_mul(self.1, other.1))
        }
        #[inline(always)]
        fn div(self, other: Self) -> Self {
            Self(f32x4_div(self.0, other.0), f32x4_div(self.1, other.1))
        }
        /// As `MAXPS`: `other` where the two cannot be told apart.
        #[inline(always)]
        fn max(self, other: Self) -> Self {
            Self(f32x4_pmax(other.0, self.0), f32x4_pmax(other.1, self.1))
        }
        #[inline(always)]
        fn where_negative(self, yes: Self, no: Self) -> Self {
            let pick = |condition, yes, no| v128_bitselect(yes, no, i32x4_shr(condition, 31));
            Self(pick(self.0, yes.0, no.0), pick(self.1, yes.1, no.1))
        }
        #[inline(always)]
        fn load_bytes(x: &[i8], at: usize) -> Self {
            let x: *const i8 = x[at..at + LANES].as_ptr();
            // SAFETY: as in `load`.
            let words = unsafe { i16x8_load_extend_i8x8(x) };
            let (low, high) = (i32x4_extend_low_i16x8(words), i32x4_extend_high_i16x8(words));
            Self(f32x4_convert_i32x4(low), f32x4_convert_i32x4(high))
        }
        #[inline(always)]
        fn to_array(self) -> [f32; LANES] {
            let mut lanes = [0.0; LANES];
            self.store(&mut lanes, 0);
            lanes
        }
        #[inline(always)]
        fn transpose(rows: [Self; LANES]) -> [Self; LANES] {
            let [a, b, c, d, e, f, g, h] = rows;
            let (left, right) = (transpose_four(a.0, b.0, c.0, d.0), transpose_four(a.1, b.1, c.1, d.1));
            let (low_left, low_right) = (transpose_four(e.0, f.0, g.0, h.0), transpose_four(e.1, f.1, g.1, h.1));
            let mut columns = rows;
            for i in 0..4 {
                columns[i] = Self(left[i], low_left[i]);
                columns[i + 4] = Self(right[i], low_right[i]);
            }
            columns
        }
        #[inline(always)]
        fn equal(self, other: Self) -> u32 {
            let low = i32x4_bitmask(f32x4_eq(self.0, other.0));
            u32::from(low | i32x4_bitmask(f32x4_eq(self.1, other.1)) << 4)
        }
        #[inline(always)]
        fn sum(self) -> f32 {
            let four = f32x4_add(self.0, self.1);
            let pairs = f32x4_add(four, i32x4_shuffle::<1, 0, 3, 2>(four, four));
            f32x4_extract_lane::<0>(pairs) + f32x4_extract_lane::<2>(pairs)
        }
    }

    #[inline(always)]
    fn transpose_four(a: v128, b: v128, c: v128, d: v128) -> [v128; 4] {
        let (ab_low, cd_low) = (i32x4_shuffle::<0, 4, 1, 5>(a, b), i32x4_shuffle::<0, 4, 1, 5>(c, d));
        let (ab_high, cd_high) = (i32x4_shuffle::<2, 6, 3, 7>(a, b), i32x4_shuffle::<2, 6, 3, 7>(c, d));
        [
            i32x4_shuffle::<0, 1, 4, 5>(ab_low, cd_low),
            i32x4_shuffle::<2, 3, 6, 7>(ab_low, cd_low),
            i32x4_shuffle::<0, 1, 4, 5>(ab_high, cd_high),
            i32x4_shuffle::<2, 3, 6, 7>(ab_high, cd_high),
        ]
    }
}

#[cfg(not(any(target_arch = "x86_64", all(target_arch = "wasm32", target_feature = "simd128"))))]
type Baseline = Portable;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
type Baseline = wasm::Simd128;
#[cfg(target_arch = "x86_64")]
type Baseline = x86::Sse2;

/// Defines the entry of a kernel: the same arguments after a [`Simd`] that picks the instructions.
macro_rules! entry {
    ($(#[$doc:meta])* $name:ident [$($const:ident)?] ($($arg:ident: $type:ty),*) $(-> $result:ty)?, $kernel:ident) => {
        $(#[$doc])*
        #[cfg_attr(target_arch = "wasm32", inline(never))]
        #[cfg_attr(not(target_arch = "wasm32"), inline)]
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
        if !SMALL && out.len() == AT_ONCE * LANES {
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

entry! {
    /// The prediction filters with these line spectral frequencies, eight at a time: `lsp::to_lpc`, bit for bit.
    filters_of[N](frequencies: &[[f32; N]; LANES]) -> [[f32; N]; LANES], filters_of_kernel
}

#[inline(always)]
fn filters_of_kernel<V: Lanes, const N: usize>(frequencies: &[[f32; N]; LANES]) -> [[f32; N]; LANES] {
    if SMALL {
        return frequencies.map(|frequencies| crate::lsp::to_lpc(&frequencies));
    }
    /// `math::lsp_cos`, twice.
    #[inline(always)]
    fn twice_cos<V: Lanes>(x: V) -> V {
        let first_half = x.sub(V::splat(core::f32::consts::FRAC_PI_2));
        let x = first_half.where_negative(x, V::splat(core::f32::consts::PI).sub(x));
        let x2 = x.mul(x);
        let mut cos = V::splat(LSP_COS[3]);
        for &c in LSP_COS[..3].iter().rev() {
            cos = V::splat(c).add(x2.mul(cos));
        }
        V::splat(2.0).mul(first_half.where_negative(cos, V::splat(-1.0).mul(cos)))
    }
    const MAX_TERMS: usize = 6;
    // The products of 1 - 2 cos(f) z^-1 + z^-2 over every second frequency, up to the middle coefficient.
    let mut products = [[V::splat(0.0); MAX_TERMS]; 2];
    for (first, poly) in products.iter_mut().enumerate() {
        poly[0] = V::splat(1.0);
        for degree in 0..N / 2 {
            let mut lanes = [0.0; LANES];
            for (lane, frequencies) in lanes.iter_mut().zip(frequencies) {
                *lane = frequencies[2 * degree + first];
            }
            let twice = twice_cos(V::load(&lanes, 0));
            let above = if degree == 0 { V::splat(0.0) } else { poly[degree - 1] };
            poly[degree + 1] = V::splat(2.0).mul(above).sub(twice.mul(poly[degree]));
            if degree > 0 {
                for i in (2..=degree).rev() {
                    poly[i] = poly[i].add(poly[i - 2].sub(twice.mul(poly[i - 1])));
                }
                poly[1] = poly[1].sub(twice);
            }
        }
    }
    let [even, odd] = products;
    let mut filters = [[0.0; N]; LANES];
    let mut put = |place: usize, column: V| {
        for (filter, a) in filters.iter_mut().zip(column.to_array()) {
            filter[place] = a;
        }
    };
    for i in 0..N / 2 {
        let (p, q) = (even[i + 1].add(even[i]), odd[i + 1].sub(odd[i]));
        put(i, V::splat(0.5).mul(p.add(q)));
        put(N - 1 - i, V::splat(0.5).mul(p.sub(q)));
    }
    filters
}

/// The filters of a frame, sub-frame by sub-frame.
#[derive(Debug, Clone)]
pub(crate) struct FrameFilters<const N: usize> {
    /// A(z) as a decoder has it.
    pub quantised: [[f32; N]; SUBFRAMES],
    /// Zeros and poles of the weighting W(z).
    pub zeros: [[f32; N]; SUBFRAMES],
    pub poles: [[f32; N]; SUBFRAMES],
}

impl<const N: usize> FrameFilters<N> {
    /// The same filters with zeros behind.
    fn lengthened(&self) -> FrameFilters<MAX_ORDER> {
        let mut long = FrameFilters { quantised: NONE, zeros: NONE, poles: NONE };
        for subframe in 0..SUBFRAMES {
            long.quantised[subframe][..N].copy_from_slice(&self.quantised[subframe]);
            long.zeros[subframe][..N].copy_from_slice(&self.zeros[subframe]);
            long.poles[subframe][..N].copy_from_slice(&self.poles[subframe]);
        }
        long
    }
}

/// Coefficients of the longest filters.
const MAX_ORDER: usize = 10;
const NONE: [[f32; MAX_ORDER]; SUBFRAMES] = [[0.0; MAX_ORDER]; SUBFRAMES];

/// Impulse responses, sub-frame by sub-frame.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FrameResponses {
    /// Of 1 / A(z).
    pub synthesis: [Subframe; SUBFRAMES],
    /// Of W(z) / A(z).
    pub weighted: [Subframe; SUBFRAMES],
}

entry! {
    /// The impulse responses of all sub-frames of a frame. A filter has to wait for its last output before it makes
    /// the next, but those of different sub-frames need not wait for each other: each gets a lane.
    responses_of[N](filters: &FrameFilters<N>) -> FrameResponses, responses_kernel
}

/// [`responses_of`] the filters; in WebAssembly, where every kernel has to be sent, by that of the longest filters.
#[inline]
pub(crate) fn responses<const N: usize>(simd: Simd, filters: &FrameFilters<N>) -> FrameResponses {
    if cfg!(target_arch = "wasm32") {
        responses_of::<MAX_ORDER>(simd, &filters.lengthened())
    } else {
        responses_of::<N>(simd, filters)
    }
}

#[inline(always)]
fn responses_kernel<V: Lanes, const N: usize>(filters: &FrameFilters<N>) -> FrameResponses {
    if SMALL {
        return responses_one_by_one(filters);
    }
    #[inline(always)]
    fn lanes<V: Lanes, const N: usize>(filters: &[[f32; N]; SUBFRAMES]) -> [V; N] {
        let mut columns = [V::splat(0.0); N];
        for (k, column) in columns.iter_mut().enumerate() {
            let mut lanes = [0.0; LANES];
            for (lane, filter) in lanes.iter_mut().zip(filters) {
                *lane = filter[k];
            }
            *column = V::load(&lanes, 0);
        }
        columns
    }
    let a: [V; N] = lanes(&filters.quantised);
    let (zeros, poles): ([V; N], [V; N]) = (lanes(&filters.zeros), lanes(&filters.poles));
    let mut synthesis = [V::splat(0.0); MAX_ORDER + SUBFRAME];
    let mut weighted = [V::splat(0.0); MAX_ORDER + SUBFRAME];
    for n in MAX_ORDER..MAX_ORDER + SUBFRAME {
        let mut y = V::splat(if n == MAX_ORDER { 1.0 } else { 0.0 });
        let (mut ahead, mut back) = (V::splat(0.0), V::splat(0.0));
        // The newest outputs last: they are what is waited for.
        for k in (0..N).rev() {
            y = y.sub(a[k].mul(synthesis[n - 1 - k]));
            ahead = ahead.add(zeros[k].mul(synthesis[n - 1 - k]));
            back = back.add(poles[k].mul(weighted[n - 1 - k]));
        }
        synthesis[n] = y;
        weighted[n] = y.add(ahead).sub(back);
    }
    let mut responses =
        FrameResponses { synthesis: [[0.0; SUBFRAME]; SUBFRAMES], weighted: [[0.0; SUBFRAME]; SUBFRAMES] };
    for block in 0..BLOCKS {
        let at = MAX_ORDER + block * LANES;
        let mut columns = [V::splat(0.0); LANES];
        columns.copy_from_slice(&synthesis[at..at + LANES]);
        for (row, response) in V::transpose(columns).iter().zip(&mut responses.synthesis) {
            row.store(response, block * LANES);
        }
        columns.copy_from_slice(&weighted[at..at + LANES]);
        for (row, response) in V::transpose(columns).iter().zip(&mut responses.weighted) {
            row.store(response, block * LANES);
        }
    }
    responses
}

/// [`responses_of`], without lanes.
fn responses_one_by_one<const N: usize>(filters: &FrameFilters<N>) -> FrameResponses {
    let mut responses =
        FrameResponses { synthesis: [[0.0; SUBFRAME]; SUBFRAMES], weighted: [[0.0; SUBFRAME]; SUBFRAMES] };
    for subframe in 0..SUBFRAMES {
        let (a, zeros, poles) = (&filters.quantised[subframe], &filters.zeros[subframe], &filters.poles[subframe]);
        // The last outputs of both filters, newest first.
        let (mut synthesis, mut weighted) = ([0.0; N], [0.0; N]);
        let outputs = responses.synthesis[subframe].iter_mut().zip(&mut responses.weighted[subframe]);
        for (n, (s, w)) in outputs.enumerate() {
            let mut y = if n == 0 { 1.0 } else { 0.0 };
            let (mut ahead, mut back) = (0.0, 0.0);
            for k in (0..N).rev() {
                y -= a[k] * synthesis[k];
                ahead += zeros[k] * synthesis[k];
                back += poles[k] * weighted[k];
            }
            (*s, *w) = (y, y + ahead - back);
            synthesis.copy_within(..N - 1, 1);
            weighted.copy_within(..N - 1, 1);
            (synthesis[0], weighted[0]) = (*s, *w);
        }
    }
    responses
}

/// The last samples of a sub-frame that [`convolution_end`] computes.
pub(crate) const END: usize = 2 * LANES;

/// Samples of the longest analysis window.
const WINDOW: usize = 400;

entry! {
    /// Products of a signal with itself, 0 to N - 1 samples later (N at most 12). At most 400 samples, in whole blocks of eight.
    autocorrelate[N](signal: &[f32]) -> [f32; N], autocorrelate_kernel
}

#[inline(always)]
fn autocorrelate_kernel<V: Lanes, const N: usize>(signal: &[f32]) -> [f32; N] {
    // Zeros in front, so that every product starts at the first sample.
    const BEFORE: usize = 2 * LANES;
    let mut padded = [0.0; BEFORE + WINDOW];
    let length = signal.len().min(WINDOW) / LANES * LANES;
    padded[BEFORE..BEFORE + length].copy_from_slice(&signal[..length]);
    const AT_ONCE: usize = 6;
    let mut products = [0.0; N];
    if SMALL {
        for (lag, product) in products.iter_mut().enumerate() {
            *product = dot(&signal[..length], &padded[BEFORE - lag..]);
        }
        return products;
    }
    for (group, products) in products.chunks_mut(AT_ONCE).enumerate() {
        let mut sums = [V::splat(0.0); AT_ONCE];
        for at in (BEFORE..BEFORE + length).step_by(LANES) {
            let newest = V::load(&padded, at);
            for (lag, sum) in sums.iter_mut().enumerate() {
                *sum = sum.add(newest.mul(V::load(&padded, at - group * AT_ONCE - lag)));
            }
        }
        for (product, sum) in products.iter_mut().zip(sums) {
            *product = sum.sum();
        }
    }
    products
}

entry! {
    /// The last samples of [`convolve`].
    convolution_end[](response: &Subframe, signal: &Subframe) -> [f32; END], convolution_end_kernel
}

#[inline(always)]
fn convolution_end_kernel<V: Lanes>(response: &Subframe, signal: &Subframe) -> [f32; END] {
    let mut padded = [0.0; END - 1 + SUBFRAME];
    padded[END - 1..].copy_from_slice(response);
    let mut sums = [V::splat(0.0); 4];
    for k in (0..SUBFRAME).step_by(2) {
        let (x, y) = (V::splat(signal[k]), V::splat(signal[k + 1]));
        let at = SUBFRAME - 1 - k;
        sums[0] = sums[0].add(x.mul(V::load(&padded, at)));
        sums[1] = sums[1].add(x.mul(V::load(&padded, at + LANES)));
        sums[2] = sums[2].add(y.mul(V::load(&padded, at - 1)));
        sums[3] = sums[3].add(y.mul(V::load(&padded, at + LANES - 1)));
    }
    let mut end = [0.0; END];
    sums[0].add(sums[2]).store(&mut end, 0);
    sums[1].add(sums[3]).store(&mut end, LANES);
    end
}

/// Coefficients of the longest Chebyshev series.
const MAX_TERMS: usize = 6;
/// Points between 1 and -1 at which zeros are looked for: close together towards the ends, where a step of cosine is
/// a wide one of angle.
const GRID: [f32; 5 * LANES] = {
    let mut grid = [0.0; 5 * LANES];
    let mut i = 0;
    while i < grid.len() {
        let t = 1.0 - 2.0 * i as f32 / (5 * LANES - 1) as f32;
        grid[i] = t * (1.5 - 0.5 * t * t);
        i += 1;
    }
    grid
};

entry! {
    /// The zeros, from 1 down to -1, of two Chebyshev series of degree H, highest term first, or `None` when the grid
    /// misses some.
    chebyshev_zeros[H](series: &[[f32; MAX_TERMS]; 2], half: usize) -> Option<[[f32; LANES]; 2]>, chebyshev_zeros_kernel
}

#[inline(always)]
fn chebyshev_zeros_kernel<V: Lanes, const H: usize>(
    series: &[[f32; MAX_TERMS]; 2],
    half: usize,
) -> Option<[[f32; LANES]; 2]> {
    /// The series at `x`, by Clenshaw's recurrence.
    #[cfg_attr(target_arch = "wasm32", inline(never))]
    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    fn value<V: Lanes>(series: &[f32; MAX_TERMS], half: usize, x: V) -> V {
        let twice = x.add(x);
        let (mut b1, mut b2) = (V::splat(0.0), V::splat(0.0));
        for &c in &series[..half] {
            (b1, b2) = (twice.mul(b1).sub(b2).add(V::splat(c)), b1);
        }
        x.mul(b1).sub(b2).add(V::splat(series[half]))
    }
    const BISECTIONS: usize = 5;
    let half = length::<H>(half);
    let (mut left, mut right) = ([[0.0; LANES]; 2], [[0.0; LANES]; 2]);
    for (which, series) in series.iter().enumerate() {
        let mut values = [0.0; GRID.len()];
        for at in (0..GRID.len()).step_by(LANES) {
            value::<V>(series, half, V::load(&GRID, at)).store(&mut values, at);
        }
        let mut count = 0;
        for i in 1..GRID.len() {
            if values[i - 1] * values[i] < 0.0 && count < half {
                left[which][count] = GRID[i - 1];
                right[which][count] = GRID[i];
                count += 1;
            }
        }
        if count < half {
            return None;
        }
    }
    let mut zeros = [[0.0; LANES]; 2];
    let [mut l0, mut l1] = [V::load(&left[0], 0), V::load(&left[1], 0)];
    let [mut r0, mut r1] = [V::load(&right[0], 0), V::load(&right[1], 0)];
    let [mut vl0, mut vl1] = [value::<V>(&series[0], half, l0), value::<V>(&series[1], half, l1)];
    let [mut vr0, mut vr1] = [value::<V>(&series[0], half, r0), value::<V>(&series[1], half, r1)];
    let middle = V::splat(0.5);
    for _ in 0..BISECTIONS {
        let (m0, m1) = (middle.mul(l0.add(r0)), middle.mul(l1.add(r1)));
        let (v0, v1) = (value::<V>(&series[0], half, m0), value::<V>(&series[1], half, m1));
        let (turn0, turn1) = (v0.mul(vl0), v1.mul(vl1));
        (l0, vl0) = (turn0.where_negative(l0, m0), turn0.where_negative(vl0, v0));
        (r0, vr0) = (turn0.where_negative(m0, r0), turn0.where_negative(v0, vr0));
        (l1, vl1) = (turn1.where_negative(l1, m1), turn1.where_negative(vl1, v1));
        (r1, vr1) = (turn1.where_negative(m1, r1), turn1.where_negative(v1, vr1));
    }
    // A line between what is left of each interval.
    l0.sub(vl0.mul(r0.sub(l0)).div(vr0.sub(vl0))).store(&mut zeros[0], 0);
    l1.sub(vl1.mul(r1.sub(l1)).div(vr1.sub(vl1))).store(&mut zeros[1], 0);
    Some(zeros)
}

/// Entries of a codebook for line spectral frequencies.
pub(crate) const CODES: usize = 64;

entry! {
    /// Minus the weighted square error of each vector of a codebook. `codes`: all first numbers, all second ones ...
    code_scores[](target: &[f32], weights: &[f32], codes: &[i8], scores: &mut [f32; CODES]), code_scores_kernel
}

#[inline(always)]
fn code_scores_kernel<V: Lanes>(target: &[f32], weights: &[f32], codes: &[i8], scores: &mut [f32; CODES]) {
    let mut sums = [V::splat(0.0); CODES / LANES];
    for ((&target, &weight), codes) in target.iter().zip(weights).zip(codes.chunks_exact(CODES)) {
        let (target, weight) = (V::splat(target), V::splat(weight));
        for (block, sum) in sums.iter_mut().enumerate() {
            let off = target.sub(V::load_bytes(codes, block * LANES));
            *sum = sum.sub(weight.mul(off.mul(off)));
        }
    }
    for (block, sum) in sums.iter().enumerate() {
        sum.store(scores, block * LANES);
    }
}

/// Lags from the shortest on that [`lag_gains`] judges: so many runs of neighbours, one a lane.
pub(crate) const LAG_RUN: usize = 16;
/// All lags of a sub-frame.
pub(crate) const LAGS: usize = LANES * LAG_RUN;
/// Samples that [`lag_gains`] keeps in front of a sub-frame: one for each further lag of a run.
const LEAD: usize = LAG_RUN - 1;
const LAG_LENGTH: usize = LAG_RUN + SUBFRAME;

entry! {
    /// For each lag what the excitation of so many samples ago can take off the square error of `target`, once it has
    /// been through the filter and has the best (positive) gain. `past` ends with the sub-frame's own place, and goes
    /// back from there by `first + LAGS - 1` samples; one more behind it is read, but not used. Lag `first + LAG_RUN * j + s` is at place `LANES * s + j`.
    lag_gains[](response: &Subframe, target: &Subframe, past: &[f32], gains: &mut [f32; LAGS]), lag_gains_kernel
}

/// A lane looks at neighbouring lags, for the response to one is that to the last, a sample later, with one more
/// sample of excitation in front: 40 multiplications instead of 820.
#[inline(always)]
fn lag_gains_kernel<V: Lanes>(response: &Subframe, target: &Subframe, past: &[f32], gains: &mut [f32; LAGS]) {
    let past = &past[..LAGS - LAG_RUN + LAG_LENGTH];
    let mut excitation = [V::splat(0.0); LAG_LENGTH];
    lag_excitation(past, &mut excitation);
    let mut responses = [V::splat(0.0); LAG_LENGTH];
    lag_responses(response, &excitation, &mut responses);
    for s in 0..LAG_RUN {
        let newest = if s > 0 { Some(excitation[LEAD - s]) } else { None };
        // Several sums at a time, for an addition takes longer than the next one may wait.
        const SUMS: usize = 4;
        let (mut products, mut energies) = ([V::splat(0.0); SUMS], [V::splat(0.0); SUMS]);
        let responses = &mut responses[LEAD - s..][..SUBFRAME];
        if SMALL {
            for i in 0..SUMS {
                for n in (i..SUBFRAME).step_by(SUMS) {
                    let (h, t) = (response[n], target[n]);
                    count_sample(newest, h, t, &mut responses[n], &mut products[i], &mut energies[i]);
                }
            }
        } else {
            for n in (0..SUBFRAME).step_by(SUMS) {
                for i in 0..SUMS {
                    let (h, t) = (response[n + i], target[n + i]);
                    count_sample(newest, h, t, &mut responses[n + i], &mut products[i], &mut energies[i]);
                }
            }
        }
        let product = products[0].add(products[1]).add(products[2].add(products[3]));
        let energy = energies[0].add(energies[1]).add(energies[2].add(energies[3])).add(V::splat(1.0));
        let product = product.max(V::splat(0.0));
        product.mul(product).div(energy).store(gains, s * LANES);
    }
}

/// Prolongs a sample of the response by the `newest` excitation, if this is a further lag, and adds it to both sums.
#[inline(always)]
fn count_sample<V: Lanes>(newest: Option<V>, h: f32, t: f32, response: &mut V, product: &mut V, energy: &mut V) {
    if let Some(newest) = newest {
        *response = response.add(newest.mul(V::splat(h)));
    }
    *product = product.add(V::splat(t).mul(*response));
    *energy = energy.add(response.mul(*response));
}

/// excitation[LEAD + n], lane j: sample n of the excitation at the lane's first lag.
#[inline(always)]
fn lag_excitation<V: Lanes>(past: &[f32], excitation: &mut [V; LAG_LENGTH]) {
    if SMALL {
        for (n, column) in excitation.iter_mut().enumerate() {
            let mut lanes = [0.0; LANES];
            for (lane, &x) in lanes.iter_mut().zip(past[n..][..LAGS - LAG_RUN + 1].iter().rev().step_by(LAG_RUN)) {
                *lane = x;
            }
            *column = V::load(&lanes, 0);
        }
        return;
    }
    for start in (0..LAG_LENGTH).step_by(LANES) {
        let mut rows = [V::splat(0.0); LANES];
        for (j, row) in rows.iter_mut().enumerate() {
            *row = V::load(past, LAGS - LAG_RUN - j * LAG_RUN + start);
        }
        excitation[start..start + LANES].copy_from_slice(&V::transpose(rows));
    }
}

/// responses[LEAD - s + n]: sample n of the response at lag s of the run; here for the first lag of each lane.
#[inline(always)]
fn lag_responses<V: Lanes>(response: &Subframe, excitation: &[V; LAG_LENGTH], responses: &mut [V; LAG_LENGTH]) {
    if SMALL {
        for n in 0..SUBFRAME {
            let mut sum = V::splat(0.0);
            for (k, &h) in response[..=n].iter().enumerate() {
                sum = sum.add(V::splat(h).mul(excitation[LEAD + n - k]));
            }
            responses[LEAD + n] = sum;
        }
        return;
    }
    // Four outputs by four inputs at a time: eleven loads for sixteen products.
    for n in (0..SUBFRAME).step_by(4) {
        let mut sums = [V::splat(0.0); 4];
        for k in (0..n).step_by(4) {
            let newest = &excitation[LEAD + n - k - 3..][..7];
            for (j, &h) in response[k..k + 4].iter().enumerate() {
                let h = V::splat(h);
                for (i, sum) in sums.iter_mut().enumerate() {
                    *sum = sum.add(h.mul(newest[3 + i - j]));
                }
            }
        }
        for (i, sum) in sums.iter_mut().enumerate() {
            for j in 0..=i {
                *sum = sum.add(V::splat(response[n + j]).mul(excitation[LEAD + i - j]));
            }
        }
        responses[LEAD + n..LEAD + n + 4].copy_from_slice(&sums);
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
    let [r0, r1, r2] = responses;
    if SMALL {
        let target = [dot(target, r0), dot(target, r1), dot(target, r2)];
        let energy = [dot(r0, r0), dot(r1, r1), dot(r2, r2)];
        return TapProducts { target, energy, cross: [dot(r0, r1), dot(r1, r2), dot(r0, r2)] };
    }
    let mut sums = [V::splat(0.0); 9];
    for block in 0..BLOCKS {
        let at = block * LANES;
        let (t, a, b, c) = (V::load(target, at), V::load(r0, at), V::load(r1, at), V::load(r2, at));
        let products = [t.mul(a), t.mul(b), t.mul(c), a.mul(a), b.mul(b), c.mul(c), a.mul(b), b.mul(c), a.mul(c)];
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
    let (TapProducts { target, energy, cross }, length) = (products, scores.len());
    let (t0, t1, t2) = (V::splat(target[0]), V::splat(target[1]), V::splat(target[2]));
    let (e0, e1, e2) = (V::splat(0.5 * energy[0]), V::splat(0.5 * energy[1]), V::splat(0.5 * energy[2]));
    let (c01, c12, c02) = (V::splat(cross[0]), V::splat(cross[1]), V::splat(cross[2]));
    let (taps0, taps1, taps2) = (&taps[0][..length], &taps[1][..length], &taps[2][..length]);
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
    if SMALL {
        let lanes =
            values.chunks_exact(LANES).fold(V::splat(f32::NEG_INFINITY), |best, block| best.max(V::load(block, 0)));
        let top = lanes.to_array().iter().fold(f32::NEG_INFINITY, |top, &x| if x > top { x } else { top });
        return values.iter().position(|&x| x == top).unwrap_or(0);
    }
    let mut best = [V::load(values, 0); 4];
    let mut groups = values.chunks_exact(4 * LANES);
    for group in &mut groups {
        for (i, best) in best.iter_mut().enumerate() {
            *best = best.max(V::load(group, i * LANES));
        }
    }
    for block in groups.remainder().chunks_exact(LANES) {
        best[0] = best[0].max(V::load(block, 0));
    }
    let best = best[0].max(best[1]).max(best[2].max(best[3])).to_array();
    let pairs = [best[0].max(best[4]), best[1].max(best[5]), best[2].max(best[6]), best[3].max(best[7])];
    let top = V::splat(pairs[0].max(pairs[1]).max(pairs[2].max(pairs[3])));
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

/// In place of a shape's length: it is what the arguments make it, not known at compile time.
pub(crate) const ANY: usize = 0;
/// Samples of the longest shape.
const MAX_LENGTH: usize = 20;

/// The length of a shape (or of something else): N, or `given` if that is [`ANY`].
#[inline(always)]
fn length<const N: usize>(given: usize) -> usize {
    if N == ANY {
        given
    } else {
        N
    }
}

entry! {
    /// Half the energy of each shape's response. `shapes` holds all first samples, all second ones and so on.
    shape_energies[N](response: &Subframe, shapes: &[f32], energies: &mut [f32]), shape_energies_kernel
}

#[inline(always)]
fn shape_energies_kernel<V: Lanes, const N: usize>(response: &Subframe, shapes: &[f32], energies: &mut [f32]) {
    let count = energies.len();
    let length = length::<N>(shapes.len() / count.max(1));
    let shapes = &shapes[..length * count];
    for at in (0..count / LANES * LANES).step_by(LANES) {
        let mut shape = [V::splat(0.0); MAX_LENGTH];
        let shape = &mut shape[..length];
        for (k, sample) in shape.iter_mut().enumerate() {
            *sample = V::load(shapes, k * count + at);
        }
        let mut energy = V::splat(0.0);
        for j in 0..length {
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
    shape_scores[N](wanted: &[f32], shapes: &[f32], energies: &[f32], scores: &mut [f32]), shape_scores_kernel
}

#[inline(always)]
fn shape_scores_kernel<V: Lanes, const N: usize>(wanted: &[f32], shapes: &[f32], energies: &[f32], scores: &mut [f32]) {
    any_shape_scores_kernel::<V, N>(false, wanted, shapes, energies, scores);
}

entry! {
    /// [`shape_scores`] for shapes that may be turned over: the better of both signs.
    signed_shape_scores[N](wanted: &[f32], shapes: &[f32], energies: &[f32], scores: &mut [f32]),
    signed_shape_scores_kernel
}

#[inline(always)]
fn signed_shape_scores_kernel<V: Lanes, const N: usize>(
    wanted: &[f32],
    shapes: &[f32],
    energies: &[f32],
    scores: &mut [f32],
) {
    any_shape_scores_kernel::<V, N>(true, wanted, shapes, energies, scores);
}

entry! {
    /// [`shape_scores`] or, if `signed`, [`signed_shape_scores`]: both in one, where code has to be short.
    any_shape_scores[N](signed: bool, wanted: &[f32], shapes: &[f32], energies: &[f32], scores: &mut [f32]),
    any_shape_scores_kernel
}

#[inline(always)]
fn any_shape_scores_kernel<V: Lanes, const N: usize>(
    signed: bool,
    wanted: &[f32],
    shapes: &[f32],
    energies: &[f32],
    scores: &mut [f32],
) {
    let count = energies.len();
    let length = length::<N>(wanted.len());
    let wanted = &wanted[..length];
    let (shapes, scores) = (&shapes[..length * count], &mut scores[..count]);
    for at in (0..count / LANES * LANES).step_by(LANES) {
        let mut sum = V::splat(0.0);
        for (k, &w) in wanted.iter().enumerate() {
            sum = sum.add(V::splat(w).mul(V::load(shapes, k * count + at)));
        }
        if signed {
            sum = sum.max(V::splat(0.0).sub(sum));
        }
        sum.sub(V::load(energies, at)).store(scores, at);
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
    fn gains_of_lags_are_what_their_responses_take_off_the_error() {
        let (h, t, past) = (subframe(20), subframe(21), noise(LAGS + SUBFRAME, 22));
        let mut gains = [0.0; LAGS];
        lag_gains(Simd::detect(), &h, &t, &past, &mut gains);
        let mut narrow = [0.0; LAGS];
        lag_gains(Simd::BASELINE, &h, &t, &past, &mut narrow);
        assert_eq!(gains, narrow);
        lag_gains_kernel::<Portable>(&h, &t, &past, &mut narrow);
        assert_eq!(gains, narrow);
        for j in 0..LANES {
            for s in 0..LAG_RUN {
                let back = LAG_RUN * j + s;
                let response = |n: usize| (0..=n).map(|k| h[k] * past[LAGS - 1 - back + n - k]).sum::<f32>();
                let product: f32 = (0..SUBFRAME).map(|n| t[n] * response(n)).sum();
                let energy: f32 = (0..SUBFRAME).map(|n| response(n) * response(n)).sum();
                let gain = product.max(0.0) * product.max(0.0) / (energy + 1.0);
                assert!((gains[LANES * s + j] - gain).abs() < 1e-3 * gain.max(1.0), "{j} {s}");
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
    fn bytes_and_signs_are_the_same_in_every_register() {
        let bytes: Vec<i8> = (0..16).map(|n| (n * 17 - 128) as i8).collect();
        let condition = [-1.0, 1.0, -0.0, 0.0, 2.0, -3.0, 5.0, -7.0];
        fn both<V: Lanes>(bytes: &[i8], condition: &[f32]) -> ([f32; LANES], [f32; LANES]) {
            let loaded = V::load_bytes(bytes, 3);
            (loaded.to_array(), V::load(condition, 0).where_negative(loaded, V::splat(9.0)).to_array())
        }
        let expected = both::<Portable>(&bytes, &condition);
        assert_eq!(expected.0[0], f32::from(bytes[3]));
        assert_eq!(expected.1[1..4], [9.0, expected.0[2], 9.0]);
        assert_eq!(both::<Baseline>(&bytes, &condition), expected);
        let target = noise(10, 30);
        let codes: Vec<i8> = noise(10 * CODES, 31).iter().map(|x| (x * 127.0) as i8).collect();
        let (mut wide, mut portable) = ([0.0; CODES], [0.0; CODES]);
        code_scores(Simd::detect(), &target, &target, &codes, &mut wide);
        code_scores_kernel::<Portable>(&target, &target, &codes, &mut portable);
        assert_eq!(wide, portable);
    }

    #[test]
    fn the_end_of_a_convolution_is_its_end() {
        let (h, x) = (subframe(40), subframe(41));
        let whole = convolve(Simd::detect(), &h, &x);
        for (a, b) in convolution_end(Simd::detect(), &h, &x).iter().zip(&whole[SUBFRAME - END..]) {
            assert!(close(*a, *b));
        }
        assert_eq!(convolution_end(Simd::detect(), &h, &x), convolution_end_kernel::<Portable>(&h, &x));
    }

    #[test]
    fn eight_filters_are_the_filters_one_by_one() {
        let mut frequencies = [[0.0; 10]; LANES];
        for (seed, set) in frequencies.iter_mut().enumerate() {
            for (i, (f, off)) in set.iter_mut().zip(noise(10, 60 + seed as u32)).enumerate() {
                *f = 0.25 + 0.25 * i as f32 + 0.1 * off;
            }
        }
        let found = filters_of(Simd::detect(), &frequencies);
        for (found, frequencies) in found.iter().zip(&frequencies) {
            assert_eq!(*found, crate::lsp::to_lpc(frequencies));
        }
        assert_eq!(found, filters_of_kernel::<Portable, 10>(&frequencies));
    }

    #[test]
    fn autocorrelations_are_the_sums_of_their_definition() {
        let x = noise(200, 50);
        let found = autocorrelate::<11>(Simd::detect(), &x);
        assert_eq!(found, autocorrelate_kernel::<Portable, 11>(&x));
        for (lag, product) in found.iter().enumerate() {
            assert!(close(*product, (lag..200).map(|n| x[n] * x[n - lag]).sum()), "{lag}");
        }
    }

    #[test]
    fn impulse_responses_are_those_of_the_filters_one_after_the_other() {
        use crate::filters;
        let mut filters = FrameFilters { quantised: [[0.0; 10]; 4], zeros: [[0.0; 10]; 4], poles: [[0.0; 10]; 4] };
        for (k, value) in noise(120, 42).iter().enumerate() {
            let part = [&mut filters.quantised, &mut filters.zeros, &mut filters.poles];
            part[k % 3][k / 30][k / 3 % 10] = 0.1 * value;
        }
        let found = responses(Simd::detect(), &filters);
        let portable = responses_kernel::<Portable, 10>(&filters);
        assert_eq!((found.synthesis, found.weighted), (portable.synthesis, portable.weighted));
        for subframe in 0..4 {
            let mut impulse = [0.0; SUBFRAME];
            impulse[0] = 1.0;
            filters::synthesise(&filters.quantised[subframe], &mut [0.0; 10], &mut impulse);
            assert!(impulse.iter().zip(&found.synthesis[subframe]).all(|(a, b)| close(*a, *b)));
            filters::pole_zero(&filters.zeros[subframe], &filters.poles[subframe], &mut [0.0; 10], &mut impulse);
            assert!(impulse.iter().zip(&found.weighted[subframe]).all(|(a, b)| close(*a, *b)));
        }
    }

    #[test]
    fn the_greatest_is_the_first_of_its_equals() {
        let mut values = noise(64, 15);
        values[37] = 2.0;
        values[52] = 2.0;
        assert_eq!(greatest(Simd::detect(), &values), 37);
    }
}
