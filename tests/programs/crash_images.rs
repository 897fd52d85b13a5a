//! The crash tests of images: every step is a test. See `lxcri_tests::crash_images`.

fn main() -> std::process::ExitCode {
    lxcri_tests::crash_images::main(lxcri_images::steps())
}
