//! The sum over all test programs of one run.
