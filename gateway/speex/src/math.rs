//! The few functions of `std`'s `f32` that `core` lacks. No platform library is asked, so every target computes the
//! same bits; errors are within a few units of the last place, far below what the quantisers can tell apart.

/// |x|.
#[inline]
pub(crate) fn abs(x: f32) -> f32 {
    f32::from_bits(x.to_bits() & 0x7fff_ffff)
}

/// Square root; 0 for negatives, NaN and subnormals.
#[inline]
pub(crate) fn sqrt(x: f32) -> f32 {
    if x.is_nan() || x < f32::MIN_POSITIVE {
        return 0.0;
    }
    if x > 1e37 {
        return sqrt(x * 1e-8) * 1e4;
    }
    // Newton on 1/sqrt from an estimate in the exponent, then one step on the root itself.
    let mut y = f32::from_bits(0x5f37_59df - (x.to_bits() >> 1));
    for _ in 0..3 {
        y *= 1.5 - 0.5 * x * y * y;
    }
    let root = x * y;
    root + 0.5 * y * (x - root * root)
}

/// e to the x; 0 and the largest finite number stand for what is out of range.
pub(crate) fn exp(x: f32) -> f32 {
    if x.is_nan() || x <= -87.0 {
        return 0.0;
    }
    if x > 88.0 {
        return f32::MAX;
    }
    // x = n ln 2 + r with |r| <= ln 2 / 2; ln 2 in two parts, so that n ln 2 is exact.
    let scaled = x * core::f32::consts::LOG2_E;
    let n = (scaled + if scaled < 0.0 { -0.5 } else { 0.5 }) as i32;
    let r = (x - n as f32 * 0.693_359_4) + n as f32 * 2.121_944_4e-4;
    let series = 1.0 / 120.0 + r * (1.0 / 720.0 + r / 5040.0);
    let power = 1.0 + r * (1.0 + r * (0.5 + r * (1.0 / 6.0 + r * (1.0 / 24.0 + r * series))));
    power * f32::from_bits(((n + 127) as u32) << 23)
}

/// Natural logarithm; -88 for all that has none (negatives, zero, NaN).
pub(crate) fn ln(x: f32) -> f32 {
    if x.is_nan() || x < f32::MIN_POSITIVE {
        return -88.0;
    }
    // x = m 2^n with m around 1, ln m by the series of artanh.
    let above = x.to_bits().wrapping_sub(core::f32::consts::FRAC_1_SQRT_2.to_bits()) as i32 >> 23;
    let m = f32::from_bits((x.to_bits() as i32 - (above << 23)) as u32);
    let s = (m - 1.0) / (m + 1.0);
    let s2 = s * s;
    let series = 1.0 / 3.0 + s2 * (0.2 + s2 * (1.0 / 7.0 + s2 * (1.0 / 9.0)));
    above as f32 * 0.693_359_4 + (2.0 * s + (2.0 * s * s2 * series - above as f32 * 2.121_944_4e-4))
}

/// x to the y, for positive x.
#[allow(dead_code)]
pub(crate) fn pow(x: f32, y: f32) -> f32 {
    exp(y * ln(x))
}

/// Arc cosine in radians; x beyond ±1 counts as ±1. (Abramowitz and Stegun 4.4.46: error below 2e-8.)
pub(crate) fn acos(x: f32) -> f32 {
    const SERIES: [f32; 8] = [
        core::f32::consts::FRAC_PI_2,
        -0.214_598_8,
        0.088_978_99,
        -0.050_174_303,
        0.030_891_88,
        -0.017_088_126,
        0.006_670_09,
        -0.001_262_491,
    ];
    let a = abs(x).min(1.0);
    let value = sqrt(1.0 - a) * SERIES.iter().rev().fold(0.0, |sum, c| sum * a + c);
    if x < 0.0 {
        core::f32::consts::PI - value
    } else {
        value
    }
}

/// Coefficients of [`lsp_cos`], of x^0, x^2, x^4 and x^6.
pub(crate) const LSP_COS: [f32; 4] = [0.999_993_3, -0.499_912_44, 0.041_487_747, -0.001_271_209_4];

