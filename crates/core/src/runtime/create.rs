//! `create`: from a bundle to a container whose program waits for `start`.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

use lxcri_linux::chain;
use lxcri_linux::procfs::Proc;
use lxcri_linux::step::Step as _;

use super::{OpenRoom, Runtime};
use crate::backend::{Backend, Container, Create, Room};
use crate::coverage::Findings;
use crate::error::Error;
use crate::id::ContainerId;
use crate::lifecycle::Status;
use crate::oci::{Spec, SpecError};
use crate::routing::{self, Question};
use crate::step::Step;
use crate::store::{Record, SCHEMA, StoreError};
use crate::undo::Undo;

/// How to make a container.
#[derive(Debug)]
pub struct CreateOptions {
    /// Its id.
    pub id: ContainerId,
    /// The bundle's directory.
    pub bundle: PathBuf,
    /// Where to write init's pid.
    pub pid_file: Option<PathBuf>,
    /// Unix socket that takes the terminal's master; needs `process.terminal`.
    pub console_socket: Option<PathBuf>,
    /// A console that is connected already, for a foreground run with a terminal.
    pub console: Option<OwnedFd>,
    /// Descriptors after 2 to hand on.
    pub preserve_fds: u32,
    /// Do not use pivot_root(2).
    pub no_pivot: bool,
    /// Keep the caller's session keyring.
    pub no_new_keyring: bool,
    /// `--backend`.
    pub backend: Option<String>,
}

impl Runtime<'_> {
    /// Makes a container. On an error nothing of it is left.
    pub fn create(&self, options: CreateOptions) -> Result<Container, Error> {
        let bundle = absolute(&options.bundle)?;
        let early = self.room_without_spec(&options, &bundle)?;
        let config_path = bundle.join("config.json");
        let config = read_config(&config_path)?;
        let spec = Spec::parse(&config, &config_path)?;
        let (room, backend) = match early {
            Some(chosen) => chosen,
            None => self.choose_room(options.backend.as_deref(), &options.id, &bundle, &spec)?,
        };
        judge(room, &config, &config_path)?;
        let process = spec.require_process(&config_path)?;
        let console = connect_console(&options, process.terminal)?;
        let rootfs = find_rootfs(&bundle, &spec, &config_path)?;
        let create = Create {
            spec: &spec,
            config_path: config_path.clone(),
            console: options.console.or(console),
            console_path: options.console_socket,
            preserve_fds: options.preserve_fds,
            no_pivot: options.no_pivot,
            no_new_keyring: options.no_new_keyring,
        };
        backend.check(&create)?;
        let record = new_record(&options.id, &spec, room.name, &bundle, &rootfs)?;
        self.make(record, &config, backend.as_ref(), create, options.pid_file.as_deref())
    }

    /// Everything that leaves traces.
    fn make(
        &self,
        record: Record,
        config: &[u8],
        backend: &dyn Backend,
        create: Create<'_>,
        pid_file: Option<&Path>,
    ) -> Result<Container, Error> {
        let (entry, lock) = self.store.reserve(&record.id)?;
        let mut undo = Undo::new();
        let to_remove = entry.clone();
        let lock = &lock;
        undo.push(Step::CreateLocked, move || {
            // Deleted by force meanwhile, the id may be another container's.
            if lock.is_current() { to_remove.remove() } else { Ok(()) }
        });
        let mut container = Container { entry, record };
        container.entry.write_record(&container.record)?;
        Step::CreateCreating.reached();
        container.entry.write("config.json", config)?;
        Step::CreateConfig.reached();
        backend.create(&mut container, create)?;
        let made = container.clone();
        undo.push(Step::CreateRoom, move || backend.delete(&made));
        if let (Some(path), Some(init)) = (pid_file, container.record.process) {
            write_pid_file(path, init.pid)?;
            undo.push(Step::CreatePidFile, move || remove_pid_file(path, init.pid));
        }
        if !lock.is_current() {
            return Err(StoreError::NotFound { id: container.id().to_string() }.into());
        }
        container.record.status = Status::Created;
        container.entry.write_record(&container.record)?;
        Step::CreateCreated.reached();
        undo.commit();
        Ok(container)
    }

    /// The room, where it does not depend on what the bundle says: then a room that re-executes
    /// itself does so before the document is parsed.
    fn room_without_spec(
        &self,
        options: &CreateOptions,
        bundle: &Path,
    ) -> Result<Option<OpenRoom>, Error> {
        let by_annotation: bool = self.config().get("runtime", "backend_annotation")?;
        let needs_spec = by_annotation || !self.config().routes().is_empty();
        if options.backend.is_none() && needs_spec {
            return Ok(None);
        }
        let flag = options.backend.as_deref();
        self.choose_room(flag, &options.id, bundle, &Spec::default()).map(Some)
    }

    /// Chooses the room of a container whose bundle is still to be made, and gets it ready: a room
    /// may execute this program anew, so nothing must have been begun yet. `bundle` is where the
    /// bundle will be.
    pub fn enter(
        &self,
        id: &ContainerId,
        bundle: &Path,
        backend: Option<&str>,
    ) -> Result<&'static Room, Error> {
        Ok(self.choose_room(backend, id, bundle, &Spec::default())?.0)
    }

    fn choose_room(
        &self,
        flag: Option<&str>,
        id: &ContainerId,
        bundle: &Path,
        spec: &Spec,
    ) -> Result<OpenRoom, Error> {
        let config = self.config();
        let choice = routing::choose(&Question {
            flag,
            routes: config.routes(),
            annotation_allowed: config.get("runtime", "backend_annotation")?,
            default: config.get("runtime", "default_backend")?,
            known: &self.room_names(),
            id: id.as_str(),
            bundle,
            annotations: &|key| spec.annotations.get(key).map(String::as_str),
        })?;
        if let Some(warning) = &choice.warning {
            log::warn!("{id}: {warning}");
        }
        log::debug!("{id}: backend {} ({})", choice.backend, choice.because);
        let (room, backend) = self.open_room(id.as_str(), &choice.backend)?;
        backend.enter()?;
        Ok((room, backend))
    }
}

