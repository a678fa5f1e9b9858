//! tocsin (an alarm bell) listens to the logs of firewalls, intrusion detection systems and servers, understands them, notices
//! attacks while they happen, and keeps the whole story in PostgreSQL.
//!
//! # The flow
//!
//! ```text
//!  network: udp tcp http ─Group─▶ journal ─┐
//!                                          ├─Batch─▶ pipeline: parse, detect, encode ─▶ commit ─▶ PostgreSQL
//!  files on disk ────────────────▶ tail ───┘             (one thread)             (two connections)
//!                                   ▲                                                    │
//!                                   └────────── positions, out of the same transaction ──┘
//! ```
//!
//! **The pipeline reads only from inputs that can be read again.** A file can be; a datagram cannot, so listeners do a single thing:
//! append what they received to a journal on disk. Where each input was read to is written in the transaction that stores what was
//! read, with the incidents that it caused. From that follow, without further machinery:
//!
//! - *Exactly once.* After a crash of ours or of the database, the positions say where to go on. When a connection dies with its
//!   COMMIT, the row of the pipeline in `positions` tells whether it went through.
//! - *Backpressure.* The pipeline pulls. While PostgreSQL is away the journal grows up to its limit; then TCP stops reading, HTTP
//!   answers 503, UDP drops and counts. Files wait.
//! - *An honest answer.* A webhook's 200, and the end of a TCP connection that its sender has half closed, mean: on disk.
//! - *A limit on memory.* Whatever input can make grow (queues, buffers, tables) has a limit of its own, and all of them fit into
//!   `limits.memory` in the worst case (`config`); what is on its way from the inputs to the commit is counted at a gate (`daemon`).
//! - *One writer.* Each daemon takes a higher epoch at its start; the commits of older ones fail, and they stop.
//!
//! # Where each thing lives
//!
//! Rooms may use those above them, never those below.
//!
//! | room | what it does |
//! | --- | --- |
//! | [`record`], [`stats`], [`random`] | the typed log record, incidents, time; counters; chance |
//! | [`parse`] | frame → record: envelopes (syslog, JSON) in each other, then messages, one file per product, each known by its marks; operators' own formats |
//! | [`frame`] | bytes → frames, lines that are one event put together, batches of frames with their positions |
//! | [`detect`] | records → changes of incidents: sliding windows over event time; `detect::sigma` reads operators' rules |
//! | [`journal`] | what came over the network, on disk until it is committed |
//! | [`listen`] | the doors: UDP, TCP, webhooks |
//! | [`tail`] | log files, through every kind of rotation |
//! | [`store`] | every SQL statement; COPY, positions, incidents; a PostgreSQL of our own |
//! | [`pipeline`] | batches → committed transactions |
//! | [`casework`] | what people do: users, incidents, tasks, searches, reports, exports, backups, the audit log |
//! | [`http`] | the server; health and metrics; the API for casework |
//! | [`config`] | settings, checked all at once |
//! | [`daemon`] | settings become values, values become tasks; start and stop |
//! | [`cli`] | the subcommands |
//!
//! # What differs from the first design
//!
//! - Parsing, detection and encoding are one stage on one thread, not three joined by channels: a record borrows from its frame and the
//!   detectors have one owner, so a line is dealt with while it is in the cache and costs no allocation of its own.
//! - All inputs follow on *one* position row (`pipeline`), not on one each: incidents rest on events of several inputs, so the order of
//!   transactions must be one, or a crash could store a finding without the events of another input that it counted.
//! - Between copy and commit a transaction waits in the process for the one before it, rather than in the database: its statement on
//!   the position row would find the number of the transaction before the last, and match nothing.
//! - After a restart the detectors' windows are rebuilt from `logs` itself, in the order of ids: a partial index holds the few records
//!   that detectors look at. Nothing else has to be kept in step. Rules with windows look at everything, so with them everything is read
//!   back, as far as their windows reach.
//! - The detectors that are always there are no Sigma rules: what counts as an attempt to log in takes sessions of several lines, which
//!   Sigma cannot say. Rules and detectors share the windows and the way to incidents.
//! - There is no pool of connections. A pool knows one server and hides why it has no connection; what is not ingestion takes a
//!   connection that was kept from the statement before, or a new one from the server of `database.url` that can be written to.
//! - The journal has an identity, and its position is kept under it, so that a daemon never takes the position in another journal for one
//!   in its own.
//! - Files that are evidence are in the database, sealed in pieces, not in a directory beside it: there is one thing to back up, and nothing
//!   goes astray between a row and its file.
//! - Parsing stands above framing: a source, which frames come with, can be said to write a format. And a source's last format is not
//!   remembered: a line has to be the same record after a restart and in a replay, and looking for marks costs less than remembering.
//! - A TCP connection of which not everything is on disk is always reset, never closed in order: an orderly end is the only
//!   acknowledgement that syslog over TCP has room for.

pub mod random;
pub mod record;
pub mod stats;

pub mod parse;

pub mod detect;
pub mod frame;

pub mod journal;
pub mod listen;
pub mod tail;

pub mod store;

pub mod casework;
pub mod pipeline;

pub mod http;

pub mod config;
pub mod daemon;

pub mod cli;
