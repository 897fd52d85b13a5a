//! Who may go next.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Places for a number of jobs at a time. Of those who wait the largest is next.
#[derive(Debug)]
pub(super) struct Slots {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    free: usize,
    /// Size, and a number that is larger for those who came earlier.
    waiting: Vec<(u64, u64)>,
    next: u64,
}

/// A place that is taken until this is dropped.
#[derive(Debug)]
pub(super) struct Slot<'s>(&'s Slots);

impl Slots {
    pub(super) fn new(count: usize) -> Self {
        let state = State { free: count, waiting: Vec::new(), next: u64::MAX };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    pub(super) fn take(&self, size: u64) -> Slot<'_> {
        let mut state = self.lock();
        let own = (size, state.next);
        state.next -= 1;
        state.waiting.push(own);
        while state.free == 0 || state.waiting.iter().max() != Some(&own) {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.waiting.retain(|waiting| *waiting != own);
        state.free -= 1;
        // There may be a place for the next one, too.
        self.changed.notify_all();
        Slot(self)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.0.lock().free += 1;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::thread;

    use super::*;

    #[test]
    fn the_largest_is_next() {
        let slots = Slots::new(1);
        let order = Mutex::new(Vec::new());
        thread::scope(|scope| {
            let held = slots.take(0);
            for size in [3, 9, 5] {
                let (slots, order) = (&slots, &order);
                scope.spawn(move || {
                    let _slot = slots.take(size);
                    order.lock().unwrap().push(size);
                });
            }
            while slots.lock().waiting.len() < 3 {
                thread::yield_now();
            }
            drop(held);
        });
        assert_eq!(*order.lock().unwrap(), [9, 5, 3]);
    }
}
