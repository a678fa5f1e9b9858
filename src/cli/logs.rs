//! `tocsin logs`: log records searched, followed, shown, added, annotated, put out of sight.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use base64::Engine as _;
use comfy_table::Table;
use serde_json::json;
use serde_json::value::RawValue;

use super::database::{Access, with_casework};
use super::searches::{self, Saved};
use super::table::{self, Listing, Width};
use crate::casework::logs::{Cursor, LogDetails, MAX_PAGE, NewLine, NewLogs};
use crate::casework::{Actor, Casework, CaseworkError};
use crate::record::Timestamp;
use crate::record::case::SearchKind;
use crate::record::text::visible;
use crate::store::logs::{ArchivedRow, LogRow, NoteRow};
use crate::store::query::{self, Comparison, NumberField, Query, QueryError, Range, Term, Test};

/// Search log records, the newest first
#[derive(clap::Args)]
#[command(after_help = "A query:\n  \
invalid \"failed password\"                  in the message, whatever the case; all must be there\n  \
user:root host:web* -app:cron              fields; * stands for anything, - excludes\n  \
event_type:login_failed,access_denied      any of them\n  \
src_ip:10.0.0.0/8 ip:192.0.2.1 port:22     networks; ip and port at either end\n  \
severity:>=high dst_port:<1024             >= <= > <\n  \
http.response.status_code:>=500            whatever has no column of its own\n  \
time:2026-11-20 from:2026-11-20T08:00Z last:24h    when; the last 24 hours unless it says\n  \
is:archived is:annotated                   what people did with it\n\n\
Examples:\n  \
tocsin logs 'event_type:login_failed -user:root src_ip:203.0.113.0/24' --last 7d\n  \
tocsin logs '\"invalid password\" severity:>=medium' --json | jq .username\n  \
tocsin logs --follow app:sshd\n  \
tocsin logs --last 7d -- -app:cron -app:sshd\n  \
tocsin logs search --saved guesses --last 7d\n  \
tocsin logs show 123456\n  \
tocsin logs add 'Failed password for root from 192.0.2.1 port 4711 ssh2' --app sshd --host web1")]
pub struct Arguments {
    #[command(flatten)]
    access: Access,
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    search: Search,
}

#[derive(clap::Args)]
struct Search {
    /// What to look for; several words are one query. One that begins with - goes after --
    query: Vec<String>,
    /// What was kept under this name, and what else is given here
    #[arg(long, value_name = "NAME")]
    saved: Option<String>,
    /// At this time or later, such as 2026-11-20 or 2026-11-20T08:30:00+01:00
    #[arg(long, value_name = "TIME", value_parser = instant)]
    from: Option<Timestamp>,
    /// Before this time
    #[arg(long, value_name = "TIME", value_parser = instant)]
    to: Option<Timestamp>,
    /// Within this time up to now, such as 30m, 24h or 7d
    #[arg(long, value_name = "SPAN", value_parser = super::span)]
    last: Option<i64>,
    /// At most so many records [default: 50; before those that --follow waits for, 10]
    #[arg(long, value_name = "N")]
    limit: Option<u32>,
    /// Go on where another page ended
    #[arg(long, conflicts_with = "follow")]
    cursor: Option<String>,
    /// Wait for further records, the newest last; records that claim to be older than the range are not shown
    #[arg(long, short)]
    follow: bool,
}

fn instant(text: &str) -> Result<Timestamp, String> {
    query::instant(text).map(|(begin, _)| begin).ok_or_else(|| "no time; give 2026-11-20 or 2026-11-20T08:30:00+01:00".to_owned())
}

#[derive(clap::Subcommand)]
enum Command {
    /// Search, as without any command
    Search(Search),
    /// Keep searches, and see what others keep
    Saved(Saved),
    /// Show everything about a record, with the original line
    Show {
        /// Its id
        id: i64,
    },
    /// Add a line by hand; parsers and detectors look at it as at any other
    Add {
        /// What happened; without options, a whole line as it would stand in a log file
        message: String,
        /// When [default: now, unless the line says]
        #[arg(long, value_name = "TIME", value_parser = instant)]
        time: Option<Timestamp>,
        /// On which machine
        #[arg(long)]
        host: Option<String>,
        /// In which program; its parser reads the message
        #[arg(long)]
        app: Option<String>,
    },
    /// Note something about a record
    Annotate {
        /// Its id
        id: i64,
        /// What to note
        text: String,
    },
    /// Put a record out of sight; it stays where it is, and is:archived finds it
    Archive {
        /// Its id
        id: i64,
        /// Why
        #[arg(long)]
        reason: Option<String>,
    },
    /// Put a record back in sight
    Unarchive {
        /// Its id
        id: i64,
    },
}

pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let Arguments { access, command, search } = arguments;
    let json = access.json;
    let done =
        move |id: i64, what: &str| if json { println!("{}", json!({ "id": id, "done": what })) } else { eprintln!("{what}") };
    let command = match command {
        None => return find(&access, &search),
        Some(Command::Search(search)) => return find(&access, &search),
        Some(command) => command,
    };
    with_casework(&access, async |casework, actor| {
        match command {
            Command::Search(_) => unreachable!("it was found above"),
            Command::Saved(saved) => searches::run(&casework, &actor, saved, json).await?,
            Command::Show { id } => {
                let details = casework.log(&actor, id).await?;
                if json {
                    show_json(&details)?;
                } else {
                    writeln!(io::stdout(), "{}", told(&details, Width::of_terminal())?)?;
                }
            }
            Command::Add { message, time, host, app } => {
                casework.add_log(&actor, &NewLine { message, time, host, app }).await?;
                let what = "added: the daemon takes it within seconds, or when it runs next";
                if json { println!("{}", json!({ "done": "added" })) } else { eprintln!("{what}") }
            }
            Command::Annotate { id, text } => {
                casework.annotate_log(&actor, id, &text).await?;
                done(id, "noted");
            }
            Command::Archive { id, reason } => {
                casework.archive_log(&actor, id, reason.as_deref()).await?;
                done(id, "archived");
            }
            Command::Unarchive { id } => {
                casework.unarchive_log(&actor, id).await?;
                done(id, "back in sight");
            }
        }
        Ok(())
    })
}

fn find(access: &Access, search: &Search) -> anyhow::Result<ExitCode> {
    let (text, now) = (search.query.join(" "), Timestamp::now());
    let query = match Query::parse(&text, now) {
        Ok(query) => query,
        Err(error) => {
            point_at(&text, &error);
            return Ok(ExitCode::from(2));
        }
    };
    let cursor = match search.cursor.as_deref().map(str::parse::<Cursor>).transpose() {
        Ok(cursor) => cursor,
        Err(error) => {
            eprintln!("tocsin: {error}");
            return Ok(ExitCode::from(2));
        }
    };
    with_casework(access, async |casework, actor| {
        let mut query = match &search.saved {
            None => query,
            Some(name) => {
                let saved = casework.saved_search(&actor, SearchKind::Logs, name).await?;
                Query::parse(&format!("{} {text}", saved.query), now)?
            }
        };
        let last = Range { from: search.last.map(|micros| now.plus_micros(-micros)), to: None };
        query.range = query.range.and(last).and(Range { from: search.from, to: search.to });
        let mut out = BufWriter::new(io::stdout());
        if search.follow {
            return follow(&casework, &actor, query, now, search.limit.unwrap_or(10), access.json, &mut out).await;
        }
        let (mut left, mut cursor) = (search.limit.unwrap_or(50), cursor);
        let mut shown = Vec::new();
        while left > 0 {
            let page = casework.search_logs(&actor, &query, cursor, left.min(MAX_PAGE)).await?;
            left = left.saturating_sub(page.logs.len() as u32);
            cursor = page.next;
            if access.json {
                page.logs.iter().try_for_each(|log| line_of_json(&mut out, log))?;
            } else {
                shown.extend(page.logs);
            }
            if cursor.is_none() {
                break;
            }
        }
        if !access.json {
            writeln!(out, "{}", as_table(&shown, None, Width::of_terminal()))?;
        }
        out.flush()?;
        if let Some(cursor) = cursor {
            eprintln!("there are more: --cursor {cursor}");
        }
        Ok(())
    })
}

/// The query with the place where it goes wrong.
fn point_at(text: &str, error: &QueryError) {
    eprintln!("tocsin: {}", visible(&error.problem));
    eprintln!("  {}", visible(text));
    eprintln!("  {}^", " ".repeat(visible(&text[..error.offset]).chars().count()));
}

fn line_of_json(out: &mut impl Write, log: &LogRow) -> anyhow::Result<()> {
    serde_json::to_writer(&mut *out, log)?;
    Ok(writeln!(out)?)
}

/// Characters of a message in a table; `show` has all of it.
const MAX_MESSAGE: usize = 300;

fn message(log: &LogRow) -> String {
    let mut text: String = visible(&log.message).chars().take(MAX_MESSAGE + 1).collect();
    if let Some((end, _)) = text.char_indices().nth(MAX_MESSAGE) {
        text.truncate(end);
        text.push('…');
    }
    text
}

/// Records as a table, with numbers from `first` on, where there are to be some. What is left out on a narrow terminal is what `show` tells.
pub(super) fn as_table(logs: &[LogRow], first: Option<usize>, width: Width) -> Listing<9> {
    let columns = [
        ("id", 60),
        ("time", 0),
        ("host", 100),
        ("app", 120),
        ("event", 80),
        ("severity", 120),
        ("user", 120),
        ("from", 100),
        ("message", 0),
    ];
    let mut table = table::listing(columns, first, width);
    for log in logs {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let (event, severity) = (log.event_type.clone(), log.severity.clone());
        let (id, time) = (log.id.to_string(), log.event_time.to_string());
        table.add([
            id,
            time,
            text(&log.host),
            text(&log.app),
            event,
            severity,
            text(&log.username),
            text(&log.src_ip),
            message(log),
        ]);
    }
    table
}

