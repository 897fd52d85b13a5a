//! See `lxcri_tests::cli`.

fn main() -> std::process::ExitCode {
    lxcri_tests::cli::main()
}
