//! Mount options as mount(8) and the OCI runtime specification write them
//! (`config.md`, "Linux mount options").

use rustix::mount::MountFlags;

/// Attributes of one mount, as bits of mount_setattr(2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Bits to set.
    pub set: u32,
    /// Bits to clear first.
    pub clear: u32,
}

/// How mount events travel (mount_namespaces(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PropagationKind {
    /// Nowhere.
    Private,
    /// In, not out.
    Slave,
    /// Both ways.
    Shared,
    /// Nowhere, and the mount cannot be bound elsewhere.
    Unbindable,
}

/// A propagation to set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Propagation {
    /// Which way.
    pub kind: PropagationKind,
    /// For all mounts below, too.
    pub recursive: bool,
}

/// A bind mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bind {
    /// The one mount.
    Single,
    /// With all mounts below it.
    Recursive,
}

/// Which mounts show their files by an id map (runtime-spec config.md, `idmap` and `ridmap`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdMapped {
    /// The one mount.
    Single,
    /// With all mounts below it.
    Recursive,
}

/// Parsed options of one mount.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    attributes: Attributes,
    recursive_attributes: Attributes,
    propagation: Option<Propagation>,
    bind: Option<Bind>,
    id_mapped: Option<IdMapped>,
    data: Vec<String>,
}

const RDONLY: u32 = 0x1;
const NOSUID: u32 = 0x2;
const NODEV: u32 = 0x4;
const NOEXEC: u32 = 0x8;
const ATIME: u32 = 0x70;
const RELATIME: u32 = 0x0;
const NOATIME: u32 = 0x10;
const STRICTATIME: u32 = 0x20;
const NODIRATIME: u32 = 0x80;
const NOSYMFOLLOW: u32 = 0x20_0000;

/// What a word does: bits to clear, bits to set. With an `r` before it, for the whole tree.
const ATTRIBUTE_WORDS: &[(&str, u32, u32)] = &[
    ("ro", RDONLY, RDONLY),
    ("rw", RDONLY, 0),
    ("nosuid", NOSUID, NOSUID),
    ("suid", NOSUID, 0),
    ("nodev", NODEV, NODEV),
    ("dev", NODEV, 0),
    ("noexec", NOEXEC, NOEXEC),
    ("exec", NOEXEC, 0),
    ("noatime", ATIME, NOATIME),
    ("atime", ATIME, RELATIME),
    ("relatime", ATIME, RELATIME),
    ("norelatime", ATIME, STRICTATIME),
    ("strictatime", ATIME, STRICTATIME),
    ("nostrictatime", ATIME, RELATIME),
    ("nodiratime", NODIRATIME, NODIRATIME),
    ("diratime", NODIRATIME, 0),
    ("nosymfollow", NOSYMFOLLOW, NOSYMFOLLOW),
    ("symfollow", NOSYMFOLLOW, 0),
];

const PROPAGATION_WORDS: &[(&str, PropagationKind)] = &[
    ("private", PropagationKind::Private),
    ("slave", PropagationKind::Slave),
    ("shared", PropagationKind::Shared),
    ("unbindable", PropagationKind::Unbindable),
];

/// Words that describe what is so anyway.
const DEFAULT_WORDS: &[&str] = &["defaults", "async", "nomand", "nolazytime", "loud", "noiversion"];

/// Words that are flags of the superblock; they are the filesystem's to judge, under the name that
/// fsconfig(2) knows.
const SUPERBLOCK_WORDS: &[&str] = &["sync", "dirsync", "lazytime", "mand", "iversion", "silent"];

/// All words that are understood whatever the filesystem, for the features document.
pub const KNOWN_OPTIONS: &[&str] = &[
    "async",
    "atime",
    "bind",
    "defaults",
    "dev",
    "diratime",
    "dirsync",
    "exec",
    "idmap",
    "iversion",
    "lazytime",
    "loud",
    "mand",
    "noatime",
    "nodev",
    "nodiratime",
    "noexec",
    "noiversion",
    "nolazytime",
    "nomand",
    "norelatime",
    "nostrictatime",
    "nosuid",
    "nosymfollow",
    "private",
    "ratime",
    "rbind",
    "rdev",
    "rdiratime",
    "relatime",
    "rexec",
    "ridmap",
    "rnoatime",
    "rnodev",
    "rnodiratime",
    "rnoexec",
    "rnorelatime",
    "rnostrictatime",
    "rnosuid",
    "rnosymfollow",
    "ro",
    "rprivate",
    "rrelatime",
    "rro",
    "rrw",
    "rshared",
    "rslave",
    "rstrictatime",
    "rsuid",
    "rsymfollow",
    "runbindable",
    "rw",
    "shared",
    "silent",
    "slave",
    "strictatime",
    "suid",
    "symfollow",
    "sync",
    "unbindable",
];

