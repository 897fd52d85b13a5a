//! The steps of making and removing a container of an image.

lxcri_linux::steps! {
    /// Steps around the root filesystem and the bundle.
    pub enum Step {
        /// The directory was made.
        Directory = "image-create/directory",
        /// The record is there.
        Record = "image-create/record",
        /// The root filesystem is ready.
        Rootfs = "image-create/rootfs",
        /// Files and volumes are there.
        Files = "image-create/files",
        /// The bundle is complete.
        Bundle = "image-create/bundle",
        /// The root filesystem is gone.
        RootfsGone = "image-delete/rootfs",
        /// All files are gone but the record.
        FilesGone = "image-delete/files",
        /// The record and the directory are gone.
        Gone = "image-delete/record",
    }
}
