//! What the parts of a plan have in common, and their order.

use std::borrow::Cow;
use std::path::Path;

use lxcri_core::coverage::Finding;
use lxcri_core::oci::{Linux, NamespaceKind, Spec};

use super::file::File;
use super::files::Files;
use super::hooks::HostHooks;
use super::host::Host;
use super::how::How;
use super::inside::Inside;
use super::mounts::Placed;
use super::namespaces::Namespaces;
use super::plan::{Plan, Profile};
use super::problem::{Problem, Result};
use super::read_back::ReadBack;
use super::{
    capabilities, device_rules, devices, hooks, idmap, limits, mounts, namespaces, network,
    process, raw, rights, root, seccomp, sysctls,
};

/// The most findings that are kept: nobody reads more, and a document may hold any number.
const FINDINGS_MAX: usize = 64;

/// Works out what an LXC container needs to be what `spec` says. Makes nothing; `files` is asked about
/// sources and destinations of mounts, devices and namespaces.
///
/// The document's coverage must have been checked before: what the types do not know is not seen
/// here.
///
/// # Errors
/// [`Problem::Refused`] with every field that cannot be honoured; otherwise the first wrong value.
pub fn plan(spec: &Spec, host: &Host, how: &How, files: &dyn Files) -> Result<Plan> {
    host.liblxc.check()?;
    let linux = spec.linux();
    let namespaces = Namespaces::read(&linux, files)?;
    let mut planner = Planner {
        spec,
        linux,
        host,
        how,
        files,
        namespaces,
        file: File::default(),
        inside: Inside::default(),
        read_back: Vec::new(),
        refused: Vec::new(),
        ignored: Vec::new(),
        hooks: HostHooks::default(),
        seccomp: None,
        placed: Vec::new(),
    };
    for part in PARTS {
        part(&mut planner)?;
    }
    planner.finish()
}

type Part = fn(&mut Planner<'_>) -> Result<()>;

const PARTS: [Part; 15] = [
    root::plan,
    namespaces::plan,
    idmap::plan,
    mounts::plan,
    devices::plan,
    device_rules::plan,
    limits::plan,
    capabilities::plan,
    rights::plan,
    seccomp::plan,
    process::plan,
    sysctls::plan,
    network::plan,
    hooks::plan,
    raw::plan,
];

/// A plan while it is made.
pub(crate) struct Planner<'p> {
    pub(crate) spec: &'p Spec,
    pub(crate) linux: Cow<'p, Linux>,
    pub(crate) host: &'p Host,
    pub(crate) how: &'p How,
    pub(crate) files: &'p dyn Files,
    pub(crate) namespaces: Namespaces,
    pub(crate) file: File,
    pub(crate) inside: Inside,
    pub(crate) read_back: Vec<ReadBack>,
    refused: Vec<Finding>,
    ignored: Vec<Finding>,
    pub(crate) hooks: HostHooks,
    pub(crate) seccomp: Option<Profile>,
    pub(crate) placed: Vec<Placed>,
}

impl Planner<'_> {
    /// Notes a field, as the coverage table names it, that cannot be honoured.
    pub(crate) fn refuse(&mut self, field: &str, because: impl Into<String>) {
        note(&mut self.refused, field, because.into());
    }

    /// Notes a field that is left out without harm.
    pub(crate) fn ignore(&mut self, field: &str, because: impl Into<String>) {
        note(&mut self.ignored, field, because.into());
    }

    /// Whether the container is in a user namespace, made or joined.
    pub(crate) fn has_user_namespace(&self) -> bool {
        self.namespaces.has(NamespaceKind::User)
    }

    /// The container's directory of LXC.
    pub(crate) fn directory(&self) -> std::path::PathBuf {
        self.host.lxcpath.join(self.host.name.as_str())
    }

    fn finish(self) -> Result<Plan> {
        if !self.refused.is_empty() {
            return Err(Problem::Refused { findings: self.refused });
        }
        Ok(Plan {
            config: self.file.text(),
            seccomp: self.seccomp,
            inside: self.inside,
            read_back: self.read_back,
            hooks: self.hooks,
            ignored: self.ignored,
        })
    }
}

fn note(list: &mut Vec<Finding>, field: &str, because: String) {
    let finding = Finding { field: field.to_owned(), because };
    if list.len() < FINDINGS_MAX && !list.contains(&finding) {
        list.push(finding);
    }
}

/// A path of this program's own for a line of the file.
pub(crate) fn our_path<'p>(path: &'p Path, what: &'static str) -> Result<&'p str> {
    let wrong = |problem| Problem::Ours { what, problem };
    let text = super::text::path(path).map_err(wrong)?;
    if !path.is_absolute() {
        return Err(wrong(format!("{text} is not absolute")));
    }
    super::text::check_value(text).map_err(wrong)?;
    Ok(text)
}