impl Attributes {
    fn apply(&mut self, clear: u32, set: u32) {
        self.set = (self.set & !clear) | set;
        self.clear |= clear;
    }

    /// Whether nothing is asked for.
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }

    /// Read-only, and nothing else changed.
    pub fn read_only() -> Self {
        Self { set: RDONLY, clear: 0 }
    }

    /// Read-only, without programs and set-user-id: for what covers a path. Devices stay usable,
    /// because the cover of a file is one.
    pub fn cover() -> Self {
        Self { set: RDONLY | NOSUID | NOEXEC, clear: 0 }
    }

    /// Without devices, programs and set-user-id, read-only where asked: for what we mount to hide
    /// things.
    pub fn inert(read_only: bool) -> Self {
        Self { set: NOSUID | NODEV | NOEXEC | if read_only { RDONLY } else { 0 }, clear: 0 }
    }

    /// Without devices, read-only where asked: for a tree that somebody else filled.
    pub fn without_devices(read_only: bool) -> Self {
        Self { set: NODEV | if read_only { RDONLY } else { 0 }, clear: 0 }
    }

    /// For fsmount(2), which knows no clearing.
    pub(super) fn fsmount_flags(self) -> u32 {
        self.set
    }

    /// The same as flags of mount(2).
    pub(super) fn legacy_flags(self) -> u32 {
        const TABLE: [(u32, MountFlags); 7] = [
            (RDONLY, MountFlags::RDONLY),
            (NOSUID, MountFlags::NOSUID),
            (NODEV, MountFlags::NODEV),
            (NOEXEC, MountFlags::NOEXEC),
            (NOATIME, MountFlags::NOATIME),
            (STRICTATIME, MountFlags::STRICTATIME),
            (NODIRATIME, MountFlags::NODIRATIME),
        ];
        let of =
            |(bit, flag): (u32, MountFlags)| if self.set & bit == bit { flag.bits() } else { 0 };
        TABLE.into_iter().map(of).fold(0, |all, bits| all | bits)
    }
}

impl Propagation {
    /// Cut off in both directions, for the whole tree.
    pub const PRIVATE: Self = Self { kind: PropagationKind::Private, recursive: true };
    /// Cut off outwards, for the whole tree.
    pub const SLAVE: Self = Self { kind: PropagationKind::Slave, recursive: true };

    /// `private`, `rslave` and so on.
    pub fn parse(word: &str) -> Option<Self> {
        let find = |word: &str| PROPAGATION_WORDS.iter().find(|(name, _)| *name == word);
        if let Some((_, kind)) = find(word) {
            return Some(Self { kind: *kind, recursive: false });
        }
        let (_, kind) = find(word.strip_prefix('r')?)?;
        Some(Self { kind: *kind, recursive: true })
    }

    pub(super) fn flag(self) -> u64 {
        match self.kind {
            PropagationKind::Private => libc::MS_PRIVATE,
            PropagationKind::Slave => libc::MS_SLAVE,
            PropagationKind::Shared => libc::MS_SHARED,
            PropagationKind::Unbindable => libc::MS_UNBINDABLE,
        }
    }
}

