//! The database, for commands that work on it beside the daemon or without one.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;

use super::check;
use crate::casework::{Actor, Casework, CaseworkError, Via};
use crate::config::Config;
use crate::daemon;
use crate::store::embedded::Embedded;
use crate::store::{Servers, Store};

/// What each of these commands takes.
#[derive(clap::Args)]
pub struct Access {
    /// Configuration file of the daemon
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// Write JSON instead of text
    #[arg(long, global = true)]
    pub json: bool,
}

/// Runs something with the servers that the daemon uses; its private one is started for this if no daemon runs.
pub fn with_servers<T>(config: &Config, work: impl AsyncFnOnce(Servers) -> anyhow::Result<T>) -> anyhow::Result<T> {
    let url = config.database.secret_url().map_err(anyhow::Error::msg).context("database.url_file")?;
    let runtime = super::runtime()?;
    match url {
        Some(url) => runtime.block_on(work(Servers::from_url(&url)?)),
        None => {
            let dir = config.state_dir.join("postgres");
            anyhow::ensure!(
                dir.exists(),
                "there is no private PostgreSQL in {}; which configuration does the daemon have? (--config FILE)",
                config.state_dir.display()
            );
            // While we hold the lock no daemon starts; while a daemon holds it the server is its own.
            let lock = daemon::lock_state_dir(&config.state_dir);
            let server = Embedded::start(&dir)?;
            let done = runtime.block_on(work(server.options().into()));
            if lock.is_ok() {
                server.stop()?;
            }
            done
        }
    }
}

/// Runs something with the servers of the configuration, that nothing else runs with; the private one is made where there is none.
pub fn with_servers_to_fill<T>(config: &Config, work: impl AsyncFnOnce(Servers) -> anyhow::Result<T>) -> anyhow::Result<T> {
    let _lock = daemon::lock_state_dir(&config.state_dir)?;
    if config.database.secret_url().map_err(anyhow::Error::msg).context("database.url_file")?.is_some() {
        return with_servers(config, work);
    }
    let server = Embedded::start(&config.state_dir.join("postgres"))?;
    let done = super::runtime()?.block_on(work(server.options().into()));
    server.stop()?;
    done
}

/// Runs something that people do: as the holder of the token in `TOCSIN_TOKEN`, or as an admin under the name that the operating system
/// knows, since whoever can read the database's credentials could do everything anyway.
pub fn with_casework(access: &Access, work: impl AsyncFnOnce(Casework, Actor) -> anyhow::Result<()>) -> anyhow::Result<ExitCode> {
    let Some(config) = check::load(access.config.as_deref()) else { return Ok(ExitCode::from(2)) };
    with_casework_of(&config, work)
}

/// The same, with a configuration that was read.
pub fn with_casework_of(
    config: &Config,
    work: impl AsyncFnOnce(Casework, Actor) -> anyhow::Result<()>,
) -> anyhow::Result<ExitCode> {
    with_servers(config, async |servers| {
        let store = Store::connect(servers).await?;
        let casework = Casework::new(store.clone(), config.casework());
        let actor = match std::env::var("TOCSIN_TOKEN") {
            Ok(token) => match casework.recognise(token.trim(), Via::Cli, None).await {
                Err(CaseworkError::Unrecognised) => {
                    anyhow::bail!("the token in TOCSIN_TOKEN is not accepted: it has expired, was revoked, or is none")
                }
                recognised => recognised?,
            },
            Err(_) => Actor::operator(&os_name()),
        };
        let done = work(casework, actor).await;
        store.close().await;
        done
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Who somebody is at this machine; through sudo, who called it.
fn os_name() -> String {
    let uid = nix::unistd::getuid();
    let called_by = std::env::var("SUDO_USER").ok().filter(|name| uid.is_root() && !name.is_empty());
    let known = || nix::unistd::User::from_uid(uid).ok().flatten().map(|user| user.name);
    let name = called_by.or_else(known).unwrap_or_else(|| uid.to_string());
    name.chars().filter(|c| !c.is_control()).take(64).collect()
}
