//! The program against real files, sockets, processes and a real PostgreSQL. One module per behaviour.

#![allow(clippy::unwrap_used, reason = "it ends where something is wrong")]

mod api;
mod api_data;
mod backups;
mod cases;
mod cli;
mod clients;
mod clock;
mod commands;
mod database;
mod doors;
mod evidence;
mod faults;
mod functions;
mod hostile;
mod levels;
mod menu;
mod oracle;
mod overload;
mod people;
mod poison;
mod recovery;
mod relations;
mod reports;
mod retention;
mod rules;
mod sealed;
mod search;
mod second_factor;
#[allow(dead_code, reason = "tests/chaos needs more of it")]
#[path = "../common/stage.rs"]
mod stage;
mod standby;
mod store;
#[allow(dead_code, reason = "tests/chaos needs more of it")]
#[path = "../common/story.rs"]
mod story;
#[path = "../common/support.rs"]
mod support;
mod terminal;
mod verify;
mod wire;
