//! Beside ffmpeg: streams of its encoder, and what its decoder makes of them (`fixtures/nellymoser/make.py`).

use super::{lapped::tests::forward, *};
use crate::testing::Random;
use proptest::prelude::*;

struct Speech {
    rate: u32,
    blocks: &'static [u8],
    /// As ffmpeg decodes it, 16 bit, little-endian.
    theirs: &'static [u8],
}

const SPEECH: [Speech; 2] = [
    Speech {
        rate: 8000,
        blocks: include_bytes!("../../../fixtures/nellymoser/speech-8000.blocks"),
        theirs: include_bytes!("../../../fixtures/nellymoser/speech-8000.s16"),
    },
    Speech {
        rate: 22050,
        blocks: include_bytes!("../../../fixtures/nellymoser/speech-22050.blocks"),
        theirs: include_bytes!("../../../fixtures/nellymoser/speech-22050.s16"),
    },
];

impl Speech {
    fn ours(&self) -> Vec<i16> {
        let (mut decoder, mut pcm) = (NellymoserDecoder::default(), Vec::new());
        for block in self.blocks.chunks(BLOCK_BYTES) {
            decoder.decode(block, &mut pcm).unwrap();
        }
        pcm
    }

    fn theirs(&self) -> Vec<i16> {
        self.theirs.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect()
    }
}

/// Each half block's coefficients, found again in what was decoded. The last half needs what comes behind, and is missing.
fn coefficients(pcm: &[i16]) -> impl Iterator<Item = [f64; LENGTH]> {
    pcm.windows(2 * LENGTH).step_by(LENGTH).map(|piece| {
        let piece: Vec<f64> = piece.iter().map(|&sample| sample.into()).collect();
        forward(&piece)
    })
}

#[test]
fn every_coefficient_that_has_bits_is_ffmpegs_and_noise_is_as_loud_as_ffmpegs() {
    for speech in &SPEECH {
        let (ours, theirs) = (speech.ours(), speech.theirs());
        assert_eq!(ours.len(), theirs.len());
        let (mut signal, mut error, mut noise_of_ours, mut noise_of_theirs) = (0.0, 0.0, 0.0, 0.0);
        for (n, (a, b)) in coefficients(&ours).zip(coefficients(&theirs)).enumerate() {
            let mut bits =
                Bits { block: speech.blocks[n / 2 * BLOCK_BYTES..][..BLOCK_BYTES].try_into().unwrap(), at: 0 };
            let depths = allocation::allocate(&read_loudness(&mut bits));
            for (k, depth) in depths.into_iter().enumerate() {
                if depth > 0 {
                    signal += b[k] * b[k];
                    error += (a[k] - b[k]).powi(2);
                    // Both were rounded to 16 bits.
                    assert!((a[k] - b[k]).abs() < 0.5, "{} Hz, half {n}, {k}: {}, ffmpeg {}", speech.rate, a[k], b[k]);
                } else {
                    noise_of_ours += a[k] * a[k];
                    noise_of_theirs += b[k] * b[k];
                }
            }
        }
        let (ratio, noise) = (10.0 * (signal / error).log10(), 10.0 * (noise_of_ours / noise_of_theirs).log10());
        println!("{} Hz: coded coefficients {ratio:.1} dB over their difference, noise {noise:+.3} dB", speech.rate);
        assert!(ratio > 75.0, "{ratio:.1} dB");
        assert!(noise.abs() < 0.05, "{noise:.3} dB");
    }
}

#[test]
fn the_speech_is_ffmpegs_but_for_the_noise() {
    for speech in &SPEECH {
        let (ours, theirs) = (speech.ours(), speech.theirs());
        let energy = |pcm: &mut dyn Iterator<Item = f64>| pcm.map(|sample| sample * sample).sum::<f64>();
        let signal = energy(&mut theirs.iter().map(|&b| b.into()));
        let error = energy(&mut ours.iter().zip(&theirs).map(|(&a, &b)| f64::from(a) - f64::from(b)));
        let ratio = 10.0 * (signal / error).log10();
        println!("{} Hz: {ratio:.1} dB", speech.rate);
        assert!(ratio > 30.0, "{} Hz: {ratio:.1} dB", speech.rate);
    }
}

