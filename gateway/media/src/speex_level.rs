//! How loud a Speex frame is, about, without decoding it: the gain of its excitation stands at a known place.
//!
//! ```text
//! |0|mode:4|line spectral pairs: 18 or 30|pitch lag: 7|gain: 4|frame gain: 5| ...
//!                                         '- modes 1, 2, 8 -' 1, 8
//! ```
//! The frame gain `g` stands for an excitation of exp(g / 3.5); the prediction filter adds to it. Of background noise it
//! makes about twice as much, of speech more.

/// Bits before the frame gain, by the mode of the narrowband layer (Speex manual, table 9.2); mode 0 has none.
const GAIN_AT: [usize; 9] = [0, 34, 30, 23, 23, 35, 35, 35, 34];
const GAIN_BITS: usize = 5;
/// What the prediction filter makes of noise.
const FILTER_GAIN: f32 = 2.0;

/// The level (root mean square) that the first frame of a packet has if it is noise; less than that of speech. None for a packet
/// that does not begin with audio.
pub fn noise_level(packet: &[u8]) -> Option<f32> {
    let first = *packet.first()?;
    let mode = first as usize >> 3; // a leading 1 makes it too large
    if mode == 0 {
        return Some(0.0);
    }
    let at = *GAIN_AT.get(mode)?;
    let word = [*packet.get(at / 8)?, packet.get(at / 8 + 1).copied().unwrap_or(0)];
    let gain = u16::from_be_bytes(word) >> (16 - GAIN_BITS - at % 8) & 0x1F;
    Some(FILTER_GAIN * (gain as f32 / 3.5).exp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        codec::{Codec, Encoder},
        testing::{Random, rms, voice},
    };

    /// For each frame its level and what is read from its packet.
    fn levels(codec: Codec, pcm: &[i16]) -> Vec<(f64, f64)> {
        let mut encoder = Encoder::new(codec);
        let frames = pcm.chunks_exact(codec.frame_samples()).map(|frame| {
            let mut packet = Vec::new();
            encoder.encode(frame, &mut packet).unwrap();
            (rms(frame), noise_level(&packet).unwrap() as f64)
        });
        frames.skip(5).collect()
    }

    #[test]
    fn the_level_of_noise_is_read_within_six_decibels() {
        for codec in [Codec::SpeexNarrowband, Codec::SpeexWideband] {
            for level in [15.0, 60.0, 200.0] {
                let (mut random, mut last) = (Random::new(2), 0.0);
                let noise: Vec<i16> = (0..codec.sample_rate().samples_in_ms(2000))
                    .map(|_| {
                        last = 0.6 * last + 0.8 * (random.uniform() - 0.5) * 3.46 * level;
                        last as i16
                    })
                    .collect();
                let read = levels(codec, &noise);
                let mean = |pick: fn(&(f64, f64)) -> f64| read.iter().map(pick).sum::<f64>() / read.len() as f64;
                let off = 20.0 * (mean(|l| l.1) / mean(|l| l.0)).log10();
                println!("{codec:?} at {level}: {off:.1} dB off");
                assert!(off.abs() < 6.0, "{codec:?} at {level}: {off} dB");
            }
        }
    }

    #[test]
    fn quiet_frames_of_speech_are_told_from_loud_ones() {
        let mut speech = voice(Codec::SpeexWideband.sample_rate(), 10_000, 4);
        speech.chunks_exact_mut(8000).step_by(2).flatten().for_each(|sample| *sample /= 100);
        let read = levels(Codec::SpeexWideband, &speech);
        let mean = |loud: bool| {
            let picked: Vec<f64> =
                read.iter().filter(|l| if loud { l.0 > 1500.0 } else { l.0 < 100.0 }).map(|l| l.1).collect();
            assert!(picked.len() > 10, "{}", picked.len());
            picked.iter().sum::<f64>() / picked.len() as f64
        };
        assert!(mean(true) > 4.0 * mean(false), "{} {}", mean(true), mean(false));
    }

    #[test]
    fn what_is_no_frame_has_no_level() {
        assert_eq!(noise_level(&[]), None);
        assert_eq!(noise_level(&[0x80, 0, 0, 0, 0, 0]), None); // a wideband layer alone
        assert_eq!(noise_level(&[0x78, 0, 0]), None); // the terminator
        assert_eq!(noise_level(&[0x28, 0]), None); // mode 5, cut off
        assert_eq!(noise_level(&[0x00]), Some(0.0)); // silence
    }
}
