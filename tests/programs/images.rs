//! See `lxcri_tests::images`.

fn main() -> std::process::ExitCode {
    lxcri_tests::images::main()
}
