//! PESQ of what was heard: one run of Python for the whole matrix.

use crate::{Heard, Measured};
use gateway_tests::{audio, score};

/// Delay that is looked for, milliseconds.
const LONGEST_DELAY_MS: u32 = 100;

/// Scores every take; a cell's figures are the means over its sentences.
pub(crate) fn score(heard: Vec<Heard>) -> Vec<Measured> {
    let mut pairs = Vec::new();
    let mut delays = Vec::new();
    for cell in &heard {
        let reach = cell.rate.samples_in_ms(LONGEST_DELAY_MS);
        for [reference, path, bare] in &cell.takes {
            for take in [path, bare] {
                let lag = audio::align(reference, take, reach).lag;
                let (sent, came) = audio::overlap(reference, take, lag);
                pairs.push((cell.rate.hz(), sent.to_vec(), came.to_vec()));
                delays.push(lag as f64 * 1000.0 / f64::from(cell.rate.hz()));
            }
        }
    }
    let scores = score::pesq(&pairs);
    let mut at = 0;
    let mut measured: Vec<Measured> = heard
        .into_iter()
        .map(|cell| {
            let takes = at..at + 2 * cell.takes.len();
            at = takes.end;
            let mean = |values: &[f64], offset: usize| {
                let picked: Vec<f64> = takes.clone().skip(offset).step_by(2).map(|n| values[n]).collect();
                picked.iter().sum::<f64>() / picked.len() as f64
            };
            let (path, bare, delay_ms) = (mean(&scores, 0), mean(&scores, 1), mean(&delays, 0));
            Measured { cell: cell.cell, path, bare, delay_ms, cost: cell.cost }
        })
        .collect();
    let order = crate::Cell::all();
    measured.sort_by_key(|m| order.iter().position(|cell| *cell == m.cell));
    measured
}
