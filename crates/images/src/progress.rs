//! What long work tells those who wait. The command line draws bars or prints lines; tests count.

/// Listens to long work. One listener serves all threads of a pull.
pub trait Progress: Sync {
    /// A piece of work begins. `name` is a short digest or a file's name, `total` its bytes where
    /// they are known.
    fn begin(&self, stage: Stage, name: &str, total: Option<u64>) -> Box<dyn Task>;

    /// One line worth knowing, such as a mirror that was left out.
    fn note(&self, line: &str);
}

/// One piece of work. Dropped without [`Task::end`] it has failed.
pub trait Task: Send {
    /// So many more bytes are done.
    fn advance(&mut self, bytes: u64);

    /// It has ended well.
    fn end(self: Box<Self>, how: Ended);
}

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Bytes come from a registry.
    Pull,
    /// Bytes go to a registry.
    Push,
    /// Bytes come from an archive or directory.
    Import,
    /// Bytes go to an archive.
    Export,
    /// A layer becomes a directory.
    Unpack,
    /// Blobs are read and their digests compared.
    Verify,
}

/// How a piece of work ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was done.
    Done,
    /// There was nothing to do: we had it already.
    Present,
}

/// Says nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _stage: Stage, _name: &str, _total: Option<u64>) -> Box<dyn Task> {
        Box::new(Self)
    }

    fn note(&self, _line: &str) {}
}

impl Task for Silent {
    fn advance(&mut self, _bytes: u64) {}

    fn end(self: Box<Self>, _how: Ended) {}
}
