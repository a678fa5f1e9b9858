//! Data taken out in bulk, as CSV. Who took what, and how much of it, is in the audit log.

use serde_json::json;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

use super::audit::Act;
use super::{Actor, Casework, CaseworkError, Permission, Reading};
use crate::record::Timestamp;
use crate::store::export::{self as rows, Export};

pub use crate::store::export::Table;

/// From a time up to, and not including, another.
pub type Range = (Timestamp, Timestamp);

impl Table {
    /// Everything that can be exported.
    pub const ALL: [Table; 4] = [Table::Logs, Table::Incidents, Table::Tasks, Table::Observables];

    /// As people call it.
    pub fn as_str(self) -> &'static str {
        match self {
            Table::Logs => "logs",
            Table::Incidents => "incidents",
            Table::Tasks => "tasks",
            Table::Observables => "observables",
        }
    }
}

impl Casework {
    /// About how many rows an export will have.
    ///
    /// # Errors
    /// Not permitted, or the database.
    pub async fn rows_to_export(&self, actor: &Actor, table: Table, range: Range) -> Result<u64, CaseworkError> {
        let mut reading = self.look(actor, Permission::Export).await?;
        let count = rows::expected(&mut reading.connection, table, range).await?;
        reading.done();
        Ok(count)
    }

    /// Writes a table, or a range of it, as CSV (RFC 4180), as of one moment; returns the number of rows. `progress` is told of them.
    ///
    /// That it begins is in the audit log before the first row is out, and how it ended comes after the last one: of an export that was
    /// killed the beginning remains.
    ///
    /// # Errors
    /// Not permitted; the range is none; `out` takes no more; the database.
    pub async fn export(
        &self,
        actor: &Actor,
        table: Table,
        range: Range,
        out: &mut (impl AsyncWrite + Unpin + Send),
        progress: &mut (dyn FnMut(u64) + Send),
    ) -> Result<u64, CaseworkError> {
        if range.0 >= range.1 {
            return Err(CaseworkError::invalid("to", "has to be later than from"));
        }
        let subject = format!("export:{}", table.as_str());
        let what = json!({ "from": range.0, "to": range.1 });
        let change = self.change(actor, Permission::Export).await?;
        change.commit(&[Act::new("export.begin", &*subject).values(None, what)]).await?;
        let reading = self.look(actor, Permission::Export).await?;
        let mut count = 0;
        let done = write(reading, table, range, out, &mut |rows| {
            count = rows;
            progress(rows);
        })
        .await;
        let what = json!({ "from": range.0, "to": range.1, "rows": count, "complete": done.is_ok() });
        let told = async {
            let change = self.change(actor, Permission::Export).await?;
            change.commit(&[Act::new("export.end", subject).values(None, what)]).await
        };
        let told = told.await;
        done.and(told).map(|()| count)
    }
}

async fn write(
    mut reading: Reading,
    table: Table,
    range: Range,
    out: &mut (impl AsyncWrite + Unpin + Send),
    progress: &mut (dyn FnMut(u64) + Send),
) -> Result<(), CaseworkError> {
    let mut export = Export::begin(&mut reading.connection, table, range).await?;
    while let Some(piece) = export.next().await? {
        // Told before it is out: at a failure it is not known how much of it was.
        progress(export.count);
        out.write_all(&piece).await.map_err(CaseworkError::Output)?;
    }
    out.flush().await.map_err(CaseworkError::Output)
}
