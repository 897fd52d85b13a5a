//! The steps of every verb that are the same in all rooms: in the state directory, and around what
//! the room does.

lxcri_linux::steps! {
    /// Steps of `core`, by verb.
    pub enum Step {
        /// The id's directory was made.
        CreateDirectory = "create/directory",
        /// It is locked.
        CreateLocked = "create/locked",
        /// The first file was written, under its temporary name.
        CreateTemporary = "create/temporary-file",
        /// The record says "creating".
        CreateCreating = "create/creating",
        /// The configuration is kept.
        CreateConfig = "create/config",
        /// The room has made the container.
        CreateRoom = "create/room",
        /// The pid file was written.
        CreatePidFile = "create/pid-file",
        /// The record says "created".
        CreateCreated = "create/created",
        /// The container is locked.
        StartLocked = "start/locked",
        /// The room has done its part, or named the program that does.
        StartRoom = "start/room",
        /// The container may be signalled.
        KillFound = "kill/found",
        /// The room has done its part, or named the program that does.
        KillRoom = "kill/room",
        /// The container is locked.
        DeleteLocked = "delete/locked",
        /// The room has removed what it had made.
        DeleteRoom = "delete/room",
        /// All files are gone but the record and the lock.
        DeleteFiles = "delete/files",
        /// The record is gone.
        DeleteRecord = "delete/record",
        /// A process may be run in the container.
        ExecFound = "exec/found",
        /// The room has started it.
        ExecRoom = "exec/room",
        /// Its pid file was written.
        ExecPidFile = "exec/pid-file",
        /// The container is locked.
        PauseLocked = "pause/locked",
        /// The room has frozen it.
        PauseRoom = "pause/room",
        /// The container is locked.
        ResumeLocked = "resume/locked",
        /// The room has thawed it.
        ResumeRoom = "resume/room",
        /// The container is locked.
        UpdateLocked = "update/locked",
        /// The room has changed the resources.
        UpdateRoom = "update/room",
    }
}