impl Options {
    /// Parses a list. Words we do not know become the filesystem's data, which for a bind mount
    /// nobody will read: see [`Options::unknown_for_bind`].
    pub fn parse<'o>(words: impl IntoIterator<Item = &'o str>) -> Self {
        let mut options = Self::default();
        for word in words {
            options.add(word);
        }
        options
    }

    fn add(&mut self, word: &str) {
        let attribute = |word: &str| ATTRIBUTE_WORDS.iter().find(|(name, ..)| *name == word);
        if let Some((_, clear, set)) = attribute(word) {
            self.attributes.apply(*clear, *set);
        } else if let Some((_, clear, set)) = word.strip_prefix('r').and_then(attribute) {
            self.recursive_attributes.apply(*clear, *set);
        } else if let Some(propagation) = Propagation::parse(word) {
            self.propagation = Some(propagation);
        } else if word == "bind" {
            self.bind.get_or_insert(Bind::Single);
        } else if word == "rbind" {
            self.bind = Some(Bind::Recursive);
        } else if word == "idmap" {
            self.id_mapped = self.id_mapped.or(Some(IdMapped::Single));
        } else if word == "ridmap" {
            self.id_mapped = Some(IdMapped::Recursive);
        } else if !DEFAULT_WORDS.contains(&word) && !word.is_empty() {
            self.data.push(word.to_owned());
        }
    }

    /// Attributes of the mount itself.
    pub fn attributes(&self) -> Attributes {
        self.attributes
    }

    /// Attributes for the whole tree (`rro` and its like).
    pub fn recursive_attributes(&self) -> Attributes {
        self.recursive_attributes
    }

    /// The propagation asked for.
    pub fn propagation(&self) -> Option<Propagation> {
        self.propagation
    }

    /// Whether and how it is a bind mount.
    pub fn bind(&self) -> Option<Bind> {
        self.bind
    }

    /// Whether an id map is asked for, and of which mounts. A bind mount can have one, a new
    /// filesystem cannot.
    pub fn id_mapped(&self) -> Option<IdMapped> {
        self.id_mapped
    }

    /// The first word that means nothing for a bind mount.
    pub fn unknown_for_bind(&self) -> Option<&str> {
        let means_nothing = |word: &&String| !SUPERBLOCK_WORDS.contains(&word.as_str());
        self.data.iter().find(means_nothing).map(String::as_str)
    }

    /// Words about the superblock, which a bind mount does not have to itself.
    pub fn superblock_words(&self) -> impl Iterator<Item = &str> {
        self.data.iter().map(String::as_str).filter(|word| SUPERBLOCK_WORDS.contains(word))
    }

    /// Options for the filesystem, as key and value.
    pub fn data(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.data.iter().map(|word| match word.split_once('=') {
            Some((key, value)) => (key, Some(value)),
            None => (word.as_str(), None),
        })
    }

    /// Options for the filesystem as mount(2) takes them.
    pub(super) fn joined_data(&self) -> String {
        self.data.join(",")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Options {
        Options::parse(text.split(','))
    }

    #[test]
    fn the_last_word_wins() {
        assert_eq!(parse("ro,rw").attributes(), Attributes { set: 0, clear: RDONLY });
        assert_eq!(parse("noatime,strictatime").attributes().set, STRICTATIME);
        assert_eq!(parse("nosuid,nodev,noexec,ro").attributes().set, 0xf);
    }

    #[test]
    fn words_with_r() {
        assert_eq!(parse("rro").recursive_attributes().set, RDONLY);
        assert_eq!(parse("rro").attributes(), Attributes::default());
        assert_eq!(parse("relatime").recursive_attributes(), Attributes::default());
        assert_eq!(parse("rslave").propagation(), Some(Propagation::SLAVE));
        assert_eq!(parse("bind,rbind").bind(), Some(Bind::Recursive));
        assert_eq!(parse("rbind,bind").bind(), Some(Bind::Recursive));
        assert_eq!(parse("idmap").id_mapped(), Some(IdMapped::Single));
        assert_eq!(parse("ridmap,idmap").id_mapped(), Some(IdMapped::Recursive));
        assert_eq!(parse("idmap,ridmap").id_mapped(), Some(IdMapped::Recursive));
        assert_eq!(parse("rbind").id_mapped(), None);
    }

    #[test]
    fn the_rest_is_the_filesystems() {
        let options = parse("mode=755,size=64k,newinstance,defaults,async,");
        let data: Vec<_> = options.data().collect();
        let wanted = [("mode", Some("755")), ("size", Some("64k")), ("newinstance", None)];
        assert_eq!(data, wanted);
        assert_eq!(options.unknown_for_bind(), Some("mode=755"));
        assert_eq!(parse("rbind,ro,sync").unknown_for_bind(), None);
        assert_eq!(parse("bind,rroo").unknown_for_bind(), Some("rroo"));
    }

    #[test]
    fn every_known_word_is_understood() {
        for word in KNOWN_OPTIONS {
            assert_eq!(parse(word).unknown_for_bind(), None, "{word}");
        }
        assert!(KNOWN_OPTIONS.is_sorted());
    }
}