#[test]
fn blocks_in_one_message_are_the_blocks_one_by_one() {
    let blocks = &SPEECH[0].blocks[..4 * BLOCK_BYTES];
    let mut pcm = Vec::new();
    NellymoserDecoder::default().decode(blocks, &mut pcm).unwrap();
    assert_eq!(pcm, SPEECH[0].ours()[..4 * BLOCK_SAMPLES]);
}

#[test]
fn a_message_that_is_no_whole_number_of_blocks_or_too_many_is_malformed() {
    let (mut decoder, mut pcm) = (NellymoserDecoder::default(), vec![7]);
    for length in [0, 1, 63, 65, 127, BLOCK_BYTES * (MAX_NELLYMOSER_BLOCKS + 1)] {
        assert_eq!(decoder.decode(&vec![0x55; length], &mut pcm), Err(CodecError::Malformed), "{length} bytes");
    }
    assert_eq!(pcm, [7]);
    assert_eq!(decoder.decode(&[0x55; BLOCK_BYTES * MAX_NELLYMOSER_BLOCKS], &mut pcm), Ok(()));
    assert_eq!(pcm.len(), 1 + BLOCK_SAMPLES * MAX_NELLYMOSER_BLOCKS);
}

#[test]
fn a_decoder_that_was_reset_is_a_new_one() {
    let (mut decoder, mut pcm) = (NellymoserDecoder::default(), Vec::new());
    decoder.decode(&[0xA7; 3 * BLOCK_BYTES], &mut pcm).unwrap();
    decoder.reset();
    pcm.clear();
    decoder.decode(&SPEECH[0].blocks[..BLOCK_BYTES], &mut pcm).unwrap();
    assert_eq!(pcm, SPEECH[0].ours()[..BLOCK_SAMPLES]);
}

#[test]
fn a_hundred_thousand_random_blocks_do_no_harm() {
    let mut random = Random::new(11);
    let (mut decoder, mut pcm) = (NellymoserDecoder::default(), Vec::new());
    for _ in 0..100_000 {
        let block: [u8; BLOCK_BYTES] = std::array::from_fn(|_| random.next_u64() as u8);
        pcm.clear();
        decoder.decode(&block, &mut pcm).unwrap();
        assert_eq!(pcm.len(), BLOCK_SAMPLES);
    }
    // And what comes behind is heard as if nothing had been.
    pcm.clear();
    let rest = SPEECH[0].blocks.len() / BLOCK_BYTES / 2;
    decoder.decode(&SPEECH[0].blocks[rest * BLOCK_BYTES..][..4 * BLOCK_BYTES], &mut pcm).unwrap();
    let clean = &SPEECH[0].ours()[rest * BLOCK_SAMPLES..];
    let likeness = crate::testing::correlation(&pcm[BLOCK_SAMPLES..], &clean[BLOCK_SAMPLES..]);
    assert!(likeness > 0.9, "{likeness}");
}

proptest! {
    /// Also of those that chance hardly makes: bands that grow to the end or sink to nothing.
    #[test]
    fn any_block_is_256_samples(
        fill in prop_oneof![Just(0x00u8), Just(0xFF), any::<u8>()],
        rest in proptest::collection::vec((0usize..BLOCK_BYTES, any::<u8>()), 0..BLOCK_BYTES),
    ) {
        let mut block = [fill; BLOCK_BYTES];
        rest.into_iter().for_each(|(at, byte)| block[at] = byte);
        let (mut decoder, mut pcm) = (NellymoserDecoder::default(), Vec::new());
        for _ in 0..3 {
            prop_assert_eq!(decoder.decode(&block, &mut pcm), Ok(()));
        }
        prop_assert_eq!(pcm.len(), 3 * BLOCK_SAMPLES);
    }
}
