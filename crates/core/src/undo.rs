//! Undoing: every step that makes something says how to unmake it, and an error runs the list
//! backwards, so that a failure at any point leaves nothing behind.

use std::fmt;

use lxcri_linux::step::Step;

/// The steps taken so far. Dropped without [`Undo::commit`], it takes them all back.
#[derive(Default)]
pub struct Undo<'a> {
    steps: Vec<Done<'a>>,
}

struct Done<'a> {
    name: &'static str,
    back: Box<dyn FnOnce() -> Result<(), String> + 'a>,
}

impl<'a> Undo<'a> {
    /// No steps yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Registers how to take back `step`, which was just done.
    pub fn push<E: fmt::Display>(
        &mut self,
        step: impl Step,
        back: impl FnOnce() -> Result<(), E> + 'a,
    ) {
        let back = Box::new(move || back().map_err(|error| error.to_string()));
        self.steps.push(Done { name: step.name(), back });
        step.reached();
    }

    /// Everything worked: nothing will be taken back.
    pub fn commit(mut self) {
        self.steps.clear();
    }
}

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        while let Some(step) = self.steps.pop() {
            log::debug!("taking back: {}", step.name);
            if let Err(error) = (step.back)() {
                log::warn!("cannot take back {}: {error}", step.name);
            }
        }
    }
}

impl fmt::Debug for Undo<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_list().entries(self.steps.iter().map(|step| step.name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    lxcri_linux::steps! {
        enum Only {
            This = "test/this",
        }
    }

    fn run(commit: bool) -> Vec<u32> {
        let seen = RefCell::new(vec![]);
        let mut undo = Undo::new();
        for number in [1, 2, 3] {
            let seen = &seen;
            undo.push(Only::This, move || {
                seen.borrow_mut().push(number);
                if number == 2 { Err("stuck") } else { Ok(()) }
            });
        }
        if commit {
            undo.commit();
        } else {
            drop(undo);
        }
        seen.into_inner()
    }

    #[test]
    fn goes_backwards_and_past_a_failure() {
        assert_eq!(run(false), vec![3, 2, 1]);
        assert_eq!(Only::NAMES, [Only::This.name()]);
    }

    #[test]
    fn commit_keeps_everything() {
        assert_eq!(run(true), Vec::<u32>::new());
    }
}
