//! See `lxcri_tests::vm`.

fn main() -> std::process::ExitCode {
    lxcri_tests::vm::main()
}
