//! See `lxcri_tests::guests`.

fn main() -> std::process::ExitCode {
    lxcri_tests::guests::main()
}
