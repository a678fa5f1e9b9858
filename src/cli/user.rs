//! `tocsin user` and `tocsin token`: who may sign in, and what programs may do.

use std::process::ExitCode;

use serde_json::json;

use super::database::{Access, with_casework};
use super::second_factor;
use super::table::{self, Width};
use crate::casework::Role;
use crate::casework::users::{NewUser, UserChange};

/// Manage who may sign in
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
tocsin user add ada --role analyst --email ada@example.org\n  \
tocsin user list\n  \
tocsin user role ada admin\n  \
tocsin user second-factor enrol ada\n  \
tocsin user disable ada")]
pub struct UserArguments {
    #[command(flatten)]
    access: Access,
    #[command(subcommand)]
    command: UserCommand,
}

#[derive(clap::Subcommand)]
enum UserCommand {
    /// Show all users
    List,
    /// Make a user; prints a password to be used once
    Add {
        /// What they sign in with
        name: String,
        /// viewer looks on, analyst works on incidents, admin manages everything
        #[arg(long, default_value = "viewer")]
        role: Role,
        /// What others call them
        #[arg(long)]
        display_name: Option<String>,
        /// Where they are written to
        #[arg(long)]
        email: Option<String>,
    },
    /// Change what a user may do
    Role {
        /// Whose
        name: String,
        /// viewer, analyst or admin
        role: Role,
        #[command(flatten)]
        seen: Seen,
    },
    /// Refuse a user from now on, and end their sessions
    Disable {
        /// Whom
        name: String,
        #[command(flatten)]
        seen: Seen,
    },
    /// Let a user sign in again
    Enable {
        /// Whom
        name: String,
        #[command(flatten)]
        seen: Seen,
    },
    /// End the lock-out after too many wrong passwords
    Unlock {
        /// Whose
        name: String,
        #[command(flatten)]
        seen: Seen,
    },
    /// Give a user a new password to be used once; prints it
    ResetPassword {
        /// Whose
        name: String,
    },
    /// Enrol a second factor of a user, or remove one that was lost
    #[command(subcommand)]
    SecondFactor(second_factor::Command),
    /// End all sessions of a user
    SignOut {
        /// Whose
        name: String,
    },
}

#[derive(clap::Args)]
struct Seen {
    /// Refuse if somebody has changed it since this version (as `list --json` shows it)
    #[arg(long, value_name = "VERSION")]
    if_version: Option<i64>,
}

pub fn user(arguments: UserArguments) -> anyhow::Result<ExitCode> {
    let json = arguments.access.json;
    with_casework(&arguments.access, async |casework, actor| {
        let change = async |name: &str, wanted: UserChange, version| casework.change_user(&actor, name, &wanted, version).await;
        let changed = match arguments.command {
            UserCommand::List => {
                let users = casework.users(&actor).await?;
                if json {
                    println!("{}", serde_json::to_string(&users)?);
                    return Ok(());
                }
                let columns = [("name", 0), ("role", 0), ("state", 0), ("second factor", 80), ("e-mail", 100), ("made", 120)];
                let mut table = table::listing(columns, None, Width::of_terminal());
                for user in users {
                    let state = match (user.disabled_at, user.locked_until, user.must_change_password) {
                        (Some(_), ..) => "disabled".to_owned(),
                        (_, Some(until), _) => format!("locked out until {until}"),
                        (.., true) => "has to change the password".to_owned(),
                        _ => String::new(),
                    };
                    let email = user.email.unwrap_or_default();
                    let second = if user.second_factor { "yes" } else { "" }.to_owned();
                    table.add([user.name, user.role, state, second, email, user.created_at.to_string()]);
                }
                println!("{table}");
                return Ok(());
            }
            UserCommand::Add { name, role, display_name, email } => {
                let secret = casework.create_user(&actor, &NewUser { name: name.clone(), display_name, email, role }).await?;
                return secret_once(
                    json,
                    &name,
                    "password",
                    &secret,
                    "to be used once: it has to be changed at the first signing in",
                );
            }
            UserCommand::ResetPassword { name } => {
                let secret = casework.reset_password(&actor, &name).await?;
                return secret_once(
                    json,
                    &name,
                    "password",
                    &secret,
                    "to be used once: it has to be changed at the next signing in",
                );
            }
            UserCommand::SecondFactor(command) => return second_factor::run(&casework, &actor, command, json).await,
            UserCommand::SignOut { name } => {
                let ended = casework.end_sessions(&actor, &name).await?;
                if json {
                    println!("{}", json!({ "ended": ended }))
                } else {
                    eprintln!("{ended} sessions of {name} ended")
                }
                return Ok(());
            }
            UserCommand::Role { name, role, seen } => {
                change(&name, UserChange { role: Some(role), ..UserChange::default() }, seen.if_version).await?
            }
            UserCommand::Disable { name, seen } => {
                change(&name, UserChange { disabled: Some(true), ..UserChange::default() }, seen.if_version).await?
            }
            UserCommand::Enable { name, seen } => {
                change(&name, UserChange { disabled: Some(false), ..UserChange::default() }, seen.if_version).await?
            }
            UserCommand::Unlock { name, seen } => {
                change(&name, UserChange { unlock: true, ..UserChange::default() }, seen.if_version).await?
            }
        };
        if json {
            println!("{}", serde_json::to_string(&changed)?);
        } else {
            eprintln!("{}: {}{}", changed.name, changed.role, if changed.disabled_at.is_some() { ", disabled" } else { "" });
        }
        Ok(())
    })
}

