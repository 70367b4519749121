//! G.711 for the judges: written from the definition of the two laws, apart from the gateway's own tables.

/// One sample to mu-law (ITU-T G.711, bits inverted as on the wire).
pub fn ulaw_encode(sample: i16) -> u8 {
    let sign = if sample < 0 { 0x80 } else { 0 };
    let magnitude = i32::from(sample).abs().min(32_635) + 132;
    let exponent = (magnitude.ilog2() - 7) as u8;
    let mantissa = ((magnitude >> (exponent + 3)) & 0x0F) as u8;
    !(sign | (exponent << 4) | mantissa)
}

/// One mu-law byte to a sample.
pub fn ulaw_decode(byte: u8) -> i16 {
    let byte = !byte;
    let exponent = (byte >> 4) & 7;
    let magnitude = ((i32::from(byte & 0x0F) << 3) + 132) << exponent;
    let value = (magnitude - 132) as i16;
    if byte & 0x80 == 0 { value } else { -value }
}

/// One sample to A-law (even bits inverted as on the wire).
pub fn alaw_encode(sample: i16) -> u8 {
    let sign = if sample < 0 { 0 } else { 0x80 };
    let magnitude = if sample < 0 { i32::from(!sample) } else { i32::from(sample) };
    let exponent = if magnitude < 256 { 0 } else { (magnitude.ilog2() - 7) as u8 };
    let mantissa = if exponent == 0 { magnitude >> 4 } else { magnitude >> (exponent + 3) };
    (sign | (exponent << 4) | (mantissa & 0x0F) as u8) ^ 0x55
}

/// One A-law byte to a sample.
pub fn alaw_decode(byte: u8) -> i16 {
    let byte = byte ^ 0x55;
    let exponent = (byte >> 4) & 7;
    let mantissa = i32::from(byte & 0x0F);
    let magnitude = if exponent == 0 { (mantissa << 4) + 8 } else { ((mantissa << 4) + 264) << (exponent - 1) };
    if byte & 0x80 == 0 { -magnitude as i16 } else { magnitude as i16 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_survives_decoding_and_encoding() {
        for byte in 0..=255u8 {
            // 0x7F is mu-law's negative zero; it encodes as positive zero.
            if byte != 0x7F {
                assert_eq!(ulaw_encode(ulaw_decode(byte)), byte);
            }
            assert_eq!(alaw_encode(alaw_decode(byte)), byte);
        }
    }

    #[test]
    fn known_points_of_both_laws_are_right() {
        assert_eq!((ulaw_encode(0), ulaw_encode(32_767), ulaw_encode(-32_768)), (0xFF, 0x80, 0x00));
        assert_eq!((ulaw_decode(0x80), ulaw_decode(0x00)), (32_124, -32_124));
        assert_eq!((alaw_encode(0), alaw_encode(32_767), alaw_encode(-32_768)), (0xD5, 0xAA, 0x2A));
        assert_eq!((alaw_decode(0xD5), alaw_decode(0xAA), alaw_decode(0x2A)), (8, 32_256, -32_256));
    }
}
