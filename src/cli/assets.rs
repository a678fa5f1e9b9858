//! `tocsin assets`: what there is to protect, and how much depends on it.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail, ensure};
use serde_json::json;

use super::database::{Access, with_casework};
use super::incidents::print_json;
use super::table::{self, Width};
use crate::casework::assets::{AssetEdit, NewAsset};
use crate::record::case::Criticality;
use crate::record::text::{csv_rows, visible};

/// A file of all assets that there can be is smaller.
const MAX_FILE_BYTES: u64 = 64 << 20;
/// The columns of a file.
const COLUMNS: [&str; 5] = ["name", "matches", "criticality", "owner", "comment"];

/// Say what there is to protect, and how much depends on it
///
/// Priorities of incidents follow from their severity and from the most critical asset that they affect: a critical one raises by one, a low
/// one lowers by one. What an incident affects is taken from its evidence (the address that something was sent to, or else the host that
/// wrote the record), and from what people say. A changed list holds at once for all incidents that are not over.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
tocsin assets add db1 --match db1.example.org --match 10.0.5.1 --criticality critical --owner ada\n  \
tocsin assets add \"guest network\" --match 10.99.0.0/16 --criticality low\n  \
tocsin assets change db1 --criticality high\n  \
tocsin assets import assets.csv    # name,matches,criticality,owner,comment; several matches with spaces between them\n  \
tocsin assets list")]
pub struct Arguments {
    #[command(flatten)]
    access: Access,
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// List them
    List,
    /// Enter one
    Add {
        /// What people call it
        name: String,
        /// A host name, *.suffix of several, an address, or a network; any number of times
        #[arg(long = "match", value_name = "MATCH", required = true)]
        matches: Vec<String>,
        /// low, medium, high or critical
        #[arg(long)]
        criticality: Criticality,
        /// Who answers for it
        #[arg(long)]
        owner: Option<String>,
        /// What else there is to know
        #[arg(long)]
        comment: Option<String>,
    },
    /// Change one
    Change {
        /// Which
        name: String,
        /// By what it is recognised; replaces what was there
        #[arg(long = "match", value_name = "MATCH")]
        matches: Vec<String>,
        /// low, medium, high or critical
        #[arg(long)]
        criticality: Option<Criticality>,
        /// Who answers for it; empty for nobody
        #[arg(long)]
        owner: Option<String>,
        /// What else there is to know; empty for nothing
        #[arg(long)]
        comment: Option<String>,
        /// Refuse if somebody has changed it since this version
        #[arg(long, value_name = "VERSION")]
        if_version: Option<i64>,
    },
    /// Remove one
    Remove {
        /// Which
        name: String,
    },
    /// Enter all of a CSV file, and change those that are there by their names; all or nothing
    Import {
        /// With a head: name,matches,criticality, and if there are any, owner and comment
        file: PathBuf,
    },
}

pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let json = arguments.access.json;
    with_casework(&arguments.access, async |casework, actor| {
        match arguments.command {
            Command::List => {
                let all = casework.assets(&actor).await?;
                if json {
                    return print_json(&all);
                }
                let columns =
                    [("name", 0), ("criticality", 0), ("matches", 0), ("owner", 80), ("comment", 100), ("version", 120)];
                let mut table = table::listing(columns, None, Width::of_terminal());
                for asset in all {
                    table.add([
                        asset.name,
                        asset.criticality,
                        asset.matches.join(" "),
                        asset.owner.unwrap_or_default(),
                        asset.comment.unwrap_or_default(),
                        asset.version.to_string(),
                    ]);
                }
                println!("{table}");
            }
            Command::Add { name, matches, criticality, owner, comment } => {
                let entered = casework.add_asset(&actor, &NewAsset { name, matches, criticality, owner, comment }).await?;
                if json {
                    return print_json(&entered);
                }
                eprintln!("{} is entered", visible(&entered.name));
            }
            Command::Change { name, matches, criticality, owner, comment, if_version } => {
                let matches = Some(matches).filter(|matches| !matches.is_empty());
                let edit = AssetEdit { matches, criticality, owner, comment };
                let changed = casework.change_asset(&actor, &name, &edit, if_version).await?;
                if json {
                    return print_json(&changed);
                }
                eprintln!(
                    "{}: {}, {}; version {}",
                    visible(&changed.name),
                    changed.criticality,
                    changed.matches.join(" "),
                    changed.version
                );
            }
            Command::Remove { name } => {
                casework.remove_asset(&actor, &name).await?;
                eprintln!("{} is removed", visible(&name));
            }
            Command::Import { file } => {
                let size = std::fs::metadata(&file).with_context(|| format!("read {}", file.display()))?.len();
                ensure!(size <= MAX_FILE_BYTES, "{} has {size} bytes; at most {MAX_FILE_BYTES} are taken", file.display());
                let text = std::fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
                let list = listed(&text).with_context(|| file.display().to_string())?;
                let (entered, changed) = casework.import_assets(&actor, &list).await?;
                if json {
                    return print_json(&json!({ "read": list.len(), "entered": entered, "changed": changed }));
                }
                eprintln!("{} assets read: {entered} entered, {changed} changed", list.len());
            }
        }
        Ok(())
    })
}

/// The assets of a CSV file.
fn listed(text: &str) -> anyhow::Result<Vec<NewAsset>> {
    let rows = match csv_rows(text) {
        Ok(rows) => rows,
        Err(line) => bail!("line {line}: a quoted cell does not end, or goes on behind its end"),
    };
    let mut rows = rows.into_iter().enumerate().filter(|(_, row)| row.iter().any(|cell| !cell.trim().is_empty()));
    let (_, head) = rows.next().context("there is nothing in it")?;
    let head: Vec<String> = head.iter().map(|name| name.trim().to_lowercase()).collect();
    if let Some(unknown) = head.iter().find(|name| !COLUMNS.contains(&name.as_str())) {
        bail!("there is no column {:?}: it takes {}", visible(unknown), COLUMNS.join(", "));
    }
    if let Some(missing) = COLUMNS[..3].iter().find(|name| !head.iter().any(|given| given == *name)) {
        bail!("the column {missing} is missing: the first line has to be {}", COLUMNS.join(","));
    }
    let asset = |(n, row): (usize, Vec<String>)| {
        let cell = |name: &str| {
            let at = head.iter().position(|given| given == name);
            at.and_then(|at| row.get(at)).map(|cell| cell.trim().to_owned()).unwrap_or_default()
        };
        let criticality = cell("criticality").to_lowercase().parse().with_context(|| format!("row {}: criticality", n + 1))?;
        let matches = cell("matches").split([' ', ';', '\n']).filter(|by| !by.is_empty()).map(str::to_owned).collect();
        Ok(NewAsset { name: cell("name"), matches, criticality, owner: Some(cell("owner")), comment: Some(cell("comment")) })
    };
    rows.map(asset).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_have_a_head_and_their_columns_in_any_order() {
        let read =
            listed("Criticality,name,matches\r\nlow,\"guests, all\",10.99.0.0/16 *.guests\r\n\r\nCritical,db1,db1;10.0.5.1\r\n")
                .unwrap();
        assert_eq!(read.len(), 2);
        assert_eq!((&*read[0].name, read[0].criticality), ("guests, all", Criticality::Low));
        assert_eq!(read[0].matches, ["10.99.0.0/16", "*.guests"]);
        assert_eq!(read[1].matches, ["db1", "10.0.5.1"]);
        for (text, why) in [
            ("", "nothing in it"),
            ("name,matches\n", "criticality is missing"),
            ("name,matches,criticality,colour\n", "no column"),
            ("name,matches,criticality\na,b,worst\n", "row 2"),
            ("name,matches,criticality\n\"a,b,low\n", "line 2"),
        ] {
            let error = format!("{:#}", listed(text).unwrap_err());
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
