//! The steps of this room, at each of which a crash test cuts it off.

lxcri_linux::steps! {
    /// Steps of the built-in executor, by verb; `init` is the container's own first process.
    pub(crate) enum Step {
        /// It is noted where the cgroup will be.
        CreateRoomFile = "create/room-file",
        /// Hooks may run from here on.
        CreateHooks = "create/hooks",
        /// The cgroup was made.
        CreateCgroup = "create/cgroup",
        /// Its limits are set.
        CreateLimits = "create/limits",
        /// The gate was made.
        CreateGate = "create/gate",
        /// Init was cloned.
        CreateInit = "create/init-cloned",
        /// The id mappings are written.
        CreateMapped = "create/mapped",
        /// Init's identity is recorded.
        CreateRecorded = "create/recorded",
        /// Init was told to go on.
        CreateReleased = "create/released",
        /// Init is in its v1 cgroups.
        CreateJoined = "create/joined",
        /// The runtime's hooks have run.
        CreateHooksRun = "create/hooks-run",
        /// Init's limits are set.
        CreateRlimits = "create/rlimits",
        /// Init is ready.
        CreateReady = "create/ready",
        /// Init was told to go on.
        InitReleased = "create/init/released",
        /// It is in its namespaces.
        InitSettled = "create/init/settled",
        /// The file system is put together.
        InitMounted = "create/init/mounted",
        /// The hooks of `create` have run.
        InitHooks = "create/init/hooks",
        /// The container's root is init's.
        InitEntered = "create/init/entered",
        /// Everything is done but to say so.
        InitReady = "create/init/ready",
        /// Init was let through the gate.
        InitThrough = "start/init/through",
        /// Its hooks have run; only its program is missing.
        InitLast = "start/init/hooks",
        /// The gate is open.
        StartOpened = "start/opened",
        /// Init has executed its program.
        StartThrough = "start/through",
        /// Every process was killed.
        DeleteKilled = "delete/killed",
        /// The cgroup was removed.
        DeleteCgroup = "delete/cgroup",
        /// The signal was sent.
        KillSent = "kill/sent",
    }
}
