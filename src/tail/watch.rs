//! Wake-ups: inotify through `notify` on the directories in which files may appear. Only a hint: everything is found by the slow poll
//! as well, so a machine without inotify, or with its limits reached, is merely slower to notice.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use notify::event::{EventKind, ModifyKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};

use super::fingerprint::Ident;

/// More changed paths than this are not remembered one by one: everything is looked at instead.
const MAX_CHANGED: usize = 4_096;

/// Directories watched at most; the rest is polled.
const MAX_DIRECTORIES: usize = 1_024;

/// What happened since it was last asked.
#[derive(Debug, Default)]
pub struct Changes {
    /// Files that were written to.
    pub written: HashSet<PathBuf>,
    /// Files appeared, vanished or were renamed.
    pub structure: bool,
    woken: bool,
}

/// Where the watcher's thread leaves changes and the tail's thread waits for them.
#[derive(Debug, Default)]
pub struct Bell {
    changes: Mutex<Changes>,
    rung: Condvar,
}

impl Bell {
    /// Ends the current wait.
    pub fn ring(&self) {
        self.lock().woken = true;
        self.rung.notify_all();
    }

    /// Waits until something changes, but no longer than `timeout`, and takes the changes.
    pub fn wait(&self, timeout: Duration) -> Changes {
        let idle = |c: &mut Changes| !c.woken && !c.structure && c.written.is_empty();
        let guard = self.lock();
        let (mut guard, _) = self.rung.wait_timeout_while(guard, timeout, idle).unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *guard)
    }

    fn note(&self, event: notify::Result<notify::Event>) {
        let mut changes = self.lock();
        match event.map(|e| (e.kind, e.paths)) {
            // Reading and opening, by ourselves above all.
            Ok((EventKind::Access(_), _)) => return,
            Ok((EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Any), paths)) if changes.written.len() < MAX_CHANGED => {
                changes.written.extend(paths);
            }
            // Metadata: a file that could not be read may be readable now.
            Ok(_) | Err(_) => changes.structure = true,
        }
        drop(changes);
        self.rung.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Changes> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The watched directories.
#[derive(Debug)]
pub struct Watch {
    watcher: Option<RecommendedWatcher>,
    watched: HashMap<PathBuf, Ident>,
    complained: bool,
}

impl Watch {
    /// A watcher that rings `bell`.
    pub fn new(bell: &Arc<Bell>) -> Watch {
        let bell = Arc::clone(bell);
        let mut watch = Watch { watcher: None, watched: HashMap::new(), complained: false };
        match notify::recommended_watcher(move |event| bell.note(event)) {
            Ok(watcher) => watch.watcher = Some(watcher),
            Err(error) => watch.complain(&error),
        }
        watch
    }

    /// Watches exactly these directories from now on.
    pub fn follow(&mut self, directories: &BTreeSet<PathBuf>) {
        let Some(mut watcher) = self.watcher.take() else { return };
        self.watched.retain(|dir, _| {
            let keep = directories.contains(dir);
            if !keep {
                // Fails where the directory is gone, and the watch with it.
                let _ = watcher.unwatch(dir);
            }
            keep
        });
        for dir in directories.iter().take(MAX_DIRECTORIES) {
            let Ok(ident) = std::fs::metadata(dir).map(|m| Ident::of(&m)) else { continue };
            // A directory that was made anew under its old name needs a new watch.
            if self.watched.get(dir) == Some(&ident) {
                continue;
            }
            match watcher.watch(dir, RecursiveMode::NonRecursive) {
                Ok(()) => drop(self.watched.insert(dir.clone(), ident)),
                Err(error) => self.complain(&error),
            }
        }
        self.watcher = Some(watcher);
    }

    fn complain(&mut self, error: &notify::Error) {
        if !self.complained {
            tracing::warn!(%error, "cannot watch directories for changes, polling them instead");
            self.complained = true;
        }
    }
}
