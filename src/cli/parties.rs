//! `tocsin incidents parties` and `party`: the people behind an incident.

use anyhow::Context as _;
use serde_json::json;

use super::incidents::print_json;
use super::table::{self, Width};
use crate::casework::parties::{MAX_PAGE, Party, Person};
use crate::casework::{Actor, Casework};
use crate::record::case::PartyRole;
use crate::record::text::visible;

/// Who they are is sealed in the database; looking at them and looking for them is written down in the audit log.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
tocsin incidents parties INC-2026-000123\n  \
tocsin incidents parties --find \"Ada Example\"")]
pub struct List {
    /// The incident's number
    #[arg(required_unless_present = "find")]
    number: Option<String>,
    /// Show in which incidents somebody with exactly this name, contact or organisation has a part, whatever the case
    #[arg(long, value_name = "VALUE", conflicts_with = "number")]
    find: Option<String>,
}

#[derive(clap::Subcommand)]
pub enum Command {
    /// Add somebody; prints their id
    #[command(after_help = "Examples:\n  \
tocsin incidents party add INC-2026-000123 --role witness --name \"Ada Example\" --contact ada@example.org\n  \
echo '{\"name\":\"Ada Example\"}' | tocsin incidents party add INC-2026-000123 --role witness --stdin")]
    Add {
        /// The incident's number
        number: String,
        /// victim, suspect, witness or reporter
        #[arg(long)]
        role: PartyRole,
        #[command(flatten)]
        fields: Fields,
    },
    /// Change somebody: what is not given stays, an empty text takes one away
    Edit {
        /// The incident's number
        number: String,
        /// Which party
        id: i64,
        /// victim, suspect, witness or reporter
        #[arg(long)]
        role: Option<PartyRole>,
        #[command(flatten)]
        fields: Fields,
        /// Refuse if somebody has changed it since this version
        #[arg(long, value_name = "VERSION")]
        if_version: Option<i64>,
    },
    /// Erase somebody for good: all that stays is that there was a party of that role, and who erased them
    Erase {
        /// The incident's number
        number: String,
        /// Which party
        id: i64,
        /// Why; it is kept, so name nobody in it
        #[arg(long)]
        reason: String,
    },
}

#[derive(clap::Args)]
pub struct Fields {
    /// What they are called
    #[arg(long)]
    name: Option<String>,
    /// E-mail address or telephone number
    #[arg(long)]
    contact: Option<String>,
    /// Where they live or work
    #[arg(long)]
    address: Option<String>,
    /// Whom they belong to
    #[arg(long)]
    organisation: Option<String>,
    /// What else is to be said
    #[arg(long)]
    notes: Option<String>,
    /// Read these as a JSON object from standard input instead, so that they are not seen in the list of processes
    #[arg(long, conflicts_with_all = ["name", "contact", "address", "organisation", "notes"])]
    stdin: bool,
}

impl Fields {
    fn person(self) -> anyhow::Result<Person> {
        if self.stdin {
            return serde_json::from_reader(std::io::stdin().lock())
                .context("standard input is no JSON object with these fields");
        }
        let Fields { name, contact, address, organisation, notes, stdin: _ } = self;
        Ok(Person { name, contact, address, organisation, notes })
    }
}

pub async fn list(casework: &Casework, actor: &Actor, list: List, json: bool) -> anyhow::Result<()> {
    if let Some(value) = list.find {
        let found = casework.find_parties(actor, &value).await?;
        if json {
            return print_json(&found);
        }
        let columns = [("number", 0), ("status", 80), ("party", 0), ("role", 0), ("title", 0)];
        let mut table = table::listing(columns, None, Width::of_terminal());
        for party in found {
            table.add([party.incident, party.status, party.id.to_string(), party.role, party.title]);
        }
        println!("{table}");
        return Ok(());
    }
    let number = list.number.unwrap_or_default();
    let mut all: Vec<Party> = Vec::new();
    loop {
        let page = casework.parties(actor, &number, all.last().map(|party| party.id), MAX_PAGE).await?;
        let is_last = page.len() < MAX_PAGE;
        all.extend(page);
        if is_last {
            break;
        }
    }
    if json {
        return print_json(&all);
    }
    for party in all {
        println!("{}", told(&party));
    }
    Ok(())
}

/// One party for reading, a field to a line.
fn told(party: &Party) -> String {
    let mut text = format!("{} {} (version {})", party.id, party.role, party.version);
    if let (Some(at), Some(by)) = (party.erased_at, &party.erased_by) {
        text.push_str(&format!("\n  erased {at} by {}", visible(by)));
    }
    let Person { name, contact, address, organisation, notes } = &party.person;
    for (field, value) in
        [("name", name), ("contact", contact), ("address", address), ("organisation", organisation), ("notes", notes)]
    {
        for line in value.iter().flat_map(|value| value.lines()) {
            text.push_str(&format!("\n  {field:<12} {}", visible(line)));
        }
    }
    text
}

pub async fn change(casework: &Casework, actor: &Actor, command: Command, json: bool) -> anyhow::Result<()> {
    match command {
        Command::Add { number, role, fields } => {
            let id = casework.add_party(actor, &number, role, &fields.person()?).await?;
            if json {
                return print_json(&json!({ "id": id, "version": 1 }));
            }
            println!("{id}");
        }
        Command::Edit { number, id, role, fields, if_version } => {
            let version = casework.edit_party(actor, &number, id, role, &fields.person()?, if_version).await?;
            if json {
                return print_json(&json!({ "id": id, "version": version }));
            }
            eprintln!("party {id} of {number}: version {version}");
        }
        Command::Erase { number, id, reason } => {
            casework.erase_party(actor, &number, id, &reason).await?;
            if json {
                return print_json(&json!({ "id": id, "erased": true }));
            }
            eprintln!("party {id} of {number} is erased");
        }
    }
    Ok(())
}
