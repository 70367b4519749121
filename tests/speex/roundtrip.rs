//! Sends the whole corpus through an encoder and libspeex's decoder and writes what comes out, for `scripts/quality.py`.
//!
//! ```text
//! roundtrip OUT ours|libspeex nb|wb|uwb key=value...      keys: quality complexity vbr abr vad dtx
//! ```
//! Prints the mean bit rate of speech, in bits per second. The output is shifted back by the codec's delay, so that
//! sample n of the output belongs to sample n of the input.

use std::path::Path;

use gateway_tests::{libspeex, speex_corpus as corpus, wav};
use speex_codec::{Encoder, Mode, RateControl};

#[derive(Default)]
struct Options {
    quality: Option<i32>,
    complexity: Option<i32>,
    vbr: Option<f32>,
    abr: Option<i32>,
    vad: bool,
    dtx: bool,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [out, encoder, mode, settings @ ..] = arguments.as_slice() else {
        panic!("usage: roundtrip OUT ours|libspeex nb|wb|uwb key=value...");
    };
    let mode = match mode.as_str() {
        "nb" => Mode::Narrowband,
        "wb" => Mode::Wideband,
        _ => Mode::UltraWideband,
    };
    let options = options(settings);
    std::fs::create_dir_all(out).expect("the output folder can be made");
    let (mut bytes, mut frames) = (0, 0);
    for sentence in corpus::sentences(mode) {
        let packets = match encoder.as_str() {
            "ours" => encode_ours(mode, &options, &sentence.samples),
            _ => encode_libspeex(mode, &options, &sentence.samples),
        };
        bytes += packets.iter().map(Vec::len).sum::<usize>();
        frames += packets.len();
        let decoded = decode(mode, &packets, sentence.samples.len());
        let path = Path::new(out).join(sentence.name + ".wav");
        wav::write(&path, mode.sample_rate(), &decoded).expect("the output can be written");
    }
    println!("{:.0}", bytes as f64 * 8.0 * 50.0 / frames as f64);
}

fn options(settings: &[String]) -> Options {
    let mut options = Options::default();
    for setting in settings {
        let (key, value) = setting.split_once('=').unwrap_or((setting, "1"));
        match key {
            "quality" => options.quality = value.parse().ok(),
            "complexity" => options.complexity = value.parse().ok(),
            "vbr" => options.vbr = value.parse().ok(),
            "abr" => options.abr = value.parse().ok(),
            "vad" => options.vad = true,
            "dtx" => options.dtx = true,
            _ => panic!("unknown setting {key}"),
        }
    }
    options
}

fn encode_ours(mode: Mode, options: &Options, samples: &[i16]) -> Vec<Vec<u8>> {
    let mut encoder = Encoder::new(mode);
    if let Some(quality) = options.quality {
        encoder.set_quality(quality as u8);
    }
    if let Some(complexity) = options.complexity {
        encoder.set_complexity(complexity as u8);
    }
    if let Some(quality) = options.vbr {
        encoder.set_rate_control(RateControl::Variable { quality });
    }
    if let Some(rate) = options.abr {
        encoder.set_rate_control(RateControl::Average { bits_per_second: rate as u32 });
    }
    encoder.set_vad(options.vad);
    encoder.set_dtx(options.dtx);
    let mut packet = [0u8; speex_codec::MAX_FRAME_BYTES];
    let frames = samples.chunks_exact(mode.frame_samples());
    frames
        .map(|frame| {
            let length = encoder.encode(frame, &mut packet).expect("a whole frame");
            packet[..length].to_vec()
        })
        .collect()
}

fn encode_libspeex(mode: Mode, options: &Options, samples: &[i16]) -> Vec<Vec<u8>> {
    let mut encoder = libspeex::Encoder::new(mode);
    if let Some(quality) = options.quality {
        encoder.set_quality(quality);
    }
    if let Some(complexity) = options.complexity {
        encoder.set_complexity(complexity);
    }
    if let Some(quality) = options.vbr {
        encoder.set_vbr(quality);
    }
    if let Some(rate) = options.abr {
        encoder.set_abr(rate);
    }
    encoder.set_vad(options.vad);
    encoder.set_dtx(options.dtx);
    let frames = samples.chunks_exact(mode.frame_samples());
    frames
        .map(|frame| {
            let mut packet = Vec::new();
            encoder.encode(frame, &mut packet);
            packet
        })
        .collect()
}

fn decode(mode: Mode, packets: &[Vec<u8>], length: usize) -> Vec<i16> {
    let mut decoder = libspeex::Decoder::new(mode);
    let delay = libspeex::Encoder::new(mode).lookahead() + decoder.lookahead();
    let mut decoded = Vec::with_capacity(length + delay);
    for packet in packets {
        let code = decoder.decode(packet, &mut decoded);
        assert_eq!(code, 0, "libspeex decodes every packet");
    }
    let mut aligned = decoded.split_off(delay.min(decoded.len()));
    aligned.resize(length, 0);
    aligned
}
