//! `speex.wasm` against the native build: the same packets and the same samples.
//!
//! Needs `apt-get install rustc libstd-rust-dev-wasm32 lld binaryen nodejs`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use gateway_tests::speex_corpus as corpus;
use speex_codec::{Decoder, Encoder, MAX_FRAME_BYTES, Mode};

/// What a page should have to fetch at most.
const MAX_FILE_BYTES: u64 = 60_000;
/// One packet in so many is lost.
const LOSS: usize = 7;

/// The folder of the codec.
fn codec() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../gateway/speex")
}

fn build(name: &str) -> PathBuf {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let status = Command::new("sh").arg(codec().join("build-wasm.sh")).arg(&file).stderr(Stdio::null()).status();
    let hint = "apt-get install rustc libstd-rust-dev-wasm32 lld binaryen";
    assert!(status.is_ok_and(|status| status.success()), "build-wasm.sh works: {hint}");
    file
}

/// The module, built once for all tests.
fn module() -> &'static Path {
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    FILE.get_or_init(|| build("speex.wasm"))
}

struct Settings {
    mode: Mode,
    quality: u8,
    complexity: u8,
}

/// What `test.mjs` writes for these samples.
fn in_node(settings: &Settings, samples: &[i16]) -> Vec<u8> {
    let Settings { mode, quality, complexity } = settings;
    let mut node = Command::new("node")
        .arg(codec().join("wasm/test.mjs"))
        .arg(module())
        .args([format!("{}", *mode as u8), quality.to_string(), complexity.to_string()])
        .arg(LOSS.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node runs: apt-get install nodejs");
    let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    let mut input = node.stdin.take().expect("it was piped");
    let writer = std::thread::spawn(move || input.write_all(&bytes));
    let output = node.wait_with_output().expect("node ends");
    writer.join().expect("no panic").expect("node reads all");
    assert!(output.status.success(), "test.mjs found a fault");
    output.stdout
}

/// The same from the native build, with or without wide registers.
fn natively(settings: &Settings, samples: &[i16], wide: bool) -> Vec<u8> {
    let &Settings { mode, quality, complexity } = settings;
    let mut encoder = if wide { Encoder::new(mode) } else { Encoder::without_wide_registers(mode) };
    encoder.set_quality(quality);
    encoder.set_complexity(complexity);
    let mut decoder = Decoder::new(mode);
    let (mut packet, mut out) = ([0; MAX_FRAME_BYTES], vec![0; mode.frame_samples()]);
    let mut result = Vec::new();
    for (number, frame) in samples.chunks_exact(mode.frame_samples()).enumerate() {
        let bytes = encoder.encode(frame, &mut packet).expect("a whole frame fits");
        result.push(bytes as u8);
        result.extend_from_slice(&packet[..bytes]);
        if number % LOSS == LOSS - 1 {
            decoder.conceal(&mut out);
        } else {
            decoder.decode(&packet[..bytes], &mut out).expect("our own packet");
        }
        result.extend(out.iter().flat_map(|sample| sample.to_le_bytes()));
    }
    result
}

#[test]
fn a_call_in_webassembly_is_bit_by_bit_the_native_one() {
    for (mode, quality, complexity) in [
        (Mode::Wideband, 6, 2),
        (Mode::Wideband, 10, 4),
        (Mode::Wideband, 1, 1),
        (Mode::Wideband, 8, 3),
        (Mode::Narrowband, 5, 3),
        (Mode::UltraWideband, 6, 2),
    ] {
        let settings = Settings { mode, quality, complexity };
        let speech: Vec<i16> = corpus::sentences(mode).into_iter().step_by(9).flat_map(|s| s.samples).collect();
        let node = in_node(&settings, &speech);
        assert!(node.len() > speech.len() * 2);
        assert!(node == natively(&settings, &speech, true), "{mode:?} quality {quality}, wide registers");
        assert!(node == natively(&settings, &speech, false), "{mode:?} quality {quality}, baseline");
    }
}

#[test]
fn the_web_phone_carries_what_a_build_makes_and_it_is_small() {
    let carried = Path::new(env!("CARGO_MANIFEST_DIR")).join("../web-phone/audio/speex.wasm");
    let read = |path: &Path| std::fs::read(path).expect("it is there");
    assert!(read(module()) == read(&carried), "build again: gateway/speex/build-wasm.sh web-phone/audio/speex.wasm");
    let bytes = read(&carried).len() as u64;
    assert!(bytes <= MAX_FILE_BYTES, "speex.wasm has {bytes} bytes");
}