/// Manage tokens for programs
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
tocsin token add dashboards --user ada --role viewer --days 90\n  \
tocsin token list\n  \
tocsin token revoke dashboards --user ada\n  \
TOCSIN_TOKEN=tct_… tocsin incidents list")]
pub struct TokenArguments {
    #[command(flatten)]
    access: Access,
    #[command(subcommand)]
    command: TokenCommand,
}

#[derive(clap::Subcommand)]
enum TokenCommand {
    /// Show all tokens
    List,
    /// Make a token; prints it once
    Add {
        /// What it is for
        name: String,
        /// On whose behalf it acts
        #[arg(long)]
        user: String,
        /// What it may do
        #[arg(long, default_value = "viewer")]
        role: Role,
        /// For how many days it is accepted
        #[arg(long, default_value = "90")]
        days: u32,
    },
    /// Refuse a token from now on
    Revoke {
        /// What it was for
        name: String,
        /// On whose behalf it acts
        #[arg(long)]
        user: String,
    },
}

pub fn token(arguments: TokenArguments) -> anyhow::Result<ExitCode> {
    let json = arguments.access.json;
    with_casework(&arguments.access, async |casework, actor| match arguments.command {
        TokenCommand::List => {
            let tokens = casework.tokens(&actor).await?;
            if json {
                println!("{}", serde_json::to_string(&tokens)?);
                return Ok(());
            }
            let columns = [("user", 0), ("name", 0), ("role", 0), ("accepted until", 80), ("last used", 120)];
            let mut table = table::listing(columns, None, Width::of_terminal());
            for token in tokens {
                let until = token.revoked_at.map_or(token.expires_at.to_string(), |at| format!("revoked {at}"));
                let used = token.last_used_at.map_or("never".to_owned(), |at| at.to_string());
                table.add([token.user, token.name, token.role, until, used]);
            }
            println!("{table}");
            Ok(())
        }
        TokenCommand::Add { name, user, role, days } => {
            let secret = casework.create_token(&actor, &user, &name, role, days).await?;
            secret_once(json, &user, "token", &secret, &format!("accepted for {days} days; it is shown only here"))
        }
        TokenCommand::Revoke { name, user } => {
            casework.revoke_token(&actor, &user, &name).await?;
            if json {
                println!("{}", json!({ "revoked": name }))
            } else {
                eprintln!("revoked")
            }
            Ok(())
        }
    })
}

/// The secret alone on standard output, so that a script can take it.
fn secret_once(json: bool, user: &str, what: &str, secret: &str, note: &str) -> anyhow::Result<()> {
    if json {
        println!("{}", json!({ "user": user, what: secret }));
    } else {
        eprintln!("{what} of {user}, {note}:");
        println!("{secret}");
    }
    Ok(())
}
