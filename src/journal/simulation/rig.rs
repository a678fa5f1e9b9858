//! A journal on a modelled disk that somebody else's simulation drives.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Instant;

use super::disk::ModelDisk;
use crate::frame::Batch;
use crate::journal::handle::Message;
use crate::journal::reader::Cursor;
use crate::journal::writer::Writer;
use crate::journal::{Journal, JournalError, Options, Sources};
use crate::record::Zone;
use crate::stats::Stats;

/// An open journal with its writer, and with a reader once it is known from where on.
pub(crate) struct Rig {
    cursor: Option<Cursor>,
    writer: Writer,
    messages: Receiver<Message>,
    pub journal: Journal,
}

impl Rig {
    pub fn open(disk: &ModelDisk, options: Options, at_least: u64, secret: u64, now: Instant) -> io::Result<Rig> {
        let (journal, writer, messages) = Journal::on(Arc::new(disk.clone()), options, at_least, secret, now, &Stats::default())?;
        Ok(Rig { cursor: None, writer, messages, journal })
    }

    /// Lets the writer take so many messages and do what is due.
    pub fn write(&mut self, messages: usize, now: Instant) {
        self.messages.try_iter().take(messages).for_each(|message| self.writer.take(message, now));
        self.writer.step(now);
    }

    /// Nothing more is taken; what is there is written.
    pub fn close(&self) {
        self.journal.handle.close();
    }

    pub fn is_done(&self, now: Instant) -> bool {
        self.writer.is_done(now)
    }

    /// What is to be read begins there.
    pub fn read_from(&mut self, position: u64) {
        let sources = Sources { known: HashMap::new(), default_zone: Zone::UTC };
        self.cursor = Some(Cursor::new(&self.journal, position, sources));
    }

    pub fn has_more(&self) -> bool {
        self.cursor.as_ref().is_some_and(Cursor::has_more)
    }

    pub fn read(&mut self) -> Result<Option<Batch>, JournalError> {
        self.cursor.as_mut().map_or(Ok(None), Cursor::read)
    }
}
