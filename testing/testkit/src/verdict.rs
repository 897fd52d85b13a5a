//! How a test ends.

use std::fmt;

/// Why a test did not end well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// Something is not as it must be.
    Failed(String),
    /// The test cannot say anything here; the reason is printed and counted.
    Skipped(String),
}

/// The result of a test.
pub type Verdict<T = ()> = Result<T, Stop>;

impl Stop {
    /// Puts `context` before the message of a failure; a skip stays as it is.
    #[must_use]
    pub fn within(self, context: impl fmt::Display) -> Self {
        match self {
            Self::Failed(message) => Self::Failed(format!("{context}: {message}")),
            skipped @ Self::Skipped(_) => skipped,
        }
    }
}

/// Every error ends the test as a failure, so that tests can use `?` throughout.
impl<E: std::error::Error> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Says what an error happened with.
pub trait Context<T> {
    /// Turns the error (or the absence of a value) into a failure that begins with `context`.
    ///
    /// # Errors
    /// The failure.
    fn context(self, context: impl fmt::Display) -> Verdict<T>;
}

impl<T, E: fmt::Display> Context<T> for Result<T, E> {
    fn context(self, context: impl fmt::Display) -> Verdict<T> {
        self.map_err(|error| Stop::Failed(format!("{context}: {error}")))
    }
}

impl<T> Context<T> for Option<T> {
    fn context(self, context: impl fmt::Display) -> Verdict<T> {
        self.ok_or_else(|| Stop::Failed(context.to_string()))
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(message) => f.write_str(message),
            Self::Skipped(reason) => write!(f, "skipped: {reason}"),
        }
    }
}

/// Ends the test as failed unless the condition holds.
#[macro_export]
macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err($crate::Stop::Failed(format!($($message)+)));
        }
    };
}

/// Ends the test as failed unless the two values are equal; shows both and the context.
#[macro_export]
macro_rules! ensure_eq {
    ($left:expr, $right:expr, $($context:tt)+) => {
        // `match` keeps temporaries of the two expressions alive, as assert_eq! does.
        match (&$left, &$right) {
            (left, right) => {
                if *left != *right {
                    return Err($crate::Stop::Failed(format!(
                        "{}: found {left:?}, expected {right:?}",
                        format_args!($($context)+)
                    )));
                }
            }
        }
    };
}

/// Ends the test as failed.
#[macro_export]
macro_rules! fail {
    ($($message:tt)+) => { return Err($crate::Stop::Failed(format!($($message)+))) };
}

/// Ends the test as skipped, with the reason.
#[macro_export]
macro_rules! skip {
    ($($reason:tt)+) => { return Err($crate::Stop::Skipped(format!($($reason)+))) };
}
