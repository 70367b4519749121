//! The program: arguments become a configuration, the configuration becomes an [`App`], the app runs until Ctrl-C.

use std::error::Error;
use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use rtmp_sip_gateway::app::App;
use rtmp_sip_gateway::config::{CommandLine, Config, Invocation};
use rtmp_sip_gateway::{logging, shutdown};

fn main() -> ExitCode {
    let outcome = match CommandLine::parse().invocation() {
        Ok(Invocation::Run(config)) => serve(*config),
        Ok(Invocation::Checked(summary)) => say(&summary),
        Err(error) => Err(error.into()),
    };
    outcome.map_or_else(
        |error| {
            eprintln!("rtmp-sip-gateway: {error}");
            ExitCode::FAILURE
        },
        |()| ExitCode::SUCCESS,
    )
}

/// The main thread accepts, and runs SIP and HTTP; phones live on the media workers.
#[tokio::main(flavor = "current_thread")]
async fn serve(config: Config) -> Result<(), Box<dyn Error>> {
    logging::start(config.log_format, config.debug);
    // Watched from here on, so that a signal during the start is not lost.
    let stop = tokio::spawn(shutdown::requested());
    let app = App::bind(config).await?;
    say(&app.greeting())?;
    app.run(async {
        if let Ok(Err(error)) = stop.await {
            tracing::error!(%error, "cannot watch for signals");
        }
    })
    .await;
    Ok(())
}

/// To stdout; a reader that went away is no reason to stop.
fn say(text: &str) -> Result<(), Box<dyn Error>> {
    let _ = std::io::stdout().write_all(text.as_bytes());
    Ok(())
}
