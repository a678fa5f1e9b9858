//! Standing by: a second daemon waits until the active one is gone, and goes on where it ended.
//!
//! The active daemon holds the seat ([`crate::store::seat`]), a lock of its connection to the database. One that stands by looks twice a
//! second whether the seat is free. It takes over only if nobody raised the epoch between two looks: whoever did is about to take the seat.
//! After an error it waits longer than the active daemon, whose connections broke as well, takes to come back.
//!
//! Both may use the same state directory (then its lock comes first, and the journal of the dead one is stored, too), or have one each.

use std::path::Path;
use std::time::Duration;

use tracing::{info, warn};

use super::{DaemonError, lock_state_dir};
use crate::config::Config;
use crate::store::seat::Seat;
use crate::store::{Servers, Store, StoreError};

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// After an error: the active daemon is back by then, if it is going to be.
const AFTER_ERROR: Duration = Duration::from_secs(4);
/// Between two attempts of the active daemon to take its seat, and two looks whether it still has it.
const TAKE_EVERY: Duration = Duration::from_millis(250);
/// An answer that takes longer is none.
const PATIENCE: Duration = Duration::from_secs(3);

/// What a daemon needs to be the active one.
#[derive(Debug)]
pub struct Turn {
    /// Keeps others away from the state directory.
    pub lock: std::fs::File,
    /// `None` where it is not waited for: by a daemon that takes over at once, and where the PostgreSQL is private, since who has the state
    /// directory has its PostgreSQL.
    pub seat: Option<Seat>,
}

/// Waits until the active daemon is gone. May be dropped at any time.
///
/// # Errors
/// The state directory or the database cannot be used, and waiting will not change that.
pub async fn stand_by(config: &Config) -> Result<Turn, DaemonError> {
    let lock = state_dir(&config.state_dir).await?;
    let url = config.database.secret_url().map_err(|what| DaemonError::Setting { key: "database.url_file".into(), what })?;
    let seat = match url {
        Some(url) => Some(seat(&url).await?),
        None => None,
    };
    Ok(Turn { lock, seat })
}

async fn state_dir(path: &Path) -> Result<std::fs::File, DaemonError> {
    let mut told = false;
    loop {
        match lock_state_dir(path) {
            Err(DaemonError::InUse(_)) => {}
            other => return other,
        }
        if !std::mem::replace(&mut told, true) {
            info!("standing by: another tocsin uses {}", path.display());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn seat(url: &str) -> Result<Seat, DaemonError> {
    let mut store = None;
    let mut last_epoch = None;
    let mut told = false;
    loop {
        let look = tokio::time::timeout(PATIENCE, look(url, &mut store)).await.unwrap_or(Err(StoreError::Late));
        match look {
            Ok((Some(seat), epoch)) if last_epoch == Some(epoch) => {
                info!(epoch, "the active tocsin is gone: taking over");
                return Ok(seat);
            }
            Ok((seat, epoch)) => {
                if seat.is_none() && !std::mem::replace(&mut told, true) {
                    info!(epoch, "standing by: another tocsin is active");
                }
                last_epoch = Some(epoch);
                if let Some(seat) = seat {
                    seat.leave().await;
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
            Err(error) if error.is_transient() => {
                (store, last_epoch) = (None, None);
                warn!(%error, "standing by: the database does not answer");
                tokio::time::sleep(AFTER_ERROR).await;
            }
            Err(error) => return Err(DaemonError::Store(error)),
        }
    }
}

/// The seat, if it is free, and the epoch.
async fn look(url: &str, store: &mut Option<Store>) -> Result<(Option<Seat>, i64), StoreError> {
    let store = match store {
        Some(store) => store,
        none => none.insert(Store::connect(Servers::from_url(url)?).await?),
    };
    let seat = store.try_seat().await?;
    // In this order: who raised the epoch before we had the seat is found out.
    Ok((seat, store.epoch().await?))
}

/// Takes the seat and keeps it, for as long as this is polled.
pub async fn hold(store: &Store, mut seat: Option<Seat>) -> std::convert::Infallible {
    loop {
        if let Some(held) = &mut seat {
            match tokio::time::timeout(PATIENCE, held.is_held()).await {
                Ok(true) => tokio::time::sleep(TAKE_EVERY).await,
                _ => seat = None,
            }
            continue;
        }
        match tokio::time::timeout(PATIENCE, store.try_seat()).await {
            Ok(Ok(taken @ Some(_))) => seat = taken,
            _ => tokio::time::sleep(TAKE_EVERY).await,
        }
    }
}
