//! `tocsin backup`: the whole database in one encrypted file, and back.

use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use serde_json::json;

use super::check;
use super::database::{Access, with_casework, with_casework_of, with_servers_to_fill};
use super::file::{Existing, Unfinished};
use super::progress;
use super::table::{self, Listing, Width};
use crate::casework::backups::{self, Backup, Lock, Manifest};
use crate::config::Config;
use crate::record::Timestamp;
use crate::store::Servers;

/// Make backups, prove them, and restore them
///
/// A backup is the whole database as of one moment, with evidence files, written by pg_dump while everything runs, and encrypted with age.
/// Made only where [backup] says who can read it. The daemon makes one a day.
#[derive(clap::Args)]
#[command(after_help = "Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 the backup is not whole\n\n\
Examples:\n  \
tocsin backup key /mnt/usb/backup.key        # a pair of keys; says what to configure\n  \
tocsin backup create\n  \
tocsin backup verify --identity /mnt/usb/backup.key\n  \
tocsin backup restore tocsin-20261121T033000Z.age --to postgres://tocsin@db/tocsin_new")]
pub struct Arguments {
    #[command(flatten)]
    access: Access,
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Make one now, and remove those that are not kept any more
    Create,
    /// Show which there are
    List,
    /// Restore one into a database of its own, compare it with what it says of itself, and remove that database
    ///
    /// Counts every table, follows the chain of the audit log to the row that it ended with, and holds the ledger against the logs.
    Verify {
        /// The file, or the name of one of the backups [default: the newest]
        backup: Option<PathBuf>,
        /// File with the private key
        #[arg(long, value_name = "FILE")]
        identity: Option<PathBuf>,
    },
    /// Restore one into an empty database
    ///
    /// Without --to, into the database of the configuration, which must be empty and no daemon must run on it; the private PostgreSQL is made
    /// where there is none.
    Restore {
        /// The file, or the name of one of the backups
        backup: PathBuf,
        /// Into this database, as database.url has it; TOCSIN_RESTORE_TO in the environment keeps its password out of the process list
        #[arg(long, value_name = "URL", env = "TOCSIN_RESTORE_TO", hide_env_values = true)]
        to: Option<String>,
        /// File with the private key
        #[arg(long, value_name = "FILE")]
        identity: Option<PathBuf>,
    },
    /// Make a pair of keys: the private one into a file, the public one to be configured
    Key {
        /// Where the private key goes: somewhere that burns down separately
        file: PathBuf,
    },
}

pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let Arguments { access, command } = arguments;
    match command {
        Command::Create => create(&access),
        Command::List => list(&access),
        Command::Verify { backup, identity } => verify(&access, backup, identity),
        Command::Restore { backup, to, identity } => restore(&access, &backup, to.as_deref(), identity),
        Command::Key { file } => key(&file),
    }
}

fn create(access: &Access) -> anyhow::Result<ExitCode> {
    with_casework(access, async |casework, actor| {
        let bar = spinner("dumped");
        let made = casework.create_backup(&actor, &mut |bytes| bar.set_position(bytes)).await?;
        bar.finish_and_clear();
        let path = casework.settings().backups.dir.join(&made.backup.name);
        if access.json {
            println!("{}", json!({ "file": path, "bytes": made.backup.bytes, "rows": made.rows, "removed": made.removed }));
        } else {
            println!("{}: {}, {} rows", path.display(), HumanBytes(made.backup.bytes), made.rows);
            for old in &made.removed {
                eprintln!("removed {}", old.name);
            }
        }
        Ok(())
    })
}

/// Needs no database: whoever looks for a backup may have none.
fn list(access: &Access) -> anyhow::Result<ExitCode> {
    let Some(config) = check::load(access.config.as_deref()) else { return Ok(ExitCode::from(2)) };
    let dir = config.casework().backups.dir;
    let found = backups::list(&dir)?;
    if access.json {
        for backup in &found {
            println!("{}", serde_json::to_string(backup)?);
        }
    } else if found.is_empty() {
        println!("There is no backup in {}.", dir.display());
    } else {
        println!("{}", listed(&found));
    }
    Ok(ExitCode::SUCCESS)
}

fn listed(found: &[Backup]) -> Listing<3> {
    let mut table = table::listing([("backup", 0), ("as of", 60), ("size", 0)], None, Width::of_terminal()).right(&["size"]);
    for backup in found {
        table.add([backup.name.clone(), backup.at.to_string(), HumanBytes(backup.bytes).to_string()]);
    }
    table
}

fn verify(access: &Access, backup: Option<PathBuf>, identity: Option<PathBuf>) -> anyhow::Result<ExitCode> {
    let Some(mut config) = check::load(access.config.as_deref()) else { return Ok(ExitCode::from(2)) };
    config.backup.identity_file = identity.or(config.backup.identity_file);
    let mut is_whole = true;
    let path = find(&config, backup.as_deref())?;
    with_casework_of(&config, async |casework, actor| {
        let bar = spinner("restored");
        let tried = casework.try_backup(&actor, &path, &mut |bytes| bar.set_position(bytes)).await?;
        bar.finish_and_clear();
        is_whole = tried.problems.is_empty();
        tell(access, &path, &tried.manifest, &tried.problems, "Restored, compared, and removed again: it is whole.")
    })?;
    Ok(ExitCode::from(if is_whole { 0 } else { 3 }))
}

