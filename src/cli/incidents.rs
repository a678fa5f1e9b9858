//! `tocsin incidents`: list them, look at one, work on it.

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::database::{Access, with_casework};
use super::relations;
use super::table::{self, Listing, Width};
use super::{evidence, parties};
use crate::casework::incidents::{Dossier, IncidentEdit, NewIncident};
use crate::casework::levels::{DueFilter, DueList};
use crate::record::case::{Category, NoteKind, Priority, Status};
use crate::record::text::visible;
use crate::record::{Severity, Timestamp};
use crate::store::cases::{CaseFilter, CaseRow};

/// Work on incidents
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
tocsin incidents list --status open,investigating --min-severity high\n  \
tocsin incidents show INC-2026-000123\n  \
tocsin incidents open \"Laptop stolen\" --severity high --category information-content-security\n  \
tocsin incidents edit INC-2026-000123 --status investigating --assignee ada\n  \
tocsin incidents evidence add INC-2026-000123 disk.img mail.eml\n  \
tocsin incidents parties --find \"Ada Example\"\n  \
tocsin incidents note INC-2026-000123 --kind action \"Address blocked at the firewall\"\n  \
tocsin incidents observables INC-2026-000123 add domain evil[.]example --tlp red\n  \
tocsin incidents sightings 203.0.113.66\n  \
tocsin incidents merge INC-2026-000124 INC-2026-000123\n  \
tocsin incidents false-positive INC-2026-000123 --reason \"Our own scanner\" --suppress-until 2027-01-01\n  \
tocsin incidents due --overdue\n  \
tocsin incidents hold INC-2026-000123 --reason \"Asked for by the court\"\n  \
tocsin incidents edit INC-2026-000123 --status resolved --resolution \"Password changed\" --root-cause \"…\" --lessons-learned \"…\"")]
pub struct Arguments {
    #[command(flatten)]
    access: Access,
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// List incidents, the newest first
    List(List),
    /// Show everything about one
    Show {
        /// Its number
        number: String,
    },
    /// Open one by hand; prints its number
    Open(Open),
    /// Change one
    Edit(Box<Edit>),
    /// Write a note on one, or write one anew
    Note(Note),
    /// Show the people behind one, or find in which somebody has a part
    Parties(parties::List),
    /// Add somebody to one, change or erase them
    #[command(subcommand)]
    Party(parties::Command),
    /// Add files and log records as evidence, get files out again, check them
    #[command(subcommand)]
    Evidence(evidence::Command),
    #[command(flatten)]
    Relations(relations::Command),
    /// Mark one as a false positive
    FalsePositive {
        /// Its number
        number: String,
        /// Why it is none
        #[arg(long)]
        reason: String,
        /// Until then events of the same detector and group open no incident: a date (its beginning in UTC) or a time, within a year
        #[arg(long, value_name = "DATE", value_parser = super::time)]
        suppress_until: Option<Timestamp>,
        /// Refuse if somebody has changed it since this version
        #[arg(long, value_name = "VERSION")]
        if_version: Option<i64>,
    },
    /// What is due next, what is overdue, who is late
    Due {
        /// Only those of this user
        #[arg(long, value_name = "USER")]
        assignee: Option<String>,
        /// Only what is overdue
        #[arg(long)]
        overdue: bool,
        /// At most so many
        #[arg(long, default_value = "50")]
        limit: usize,
    },
    /// Put one under legal hold: it and its evidence stay, whatever is due
    Hold {
        /// Its number
        number: String,
        /// Why
        #[arg(long)]
        reason: String,
    },
    /// Lift its legal hold
    Release {
        /// Its number
        number: String,
        /// Why
        #[arg(long)]
        reason: String,
    },
}

