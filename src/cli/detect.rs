//! `tocsin detect`: the detectors over stored records.

use std::io::{self, BufWriter, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use indicatif::ProgressStyle;

use super::database::{Access, Office, with_office};
use super::found;
use super::progress;
use crate::casework::detection::{Detected, Watch};
use crate::casework::{Actor, Casework};
use crate::config::Config;
use crate::record::Timestamp;
use crate::store::query;

/// Run the detectors over stored records of a time range
///
/// Reads the records in the order of their time, in memory as the daemon does, with the settings and rules of the configuration, and says
/// what they find, and which incident tells of it already. What was before the range is not known, so an attack that reaches into it is found
/// only if what lies inside is enough.
///
/// With --open, incidents are opened for what none tells of yet, with their evidence; new events go to them as to any other.
#[derive(clap::Args)]
#[command(after_help = "Exit codes: 0 nothing found, 1 failed, 2 wrong usage or configuration, 3 attacks found\n\n\
Examples:\n  \
tocsin detect --last 24h\n  \
tocsin detect --from 2026-11-01 --to 2026-11-20 --json | jq -r .title\n  \
tocsin detect --last 7d --rules ./rules      # what would these rules find?\n  \
tocsin detect --last 7d --open")]
pub struct Arguments {
    #[command(flatten)]
    access: Access,
    /// From this time on: a date (its beginning in UTC), or RFC 3339 [default: 24 hours before the end]
    #[arg(long, value_name = "TIME", value_parser = super::time)]
    from: Option<Timestamp>,
    /// Up to this time, which is not included [default: now]
    #[arg(long, value_name = "TIME", value_parser = super::time)]
    to: Option<Timestamp>,
    /// Within this time up to now, such as 30m, 24h or 7d
    #[arg(long, value_name = "SPAN", value_parser = super::span, conflicts_with_all = ["from", "to"])]
    last: Option<i64>,
    /// Sigma rules, instead of those that the configuration names: a directory of .yml files, or one file
    #[arg(long, value_name = "DIR")]
    rules: Option<PathBuf>,
    /// Open incidents for what none tells of yet
    #[arg(long)]
    open: bool,
}

pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let Arguments { access, from, to, last, rules, open } = arguments;
    let to = to.unwrap_or_else(Timestamp::now);
    let from = from.unwrap_or_else(|| to.plus_micros(-last.unwrap_or(query::span("24h").expect("a length of time"))));
    if from >= to {
        eprintln!("tocsin: --to has to be later than --from");
        return Ok(ExitCode::from(2));
    }
    with_office(&access, async |Office { config, casework, actor }| {
        let named = if rules.is_some() { "--rules" } else { "detect.rules" };
        let Some(rules) = found::rules(rules.as_deref().or(config.detect.rules.as_deref()), named) else {
            return Ok(ExitCode::from(2));
        };
        let watch = Watch { rules, ..watch(&config, from, to) };
        let detected = look(&casework, &actor, &watch).await?;
        let mut out = BufWriter::new(io::stdout());
        let told = Some(&*detected.incidents);
        match access.json {
            true => found::write_json(&detected.findings, told, &mut out)?,
            false => found::write_table(&detected.findings, told, &mut out)?,
        }
        out.flush()?;
        eprintln!("{} records that the detectors look at", detected.records);
        if open {
            let opened = casework.open_found(&actor, &watch, &detected.findings).await?;
            eprintln!("{} opened{}{}", opened.len(), if opened.is_empty() { "" } else { ": " }, opened.join(", "));
        }
        Ok(ExitCode::from(if detected.findings.is_empty() { 0 } else { 3 }))
    })
}

/// As the daemon of that configuration looks at records, but for its rules.
pub(super) fn watch(config: &Config, from: Timestamp, to: Timestamp) -> Watch {
    let max_evidence = config.detect.max_evidence;
    Watch { from, to, options: config.detect_options(), rules: Default::default(), formats: config.formats(), max_evidence }
}

/// Runs the detectors, with a bar on a terminal; what could not be done exactly is said on standard error.
pub(super) async fn look(casework: &Casework, actor: &Actor, watch: &Watch) -> anyhow::Result<Detected> {
    let style = ProgressStyle::with_template("{bar:30} {human_pos} of about {human_len} records, {per_sec}, {eta} left");
    let bar = progress::bar(0).with_style(style.expect("a template"));
    let progress = &mut |records, expected| {
        bar.set_length(expected);
        bar.set_position(records);
    };
    let detected = casework.detect(actor, watch, progress).await;
    bar.finish_and_clear();
    let detected = detected?;
    found::warn(&detected.stats, detected.left_out);
    Ok(detected)
}
