//! `tocsin run`: the daemon in the foreground, as systemd wants it.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};

use crate::daemon;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  tocsin run                                 syslog on 127.0.0.1:5514, HTTP on 127.0.0.1:8080, a PostgreSQL of its own
  tocsin run --config /etc/tocsin/tocsin.toml
  tocsin run --config /etc/tocsin/tocsin.toml --standby     on a second machine; takes over within seconds

Settings outside of [[…]] can be given in the environment, too: http.listen is TOCSIN_HTTP__LISTEN.
SIGTERM and SIGINT stop it after everything that arrived is stored; a second one stops it at once.")]
pub struct Arguments {
    /// Configuration file; `config/tocsin.toml` of the source shows every key
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Stand by: wait until the active daemon on the same database, or state directory, is gone, and take over
    #[arg(long)]
    standby: bool,
}

pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let Some(config) = super::check::load(arguments.config.as_deref()) else { return Ok(ExitCode::from(2)) };
    daemon::telemetry::init(&config.log.level, &config.log.format).map_err(anyhow::Error::msg)?;
    let runtime = super::runtime()?;
    let ended = runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).context("wait for signals")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("wait for signals")?;
        let running = if arguments.standby {
            let turn = tokio::select! {
                turn = daemon::stand_by(&config) => turn?,
                _ = terminate.recv() => return Ok(ExitCode::SUCCESS),
                _ = interrupt.recv() => return Ok(ExitCode::SUCCESS),
            };
            daemon::start_in_turn(config, turn).await?
        } else {
            daemon::start(config).await?
        };
        let stop = running.stop_token();
        let ended = running.wait();
        tokio::pin!(ended);
        loop {
            tokio::select! {
                done = &mut ended => {
                    done?;
                    tracing::info!("stopped");
                    return Ok(ExitCode::SUCCESS);
                }
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if stop.is_cancelled() {
                anyhow::bail!("stopped at once; what was not stored is in the journal and in its files");
            }
            stop.cancel();
        }
    });
    // A program that is being started or stopped for us does not keep us.
    runtime.shutdown_timeout(std::time::Duration::from_millis(100));
    ended
}