#[derive(clap::Args)]
struct List {
    /// Only with these statuses: open, investigating, contained, resolved, false_positive
    #[arg(long, value_delimiter = ',', value_name = "STATUS")]
    status: Vec<Status>,
    /// Only of these severities: low, medium, high, critical
    #[arg(long, value_delimiter = ',', value_name = "SEVERITY")]
    severity: Vec<Severity>,
    /// Only of this severity, or worse
    #[arg(long, value_name = "SEVERITY")]
    min_severity: Option<Severity>,
    /// Only with these priorities: P1, P2, P3, P4
    #[arg(long, value_delimiter = ',', value_name = "PRIORITY")]
    priority: Vec<Priority>,
    /// Only of these categories of the Reference Security Incident Taxonomy
    #[arg(long, value_delimiter = ',', value_name = "CATEGORY")]
    category: Vec<Category>,
    /// Only those of this user
    #[arg(long, value_name = "USER")]
    assignee: Option<String>,
    /// Only those of this detector or rule
    #[arg(long, value_name = "NAME")]
    detector: Option<String>,
    /// Only with this text in the title
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
    /// Only with this text in number, title, description or group (an address, a name)
    #[arg(long)]
    text: Option<String>,
    /// Only those opened at this time or later (RFC 3339)
    #[arg(long, value_name = "TIME", value_parser = Timestamp::parse_rfc3339)]
    from: Option<Timestamp>,
    /// Only those opened before this time (RFC 3339)
    #[arg(long, value_name = "TIME", value_parser = Timestamp::parse_rfc3339)]
    to: Option<Timestamp>,
    /// Those that were archived, too
    #[arg(long)]
    archived: bool,
    /// At most so many
    #[arg(long, default_value = "50")]
    limit: usize,
}

#[derive(clap::Args)]
struct Open {
    /// One line
    title: String,
    /// What happened
    #[arg(long, default_value = "")]
    description: String,
    /// low, medium, high or critical
    #[arg(long)]
    severity: Severity,
    /// Category of the Reference Security Incident Taxonomy, such as intrusions or fraud
    #[arg(long, default_value = "other")]
    category: Category,
    /// When it began (RFC 3339)
    #[arg(long, value_name = "TIME", value_parser = Timestamp::parse_rfc3339)]
    first_seen: Option<Timestamp>,
}

#[derive(clap::Args)]
struct Edit {
    /// Its number
    number: String,
    /// Refuse if somebody has changed it since this version (as `show` tells it)
    #[arg(long, value_name = "VERSION")]
    if_version: Option<i64>,
    /// investigating, contained, resolved or false_positive
    #[arg(long)]
    status: Option<Status>,
    /// low, medium, high or critical
    #[arg(long)]
    severity: Option<Severity>,
    /// P1 to P4; otherwise it follows from the severity
    #[arg(long, requires = "because")]
    priority: Option<Priority>,
    /// Why that priority
    #[arg(long, value_name = "REASON")]
    because: Option<String>,
    /// Who works on it; empty for nobody
    #[arg(long, value_name = "USER")]
    assignee: Option<String>,
    /// One line
    #[arg(long)]
    title: Option<String>,
    /// What happened
    #[arg(long)]
    description: Option<String>,
    /// Category of the Reference Security Incident Taxonomy
    #[arg(long)]
    category: Option<Category>,
    /// Type within the category
    #[arg(long)]
    kind: Option<String>,
    /// How it came in
    #[arg(long)]
    attack_vector: Option<String>,
    /// ATT&CK technique, such as T1110.001
    #[arg(long)]
    technique: Option<String>,
    /// Systems that are affected; replaces those before
    #[arg(long, value_delimiter = ',', value_name = "SYSTEM")]
    affected: Option<Vec<String>>,
    /// What made it possible; needed to resolve grave ones
    #[arg(long)]
    root_cause: Option<String>,
    /// How it ended; needed at the end
    #[arg(long)]
    resolution: Option<String>,
    /// What to do better; needed to resolve grave ones
    #[arg(long)]
    lessons_learned: Option<String>,
    /// Take it out of sight, once it is over
    #[arg(long)]
    archive: bool,
    /// Bring it back into sight
    #[arg(long, conflicts_with = "archive")]
    unarchive: bool,
}

