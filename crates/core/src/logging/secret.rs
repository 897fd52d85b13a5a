//! Values that must never be printed.

use std::fmt;

/// A password, token or key. Printed in any way it is `***`; the value comes out of
/// [`Secret::reveal`] alone, so that every use can be found.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// Hides a value.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself: for the place that sends it where it belongs, and nothing else.
    pub fn reveal(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

impl<T> fmt::Display for Secret<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_never_prints() {
        let secret = Some(Secret::new("hunter2"));
        assert_eq!(format!("{secret:?} {secret:#?}").matches("hunter2").count(), 0);
        assert_eq!(Secret::new("hunter2").to_string(), "***");
        assert_eq!(format!("{:?}", Secret::new(7)), "***");
        assert_eq!(*Secret::new("hunter2").reveal(), "hunter2");
    }
}
