//! What a target says of an input.

use std::fmt;

/// An invariant that an input has broken. The other way to fail is a panic of the parser itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken(String);

/// The answer of a target: an input that is refused properly is fine.
pub type Outcome = Result<(), Broken>;

impl fmt::Display for Broken {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// States an invariant.
pub(crate) fn holds(truth: bool, invariant: &str) -> Outcome {
    if truth { Ok(()) } else { Err(Broken(invariant.to_owned())) }
}

/// States that two values are the same, and shows them when they are not.
pub(crate) fn same<T: PartialEq + fmt::Debug>(left: &T, right: &T, invariant: &str) -> Outcome {
    if left == right {
        return Ok(());
    }
    Err(Broken(format!("{invariant}: {left:?} is not {right:?}")))
}

/// States that a step cannot fail, and says how it did: `result.map_err(never("is read again"))?`.
pub(crate) fn never<E: fmt::Debug>(invariant: &'static str) -> impl FnOnce(E) -> Broken {
    move |error| Broken(format!("{invariant}: {error:?}"))
}