/// Cosine for line spectral frequencies, 0 to pi: the polynomial that the reference decoder uses (error below 7e-6).
/// Poles lie so near to the unit circle that a better cosine would be a different filter.
#[inline]
pub(crate) fn lsp_cos(x: f32) -> f32 {
    let (x, sign) = if x < core::f32::consts::FRAC_PI_2 { (x, 1.0) } else { (core::f32::consts::PI - x, -1.0) };
    let x2 = x * x;
    sign * LSP_COS[..3].iter().rev().fold(LSP_COS[3], |sum, c| c + x2 * sum)
}

/// Rounds half up to a sample, clipping; NaN gives silence.
#[inline]
pub(crate) fn to_sample(x: f32) -> i16 {
    let offset = if x.is_nan() { 32768.0 } else { x + 32768.5 };
    // For what is not clipped the offset is positive, so that the cast is a floor.
    let floor = (offset as i32).clamp(0, 65535);
    (floor - 32768) as i16
}

/// Sum of products, in eight interleaved partial sums: an order that a compiler can keep in vector registers.
#[inline]
pub(crate) fn dot(x: &[f32], y: &[f32]) -> f32 {
    let mut lanes = [0.0f32; 8];
    let (xs, ys) = (x.chunks_exact(8), y.chunks_exact(8));
    let tail: f32 = xs.remainder().iter().zip(ys.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in xs.zip(ys) {
        for ((lane, a), b) in lanes.iter_mut().zip(a).zip(b) {
            *lane += a * b;
        }
    }
    let [a, b, c, d, e, f, g, h] = lanes;
    ((a + e) + (b + f)) + ((c + g) + (d + h)) + tail
}

/// Root mean square with a floor of 0.1 under the mean, as every energy in Speex is measured.
pub(crate) fn rms(x: &[f32]) -> f32 {
    sqrt(0.1 + dot(x, x) / x.len() as f32)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    fn relative(value: f32, truth: f64) -> f64 {
        ((f64::from(value) - truth) / truth).abs()
    }

    #[test]
    fn the_functions_agree_with_the_platform_library() {
        for step in 1..100_000u32 {
            let x = step as f32 * 0.37;
            let (small, signed) = (step as f32 * 1e-5, step as f32 * 2e-5 - 1.0);
            assert!(relative(sqrt(x), f64::from(x).sqrt()) < 1.3e-7, "sqrt {x}");
            assert!(relative(sqrt(small * 1e-20), f64::from(small * 1e-20).sqrt()) < 1.3e-7, "sqrt {small}");
            assert!((f64::from(ln(x)) - f64::from(x).ln()).abs() < 1e-6, "ln {x}");
            assert!(relative(exp(signed * 80.0), f64::from(signed * 80.0).exp()) < 3e-7, "exp {}", signed * 80.0);
            assert!((f64::from(acos(signed)) - f64::from(signed).acos()).abs() < 6e-7, "acos {signed}");
            let angle = small * core::f32::consts::PI;
            assert!((f64::from(lsp_cos(angle)) - f64::from(angle).cos()).abs() < 7e-6, "cos {angle}");
        }
        assert!(relative(pow(6000.0, 0.3), 6000f64.powf(0.3)) < 1e-6);
    }

    #[test]
    fn what_has_no_value_gets_a_harmless_one() {
        for x in [f32::NAN, -1.0, 0.0, f32::NEG_INFINITY] {
            assert_eq!(sqrt(x), 0.0);
            assert_eq!(ln(x), -88.0);
        }
        assert_eq!((exp(f32::NAN), exp(-1e9), exp(1e9)), (0.0, 0.0, f32::MAX));
        assert!(relative(sqrt(f32::MAX), f64::from(f32::MAX).sqrt()) < 1e-6);
        assert_eq!((acos(2.0), acos(-2.0)), (0.0, core::f32::consts::PI));
    }

    #[test]
    fn samples_are_rounded_half_up_and_clipped() {
        let cases = [
            (0.5, 1),
            (-0.5, 0),
            (-0.51, -1),
            (1e9, 32767),
            (-1e9, -32768),
            (f32::NAN, 0),
            (32766.5, 32767),
            (-1.5, -1),
        ];
        for (x, expected) in cases {
            assert_eq!(to_sample(x), expected, "{x}");
        }
    }

    #[test]
    fn a_sum_of_products_takes_every_element_once() {
        let x: std::vec::Vec<f32> = (1..=43).map(|n| n as f32).collect();
        assert_eq!(dot(&x, &x), (1..=43).map(|n| n * n).sum::<i32>() as f32);
    }
}
