//! `tocsin incidents evidence`: files and log records that prove an incident.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::file::{Existing, Unfinished};
use super::incidents::print_json;
use super::progress;
use super::table::{self, Listing, Width};
use crate::casework::files::{CHUNK_BYTES, FileHistory, MAX_FILE_BYTES, Upload};
use crate::casework::{Actor, Casework};
use crate::record::text::visible;
use crate::store::files::FileRow;

/// Files are sealed in the database, at most 100 MiB each. Who adds, gets, checks or archives one is kept as its history.
#[derive(clap::Subcommand)]
#[command(
    after_help = "Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 a file is not what was added (verify)\n\n\
Examples:\n  \
tocsin incidents evidence add INC-2026-000123 disk.img mail.eml\n  \
tocsin incidents evidence list INC-2026-000123\n  \
tocsin incidents evidence show INC-2026-000123 7\n  \
tocsin incidents evidence get INC-2026-000123 7 -o mail.eml\n  \
tocsin incidents evidence verify INC-2026-000123\n  \
tocsin incidents evidence logs INC-2026-000123 123456 123457"
)]
pub enum Command {
    /// Add files; prints an id for each
    Add {
        /// The incident's number
        number: String,
        /// The files
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// What they are, such as application/pdf
        #[arg(long, value_name = "TYPE")]
        media_type: Option<String>,
    },
    /// List the files
    List {
        /// The incident's number
        number: String,
    },
    /// Show a file's history: who had it in hands
    Show {
        /// The incident's number
        number: String,
        /// Which file
        id: i64,
    },
    /// Get a file out
    Get {
        /// The incident's number
        number: String,
        /// Which file
        id: i64,
        /// Where to; "-" is standard output [default: <number>-file-<id>, whatever it was called where it came from]
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Replace a file that is there
        #[arg(long)]
        force: bool,
    },
    /// Check that files are what was added: all of an incident, or some
    Verify {
        /// The incident's number
        number: String,
        /// Which files
        ids: Vec<i64>,
    },
    /// Take a file out of sight; nothing of it is removed
    Archive {
        /// The incident's number
        number: String,
        /// Which file
        id: i64,
    },
    /// Copy log records to an incident, where they outlive the originals
    Logs {
        /// The incident's number
        number: String,
        /// Ids of log records, as `tocsin logs` shows them
        #[arg(required = true, value_name = "ID")]
        logs: Vec<i64>,
    },
}

/// Says whether something was found that is not as it should be.
pub async fn run(casework: &Casework, actor: &Actor, command: Command, json: bool) -> anyhow::Result<bool> {
    match command {
        Command::Add { number, files, media_type } => {
            let mut added = Vec::new();
            for path in &files {
                let file = add(casework, actor, &number, path, media_type.as_deref()).await?;
                if !json {
                    println!("{}", file.id);
                    eprintln!("{}: {} bytes, SHA-256 {}", visible(&file.name), file.size, file.sha256);
                }
                added.push(file);
            }
            if json {
                print_json(&added)?;
            }
        }
        Command::List { number } => {
            let files = casework.files(actor, &number).await?;
            if json {
                print_json(&files)?;
            } else {
                println!("{}", listed(files));
            }
        }
        Command::Show { number, id } => {
            let history = casework.file(actor, &number, id).await?;
            if json {
                print_json(&history)?;
            } else {
                print!("{}", told(&history));
            }
        }
        Command::Get { number, id, output, force } => {
            let path = output.unwrap_or_else(|| format!("{number}-file-{id}").into());
            let existing = if force { Existing::Replaced } else { Existing::Kept };
            let file = get(casework, actor, &number, id, &path, existing).await?;
            if json {
                // Standard output may be the file.
                let said = json!({ "file": path, "size": file.size, "sha256": file.sha256 });
                if path.as_os_str() == "-" { eprintln!("{said}") } else { print_json(&said)? }
            } else {
                eprintln!("{}: {} bytes, SHA-256 {}", path.display(), file.size, file.sha256);
            }
        }
        Command::Verify { number, mut ids } => {
            if ids.is_empty() {
                ids = casework.files(actor, &number).await?.into_iter().map(|file| file.id).collect();
            }
            let mut checked = Vec::new();
            for id in ids {
                let bar = progress_bar(0);
                let one = casework
                    .verify_file(actor, &number, id, &mut |done, all| {
                        bar.set_length(all);
                        bar.set_position(done);
                    })
                    .await;
                bar.finish_and_clear();
                let one = one?;
                if !json {
                    match &one.problem {
                        None => println!("{id}: it is what was added"),
                        Some(problem) => println!("{id}: {problem}"),
                    }
                }
                checked.push(one);
            }
            if json {
                print_json(&checked)?;
            }
            return Ok(checked.iter().any(|one| !one.intact));
        }
        Command::Archive { number, id } => {
            casework.archive_file(actor, &number, id).await?;
            if json {
                print_json(&json!({ "id": id, "archived": true }))?;
            } else {
                eprintln!("file {id} of {number} is archived");
            }
        }
        Command::Logs { number, logs } => {
            let attached = casework.attach_logs(actor, &number, &logs).await?;
            if json {
                print_json(&attached)?;
            } else {
                eprintln!("{} records attached; {} were evidence already", attached.attached.len(), attached.already);
            }
        }
    }
    Ok(false)
}

