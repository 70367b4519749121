//! The matrix of codecs with speech: every codec of phones by every codec of peers, both ways, a check a cell.
//!
//! ```text
//!            .---> encode a ----> MediaPath (a to b) ----> decode b ---.
//!   speech --|                                                        |--> PESQ of each against the speech
//!            '---> encode a -> decode a -> sinc -> encode b -> decode b'        |
//!                                 the bare codecs                               '--> the path may lose 0.05
//! ```
//! Where a cell is relayed, the bare chain is one codec: encode a, decode. PESQ is narrowband (P.862.1) where a side has
//! 8 or 11 kHz, else wideband (P.862.2). Nellymoser comes from phones only, made by ffmpeg; the bare codec is ffmpeg's decoder.
//!
//! usage: codecs [--table] [--sentences N] [--only TEXT]          N recordings a cell, four by default; twice that of Nellymoser
//! Prints a line a cell (those with TEXT in it) and `N passed, M failed`; with --table also the tables of docs/codecs.md.
//! Needs SPEEX_CORPUS, ffmpeg and the Python environment of tests/run.

mod bare;
mod judge;
mod route;
mod sinc;

use call_media::codec::{Codec, SampleRate};
use gateway_tests::speex_corpus as corpus;
use route::{Cell, Direction, Voice};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What a path may score below the bare codecs: the promise of the project.
const MARGIN: f64 = 0.05;
/// Seconds of each sentence that are heard.
const SECONDS: usize = 5;

/// One cell, measured.
struct Measured {
    cell: Cell,
    path: f64,
    bare: f64,
    /// How late the path's speech is, codecs and filters together.
    delay_ms: f64,
    /// What the path costs.
    cost: Duration,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| arguments.iter().position(|a| a == name).and_then(|at| arguments.get(at + 1));
    let count: usize = value("--sentences").map_or(4, |text| text.parse().expect("a number of sentences"));
    let speech = sentences(2 * count);
    let only = value("--only").map_or("", String::as_str);
    let cells: Vec<Cell> = Cell::all().into_iter().filter(|cell| cell.to_string().contains(only)).collect();
    let measured = measure_all(&cells, &speech);
    let failed = measured.iter().filter(|measured| !report(measured)).count();
    if arguments.iter().any(|argument| argument == "--table") {
        table(&measured);
        table_of_nellymoser(&measured);
    }
    let clean = (Voice::Codec(Codec::SpeexNarrowband), Codec::Pcmu);
    if let Some(clean) = measured.iter().find(|m| (m.cell.phone, m.cell.peer) == clean) {
        println!("clean Speex of quality 8 to PCMU: {:.2}", clean.path);
    }
    println!("{} passed, {failed} failed", measured.len() - failed);
    std::process::exit(i32::from(failed > 0));
}

/// Real recordings at 16 kHz, spread over the corpus's languages.
fn sentences(count: usize) -> Vec<Vec<i16>> {
    let all = corpus::sentences(speex_codec::Mode::Wideband);
    let step = (all.len() / count).max(1);
    let cut = |samples: &[i16]| samples[..samples.len().min(SECONDS * 16_000)].to_vec();
    all.iter().step_by(step).take(count).map(|sentence| cut(&sentence.samples)).collect()
}

