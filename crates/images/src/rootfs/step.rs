//! The steps of making and removing a root filesystem.

lxcri_linux::steps! {
    /// Steps, by verb. Not every provider goes through all of them.
    pub enum Step {
        /// The container's directory was made.
        PrepareDirectory = "rootfs-prepare/directory",
        /// The record was written under its temporary name.
        PrepareTemporary = "rootfs-prepare/temporary-record",
        /// The record is there.
        PrepareRecord = "rootfs-prepare/record",
        /// The place for a golden tree was made.
        GoldenDirectory = "rootfs-prepare/golden-directory",
        /// The golden tree is filled, and not yet called ready.
        GoldenFilled = "rootfs-prepare/golden-filled",
        /// The golden tree is ready.
        GoldenReady = "rootfs-prepare/golden-ready",
        /// overlay: the upper directory was made.
        PrepareUpper = "rootfs-prepare/upper",
        /// copy: the container's tree was made and is empty; btrfs: it is a snapshot; zfs: a clone.
        PrepareTree = "rootfs-prepare/tree",
        /// Everything on disk was made.
        PrepareMade = "rootfs-prepare/made",
        /// It is mounted where it has to be.
        PrepareMounted = "rootfs-prepare/mounted",
        /// Nothing is mounted any more.
        RemoveUnmounted = "rootfs-remove/unmounted",
        /// What the provider had made elsewhere is gone.
        RemoveUnmade = "rootfs-remove/unmade",
        /// All files are gone but the record.
        RemoveFiles = "rootfs-remove/files",
        /// The record is gone.
        RemoveRecord = "rootfs-remove/record",
    }
}
