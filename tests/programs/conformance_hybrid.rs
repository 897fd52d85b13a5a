//! The conformance cases in the hybrid view.

fn main() -> std::process::ExitCode {
    lxcri_tests::conformance::main(lxcri_testkit::Place::Host(lxcri_testkit::View::Hybrid))
}