/// One thread a core.
fn measure_all(cells: &[Cell], speech: &[Vec<i16>]) -> Vec<Measured> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                while let Some(&cell) = cells.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let heard = hear(cell, speech);
                    done.lock().unwrap_or_else(PoisonError::into_inner).push(heard);
                }
            });
        }
    });
    judge::score(done.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// What came of the speech in one cell, by the path and by the bare codecs.
struct Heard {
    cell: Cell,
    rate: SampleRate,
    /// Speech, path, bare.
    takes: Vec<[Vec<i16>; 3]>,
    cost: Duration,
}

fn hear(cell: Cell, speech: &[Vec<i16>]) -> Heard {
    let rate = cell.judged_at();
    let mut cost = Duration::MAX;
    // Of Nellymoser a part is noise, and a decoder's own: what chance does to PESQ takes more speech to cancel out.
    let every = if matches!(cell.phone, Voice::Nellymoser(_)) { 1 } else { 2 };
    let takes = speech.iter().step_by(every).map(|sentence| {
        let judged = |pcm: &[i16], hz| sinc::convert(pcm, hz, rate.hz());
        let sent = bare::encode(cell, sentence);
        let (received, spent) = route::through(cell, &sent);
        cost = cost.min(spent);
        let path = bare::decode(cell.to(), cell.target_rate(), &received);
        let bare = bare::chain(cell, &sent);
        let heard_at = cell.target_rate().hz();
        [judged(sentence, 16_000), judged(&path, heard_at), judged(&bare, heard_at)]
    });
    let takes = takes.collect();
    Heard { cell, rate, takes, cost }
}

fn report(measured: &Measured) -> bool {
    let Measured { cell, path, bare, delay_ms, cost } = measured;
    let good = *path >= bare - MARGIN;
    println!(
        "{} {cell}: PESQ {path:.3}, bare codecs {bare:.3} ({:+.3}), {delay_ms:.1} ms, {:.1} us",
        if good { "ok    " } else { "FAILED" },
        path - bare,
        cost.as_secs_f64() * 1e6
    );
    good
}

/// Rows are codecs of peers, columns those of phones: what is done, then PESQ phone to peer and back, and both costs.
fn table(measured: &[Measured]) {
    let phones = Codec::OF_PHONES.map(Voice::Codec);
    print_rows(measured, &phones, |peer, phone| {
        let find = |direction| find(measured, Cell { phone, peer, direction });
        let (up, down) = (find(Direction::Up)?, find(Direction::Down)?);
        let what = |m: &Measured| if m.cell.is_relay() { "relay" } else { "transcode" };
        let verb = if what(up) == what(down) { what(up).to_owned() } else { format!("{} / {}", what(up), what(down)) };
        Some(format!(
            "{verb}; {:.2} / {:.2}{}; {:.0} / {:.0} us; {:.0} / {:.0} ms",
            up.path,
            down.path,
            band(up),
            up.cost.as_secs_f64() * 1e6,
            down.cost.as_secs_f64() * 1e6,
            up.delay_ms,
            down.delay_ms
        ))
    });
}

/// The same for phones that speak Nellymoser, to the peer only, with the bare codecs' PESQ.
fn table_of_nellymoser(measured: &[Measured]) {
    let phones = route::NELLYMOSER.map(Voice::Nellymoser);
    print_rows(measured, &phones, |peer, phone| {
        let up = find(measured, Cell { phone, peer, direction: Direction::Up })?;
        let cost = up.cost.as_secs_f64() * 1e6;
        Some(format!("{:.2} ({:.2}){}; {cost:.0} us; {:.0} ms", up.path, up.bare, band(up), up.delay_ms))
    });
}

fn find(measured: &[Measured], cell: Cell) -> Option<&Measured> {
    measured.iter().find(|m| m.cell == cell)
}

fn band(measured: &Measured) -> &'static str {
    if measured.cell.judged_at() == SampleRate::Hz8000 { "" } else { " wide" }
}

/// A row for each peer; what was not measured is left empty.
fn print_rows(measured: &[Measured], phones: &[Voice], text: impl Fn(Codec, Voice) -> Option<String>) {
    if !measured.iter().any(|m| phones.contains(&m.cell.phone)) {
        return;
    }
    let names: Vec<_> = phones.iter().map(|phone| route::name(*phone)).collect();
    println!("\n| peer \\ phone | {} |\n|---|{}", names.join(" | "), "---|".repeat(names.len()));
    for peer in Codec::ALL {
        let cells: Vec<_> = phones.iter().map(|phone| text(peer, *phone).unwrap_or_default()).collect();
        println!("| {} | {} |", route::name(Voice::Codec(peer)), cells.join(" | "));
    }
}