#[derive(clap::Args)]
struct Note {
    /// The incident's number
    number: String,
    /// What to write, in Markdown
    body: String,
    /// note, action (something was done) or finding (something was found out)
    #[arg(long, default_value = "note")]
    kind: NoteKind,
    /// Write that note anew instead; what it said is kept
    #[arg(long, value_name = "ID")]
    edit: Option<i64>,
    /// Refuse if somebody has changed it since this version
    #[arg(long, value_name = "VERSION", requires = "edit")]
    if_version: Option<i64>,
}

pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let json = arguments.access.json;
    let mut found = false;
    let done = with_casework(&arguments.access, async |casework, actor| {
        match arguments.command {
            Command::List(list) => {
                let filter = CaseFilter {
                    statuses: list.status.iter().map(Status::to_string).collect(),
                    severities: list.severity.iter().map(Severity::to_string).collect(),
                    least_severity: list.min_severity.map(|s| s.to_string()),
                    priorities: list.priority.iter().map(Priority::to_string).collect(),
                    categories: list.category.iter().map(Category::to_string).collect(),
                    assignee: list.assignee,
                    detector: list.detector,
                    title: list.title,
                    text: list.text,
                    from: list.from,
                    to: list.to,
                    archived: list.archived,
                };
                let found = casework.incidents(&actor, &filter, None, list.limit).await?;
                if json {
                    return print_json(&found);
                }
                println!("{}", listed(&found, None, Width::of_terminal()));
            }
            Command::Show { number } => {
                let dossier = casework.incident(&actor, &number).await?;
                if json {
                    return print_json(&dossier);
                }
                print!("{}", told(&dossier)?);
            }
            Command::Open(Open { title, description, severity, category, first_seen }) => {
                let new = NewIncident { title, description, severity, category, first_seen };
                let number = casework.open_incident(&actor, &new).await?;
                if json {
                    return print_json(&json!({ "number": number }));
                }
                println!("{number}");
            }
            Command::Edit(edit) => {
                let (number, version) = (edit.number.clone(), edit.if_version);
                let after = casework.edit_incident(&actor, &number, &edit.wanted(), version).await?;
                if json {
                    return print_json(&after);
                }
                let whose = after.assignee.as_deref().unwrap_or("nobody");
                eprintln!(
                    "{}: {}, {}, {}, {whose}; version {}",
                    after.number, after.status, after.severity, after.priority, after.version
                );
            }
            Command::Note(Note { number, body, kind, edit, if_version }) => {
                let written = match edit {
                    Some(id) => json!({ "id": id, "version": casework.edit_note(&actor, &number, id, &body, if_version).await? }),
                    None => json!({ "id": casework.add_note(&actor, &number, kind, &body).await?, "version": 1 }),
                };
                if json {
                    return print_json(&written);
                }
                eprintln!("note {} is written", written["id"]);
            }
            Command::Parties(list) => parties::list(&casework, &actor, list, json).await?,
            Command::Party(command) => parties::change(&casework, &actor, command, json).await?,
            Command::Evidence(command) => found = evidence::run(&casework, &actor, command, json).await?,
            Command::Relations(command) => relations::run(command, &casework, &actor, json).await?,
            Command::FalsePositive { number, reason, suppress_until, if_version } => {
                let marked = casework.false_positive(&actor, &number, &reason, suppress_until, if_version).await?;
                if json {
                    return print_json(&marked);
                }
                let hidden =
                    suppress_until.map_or(String::new(), |until| format!("; nothing of the kind is reported until {until}"));
                eprintln!("{number} is a false positive{hidden}");
            }
            Command::Due { assignee, overdue, limit } => {
                let found = casework.due(&actor, &DueFilter { assignee, overdue }, limit).await?;
                if json {
                    return print_json(&found);
                }
                print!("{}", told_due(&found));
            }
            Command::Hold { number, reason } => {
                let held = casework.hold_incident(&actor, &number, &reason).await?;
                if json {
                    return print_json(&held);
                }
                eprintln!("{number} is under legal hold");
            }
            Command::Release { number, reason } => {
                let released = casework.release_incident(&actor, &number, &reason).await?;
                if json {
                    return print_json(&released);
                }
                eprintln!("{number} is under no legal hold any more");
            }
        }
        Ok(())
    })?;
    Ok(if found { ExitCode::from(3) } else { done })
}

