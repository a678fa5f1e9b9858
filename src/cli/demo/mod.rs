//! `tocsin demo`: the daemon on a scratch directory, an hour of made-up logs through its own doors, and what it made of them.

mod story;

use std::io::{IsTerminal, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use comfy_table::{ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use sqlx::Row;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::progress;
use crate::config::{Bytes, Config, Files, Syslog, Webhook};
use crate::daemon::{self, Database, Running};
use crate::listen;
use crate::record::Timestamp;
use story::Story;

const TOKEN: &str = "demo-token";
/// The source whose lines come over UDP.
const FIREWALL: &str = "firewall";
/// What a user may have where nobody has raised net.core.rmem_max, as Linux comes.
const RECEIVE_BUFFER: Bytes = Bytes(208 << 10);
/// So many datagrams at once; the buffer has room for some 300 of ours.
const BURST: usize = 128;
/// How long our own daemon may take over something before we give up.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(clap::Args)]
#[command(after_help = "Examples:
  tocsin demo             about ten seconds; leaves nothing behind
  tocsin demo --keep      stays up afterwards, to look around")]
pub struct Arguments {
    /// Stay up until Ctrl-C, so that you can look around
    #[arg(long)]
    keep: bool,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    daemon::telemetry::init("warn", "text").map_err(anyhow::Error::msg)?;
    super::runtime()?.block_on(demo(arguments.keep))?;
    Ok(ExitCode::SUCCESS)
}

async fn demo(keep: bool) -> anyhow::Result<()> {
    let began = Instant::now();
    let scratch = scratch_dir()?;
    told(scratch.path(), keep, began).await
}

async fn told(scratch: &Path, keep: bool, began: Instant) -> anyhow::Result<()> {
    eprintln!("Starting tocsin with a PostgreSQL of its own in {} …", scratch.display());
    let mut running = daemon::start(configuration(scratch)?).await?;
    let Some(database) = running.database().await else {
        running.wait().await?;
        bail!("the daemon ended before it was ready");
    };
    let story = story::tell(Timestamp::now());
    let sent = Instant::now();
    let outcome = async {
        send(&story, &running, scratch).await?;
        wait_until_stored(&database, story.len()).await?;
        show(&database, &story, sent.elapsed()).await?;
        where_next(&running, &database, keep, began);
        if keep { std::future::pending().await } else { anyhow::Ok(()) }
    };
    // Whatever ends it, what was started is stopped, so that what was made can be removed.
    let outcome = tokio::select! {
        outcome = outcome => outcome,
        () = stopped()? => {
            eprintln!();
            Ok(())
        }
    };
    running.stop().await?;
    outcome
}

/// Resolves at SIGINT (Ctrl-C) or SIGTERM.
fn stopped() -> anyhow::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt()).context("wait for signals")?;
    let mut terminate = signal(SignalKind::terminate()).context("wait for signals")?;
    Ok(async move {
        tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
    })
}

/// A directory of our own that the private PostgreSQL's user can pass through; it goes when we go.
fn scratch_dir() -> anyhow::Result<Scratch> {
    let path = std::env::temp_dir().join(format!("tocsin-demo-{}", std::process::id()));
    std::fs::create_dir(&path).with_context(|| format!("make {}", path.display()))?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o711))
        .with_context(|| format!("open {}", path.display()))?;
    Ok(Scratch(path))
}

struct Scratch(std::path::PathBuf);

