//! Security modules of the running kernel.

/// Whether AppArmor is in force (kernel: Documentation/admin-guide/LSM/apparmor.rst; the module's
/// parameter says `Y`).
pub fn apparmor_is_enabled() -> bool {
    std::fs::read("/sys/module/apparmor/parameters/enabled")
        .is_ok_and(|text| text.starts_with(b"Y"))
}
