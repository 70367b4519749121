//! How good speech is after its way through: PESQ and STOI, by the reference implementations of the Python world.

use crate::{audio, speech, tools};
use std::io::Write;
use std::process::{Command, Stdio};

/// What the judges say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    /// Perceived quality, -0.5 to 4.64 (ITU-T P.862.1 at 8 kHz, P.862.2 at 16 kHz).
    pub pesq: f64,
    /// Intelligibility, 0 to 1.
    pub stoi: f64,
    /// Waveform likeness after alignment, -1 to 1.
    pub correlation: f64,
    /// Where the speech was found, samples.
    pub lag: isize,
}

/// Aligns each recording with the speech that was sent, and judges it. One run of Python for all.
///
/// # Panics
/// When nothing of the speech is in a recording, or Python fails.
pub fn judge(rate: u32, reference: &[i16], recordings: &[&[i16]]) -> Vec<Score> {
    let scratch = tools::Scratch::new();
    let mut pairs = Vec::new();
    let mut found = Vec::new();
    for (number, heard) in recordings.iter().enumerate() {
        let alignment = audio::align(reference, heard, heard.len().min(rate as usize * 8));
        let (sent, came) = audio::overlap(reference, heard, alignment.lag);
        assert!(
            came.len() > rate as usize * 3,
            "recording {number}: only {} of {} samples of the speech are there (level {:.0}, {alignment:?})",
            came.len(),
            reference.len(),
            audio::level(heard)
        );
        let (a, b) = (scratch.path(&format!("{number}-sent.wav")), scratch.path(&format!("{number}-came.wav")));
        speech::write_wav(&a, rate, sent);
        speech::write_wav(&b, rate, came);
        pairs.push(serde_json::json!({"reference": a, "heard": b, "rate": rate}));
        found.push(alignment);
    }
    let answers = ask_python(&serde_json::Value::Array(pairs));
    let number = |answer: &serde_json::Value, name: &str| answer[name].as_f64().unwrap();
    answers
        .as_array()
        .unwrap()
        .iter()
        .zip(found)
        .map(|(answer, alignment)| Score {
            pesq: number(answer, "pesq"),
            stoi: number(answer, "stoi"),
            correlation: alignment.correlation,
            lag: alignment.lag,
        })
        .collect()
}

/// PESQ alone, of many takes at once: sample rate, speech and what was heard of it, already in line.
///
/// # Panics
/// When Python fails.
pub fn pesq(takes: &[(u32, Vec<i16>, Vec<i16>)]) -> Vec<f64> {
    let scratch = tools::Scratch::new();
    let pairs = takes.iter().enumerate().map(|(number, (rate, sent, came))| {
        let (a, b) = (scratch.path(&format!("{number}-sent.wav")), scratch.path(&format!("{number}-came.wav")));
        speech::write_wav(&a, *rate, sent);
        speech::write_wav(&b, *rate, came);
        serde_json::json!({"reference": a, "heard": b, "rate": rate, "only": "pesq"})
    });
    let answers = ask_python(&serde_json::Value::Array(pairs.collect()));
    answers.as_array().unwrap().iter().map(|answer| answer["pesq"].as_f64().unwrap()).collect()
}

fn ask_python(question: &serde_json::Value) -> serde_json::Value {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/rigs/score.py");
    // Judging is never urgent, and calls of other tests must keep their pace meanwhile.
    let mut python = Command::new("nice")
        .args(["-n", "19"])
        .arg(tools::python())
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    python.stdin.take().unwrap().write_all(question.to_string().as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success(), "score.py: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}
