//! Work on many items with a few threads.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// Whether the work is given up because one item has failed.
#[derive(Debug, Default)]
pub(crate) struct GivenUp(AtomicBool);

impl GivenUp {
    /// Asked in the middle of long items.
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Calls `work` for every item with its number, in their order, on at most `threads` threads, this
/// one among them.
///
/// # Errors
/// The first that happened; no further item is begun then.
pub(crate) fn each<T: Sync, E: Send>(
    items: &[T],
    threads: usize,
    work: impl Fn(usize, &T, &GivenUp) -> Result<(), E> + Sync,
) -> Result<(), E> {
    let (next, given_up, failure) = (AtomicUsize::new(0), GivenUp::default(), Mutex::new(None));
    let run = || {
        while !given_up.is_set() {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(number) else { return };
            if let Err(error) = work(number, item, &given_up) {
                // Who comes second only says that there was a first.
                if !given_up.0.swap(true, Ordering::Relaxed) {
                    *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads.min(items.len()) {
            scope.spawn(run);
        }
        run();
    });
    failure.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_items_once_and_the_first_error() {
        let items: Vec<usize> = (0..100).collect();
        let sum = AtomicUsize::new(0);
        let add = |number: usize, item: &usize, _: &GivenUp| {
            assert_eq!(number, *item);
            sum.fetch_add(*item, Ordering::Relaxed);
            Ok::<(), ()>(())
        };
        each(&items, 4, add).unwrap();
        assert_eq!(sum.into_inner(), 4950);
        let seen = AtomicUsize::new(0);
        let fail = |_: usize, item: &usize, _: &GivenUp| {
            seen.fetch_add(1, Ordering::Relaxed);
            if *item == 3 { Err("three") } else { Ok(()) }
        };
        assert_eq!(each(&items, 1, fail), Err("three"));
        assert_eq!(seen.into_inner(), 4, "nothing is begun after it");
    }
}
