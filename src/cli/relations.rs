//! `tocsin incidents …`: what was seen in an incident, and what it has to do with others.

use std::fmt::Write as _;
use std::io::{BufRead as _, IsTerminal as _};

use serde_json::json;

use super::incidents::print_json;
use super::table::{self, Width};
use crate::casework::incidents::Dossier;
use crate::casework::split::Split;
use crate::casework::{Actor, Casework};
use crate::record::Severity;
use crate::record::case::LinkKind;
use crate::record::observable::{Kind, Tlp};
use crate::record::text::visible;

#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// What was seen in one (addresses, domains, URLs, hashes, users, e-mail addresses), and to whom it may be told
    Observables {
        /// Its number
        number: String,
        #[command(subcommand)]
        command: Option<Observables>,
    },
    /// In which incidents something was seen
    Sightings {
        /// An address, a domain, a URL, a hash, a user, an e-mail address; evil[.]example is understood
        value: String,
        /// At most so many
        #[arg(long, default_value = "50")]
        limit: usize,
    },
    /// Say that one has to do with another
    Link {
        /// The number of the one
        number: String,
        /// What it is to the other: related, duplicate_of, has_duplicate, caused_by, cause_of
        kind: LinkKind,
        /// The number of the other
        other: String,
    },
    /// Say that it has not
    Unlink {
        /// The number of the one
        number: String,
        /// What it was to the other
        kind: LinkKind,
        /// The number of the other
        other: String,
    },
    /// Make one a part of another: what it has goes there, and so do new events of its detector
    Merge {
        /// The number of the one that ends
        from: String,
        /// The number of the one that goes on
        into: String,
        /// Refuse if somebody has changed it since this version (that of the one which goes on)
        #[arg(long, value_name = "VERSION")]
        if_version: Option<i64>,
    },
    /// Give some of what one has to a new one; prints its number
    Split(SplitArguments),
    /// Remove an archived one and everything that belongs to it, for good
    Purge {
        /// Its number
        number: String,
        /// Why; this stays in the audit log
        #[arg(long)]
        reason: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

#[derive(clap::Subcommand)]
pub(super) enum Observables {
    /// Add one by hand; prints its id
    Add {
        /// address, domain, url, hash, user or email
        kind: Kind,
        /// The value; hxxps://evil[.]example is understood
        value: String,
        /// Traffic Light Protocol: clear, green, amber, amber+strict or red
        #[arg(long, default_value = "amber")]
        tlp: Tlp,
        /// What there is to say of it
        #[arg(long)]
        comment: Option<String>,
    },
    /// Change to whom one may be told
    Tlp {
        /// Its id
        id: i64,
        /// clear, green, amber, amber+strict or red
        tlp: Tlp,
    },
    /// Say something of one
    Comment {
        /// Its id
        id: i64,
        /// What; empty takes it away
        comment: String,
    },
    /// Take one away; evidence does not bring it back
    Remove {
        /// Its id
        id: i64,
    },
}

#[derive(clap::Args)]
pub(super) struct SplitArguments {
    /// The incident's number
    number: String,
    /// Title of the new one
    #[arg(long)]
    title: String,
    /// Its severity: low, medium, high or critical
    #[arg(long)]
    severity: Severity,
    /// Log records that go there, by their ids
    #[arg(long, value_delimiter = ',', value_name = "IDS")]
    evidence: Vec<i64>,
    /// Notes that go there, by their ids
    #[arg(long, value_delimiter = ',', value_name = "IDS")]
    notes: Vec<i64>,
    /// Tasks that go there, by their ids
    #[arg(long, value_delimiter = ',', value_name = "IDS")]
    tasks: Vec<i64>,
    /// Refuse if somebody has changed it since this version
    #[arg(long, value_name = "VERSION")]
    if_version: Option<i64>,
}

pub(super) async fn run(command: Command, casework: &Casework, actor: &Actor, json: bool) -> anyhow::Result<()> {
    match command {
        Command::Observables { number, command } => {
            observables(&number, command, casework, actor, json).await?;
        }
        Command::Sightings { value, limit } => {
            let found = casework.sightings(actor, &value, None, limit).await?;
            if json {
                return print_json(&found);
            }
            let columns =
                [("incident", 0), ("severity", 80), ("status", 100), ("kind", 90), ("value", 0), ("TLP", 60), ("title", 100)];
            let mut table = table::listing(columns, None, Width::of_terminal());
            for seen in found {
                table.add([seen.incident, seen.severity, seen.status, seen.kind, seen.value, seen.tlp, seen.title]);
            }
            println!("{table}");
        }
        Command::Link { number, kind, other } => {
            casework.link(actor, &number, kind, &other).await?;
            tell(json, &json!({ "linked": [number, other] }), &format!("{number} is {kind} {other}"))?;
        }
        Command::Unlink { number, kind, other } => {
            casework.unlink(actor, &number, kind, &other).await?;
            tell(json, &json!({ "unlinked": [number, other] }), &format!("{number} is not {kind} {other} any more"))?;
        }
        Command::Merge { from, into, if_version } => {
            let after = casework.merge_incidents(actor, &from, &into, if_version).await?;
            if json {
                return print_json(&after);
            }
            eprintln!("{from} is a part of {into}, which has {} events now; version {}", after.event_count, after.version);
        }
        Command::Split(SplitArguments { number, title, severity, evidence, notes, tasks, if_version }) => {
            let split = Split { title, severity, evidence, notes, tasks };
            let new = casework.split_incident(actor, &number, &split, if_version).await?;
            if json {
                return print_json(&json!({ "number": new }));
            }
            println!("{new}");
        }
        Command::Purge { number, reason, yes } => {
            if !yes {
                confirm(&number)?;
            }
            casework.purge_incident(actor, &number, &reason).await?;
            tell(json, &json!({ "purged": number }), &format!("{number} is removed"))?;
        }
    }
    Ok(())
}

async fn observables(
    number: &str,
    command: Option<Observables>,
    casework: &Casework,
    actor: &Actor,
    json: bool,
) -> anyhow::Result<()> {
    match command {
        None => {
            let found = casework.observables(actor, number).await?;
            if json {
                return print_json(&found);
            }
            let columns =
                [("id", 0), ("kind", 60), ("value", 0), ("TLP", 0), ("source", 100), ("added by", 120), ("comment", 80)];
            let mut table = table::listing(columns, None, Width::of_terminal());
            for one in found {
                let comment = one.comment.unwrap_or_default();
                table.add([one.id.to_string(), one.kind, one.value, one.tlp, one.source, one.added_by, comment]);
            }
            println!("{table}");
        }
        Some(Observables::Add { kind, value, tlp, comment }) => {
            let id = casework.add_observable(actor, number, (kind, &value), tlp, comment.as_deref()).await?;
            if json {
                return print_json(&json!({ "id": id }));
            }
            println!("{id}");
        }
        Some(Observables::Tlp { id, tlp }) => {
            let after = casework.edit_observable(actor, number, id, Some(tlp), None).await?;
            tell(json, &after, &format!("observable {id} is TLP:{} in {number}", after.tlp.to_uppercase()))?;
        }
        Some(Observables::Comment { id, comment }) => {
            let after = casework.edit_observable(actor, number, id, None, Some(&comment)).await?;
            tell(json, &after, "the comment is written")?;
        }
        Some(Observables::Remove { id }) => {
            casework.remove_observable(actor, number, id).await?;
            tell(json, &json!({ "removed": id }), &format!("observable {id} is none of {number} any more"))?;
        }
    }
    Ok(())
}

fn tell(json: bool, object: &impl serde::Serialize, text: &str) -> anyhow::Result<()> {
    if json {
        return print_json(object);
    }
    eprintln!("{text}");
    Ok(())
}

/// Has the number typed, by somebody at a terminal.
fn confirm(number: &str) -> anyhow::Result<()> {
    let stdin = std::io::stdin();
    anyhow::ensure!(stdin.is_terminal(), "nobody is there to be asked: --yes removes {number} without asking");
    eprint!("{number} and everything that belongs to it will be gone. Type its number to go on: ");
    let mut typed = String::new();
    stdin.lock().read_line(&mut typed)?;
    anyhow::ensure!(typed.trim() == number, "nothing was removed");
    Ok(())
}

/// The part of an incident's account that is about others.
pub(super) fn told(dossier: &Dossier, out: &mut String) -> std::fmt::Result {
    let Dossier { observables, related, links, parts, .. } = dossier;
    if !observables.is_empty() {
        writeln!(out, "\nObservables")?;
    }
    for one in observables.iter().take(50) {
        let comment = one.comment.as_deref().map_or(String::new(), |comment| format!("  ({})", visible(comment)));
        writeln!(out, "  {} {:<8} {}  TLP:{}{comment}", one.id, one.kind, visible(&one.value), one.tlp.to_uppercase())?;
    }
    if observables.len() > 50 {
        writeln!(out, "  … {} more with --json", observables.len() - 50)?;
    }
    if !parts.is_empty() {
        writeln!(out, "\nMerged into this one: {}", parts.join(", "))?;
    }
    if !links.is_empty() {
        writeln!(out, "\nLinks")?;
    }
    for link in links {
        writeln!(out, "  {} {}  [{}] {}", link.kind, link.incident, link.status, visible(&link.title))?;
    }
    if !related.is_empty() {
        writeln!(out, "\nRelated, by what they share")?;
    }
    for other in related {
        let values: Vec<String> = other.shared.iter().take(3).map(|shared| visible(&shared.value)).collect();
        let more = usize::try_from(other.shared_count).unwrap_or(0).saturating_sub(values.len());
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        writeln!(out, "  {}  [{}] {}: {}{more}", other.number, other.status, visible(&other.title), values.join(", "))?;
    }
    Ok(())
}
