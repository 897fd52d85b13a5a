//! The conformance cases in the v1 view.

fn main() -> std::process::ExitCode {
    lxcri_tests::conformance::main(lxcri_testkit::Place::Host(lxcri_testkit::View::V1))
}