/// Asks the coverage table; refusals are errors, the rest is told.
pub(super) fn judge(room: &'static Room, config: &[u8], path: &Path) -> Result<(), Error> {
    let Findings { refused, ignored } = room.coverage.check(config);
    for finding in ignored {
        log::warn!("{}: ignored by the {} backend: {finding}", path.display(), room.name);
    }
    if refused.is_empty() {
        return Ok(());
    }
    Err(Error::Refused { backend: room.name, path: path.to_owned(), findings: refused })
}

fn absolute(bundle: &Path) -> Result<PathBuf, Error> {
    std::fs::canonicalize(bundle).map_err(|source| Error::Io {
        what: "open bundle",
        path: bundle.to_owned(),
        source,
    })
}

/// The most a `config.json` may hold, in bytes; real ones have some ten thousand.
const CONFIG_MAX: u64 = 16 << 20;

fn read_config(path: &Path) -> Result<Vec<u8>, SpecError> {
    use std::io::Read;
    let read_error = |source| SpecError::Read { path: path.to_owned(), source };
    // Without O_NONBLOCK a fifo would be waited at for ever.
    let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = match std::fs::File::options().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(SpecError::Missing { path: path.to_owned() });
        }
        Err(error) => return Err(read_error(error)),
    };
    if !file.metadata().map_err(read_error)?.is_file() {
        return Err(read_error(io::Error::other("not a regular file")));
    }
    let mut bytes = Vec::new();
    file.take(CONFIG_MAX + 1).read_to_end(&mut bytes).map_err(read_error)?;
    if bytes.len() as u64 > CONFIG_MAX {
        return Err(read_error(io::Error::other("larger than 16 MiB")));
    }
    Ok(bytes)
}

/// The root filesystem: absolute as given, relative below the bundle and not above it.
fn find_rootfs(bundle: &Path, spec: &Spec, config: &Path) -> Result<PathBuf, SpecError> {
    let invalid = |problem: String| SpecError::Invalid {
        path: config.to_owned(),
        field: "root.path".to_owned(),
        problem,
    };
    let root = spec.root.as_ref().ok_or_else(|| invalid("property is missing".to_owned()))?;
    if root.path.as_os_str().is_empty() {
        return Err(invalid("is empty".to_owned()));
    }
    if root.path.is_relative() && leaves(&root.path) {
        return Err(invalid(format!("{} leads out of the bundle", root.path.display())));
    }
    let path = bundle.join(&root.path);
    let resolved = std::fs::canonicalize(&path)
        .map_err(|error| invalid(format!("rootfs {}: {}", path.display(), plain(&error))))?;
    if !resolved.is_dir() {
        return Err(invalid(format!("rootfs {}: not a directory", path.display())));
    }
    if root.path.is_relative() && !resolved.starts_with(bundle) {
        return Err(invalid(format!("{} leads out of the bundle", root.path.display())));
    }
    if resolved == Path::new("/") {
        return Err(invalid("the host's own root cannot be a container's".to_owned()));
    }
    Ok(resolved)
}

/// errno in the words that clients of runc match.
fn plain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}

/// Whether a relative path goes above where it starts.
fn leaves(path: &Path) -> bool {
    let mut depth = 0_i32;
    path.components().any(|component| {
        depth += match component {
            Component::ParentDir => -1,
            Component::Normal(_) => 1,
            _ => 0,
        };
        depth < 0
    })
}

