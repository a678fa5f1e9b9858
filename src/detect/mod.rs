//! Records → incident changes. Pure: no clock, no file; time comes with the records, and the same records in the same order always
//! give the same changes.
//!
//! ```text
//!                      attempts               window (per remote end, for all, per event type)    incidents
//!   LogRecord ──▶ how many events is ──▶ which events belong to an attack, as of now:       ──▶ IncidentChange
//!                 this line worth?       each is counted once                                    per detector and group
//!   LogRecord ──▶ sigma: which rules ────────▶ window (per correlation rule and group) ───────────────▶ IncidentChange
//!                 does it match?               or nothing, where one event is enough                    per rule and group
//! ```
//!
//! What belongs to an attack is defined over the set of events, not over their order ([`window`] has the definition and the proof
//! that O(threshold) points per group are enough to decide it). So events up to [`Options::lateness_micros`] behind the newest of
//! their group are counted exactly, older ones as well as what was kept permits.
//!
//! **Groups.** `login_failures`, `brute_force` and `account_compromise` go by the remote end: the address (group key `src_ip`), or
//! the host name where the line gives no address (`src_host`). `login_spike` has one group for everybody, `high_severity_cluster`
//! one per event type (`event_type`).
//!
//! **Rules** are what operators write, in [`sigma`]: they are held against every record, beside the detectors that are always there, and
//! their windows are the same.
//!
//! **After a restart** the state is what it was once the stored records of the time before have been observed again in the order of
//! their ids, and the changes thrown away. [`Options::warmup_micros`] says how far back to go.
//!
//! **Memory** is bounded: points per group, groups, sessions and account names have limits and counters ([`EngineStats`]); what no
//! event can concern any more is forgotten a little with each record.
//!
//! The engine takes the time of an event as it is told. Who files records must have dealt with clocks that are absurdly fast: one
//! event far in the future would make all others of its group late, and all other groups look idle.

mod attempts;
mod engine;
mod findings;
pub mod incidents;
mod index;
mod names;
mod options;
mod rules;
pub mod sigma;
mod stats;
mod table;
mod window;

pub use engine::Engine;
pub use findings::{Finding, Findings};
pub use options::{OptionError, Options, Rule};
pub use sigma::Rules;
pub use stats::EngineStats;

#[cfg(test)]
mod tests;
