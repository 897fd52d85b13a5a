//! The conformance cases in the uml guest.

fn main() -> std::process::ExitCode {
    lxcri_tests::conformance::main(lxcri_testkit::Place::Guest(lxcri_testkit::Tier::Uml))
}
