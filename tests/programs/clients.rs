//! See `lxcri_tests::clients`.

fn main() -> std::process::ExitCode {
    lxcri_tests::clients::main()
}
