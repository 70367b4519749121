//! Real speech: spoken by espeak-ng when it is first needed, kept in the cache, read as samples.

use crate::audio;
use crate::tools::{cache_dir, run};
use std::path::{Path, PathBuf};

/// Who speaks. The two directions of a call get different speakers, so that crosstalk cannot pass for speech.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaker {
    /// A low voice, British English.
    Anna,
    /// Another voice and another text.
    Ben,
}

impl Speaker {
    fn name(self) -> &'static str {
        match self {
            Self::Anna => "anna",
            Self::Ben => "ben",
        }
    }

    fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Anna => (
                "en-gb+f3",
                "45",
                "The gateway carries this voice from one network to the other. Six spoons of fresh snow peas, \
                 five thick slabs of blue cheese, and maybe a snack for her brother Bob.",
            ),
            Self::Ben => (
                "en-us+m3",
                "35",
                "Please call the front desk before noon, and ask whether the blue lamp was found. \
                 A quick answer would help us both, since the train leaves at a quarter past four.",
            ),
        }
    }
}

/// Path of a 16-bit mono WAV file with about ten seconds of speech at this sample rate.
pub fn wav(speaker: Speaker, rate: u32) -> PathBuf {
    let path = cache_dir().join(format!("speech-{}-{rate}.wav", speaker.name()));
    if !path.exists() {
        make(speaker, rate, &path);
    }
    path
}

/// The samples of [`wav`].
pub fn pcm(speaker: Speaker, rate: u32) -> Vec<i16> {
    read_wav(&wav(speaker, rate)).1
}

fn make(speaker: Speaker, rate: u32, path: &Path) {
    let (voice, pitch, text) = speaker.words();
    // Tests run side by side: make it aside, then put it in place at once.
    let own = path.with_extension(format!("{}.raw.wav", std::process::id()));
    let ready = path.with_extension(format!("{}.wav", std::process::id()));
    run("espeak-ng", &["-v", voice, "-p", pitch, "-s", "150", "-w", &own.to_string_lossy(), text]);
    let rate = rate.to_string();
    // Some silence around it: a callee may miss the first packets, and an encoder needs its look-ahead.
    let args = [&own.to_string_lossy(), "-b", "16", "-c", "1", "-t", "wavpcm", &ready.to_string_lossy()];
    run("sox", &[&args[..], &["rate", "-v", &rate, "norm", "-6", "pad", "0.4", "0.6"]].concat());
    std::fs::rename(&ready, path).unwrap();
    let _ = std::fs::remove_file(own);
}

/// Sample rate and samples of a 16-bit mono WAV file.
///
/// # Panics
/// When it is none.
pub fn read_wav(path: &Path) -> (u32, Vec<i16>) {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(bytes.len() > 12 && &bytes[0..4] == b"RIFF" && &bytes[8..12] == b"WAVE", "{} is no WAV", path.display());
    let mut rate = 0;
    let mut rest = &bytes[12..];
    while rest.len() >= 8 {
        let length = u32::from_le_bytes(rest[4..8].try_into().unwrap()) as usize;
        let body = &rest[8..8 + length.min(rest.len() - 8)];
        match &rest[0..4] {
            b"fmt " => {
                let half = |at: usize| u16::from_le_bytes(body[at..at + 2].try_into().unwrap());
                assert_eq!((half(2), half(14)), (1, 16), "{}: not 16-bit mono", path.display());
                rate = u32::from_le_bytes(body[4..8].try_into().unwrap());
            }
            b"data" => return (rate, audio::from_bytes(body)),
            _ => {}
        }
        rest = &rest[(8 + length + length % 2).min(rest.len())..];
    }
    panic!("{}: no samples", path.display());
}

/// Writes a 16-bit mono WAV file.
pub fn write_wav(path: &Path, rate: u32, pcm: &[i16]) {
    let data = 2 * pcm.len() as u32;
    let mut bytes = Vec::with_capacity(44 + data as usize);
    bytes.extend(b"RIFF");
    bytes.extend((36 + data).to_le_bytes());
    bytes.extend(b"WAVEfmt ");
    bytes.extend(16u32.to_le_bytes());
    bytes.extend([1, 0, 1, 0]);
    bytes.extend(rate.to_le_bytes());
    bytes.extend((2 * rate).to_le_bytes());
    bytes.extend([2, 0, 16, 0]);
    bytes.extend(b"data");
    bytes.extend(data.to_le_bytes());
    bytes.extend(audio::to_bytes(pcm));
    std::fs::write(path, bytes).unwrap();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::Scratch;

    #[test]
    fn a_wav_file_is_read_back() {
        let scratch = Scratch::new();
        write_wav(&scratch.path("x.wav"), 16_000, &[1, -2, 32_767]);
        assert_eq!(read_wav(&scratch.path("x.wav")), (16_000, vec![1, -2, 32_767]));
    }
}
