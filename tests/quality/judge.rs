//! Asks `judge.py`, which runs for the whole of a measurement and keeps what it knows in `tests/.cache`.

use gateway_tests::{audio, tools};
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// What is wanted of a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) pesq: bool,
    pub(crate) stoi: bool,
}

/// Speech as it was said and as it was heard, of one sample rate.
pub(crate) struct Pair<'a> {
    pub(crate) rate: u32,
    pub(crate) said: &'a [i16],
    pub(crate) heard: Vec<i16>,
}

/// What the judges say; 0 for what was not wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Score {
    /// ITU-T P.862.1 at 8 kHz, P.862.2 at 16 kHz.
    pub(crate) pesq: f64,
    /// 0 to 1.
    pub(crate) stoi: f64,
}

impl Score {
    /// The mean of each figure.
    pub(crate) fn mean(scores: &[Self]) -> Self {
        let count = scores.len().max(1) as f64;
        let mean = |figure: fn(&Self) -> f64| scores.iter().map(figure).sum::<f64>() / count;
        Self { pesq: mean(|score| score.pesq), stoi: mean(|score| score.stoi) }
    }
}

/// The running judge.
pub(crate) struct Judge {
    python: Child,
    questions: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    scratch: tools::Scratch,
}

impl Judge {
    pub(crate) fn start() -> Self {
        let mut python = Command::new(tools::python())
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/quality/judge.py"))
            .arg(tools::cache_dir().join("quality-scores.jsonl"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python starts");
        let questions = python.stdin.take();
        let answers = BufReader::new(python.stdout.take().expect("piped above"));
        Self { python, questions, answers, scratch: tools::Scratch::new() }
    }

    /// The scores of all pairs.
    ///
    /// # Panics
    /// When Python fails; it says why on stderr.
    pub(crate) fn scores(&mut self, wanted: Wanted, pairs: &[Pair<'_>]) -> Vec<Score> {
        let question: Vec<_> =
            pairs.iter().enumerate().map(|(number, pair)| self.question(number, wanted, pair)).collect();
        let questions = self.questions.as_mut().expect("open until the judge is dropped");
        writeln!(questions, "{}", serde_json::Value::Array(question)).expect("the judge listens");
        let mut answer = String::new();
        self.answers.read_line(&mut answer).expect("the judge answers");
        let scores: Vec<[Option<f64>; 2]> = serde_json::from_str(&answer).expect("a list of scores");
        scores.into_iter().map(|[pesq, stoi]| Score { pesq: pesq.unwrap_or(0.0), stoi: stoi.unwrap_or(0.0) }).collect()
    }

    fn question(&self, number: usize, wanted: Wanted, pair: &Pair<'_>) -> serde_json::Value {
        let (said, heard) =
            (self.write(&format!("{number}-said"), pair.said), self.write(&format!("{number}-heard"), &pair.heard));
        serde_json::json!({
            "reference": said, "heard": heard, "rate": pair.rate, "pesq": wanted.pesq, "stoi": wanted.stoi
        })
    }

    fn write(&self, name: &str, pcm: &[i16]) -> PathBuf {
        let path = self.scratch.path(name);
        std::fs::write(&path, audio::to_bytes(pcm)).expect("the scratch folder can be written");
        path
    }
}

impl Drop for Judge {
    fn drop(&mut self) {
        drop(self.questions.take()); // its input ends, so it does
        let _ = self.python.wait();
    }
}