/// Shows the last records, then waits for further ones. Where the database is away, it waits for that, too.
async fn follow(
    casework: &Casework,
    actor: &Actor,
    query: Query,
    began: Timestamp,
    limit: u32,
    json: bool,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    const INTERVAL: Duration = Duration::from_secs(1);
    let mut after = casework.newest_log(actor, &query, began).await?;
    if limit > 0 {
        let mut before = query.clone();
        let until_then = Test::Number(NumberField::Id, vec![(Comparison::AtMost, after)]);
        before.terms.push(Term { negated: false, test: until_then });
        let page = casework.search_logs(actor, &before, None, limit).await?;
        page.logs.iter().rev().try_for_each(|log| line(out, log, json))?;
    }
    let mut is_away = false;
    loop {
        out.flush()?;
        let asked = Instant::now();
        match casework.new_logs(actor, &query, began, after).await {
            Ok(NewLogs { logs, next, more }) => {
                is_away = false;
                logs.iter().try_for_each(|log| line(out, log, json))?;
                after = next;
                if more {
                    continue;
                }
            }
            Err(CaseworkError::Store(error)) if error.is_transient() => {
                if !std::mem::replace(&mut is_away, true) {
                    eprintln!("tocsin: waiting for the database: {}", error.in_one_line());
                }
            }
            Err(error) => return Err(error.into()),
        }
        // A database that needs long to answer is asked less often: a fifth of its time at most.
        tokio::time::sleep(INTERVAL.max(asked.elapsed() * 4)).await;
    }
}

fn line(out: &mut impl Write, log: &LogRow, json: bool) -> anyhow::Result<()> {
    if json {
        return line_of_json(out, log);
    }
    let word = |text: &Option<String>| visible(text.as_deref().unwrap_or("-"));
    let (time, host, app) = (log.event_time, word(&log.host), word(&log.app));
    Ok(writeln!(out, "{time} {} {} {host} {app}: {}", log.severity, log.event_type, message(log))?)
}

/// Everything about a record as JSON.
fn show_json(details: &LogDetails) -> anyhow::Result<()> {
    let LogDetails { log, original, notes, archived } = details;
    let as_text = std::str::from_utf8(original);
    #[derive(serde::Serialize)]
    struct Shown<'a> {
        log: &'a LogRow,
        #[serde(skip_serializing_if = "Option::is_none")]
        original: Option<&'a str>,
        /// Where it is no UTF-8.
        #[serde(skip_serializing_if = "Option::is_none")]
        original_base64: Option<String>,
        notes: &'a [NoteRow],
        archived: &'a Option<ArchivedRow>,
    }
    let original_base64 = as_text.is_err().then(|| base64::engine::general_purpose::STANDARD.encode(original));
    let shown = Shown { log, original: as_text.ok(), original_base64, notes, archived };
    Ok(writeln!(io::stdout(), "{}", serde_json::to_string(&shown)?)?)
}

/// Everything about a record, a line for each thing; what came from outside is escaped.
pub(super) fn told(details: &LogDetails, width: Width) -> anyhow::Result<Table> {
    let LogDetails { log, original, notes, archived } = details;
    let mut table = table::plain(width);
    let number = |number: Option<i32>| number.map(|number| number.to_string());
    let columns = [
        ("id", Some(log.id.to_string())),
        ("event_time", Some(log.event_time.to_string())),
        ("received_at", Some(log.received_at.to_string())),
        ("source", Some(log.source.clone())),
        ("host", log.host.clone()),
        ("app", log.app.clone()),
        ("pid", number(log.pid)),
        ("event_type", Some(log.event_type.clone())),
        ("severity", Some(log.severity.clone())),
        ("username", log.username.clone()),
        ("src_ip", log.src_ip.clone()),
        ("src_port", number(log.src_port)),
        ("dst_ip", log.dst_ip.clone()),
        ("dst_port", number(log.dst_port)),
        ("protocol", log.protocol.clone()),
        ("action", log.action.clone()),
        ("message", Some(log.message.clone())),
    ];
    for (name, value) in columns {
        if let Some(value) = value {
            table.add_row([name, &visible(&value)]);
        }
    }
    let fields = log.fields.as_deref().map(|fields| serde_json::from_str::<BTreeMap<String, Box<RawValue>>>(fields.get()));
    for (name, value) in fields.transpose()?.into_iter().flatten() {
        table.add_row([visible(&name), text_of(&value)]);
    }
    table.add_row(["original".to_owned(), visible(&String::from_utf8_lossy(original))]);
    if let Some(archived) = archived {
        let reason = archived.reason.as_deref().map(|reason| format!(": {}", visible(reason))).unwrap_or_default();
        table.add_row(["archived".to_owned(), format!("{} by {}{reason}", archived.at, visible(&archived.actor))]);
    }
    for note in notes {
        table.add_row(["note".to_owned(), format!("{} {}: {}", note.at, visible(&note.author), visible(&note.body))]);
    }
    Ok(table)
}

/// The text of a JSON string, the JSON of anything else.
fn text_of(value: &RawValue) -> String {
    visible(&serde_json::from_str::<String>(value.get()).unwrap_or_else(|_| value.get().to_owned()))
}