async fn add(casework: &Casework, actor: &Actor, number: &str, path: &Path, media_type: Option<&str>) -> anyhow::Result<FileRow> {
    let reading = || format!("read {}", path.display());
    let file = tokio::fs::File::open(path).await.with_context(reading)?;
    let metadata = file.metadata().await.with_context(reading)?;
    anyhow::ensure!(!metadata.is_dir(), "{} is a directory", path.display());
    anyhow::ensure!(
        metadata.len() <= MAX_FILE_BYTES,
        "{} has {} bytes; a file has at most {} MiB",
        path.display(),
        metadata.len(),
        MAX_FILE_BYTES >> 20
    );
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut upload = casework.begin_file(actor, number, &name, media_type).await?;
    let bar = progress_bar(metadata.len());
    let sent = send(&mut upload, file, &bar).await.with_context(reading);
    bar.finish_and_clear();
    match sent {
        Ok(()) => Ok(upload.finish().await?),
        Err(error) => {
            // What stays of it is removed after a day.
            let _ = upload.abandon().await;
            Err(error)
        }
    }
}

async fn send(upload: &mut Upload, mut file: tokio::fs::File, bar: &ProgressBar) -> anyhow::Result<()> {
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        let read = file.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        upload.write(&buffer[..read]).await?;
        bar.inc(read as u64);
    }
}

async fn get(
    casework: &Casework,
    actor: &Actor,
    number: &str,
    id: i64,
    path: &Path,
    existing: Existing,
) -> anyhow::Result<FileRow> {
    if path.as_os_str() == "-" {
        return receive(casework, actor, number, id, &mut tokio::io::stdout()).await;
    }
    let (unfinished, file) = Unfinished::begin(path, existing)?;
    let mut out = tokio::fs::File::from_std(file.try_clone().context("open the file twice")?);
    let row = receive(casework, actor, number, id, &mut out).await?;
    unfinished.finish(&file)?;
    Ok(row)
}

async fn receive(
    casework: &Casework,
    actor: &Actor,
    number: &str,
    id: i64,
    out: &mut (impl tokio::io::AsyncWrite + Unpin),
) -> anyhow::Result<FileRow> {
    let mut download = casework.read_file(actor, number, id).await?;
    let bar = progress_bar(download.file.size.unsigned_abs());
    while let Some(chunk) = download.next().await? {
        out.write_all(&chunk).await.context("write")?;
        bar.inc(chunk.len() as u64);
    }
    out.flush().await.context("write")?;
    bar.finish_and_clear();
    Ok(download.file)
}

fn progress_bar(bytes: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left");
    progress::bar(bytes).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// `show` tells the hash, too, however narrow the terminal is.
fn listed(files: Vec<FileRow>) -> Listing<7> {
    let columns = [("file", 0), ("name", 0), ("bytes", 0), ("type", 100), ("added by", 120), ("added", 80), ("SHA-256", 160)];
    let mut table = table::listing(columns, None, Width::of_terminal()).right(&["bytes"]);
    for file in files {
        let archived = if file.archived_at.is_some() { " (archived)" } else { "" };
        table.add([
            file.id.to_string(),
            file.name + archived,
            file.size.to_string(),
            file.media_type,
            file.added_by,
            file.added_at.to_string(),
            file.sha256,
        ]);
    }
    table
}

/// A file with its history for reading.
fn told(FileHistory { file, custody }: &FileHistory) -> String {
    let mut text = format!("{} {}\n", file.id, visible(&file.name));
    text += &format!("  {}, {} bytes, SHA-256 {}\n", file.media_type, file.size, file.sha256);
    if let (Some(at), Some(by)) = (file.archived_at, &file.archived_by) {
        text += &format!("  archived {at} by {}\n", visible(by));
    }
    for touch in custody {
        let from = touch.address.as_ref().map_or(String::new(), |address| format!(" from {address}"));
        let new = touch.new.as_ref().map_or(String::new(), Value::to_string);
        text += &format!("  {}  {} ({}{from}) {} {}\n", touch.at, visible(&touch.actor), touch.via, touch.action, visible(&new));
    }
    text
}
