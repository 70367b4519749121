//! The speech corpus: real recordings out of Debian packages (`scripts/prepare_corpus.py` says which).

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use speex_codec::Mode;

use crate::wav;

/// One recording at the sample rate of the mode it was asked for.
pub struct Sentence {
    /// The file's name without its ending, such as `fr-demo-congrats-1`.
    pub name: String,
    /// The whole recording, cut to whole frames.
    pub samples: Vec<i16>,
}

/// The folder of the corpus, made by the script if it is not there yet.
///
/// # Panics
/// When the script cannot make it (no network and no cache, or no ffmpeg).
pub fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let cache = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache/speex-corpus");
        let folder = std::env::var_os("SPEEX_CORPUS").map_or_else(cache, PathBuf::from);
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("speex/prepare_corpus.py");
        let made = Command::new("python3").arg(&script).arg(&folder).status();
        assert!(made.is_ok_and(|status| status.success()), "{} makes the corpus", script.display());
        folder
    })
}

/// Every sentence for `mode`, in the order of their names. Ultra-wideband takes the wideband ones, each sample twice
/// (the upper half of its band is then an image of the lower: fine for streams, not for judging quality).
///
/// # Panics
/// When the corpus cannot be made or read.
pub fn sentences(mode: Mode) -> Vec<Sentence> {
    let band = if matches!(mode, Mode::Narrowband) { "nb" } else { "wb" };
    let mut paths: Vec<_> = std::fs::read_dir(folder().join(band))
        .expect("the corpus has a folder for each band")
        .map(|entry| entry.expect("a readable folder").path())
        .collect();
    paths.sort();
    paths.iter().map(|path| sentence(path, mode)).collect()
}

fn sentence(path: &Path, mode: Mode) -> Sentence {
    let mut samples = wav::read(path).expect("the corpus holds WAV files");
    if matches!(mode, Mode::UltraWideband) {
        samples = samples.iter().flat_map(|&sample| [sample, sample]).collect();
    }
    samples.truncate(samples.len() / mode.frame_samples() * mode.frame_samples());
    let name = path.file_stem().expect("a file has a name").to_string_lossy().into_owned();
    Sentence { name, samples }
}
