//! The steps at which work on a cgroup can be cut off half-way.

crate::steps! {
    /// Steps between two effects on one cgroup, by the verb that gets there.
    pub enum Step {
        /// The directory of the first hierarchy was made.
        CreateBegun = "create/first-hierarchy",
        /// The limits are changed, the device rules not yet.
        UpdateBegun = "update/limits",
        /// Freezing was asked for.
        PauseAsked = "pause/asked",
        /// Thawing was asked for.
        ResumeAsked = "resume/asked",
        /// Frozen, for a signal to reach everybody.
        KillFrozen = "kill/frozen",
        /// Everybody has the signal, and is still frozen.
        KillSignalled = "kill/signalled",
        /// The directory of the first hierarchy was removed.
        DeleteBegun = "delete/first-hierarchy",
    }
}
