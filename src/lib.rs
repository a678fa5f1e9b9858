//! tocsin (an alarm bell) listens to the logs of firewalls, intrusion detection systems and servers, understands them, notices
//! attacks while they happen, and keeps the whole story in PostgreSQL.

pub mod record;
pub mod stats;

pub mod frame;
pub mod parse;

pub mod detect;
pub mod journal;
pub mod listen;
pub mod tail;

pub mod store;

pub mod pipeline;

pub mod config;

pub mod cli;
