//! The steps of this room, at each of which a crash test cuts it off. Around them stand those of
//! `core`; `start` and `kill` have no others, because the driven program takes our place.

lxcri_linux::steps! {
    /// Steps of driving a program, by verb.
    pub(crate) enum Step {
        /// The program's state directory was made.
        CreatePrepared = "create/program-directory",
        /// It is noted which program makes the container, and in which cgroup.
        CreatePart = "create/part",
        /// From here on the program may have a container.
        CreateProgram = "create/program",
        /// The process that is to become the program exists, and waits.
        CreateCloned = "create/cloned",
        /// It is noted which process that is.
        CreateNoted = "create/noted",
        /// The program is at work.
        CreateReleased = "create/released",
        /// The program has made its container.
        CreateRan = "create/ran",
        /// What was seen of the container is noted.
        CreateSeen = "create/seen",
        /// The document for the program was written.
        ExecFiles = "exec/files",
        /// The program has started the process.
        ExecRan = "exec/ran",
        /// The program is at work.
        PauseAsked = "pause/asked",
        /// The program is at work.
        ResumeAsked = "resume/asked",
        /// The program is at work.
        UpdateAsked = "update/asked",
        /// The program is at work.
        DeleteAsked = "delete/asked",
        /// The program has removed its container.
        DeleteProgram = "delete/program",
    }
}
