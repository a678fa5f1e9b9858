//! The program against real files, sockets, processes and a real PostgreSQL. One module per behaviour.

#![allow(clippy::unwrap_used, reason = "it ends where something is wrong")]

mod cli;
mod clients;
mod database;
mod doors;
mod faults;
mod oracle;
mod overload;
mod poison;
mod recovery;
mod rules;
mod standby;
mod store;
mod support;
mod verify;
mod wire;