impl Scratch {
    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn configuration(scratch: &Path) -> anyhow::Result<Config> {
    let token = scratch.join("suricata.token");
    std::fs::write(&token, TOKEN).context("write the webhook's token")?;
    let logs = scratch.join("logs");
    std::fs::create_dir(&logs).context("make the log directory")?;
    let anywhere = Some("127.0.0.1:0".to_owned());
    let utc = || "UTC".to_owned();
    let mut config = Config { state_dir: scratch.join("state"), ..Config::default() };
    config.http.listen = "127.0.0.1:0".into();
    config.files = vec![Files {
        name: "server".into(),
        paths: vec![logs.join("auth.log*").to_string_lossy().into_owned()],
        timezone: utc(),
        ..Files::default()
    }];
    config.syslog = vec![
        Syslog {
            name: FIREWALL.into(),
            udp: anywhere.clone(),
            receive_buffer: RECEIVE_BUFFER,
            timezone: utc(),
            ..Syslog::default()
        },
        Syslog { name: "mail".into(), tcp: anywhere, timezone: utc(), ..Syslog::default() },
    ];
    config.webhook = vec![Webhook::with_token_file("suricata", token)];
    Ok(config)
}

/// Each part of the story through its door, side by side.
async fn send(story: &Story, running: &Running, scratch: &Path) -> anyhow::Result<()> {
    let bar = if std::io::stderr().is_terminal() { progress::bar(story.len() as u64) } else { ProgressBar::hidden() };
    bar.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len} lines sent")?);
    let addresses = &running.addresses;
    let (udp, tcp) = (addresses.udp[0].1, addresses.tcp[0].1);
    let http = addresses.http.context("HTTP is on")?;
    let file = async {
        let mut text = story.file.join("\n");
        text.push('\n');
        std::fs::write(scratch.join("logs/auth.log"), text).context("write the log file")?;
        bar.inc(story.file.len() as u64);
        anyhow::Ok(())
    };
    let datagrams = async {
        let socket = UdpSocket::bind("127.0.0.1:0").await.context("open a UDP socket")?;
        socket.connect(udp).await.context("send over UDP")?;
        let received = listen::received(&running.stats, FIREWALL);
        // Firewalls do not send an hour's worth in a blink. We would, and the kernel drops what its buffer has no room for.
        for burst in story.udp.chunks(BURST) {
            let after = received.get() + burst.len() as u64;
            for line in burst {
                socket.send(line.as_bytes()).await.context("send over UDP")?;
            }
            bar.inc(burst.len() as u64);
            let deadline = Instant::now() + PATIENCE;
            while received.get() < after {
                ensure!(Instant::now() < deadline, "datagrams got lost on their way from us to ourselves");
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        Ok(())
    };
    let stream = async {
        let mut stream = TcpStream::connect(tcp).await.context("connect over TCP")?;
        for line in &story.tcp {
            stream.write_all(format!("{} {line}", line.len()).as_bytes()).await.context("send over TCP")?;
        }
        bar.inc(story.tcp.len() as u64);
        // Our half is closed; the other half closes when everything is on disk.
        stream.shutdown().await.context("send over TCP")?;
        stream.read_to_end(&mut Vec::new()).await.context("wait for TCP to be acknowledged")?;
        Ok(())
    };
    let posts = async {
        for events in story.webhook.chunks(50) {
            post(http, &events.join("\n")).await?;
            bar.inc(events.len() as u64);
        }
        Ok(())
    };
    tokio::try_join!(file, datagrams, stream, posts)?;
    bar.finish_and_clear();
    Ok(())
}

/// A webhook request; 200 means that its events are on disk.
async fn post(to: std::net::SocketAddr, body: &str) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(to).await.context("connect to the webhook")?;
    let head = format!(
        "POST /ingest/suricata HTTP/1.1\r\nHost: {to}\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/x-ndjson\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all((head + body).as_bytes()).await.context("post to the webhook")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.context("read the webhook's answer")?;
    ensure!(answer.starts_with("HTTP/1.1 200 "), "the webhook answered {:?}", answer.lines().next().unwrap_or_default());
    Ok(())
}

async fn wait_until_stored(database: &Database, lines: usize) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut connection = database.store.connection().await?;
        let row = sqlx::query("SELECT count(*) FROM logs").fetch_one(&mut connection).await.context("count the records")?;
        database.store.keep(connection);
        let stored: i64 = row.try_get(0)?;
        if stored >= lines as i64 {
            ensure!(stored == lines as i64, "{stored} records are stored of {lines} lines");
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "only {stored} of {lines} lines are stored after a minute");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn show(database: &Database, story: &Story, took: Duration) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "\n{} lines of one hour came in through four doors and were stored once each, in {:.1} s:\n",
        story.len(),
        took.as_secs_f64()
    )?;
    let doors = "SELECT source, CASE source WHEN 'server' THEN 'file' WHEN 'firewall' THEN 'UDP' WHEN 'mail' THEN 'TCP' ELSE 'webhook' END, \
         count(*)::text, count(*) FILTER (WHERE event_type = 'login_failed')::text, \
         count(*) FILTER (WHERE event_type = 'connection_blocked')::text, count(*) FILTER (WHERE event_type = 'ids_alert')::text \
         FROM logs GROUP BY source ORDER BY count(*) DESC";
    writeln!(out, "{}\n", table(database, doors, &["source", "door", "records", "failed logins", "blocked", "alerts"]).await?)?;
    writeln!(out, "The detectors opened these incidents:\n")?;
    let incidents = "SELECT number, severity::text, title, event_count::text, to_char(first_seen AT TIME ZONE 'UTC', 'HH24:MI'), \
         to_char(last_seen AT TIME ZONE 'UTC', 'HH24:MI') FROM active_incidents";
    writeln!(out, "{}", table(database, incidents, &["incident", "severity", "title", "events", "from", "until (UTC)"]).await?)?;
    Ok(())
}

async fn table(database: &Database, sql: &'static str, head: &[&str]) -> anyhow::Result<Table> {
    let mut connection = database.store.connection().await?;
    let rows = sqlx::query(sql).fetch_all(&mut connection).await.context("read what was stored")?;
    database.store.keep(connection);
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Dynamic).set_header(head);
    for row in &rows {
        let cells = (0..head.len()).map(|i| row.try_get::<String, _>(i)).collect::<Result<Vec<_>, _>>()?;
        table.add_row(cells);
    }
    Ok(table)
}

fn where_next(running: &Running, database: &Database, keep: bool, began: Instant) {
    println!("\nAll of it took {:.0} s. Where to look next:\n", began.elapsed().as_secs_f64());
    if keep {
        if let Some(conninfo) = &database.conninfo {
            println!("  psql \"{conninfo}\" -c 'SELECT * FROM active_incidents'");
        }
        if let Some(http) = running.addresses.http {
            println!("  curl http://{http}/metrics");
        }
        for (name, address) in running.addresses.udp.iter().chain(&running.addresses.tcp) {
            println!("  syslog for source {name:?}: {address}");
        }
        println!("\nCtrl-C ends the demo and removes everything it made.");
    } else {
        println!("  tocsin demo --keep      the same, and stays up to look around");
        println!("  tocsin run              the real thing: syslog on 127.0.0.1:5514, HTTP on 127.0.0.1:8080");
        println!("  config/tocsin.toml      every setting");
    }
}
