//! The listeners' side: admission, and the queue to the writer's thread.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::SyncSender;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError, oneshot};

use super::format::{KIND_GROUP, KIND_LOSS, RECORD_HEADER};
use super::{DoorLoss, Group, Health, JournalError, Shared};

/// Where listeners append. Cheap to clone.
#[derive(Debug, Clone)]
pub struct JournalHandle {
    shared: Arc<Shared>,
    queue: Arc<Semaphore>,
    sender: SyncSender<Message>,
}

/// A group that [`JournalHandle::try_append`] did not take.
#[derive(Debug)]
pub struct Rejected {
    /// The group.
    pub group: Group,
    /// Why. [`JournalError::Full`] is the limit on disk, [`JournalError::Unavailable`] that the queue in memory is full.
    pub reason: JournalError,
}

/// What the writer's thread is told.
#[derive(Debug)]
pub(super) enum Message {
    /// Write this.
    Append(Entry),
    /// Say when everything before is synced.
    Flush(oneshot::Sender<()>),
    /// Look whether something was released.
    Wake,
    /// End.
    Close,
}

/// An encoded group on its way to the disk.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) kind: u32,
    pub(super) body: Vec<u8>,
    pub(super) frames: u64,
    /// Places of the queue that it takes.
    pub(super) places: u32,
    /// Who waits for it to be synced.
    pub(super) waiter: Option<oneshot::Sender<Result<(), JournalError>>>,
    pub(super) space: Space,
    _place: OwnedSemaphorePermit,
}

/// Space on disk that was promised. Given back when dropped, unless it was used.
#[derive(Debug)]
pub(super) struct Space {
    shared: Arc<Shared>,
    bytes: u64,
}

impl Space {
    fn take(shared: &Arc<Shared>, bytes: u64) -> Option<Space> {
        shared.take_space(bytes).then(|| Space { shared: Arc::clone(shared), bytes })
    }

    /// The bytes are in a segment now.
    pub(super) fn used(mut self) {
        self.bytes = 0;
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.shared.give_back_space(self.bytes);
        }
    }
}

impl JournalHandle {
    pub(super) fn new(shared: &Arc<Shared>, sender: SyncSender<Message>) -> JournalHandle {
        let places = shared.options.queue_bytes.clamp(1, u32::MAX as usize);
        JournalHandle { shared: Arc::clone(shared), queue: Arc::new(Semaphore::new(places)), sender }
    }

    /// How many messages the channel must hold so that sending never fails: groups and flushes have a place in the queue each, and
    /// there is at most one wake-up and a few requests to close.
    pub(super) fn channel_capacity(shared: &Shared) -> usize {
        shared.options.queue_groups.max(1) + 64
    }

    /// Appends a group: waits while the journal is full or the queue is. It is on disk within the sync interval, or when the disk
    /// takes it again. Dropping the future before it is done appends nothing.
    ///
    /// # Errors
    /// [`JournalError::TooLarge`] or [`JournalError::Closed`].
    pub async fn append(&self, group: &Group) -> Result<(), JournalError> {
        let body = self.body(group)?;
        let space = self.wait_for_space(Self::record_bytes(&body)).await?;
        let places = self.places(&body);
        let place = Arc::clone(&self.queue).acquire_many_owned(places).await.map_err(|_| JournalError::Closed)?;
        self.send(Entry {
            kind: KIND_GROUP,
            frames: group.frames().len() as u64,
            body,
            places,
            waiter: None,
            space,
            _place: place,
        })
    }

    /// Appends a group and returns when it is synced. Those who wait at the same time share one sync. Once called, the group may be
    /// written even if the future is dropped.
    ///
    /// # Errors
    /// [`JournalError::Full`], [`JournalError::Unavailable`], [`JournalError::TooLarge`] or [`JournalError::Closed`]: the group is not
    /// acknowledged, and not in the journal.
    pub async fn append_and_wait(&self, group: &Group) -> Result<(), JournalError> {
        let body = self.body(group)?;
        let mut health = self.shared.health.subscribe();
        if let Some(error) = unwell(&health.borrow()) {
            return Err(error);
        }
        let space = Space::take(&self.shared, Self::record_bytes(&body)).ok_or(JournalError::Full)?;
        let places = self.places(&body);
        let place = tokio::select! {
            biased;
            place = Arc::clone(&self.queue).acquire_many_owned(places) => place.map_err(|_| JournalError::Closed)?,
            health = health.wait_for(|h| *h != Health::Good) => {
                return Err(health.ok().and_then(|h| unwell(&h)).unwrap_or(JournalError::Closed));
            }
        };
        let (waiter, answer) = oneshot::channel();
        self.send(Entry {
            kind: KIND_GROUP,
            frames: group.frames().len() as u64,
            body,
            places,
            waiter: Some(waiter),
            space,
            _place: place,
        })?;
        answer.await.unwrap_or(Err(JournalError::Closed))
    }

