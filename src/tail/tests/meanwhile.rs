//! A writer that works while the tail looks at the disk: its steps are taken before chosen accesses, all on one thread, so that a
//! sequence of steps gives the same interleaving whenever it is run.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;

/// What a writer does in one go.
type Deed = Box<dyn FnOnce()>;

thread_local! {
    /// Each deed with the number of accesses to the disk that come between the one before and it.
    static WRITER: RefCell<VecDeque<(u32, Deed)>> = const { RefCell::new(VecDeque::new()) };

    /// Descriptors that are left, and how often there is none then.
    static DESCRIPTORS: Cell<(u32, u32)> = const { Cell::new((0, 0)) };
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

/// A descriptor is used.
pub fn descriptor() -> io::Result<()> {
    match DESCRIPTORS.get() {
        (0, 0) => {}
        (0, refusals) => {
            DESCRIPTORS.set((0, refusals - 1));
            return Err(io::Error::from_raw_os_error(nix::libc::EMFILE));
        }
        (left, refusals) => DESCRIPTORS.set((left - 1, refusals)),
    }
    Ok(())
}

/// Lets there be so many more descriptors, and then so often none.
pub fn run_out(left: u32, refusals: u32) {
    DESCRIPTORS.set((left, refusals));
}

/// Lets the writer do at once whatever it still has to do, with descriptors for all.
pub fn finish() {
    run_out(0, 0);
    while let Some((_, deed)) = WRITER.with_borrow_mut(VecDeque::pop_front) {
        deed();
    }
}
