//! The gate before the pipeline: what has passed it and is not committed yet takes a bounded amount of memory.
//!
//! Batches pass in the order in which they will be committed, and a commit tells the positions of all its batches, so the positions
//! tell how many batches are done.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::config::under_way_bytes;
use crate::frame::Batch;

/// See the module.
#[derive(Debug)]
pub struct Gate {
    room: Arc<Semaphore>,
    all: usize,
    under_way: Mutex<UnderWay>,
}

#[derive(Debug, Default)]
struct UnderWay {
    /// Of each batch the number of its positions, and its room.
    batches: VecDeque<(usize, OwnedSemaphorePermit)>,
    /// Positions that were committed, of batches that are still in the queue.
    committed: usize,
}

impl Gate {
    /// A gate for `bytes` of memory.
    pub fn new(bytes: usize) -> Arc<Gate> {
        let all = bytes.clamp(1, Semaphore::MAX_PERMITS.min(u32::MAX as usize));
        Arc::new(Gate { room: Arc::new(Semaphore::new(all)), all, under_way: Mutex::default() })
    }

    /// Hands batches on while there is room for them, until there are no more, or nobody takes them. A batch that is too large for all
    /// the room there is passes when nothing else is under way. `passing` is told of each that passes.
    pub async fn run(self: Arc<Self>, mut batches: mpsc::Receiver<Batch>, out: mpsc::Sender<Batch>, passing: impl Fn(&Batch)) {
        while let Some(batch) = batches.recv().await {
            let bytes = cost(&batch).clamp(1, self.all) as u32;
            // Nobody closes it.
            let Ok(room) = Arc::clone(&self.room).acquire_many_owned(bytes).await else { return };
            self.lock().batches.push_back((batch.positions.len(), room));
            passing(&batch);
            if out.send(batch).await.is_err() {
                return;
            }
        }
    }

    /// A transaction with that many positions was committed.
    pub fn committed(&self, positions: usize) {
        let mut under_way = self.lock();
        under_way.committed += positions;
        while let Some((positions, _)) = under_way.batches.front()
            && *positions <= under_way.committed
        {
            let positions = *positions;
            under_way.committed -= positions;
            under_way.batches.pop_front();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, UnderWay> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn cost(batch: &Batch) -> usize {
    // Counted in bytes, a few at a time, which is many times faster than one by one.
    let odd_in = |piece: &[u8]| usize::from(piece.iter().map(|byte| u8::from(!(b' '..=b'~').contains(byte))).sum::<u8>());
    let odd = batch.bytes.chunks(192).map(odd_in).sum();
    under_way_bytes(batch.frames.len(), batch.bytes.len(), odd)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::frame::PositionChange;

    fn batch(bytes: usize, positions: usize) -> Batch {
        let position =
            || PositionChange { input: "i".into(), part: "p".into(), from: 0, to: 1, detail: Some(serde_json::Value::Null) };
        Batch { bytes: vec![b'x'; bytes], positions: (0..positions).map(|_| position()).collect(), ..Batch::default() }
    }

    #[test]
    fn a_batch_costs_more_the_odder_it_is() {
        let of = |bytes: &[u8]| cost(&Batch { bytes: bytes.to_vec(), ..Batch::default() });
        assert_eq!((of(&[b' '; 1000]), of(&[b'~'; 1000])), (4000, 4000));
        assert_eq!((of(&[0xff; 1000]), of(&[b'\n'; 1000])), (11_000, 11_000));
        assert_eq!(of(&[&[b'a'; 500][..], &[0x7f; 3]].concat()), 4 * 503 + 21);
    }

    #[tokio::test]
    async fn what_is_not_committed_takes_no_more_than_there_is() {
        let gate = Gate::new(4 * 1000);
        let ((inputs, batches), (out, mut passed)) = (mpsc::channel(10), mpsc::channel(10));
        let running = tokio::spawn(Arc::clone(&gate).run(batches, out, |_| {}));
        for (bytes, positions) in [(400, 1), (400, 3), (300, 1), (9000, 2), (1, 1)] {
            inputs.send(batch(bytes, positions)).await.unwrap();
        }
        drop(inputs);
        let soon = Duration::from_secs(20);
        let mut next = async |want: usize| {
            let got = tokio::time::timeout(soon, passed.recv()).await.expect("it passes").unwrap();
            assert_eq!(got.bytes.len(), want);
            tokio::task::yield_now().await;
            passed.is_empty()
        };
        next(400).await;
        assert!(next(400).await, "no room for the third");
        gate.committed(3);
        assert!(next(300).await, "one is done, and of the next not all");
        gate.committed(1);
        gate.committed(1);
        assert!(next(9000).await, "alone");
        gate.committed(2);
        next(1).await;
        tokio::time::timeout(soon, running).await.expect("it ends with its inputs").unwrap();
        gate.committed(1);
        assert_eq!((gate.room.available_permits(), gate.lock().batches.len()), (4000, 0));
    }
}
