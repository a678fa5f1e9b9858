//! The program against real files, sockets, processes and a real PostgreSQL. One module per behaviour.

mod clients;
mod doors;
mod oracle;
mod recovery;
mod store;
mod support;