    /// Appends a group if that is possible without waiting.
    ///
    /// # Errors
    /// The group, and why it was not taken.
    pub fn try_append(&self, group: Group) -> Result<(), Box<Rejected>> {
        let rejected = |group, reason| Err(Box::new(Rejected { group, reason }));
        let body = match self.body(&group) {
            Ok(body) => body,
            Err(reason) => return rejected(group, reason),
        };
        let Some(space) = Space::take(&self.shared, Self::record_bytes(&body)) else {
            return rejected(group, JournalError::Full);
        };
        let places = self.places(&body);
        let place = match Arc::clone(&self.queue).try_acquire_many_owned(places) {
            Ok(place) => place,
            Err(TryAcquireError::Closed) => return rejected(group, JournalError::Closed),
            Err(TryAcquireError::NoPermits) => return rejected(group, JournalError::Unavailable("its queue is full".into())),
        };
        let frames = group.frames().len() as u64;
        match self.send(Entry { kind: KIND_GROUP, frames, body, places, waiter: None, space, _place: place }) {
            Ok(()) => Ok(()),
            Err(reason) => rejected(group, reason),
        }
    }

    /// Appends what a door had to drop, if that is possible without waiting; whether it was. What was not is to be told later.
    pub fn try_append_loss(&self, loss: &DoorLoss) -> bool {
        let body = loss.encode();
        let (space, places) = (Space::take(&self.shared, Self::record_bytes(&body)), self.places(&body));
        let place = Arc::clone(&self.queue).try_acquire_many_owned(places);
        let (Some(space), Ok(place)) = (space, place) else { return false };
        self.send(Entry { kind: KIND_LOSS, frames: 0, body, places, waiter: None, space, _place: place }).is_ok()
    }

    /// Returns when everything that was appended before the call is synced, however long the disk refuses.
    ///
    /// # Errors
    /// [`JournalError::Closed`]: the journal was closed meanwhile.
    pub async fn flush(&self) -> Result<(), JournalError> {
        // A flush takes a place like a group, so that the channel has room for it.
        let _place = self.queue.acquire_many(self.least_places()).await.map_err(|_| JournalError::Closed)?;
        let (done, answer) = oneshot::channel();
        self.sender.try_send(Message::Flush(done)).map_err(|_| JournalError::Closed)?;
        answer.await.map_err(|_| JournalError::Closed)
    }

    pub(super) fn wake(&self) {
        // One at a time, so that the channel keeps its room for groups.
        if !self.shared.woken.swap(true, Ordering::AcqRel) {
            let _ = self.sender.try_send(Message::Wake);
        }
    }

    pub(super) fn close(&self) {
        self.queue.close();
        self.shared.space.notify_waiters();
        // The channel has room for a few of these beside all groups.
        let _ = self.sender.try_send(Message::Close);
    }

    pub(super) fn queue(&self) -> Arc<Semaphore> {
        Arc::clone(&self.queue)
    }

    fn body(&self, group: &Group) -> Result<Vec<u8>, JournalError> {
        let body = group.encode();
        let limit = self.shared.options.max_body_bytes();
        if body.len() > limit { Err(JournalError::TooLarge { bytes: body.len(), limit }) } else { Ok(body) }
    }

    fn record_bytes(body: &[u8]) -> u64 {
        (RECORD_HEADER + body.len()) as u64
    }

    /// The queue's places are bytes; a group takes at least its share of the number of groups.
    fn places(&self, body: &[u8]) -> u32 {
        let all = self.shared.options.queue_bytes.clamp(1, u32::MAX as usize);
        body.len().clamp(self.least_places() as usize, all) as u32
    }

    fn least_places(&self) -> u32 {
        let all = self.shared.options.queue_bytes.clamp(1, u32::MAX as usize);
        all.div_ceil(self.shared.options.queue_groups.max(1)) as u32
    }

    async fn wait_for_space(&self, bytes: u64) -> Result<Space, JournalError> {
        loop {
            // Listening begins before looking, so that no release falls between the two.
            let mut freed = std::pin::pin!(self.shared.space.notified());
            freed.as_mut().enable();
            if self.queue.is_closed() {
                return Err(JournalError::Closed);
            }
            if let Some(space) = Space::take(&self.shared, bytes) {
                return Ok(space);
            }
            freed.await;
        }
    }

    fn send(&self, entry: Entry) -> Result<(), JournalError> {
        self.sender.try_send(Message::Append(entry)).map_err(|_| JournalError::Closed)
    }
}

fn unwell(health: &Health) -> Option<JournalError> {
    match health {
        Health::Good => None,
        Health::Failing(why) => Some(JournalError::Unavailable(Arc::clone(why))),
        Health::Closed => Some(JournalError::Closed),
    }
}