/// Connects to the console socket; the rules about who needs one are runc's.
fn connect_console(options: &CreateOptions, terminal: bool) -> Result<Option<OwnedFd>, Error> {
    match (&options.console_socket, terminal, options.console.is_some()) {
        (None, false, _) | (None, true, true) => Ok(None),
        (None, true, false) => Err(Error::Invalid(
            "cannot allocate a terminal without --console-socket: process.terminal is true"
                .to_owned(),
        )),
        (Some(_), false, _) => {
            Err(Error::Invalid("cannot use --console-socket: process.terminal is false".to_owned()))
        }
        (Some(path), true, _) => super::exec::connect(path).map(Some),
    }
}

fn new_record(
    id: &ContainerId,
    spec: &Spec,
    backend: &str,
    bundle: &Path,
    rootfs: &Path,
) -> Result<Record, Error> {
    Ok(Record {
        schema: SCHEMA,
        oci_version: spec.oci_version.clone(),
        id: id.clone(),
        backend: backend.to_owned(),
        bundle: bundle.to_owned(),
        rootfs: rootfs.to_owned(),
        created: crate::time::rfc3339(SystemTime::now()),
        status: Status::Creating,
        process: None,
        boot_id: boot_id()?,
        owner: rustix::process::getuid().as_raw(),
        annotations: spec.annotations.clone(),
    })
}

/// The kernel's id of this boot.
pub fn boot_id() -> Result<String, Error> {
    Proc::open().and_then(|proc| proc.boot_id()).map_err(|error| Error::Io {
        what: "read",
        path: "/proc/sys/kernel/random/boot_id".into(),
        source: io::Error::other(chain(&error)),
    })
}

/// Writes a pid by temporary file and rename: whoever waits for the file never reads half of it.
pub(super) fn write_pid_file(path: &Path, pid: i32) -> Result<(), Error> {
    let io_error = |source| Error::Io { what: "write pid file", path: path.to_owned(), source };
    let name = path.file_name().ok_or_else(|| io_error(io::ErrorKind::InvalidInput.into()))?;
    let mut temporary = std::ffi::OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{}", std::process::id()));
    let temporary = path.with_file_name(temporary);
    std::fs::write(&temporary, pid.to_string())
        .and_then(|()| std::fs::rename(&temporary, path))
        .map_err(|error| {
            // The error that matters is the first one.
            let _ = std::fs::remove_file(&temporary);
            io_error(error)
        })
}

/// Takes a pid file back, where it still is ours: it must not name a process that is gone.
pub fn remove_pid_file(path: &Path, pid: i32) -> Result<(), Error> {
    if std::fs::read_to_string(path).is_ok_and(|text| text == pid.to_string()) {
        std::fs::remove_file(path).map_err(|source| Error::Io {
            what: "remove pid file",
            path: path.to_owned(),
            source,
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_paths_that_leave() {
        for path in ["..", "../x", "a/../../x", "./../x", "a/b/../../../c"] {
            assert!(leaves(Path::new(path)), "{path}");
        }
        for path in ["rootfs", "a/../b", "./x", "a/b/../..", "."] {
            assert!(!leaves(Path::new(path)), "{path}");
        }
    }

    fn rootfs(path: &str) -> Result<PathBuf, String> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("rootfs")).unwrap();
        std::fs::write(dir.path().join("file"), "").unwrap();
        std::os::unix::fs::symlink("/usr", dir.path().join("out")).unwrap();
        let root = crate::oci::Root { path: path.into(), readonly: false };
        let spec = Spec { root: Some(root), ..Spec::default() };
        let bundle = std::fs::canonicalize(dir.path()).unwrap();
        find_rootfs(&bundle, &spec, Path::new("config.json"))
            .map(|found| found.strip_prefix(&bundle).unwrap_or(&found).to_owned())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn root_paths() {
        assert_eq!(rootfs("rootfs"), Ok("rootfs".into()));
        assert_eq!(rootfs("/usr"), Ok("/usr".into()));
        let table = [
            ("../x", "leads out of the bundle"),
            ("out", "leads out of the bundle"),
            ("missing", "no such file or directory"),
            ("file", "not a directory"),
            ("", "is empty"),
            ("/", "host's own root"),
        ];
        for (path, message) in table {
            let error = rootfs(path).unwrap_err();
            assert!(error.contains(message) && error.contains("root.path"), "{path}: {error}");
        }
    }

    #[test]
    fn a_pid_file_is_whole_or_not_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pid");
        write_pid_file(&path, 42).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "42");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        let error = write_pid_file(&dir.path().join("no/pid"), 1).unwrap_err();
        assert!(error.to_string().starts_with("cannot write pid file"));
    }
}
