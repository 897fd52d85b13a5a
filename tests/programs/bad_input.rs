//! See `lxcri_tests::bad_input`.

fn main() -> std::process::ExitCode {
    lxcri_tests::bad_input::main()
}
