//! `tocsin user second-factor`: enrol one, or remove one that was lost.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use anyhow::Context as _;
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;
use serde_json::json;

use super::incidents::print_json;
use crate::casework::{Actor, Casework, CaseworkError};

/// A mistyped code may be typed again.
const TRIES: usize = 3;

#[derive(clap::Subcommand)]
pub enum Command {
    /// Show a secret for an authenticator app, ask for a first code, and print the recovery codes
    #[command(after_help = "Example:\n  tocsin user second-factor enrol ada")]
    Enrol {
        /// Whose
        name: String,
    },
    /// Remove the second factor of somebody who has lost it: the password alone lets them in then
    #[command(after_help = "Example:\n  tocsin user second-factor reset ada")]
    Reset {
        /// Whose
        name: String,
    },
}

pub async fn run(casework: &Casework, actor: &Actor, command: Command, json: bool) -> anyhow::Result<()> {
    match command {
        Command::Enrol { name } => enrol(casework, actor, &name, json).await,
        Command::Reset { name } => {
            casework.reset_second_factor(actor, &name).await?;
            if json {
                return print_json(&json!({ "user": name, "second_factor": false }));
            }
            eprintln!("{name} has no second factor any more");
            Ok(())
        }
    }
}

async fn enrol(casework: &Casework, actor: &Actor, name: &str, json: bool) -> anyhow::Result<()> {
    let begun = casework.begin_second_factor(actor, name).await?;
    if json {
        print_json(&begun)?;
    } else {
        println!("{}\n{}", begun.secret, begun.uri);
        if std::io::stdout().is_terminal() {
            let code = QrCode::new(&begun.uri).context("draw a QR code")?;
            // Light on dark, as terminals are; readers take the other way, too.
            println!("{}", code.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build());
        }
    }
    let mut lines = std::io::stdin().lock().lines();
    for tries_left in (0..TRIES).rev() {
        eprint!("First code of the app: ");
        std::io::stderr().flush()?;
        let Some(code) = lines.next().transpose().context("read the code")? else { break };
        match casework.confirm_second_factor(actor, name, &code).await {
            Ok(codes) if json => return print_json(&json!({ "recovery_codes": codes })),
            Ok(codes) => {
                eprintln!("{name} has a second factor now. Recovery codes, each accepted once, shown only here:");
                codes.iter().for_each(|code| println!("{code}"));
                return Ok(());
            }
            Err(error @ CaseworkError::Invalid { .. }) if tries_left > 0 => eprintln!("{error}"),
            Err(error) => return Err(error.into()),
        }
    }
    anyhow::bail!("no code was given: {name} has no second factor yet")
}
