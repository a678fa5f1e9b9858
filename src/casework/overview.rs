//! What the database holds and how large it is, for whoever looks after it.

use serde::Serialize;

use super::{Actor, Casework, CaseworkError, Permission};
use crate::store::overview::{self as rows, Partition, Totals};

/// Partitions that are listed.
const LISTED: i64 = 14;

/// The database at a glance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Overview {
    /// As a whole.
    #[serde(flatten)]
    pub totals: Totals,
    /// The newest partitions of the logs, a day each.
    pub partitions: Vec<Partition>,
    /// How many there are.
    pub partitions_total: i64,
}

impl Casework {
    /// The database at a glance.
    ///
    /// # Errors
    /// Not permitted, or the database.
    pub async fn overview(&self, actor: &Actor) -> Result<Overview, CaseworkError> {
        let mut reading = self.look(actor, Permission::Maintain).await?;
        let totals = rows::totals(&mut reading.connection).await?;
        let (partitions, partitions_total) = rows::partitions(&mut reading.connection, LISTED).await?;
        reading.done();
        Ok(Overview { totals, partitions, partitions_total })
    }
}
