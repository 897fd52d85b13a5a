//! Images made by hand are images to others.

fn main() -> std::process::ExitCode {
    lxcri_tests::handmade::main()
}
