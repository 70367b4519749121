//! The load tool: N calls through a gateway of its own, and what they cost.
//!
//! ```text
//!   this process                                              the gateway's process, or the bare mover's
//!   phones' signalling: tokio on one thread  --- RTMP --->    measured: CPU, switches, memory, threads, files
//!   agents' signalling: a thread             <--- SIP --->
//!   engine: all audio of both, one thread    <- RTMP, RTP ->
//! ```
//! Everything that is sent was prepared before, and what comes is only stored with its time: the work of judging is done when the
//! calls are over. Beside the gateway's figures stand those of a bare program for the same work on the same machine in the same run.
#![allow(clippy::unwrap_used)]

mod agents;
mod analysis;
mod audio_plan;
mod baseline;
mod engine;
mod figures;
mod knee;
mod options;
mod phones;
mod process;
mod run;
mod setups;

use options::{Options, Task, USAGE};
use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [first, listen, targets @ ..] = args.as_slice()
        && first == "--mover"
    {
        let targets: Vec<_> = targets.iter().map(|target| target.parse().unwrap()).collect();
        baseline::mover(listen.parse().unwrap(), &targets).await;
    }
    let options = match Options::parse(args.into_iter()) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("{error}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let files = process::raise_file_limit();
    // A phone is one socket here and one there, a call three more there.
    let needed = options.idle + 4 * options.calls + 100;
    if needed > files {
        eprintln!("{needed} open files are needed in one process, but {files} are allowed here");
        return ExitCode::from(2);
    }
    match options.task {
        Task::Measure => {
            let figures = run::measure(&options).await;
            figures.print(&options);
            let sound = figures.failed_calls == 0 && figures.lost_share() < 0.01;
            if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Task::FindKnee => knee::find(&options).await,
        Task::Setups(rate) => setups::setups(&options, rate).await,
        Task::Soak(calls) => setups::soak(&options, calls).await,
    }
}