impl Edit {
    fn wanted(self) -> IncidentEdit {
        let archived = if self.archive { Some(true) } else { self.unarchive.then_some(false) };
        IncidentEdit {
            title: self.title,
            description: self.description,
            status: self.status,
            severity: self.severity,
            priority: self.priority.zip(self.because),
            category: self.category,
            kind: self.kind,
            attack_vector: self.attack_vector,
            technique: self.technique,
            affected: self.affected,
            assignee: self.assignee.map(|name| Some(name).filter(|name| !name.is_empty())),
            root_cause: self.root_cause,
            resolution: self.resolution,
            lessons_learned: self.lessons_learned,
            archived,
        }
    }
}

pub(super) fn print_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string(value).context("write JSON")?);
    Ok(())
}

/// Incidents as a table, with numbers from `first` on, where there are to be some. What is left out on a narrow terminal is what `show` tells.
pub(super) fn listed(found: &[CaseRow], first: Option<usize>, width: Width) -> Listing<8> {
    let columns = [
        ("number", 0),
        ("severity", 0),
        ("priority", 120),
        ("status", 60),
        ("assignee", 100),
        ("events", 120),
        ("last seen", 100),
        ("title", 0),
    ];
    let mut table = table::listing(columns, first, width);
    for case in found {
        let last = case.last_seen.unwrap_or(case.created_at).to_string();
        table.add([
            case.number.clone(),
            case.severity.clone(),
            case.priority.clone(),
            case.status.clone(),
            case.assignee.clone().unwrap_or_default(),
            case.event_count.to_string(),
            last.chars().take(19).collect(),
            case.title.clone(),
        ]);
    }
    table
}

/// What is due, and who has how much of it.
fn told_due(found: &DueList) -> String {
    let columns = [
        ("due", 0),
        ("", 0),
        ("to do", 0),
        ("priority", 100),
        ("number", 0),
        ("severity", 110),
        ("status", 120),
        ("assignee", 90),
        ("title", 80),
    ];
    let mut due = table::listing(columns, None, Width::of_terminal());
    for next in &found.due {
        due.add([
            next.due_at.to_string().chars().take(19).collect(),
            if next.overdue { "LATE" } else { "" }.to_owned(),
            next.what.to_owned(),
            next.priority.clone(),
            next.incident.clone(),
            next.severity.clone(),
            next.status.clone(),
            next.assignee.clone().unwrap_or_default(),
            next.title.clone(),
        ]);
    }
    let columns = [("assignee", 0), ("not over", 0), ("overdue", 0)];
    let mut loads = table::listing(columns, None, Width::of_terminal()).right(&["not over", "overdue"]);
    for load in &found.by_assignee {
        let whose = load.assignee.clone().unwrap_or_else(|| "nobody".to_owned());
        loads.add([whose, load.unresolved.to_string(), load.overdue.to_string()]);
    }
    format!(
        "{due}\n\n{loads}\n{} incidents are not over, {} of them are overdue. Times are UTC.\n",
        found.unresolved, found.overdue
    )
}

