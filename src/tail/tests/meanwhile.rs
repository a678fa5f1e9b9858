//! A writer that works while the tail looks at the disk: its steps are taken before chosen accesses, all on one thread, so that a
//! sequence of steps gives the same interleaving whenever it is run.

use std::cell::RefCell;
use std::collections::VecDeque;

/// What a writer does in one go.
type Deed = Box<dyn FnOnce()>;

thread_local! {
    /// Each deed with the number of accesses to the disk that come between the one before and it.
    static WRITER: RefCell<VecDeque<(u32, Deed)>> = const { RefCell::new(VecDeque::new()) };
}

/// The disk is accessed: the writer goes on, if it is its turn.
pub fn meanwhile() {
    loop {
        let due = WRITER.with_borrow_mut(|writer| match writer.front_mut() {
            Some((0, _)) => writer.pop_front(),
            Some((accesses, _)) => {
                *accesses -= 1;
                None
            }
            None => None,
        });
        match due {
            Some((_, deed)) => deed(),
            None => return,
        }
    }
}

/// Lets the writer do something after so many more accesses than what it does before.
pub fn later(accesses: u32, deed: impl FnOnce() + 'static) {
    WRITER.with_borrow_mut(|writer| writer.push_back((accesses, Box::new(deed))));
}

/// What the writer does last waits for [`finish`].
pub fn hold_back_last() {
    WRITER.with_borrow_mut(|writer| {
        if let Some((accesses, _)) = writer.back_mut() {
            *accesses = u32::MAX;
        }
    });
}

/// Lets the writer do at once whatever it still has to do.
pub fn finish() {
    while let Some((_, deed)) = WRITER.with_borrow_mut(VecDeque::pop_front) {
        deed();
    }
}