fn restore(access: &Access, backup: &Path, to: Option<&str>, identity: Option<PathBuf>) -> anyhow::Result<ExitCode> {
    let Some(mut config) = check::load(access.config.as_deref()) else { return Ok(ExitCode::from(2)) };
    config.backup.identity_file = identity.or(config.backup.identity_file);
    let path = find(&config, Some(backup))?;
    let lock = config.casework().backups.lock;
    let work = async |servers: Servers| restored(&servers, &lock, &path).await;
    let tried = match to {
        Some(url) => super::runtime()?.block_on(async { work(Servers::from_url(url)?).await })?,
        None => with_servers_to_fill(&config, work)?,
    };
    let keys = tried.manifest.keys.as_deref().map(|keys| put_keys(&config, keys)).transpose()?;
    tell(access, &path, &tried.manifest, &tried.problems, "Restored, and compared: it is whole.")?;
    if let Some(told) = keys {
        eprintln!("{told}");
    }
    Ok(ExitCode::from(if tried.problems.is_empty() { 0 } else { 3 }))
}

async fn restored(servers: &Servers, lock: &Lock, path: &Path) -> anyhow::Result<backups::Tried> {
    let bar = spinner("restored");
    let tried = backups::restore(servers, lock, path, &mut |bytes| bar.set_position(bytes)).await?;
    bar.finish_and_clear();
    Ok(tried)
}

/// The file that somebody means: a path, or the name of a backup, or the newest one.
fn find(config: &Config, backup: Option<&Path>) -> anyhow::Result<PathBuf> {
    let dir = config.casework().backups.dir;
    match backup {
        Some(path) if path.exists() => Ok(path.to_owned()),
        Some(path) => {
            let named = dir.join(path);
            anyhow::ensure!(named.exists(), "there is no backup {}, neither here nor in {}", path.display(), dir.display());
            Ok(named)
        }
        None => {
            let newest = backups::list(&dir)?.into_iter().next();
            newest.map(|newest| dir.join(newest.name)).with_context(|| format!("there is no backup in {}", dir.display()))
        }
    }
}

fn tell(access: &Access, path: &Path, manifest: &Manifest, problems: &[String], whole: &str) -> anyhow::Result<()> {
    let contents = &manifest.contents;
    if access.json {
        let of = json!({ "created_at": manifest.created_at, "tocsin": manifest.tocsin, "postgresql": manifest.postgresql, "rows": contents.rows() });
        println!("{}", json!({ "file": path, "backup": of, "problems": problems }));
        return Ok(());
    }
    println!(
        "{}: as of {}, {} rows of {} tables, audit log up to row {}",
        path.display(),
        manifest.created_at,
        contents.rows(),
        contents.tables.len(),
        contents.audit_id
    );
    for problem in problems {
        println!("NOT WHOLE  {problem}");
    }
    if problems.is_empty() {
        println!("{whole}");
    }
    Ok(())
}

/// Puts the master keys where the daemon looks for them, unless there are some; says what was done.
fn put_keys(config: &Config, keys: &str) -> anyhow::Result<String> {
    let path = config.casework().key_file;
    let dir = path.parent().unwrap_or(Path::new("."));
    match std::fs::read_to_string(&path) {
        Ok(there) if there == keys => return Ok(format!("The master keys in {} are those of the backup.", path.display())),
        Ok(there) if keys.lines().all(|line| there.lines().any(|other| other == line)) => {
            return Ok(format!("The master keys in {} hold those of the backup.", path.display()));
        }
        Ok(_) => {
            let beside = dir.join("master.key.restored");
            write_secret(&beside, keys)?;
            return Ok(format!(
                "{} holds other keys than the backup, which are in {} now: what the backup holds sealed needs them; add its lines to the first file.",
                path.display(),
                beside.display()
            ));
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) => return Err(e).with_context(|| format!("read {}", path.display())),
    }
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).with_context(|| format!("make {}", dir.display()))?;
    write_secret(&path, keys)?;
    Ok(format!("The master keys of the backup are in {}.", path.display()))
}

fn write_secret(path: &Path, text: &str) -> anyhow::Result<()> {
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = file.with_context(|| format!("make {}", path.display()))?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).with_context(|| format!("write {}", path.display()))
}

fn key(path: &Path) -> anyhow::Result<ExitCode> {
    let (identity, recipient) = backups::generate_identity(Timestamp::now());
    let (unfinished, mut file) = Unfinished::begin(path, Existing::Kept)?;
    file.write_all(identity.as_bytes()).with_context(|| format!("write {}", path.display()))?;
    unfinished.finish(&file)?;
    eprintln!(
        "The private key is in {}. Who has it reads the backups; without it nobody does: keep it in two places.",
        path.display()
    );
    eprintln!("Into the configuration:");
    println!("[backup]\nrecipients = [{recipient:?}]");
    Ok(ExitCode::SUCCESS)
}

fn spinner(what: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {bytes} {msg}, {bytes_per_sec}, {elapsed}").expect("a template");
    let bar = progress::spinner().with_style(style).with_message(what.to_owned());
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}