/// One incident for reading; what came from outside is escaped.
pub(super) fn told(dossier: &Dossier) -> anyhow::Result<String> {
    let Dossier { incident, notes, tasks, evidence, files, timeline, .. } = dossier;
    let mut out = String::new();
    writeln!(out, "{}  {}", incident.number, visible(&incident.title))?;
    let archived = if incident.archived_at.is_some() { ", archived" } else { "" };
    writeln!(
        out,
        "{}, severity {}, {}{archived}; version {}",
        incident.status, incident.severity, incident.priority, incident.version
    )?;
    let mut fact = |name: &str, value: Option<&str>| -> std::fmt::Result {
        value.map_or(Ok(()), |value| writeln!(out, "  {name:<16} {}", visible(value)))
    };
    fact("merged into", incident.merged_into.as_deref())?;
    fact("category", Some(&incident.category))?;
    fact("type", incident.kind.as_deref())?;
    fact("detector", incident.detector.as_deref())?;
    fact("group", incident.group_key.as_deref())?;
    fact("attack vector", incident.attack_vector.as_deref())?;
    fact("technique", incident.technique.as_deref())?;
    fact("affected", Some(&*incident.affected.join(", ")).filter(|text| !text.is_empty()))?;
    let hold = incident.legal_hold_since.zip(incident.legal_hold_by.as_ref()).zip(incident.legal_hold_reason.as_ref());
    let hold = hold.map(|((since, by), reason)| format!("since {since} by {by}: {reason}"));
    fact("legal hold", hold.as_deref())?;
    fact("reporter", Some(&incident.reporter))?;
    fact("assignee", incident.assignee.as_deref())?;
    fact("first seen", incident.first_seen.map(|t| t.to_string()).as_deref())?;
    fact("last seen", incident.last_seen.map(|t| t.to_string()).as_deref())?;
    fact("events", Some(&incident.event_count.to_string()))?;
    let standing = &incident.standing;
    let late = if standing.overdue == Some(true) { " (overdue)" } else { "" };
    let notice = standing.acknowledge_by.filter(|_| incident.acknowledged_at.is_none()).map(|by| by.to_string());
    fact("acknowledge by", notice.as_deref())?;
    fact("resolve by", standing.resolve_by.map(|by| format!("{by}{late}")).as_deref())?;
    fact("in time", standing.service_level_met.map(|met| if met { "yes" } else { "no" }))?;
    fact("root cause", incident.root_cause.as_deref())?;
    fact("resolution", incident.resolution.as_deref())?;
    fact("lessons learned", incident.lessons_learned.as_deref())?;
    if !incident.description.is_empty() {
        writeln!(out)?;
    }
    for line in incident.description.lines() {
        writeln!(out, "{}", visible(line))?;
    }
    if !tasks.is_empty() {
        writeln!(out, "\nTasks")?;
    }
    for task in tasks {
        let due = task.due_at.map_or(String::new(), |due| format!(", due {due}"));
        let whose = visible(task.assignee.as_deref().unwrap_or("nobody"));
        writeln!(out, "  {} [{}] {} ({whose}{due})", task.id, task.status, visible(&task.title))?;
    }
    if !notes.is_empty() {
        writeln!(out, "\nNotes")?;
    }
    for note in notes {
        writeln!(
            out,
            "  {} {} by {}, {} (version {})",
            note.id,
            note.kind,
            visible(&note.author),
            note.created_at,
            note.version
        )?;
        for line in note.body.lines() {
            writeln!(out, "    {}", visible(line))?;
        }
    }
    if !evidence.is_empty() {
        writeln!(out, "\nEvidence, {} of {} log records", evidence.len(), incident.event_count)?;
    }
    for record in evidence.iter().take(20) {
        let message = record.record.get("message").and_then(Value::as_str).unwrap_or_default();
        writeln!(out, "  {}  {}", record.event_time, visible(message))?;
    }
    if evidence.len() > 20 {
        writeln!(out, "  … {} more with --json", evidence.len() - 20)?;
    }
    if !files.is_empty() {
        writeln!(out, "\nFiles")?;
    }
    for file in files {
        let archived = if file.archived_at.is_some() { ", archived" } else { "" };
        writeln!(out, "  {} {} ({} bytes, SHA-256 {}{archived})", file.id, visible(&file.name), file.size, file.sha256)?;
    }
    relations::told(dossier, &mut out)?;
    writeln!(out, "\nTimeline")?;
    for what in timeline {
        let short = |value: &Option<Value>| value.as_ref().map_or(String::new(), |v| v.to_string().chars().take(100).collect());
        let (old, new) = (short(&what.old), short(&what.new));
        let change = if old.is_empty() { new } else { format!("{old} → {new}") };
        writeln!(out, "  {}  {} {}: {}", what.at, visible(&what.actor), visible(&what.event), visible(&change))?;
    }
    Ok(out)
}
