//! The steps of making a layer's directory.

lxcri_linux::steps! {
    /// Steps of [`Layers::make`](super::Layers::make), of the process that unpacks for it, and of
    /// [`Layers::sync`](super::Layers::sync).
    pub enum Step {
        /// The temporary directory was made.
        Directory = "image-unpack/directory",
        /// The process has given up its rights and begins.
        WorkerReady = "image-unpack/worker/ready",
        /// The process has written everything.
        WorkerWritten = "image-unpack/worker/written",
        /// The tree is complete.
        Unpacked = "image-unpack/unpacked",
        /// The mark says that it is ready.
        Marked = "image-unpack/marked",
        /// It has its name.
        Renamed = "image-unpack/renamed",
        /// It is on the disk, and not marked so.
        Synced = "image-unpack/synced",
    }
}
