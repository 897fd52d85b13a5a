//! One line of LXC's table of mounts, which is one of fstab(5).

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use lxcri_linux::mount::{Attributes, Bind, Options};

use super::super::problem::{Problem, Result};
use super::super::text;

/// liblxc reads a line into this many bytes with a NUL, and cuts off the rest without a word.
const LINE_MAX: usize = 4095;

/// Attributes as liblxc knows them: the bits of mount_setattr(2) under its words. At most one of the
/// three for access times is set.
const ATTRIBUTES: [(u32, u32, &str); 7] = [
    (0x1, 0x1, "ro"),
    (0x2, 0x2, "nosuid"),
    (0x4, 0x4, "nodev"),
    (0x8, 0x8, "noexec"),
    (0x70, 0x10, "noatime"),
    (0x70, 0x20, "strictatime"),
    (0x80, 0x80, "nodiratime"),
];

/// Words that liblxc takes for its own wherever they stand in the options, even inside of others.
const LXC_WORDS: [&str; 5] = ["create=dir", "create=file", "optional", "relative", "idmap="];

/// A line while it is put together.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    source: PathBuf,
    destination: PathBuf,
    kind: String,
    words: Vec<String>,
    data: Vec<String>,
}

impl Entry {
    /// A bind mount.
    pub(crate) fn bind(source: &Path, destination: &Path, bind: Bind) -> Self {
        let word = if bind == Bind::Recursive { "rbind" } else { "bind" };
        let mut entry = Self::new_filesystem("", destination, "none");
        entry.source = source.to_owned();
        entry.words.push(word.to_owned());
        entry
    }

    /// A new filesystem.
    pub(crate) fn new_filesystem(source: &str, destination: &Path, kind: &str) -> Self {
        let (source, destination) = (source.into(), destination.to_owned());
        Self { source, destination, kind: kind.to_owned(), words: Vec::new(), data: Vec::new() }
    }

    /// Adds a word of LXC's.
    pub(crate) fn word(&mut self, word: &str) {
        self.words.push(word.to_owned());
    }

    /// Adds the attributes that are to be set.
    pub(crate) fn attributes(&mut self, attributes: Attributes) {
        let set = attributes.set;
        let of =
            |(mask, bits, word): (u32, u32, &'static str)| (set & mask == bits).then_some(word);
        self.words.extend(ATTRIBUTES.into_iter().filter_map(of).map(str::to_owned));
    }

    /// Adds the filesystem's own options.
    pub(crate) fn data(&mut self, options: &Options, kind: &str) {
        for (key, value) in options.data() {
            match value {
                Some(value) => self.data.push(format!("{key}={value}")),
                // Every devpts is one of its own since Linux 4.7.
                None if kind == "devpts" && key == "newinstance" => {}
                None => self.data.push(key.to_owned()),
            }
        }
    }

    /// The line; `field` is the mount in config.json.
    pub(crate) fn line(&self, field: &str) -> Result<String> {
        let wrong = |what: &str, problem: &str| Problem::field(format!("{field}{what}"), problem);
        let path = |what: &str, path: &Path| -> Result<String> {
            Ok(text::path(path).map_err(|problem| wrong(what, &problem))?.to_owned())
        };
        let source = path(".source", &self.source)?;
        let destination = path(".destination", &self.destination)?;
        if source.starts_with('#') {
            return Err(wrong(".source", "begins with `#`, which makes a comment of it"));
        }
        for option in &self.data {
            if option.is_empty() || option.contains(',') {
                return Err(wrong(".options", &format!("{option:?} is not one option")));
            }
            if LXC_WORDS.iter().any(|word| option.contains(word)) {
                let problem = format!("{option:?} holds a word that LXC takes for its own");
                return Err(wrong(".options", &problem));
            }
        }
        let mut options = self.words.clone();
        options.extend(self.data.iter().cloned());
        if options.is_empty() {
            options.push("defaults".to_owned());
        }
        // From the root file system's mount: an absolute one would be looked for in its path.
        let relative = destination.trim_start_matches('/');
        let (source, relative) = (escape(&source), escape(relative));
        let (kind, options) = (escape(&self.kind), escape(&options.join(",")));
        let line = format!("{source} {relative} {kind} {options} 0 0");
        if line.len() > LINE_MAX {
            return Err(wrong("", "is longer than a line of LXC's table, 4095 bytes"));
        }
        Ok(line)
    }
}

/// As getmntent(3) undoes it.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, ' ' | '\t' | '\n' | '\\') {
            // Writing into a String cannot fail.
            let _ = write!(escaped, "\\{:03o}", u32::from(character));
        } else {
            escaped.push(character);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(entry: &Entry) -> std::result::Result<String, String> {
        entry.line("mounts[0]").map_err(|error| error.to_string())
    }

    fn options(words: &str) -> Options {
        Options::parse(words.split(','))
    }

    #[test]
    fn lines() {
        let mut bind = Entry::bind("/a b".as_ref(), "/c\\d\te".as_ref(), Bind::Recursive);
        bind.attributes(options("nosuid,ro").attributes());
        bind.word("create=dir");
        let wanted = r"/a\040b c\134d\011e none rbind,ro,nosuid,create=dir 0 0";
        assert_eq!(line(&bind).unwrap(), wanted);

        let mut tmpfs = Entry::new_filesystem("tmpfs", "/run".as_ref(), "tmpfs");
        let words = options("strictatime,mode=755,size=64k,noexec");
        tmpfs.attributes(words.attributes());
        tmpfs.data(&words, "tmpfs");
        let wanted = "tmpfs run tmpfs noexec,strictatime,mode=755,size=64k 0 0";
        assert_eq!(line(&tmpfs).unwrap(), wanted);

        let mut pts = Entry::new_filesystem("devpts", "/dev/pts".as_ref(), "devpts");
        pts.data(&options("newinstance,gid=5"), "devpts");
        assert_eq!(line(&pts).unwrap(), "devpts dev/pts devpts gid=5 0 0");
    }

    #[test]
    fn what_a_line_cannot_hold() {
        let new = |source: &str, to: &str| Entry::new_filesystem(source, to.as_ref(), "tmpfs");
        let with = |words: &str| {
            let mut entry = new("tmpfs", "/x");
            entry.data(&options(words), "tmpfs");
            entry
        };
        let table = [
            (new("a\nb", "/x"), "mounts[0].source: holds a line feed"),
            (new("t", "/x\r"), "mounts[0].destination: holds a carriage return"),
            (new("#t", "/x"), "mounts[0].source: begins with `#`"),
            (new("t", &format!("/{}", "x".repeat(4096))), "mounts[0]: is longer"),
            (new("t", &format!("/{}", " ".repeat(1024))), "mounts[0]: is longer"),
            (with("upperdir=/a/optional"), "mounts[0].options: \"upperdir=/a/optional\" holds"),
            (with("x=relative"), "mounts[0].options"),
            (with("xidmap=3"), "mounts[0].options"),
        ];
        for (entry, wanted) in table {
            let error = line(&entry).unwrap_err();
            assert!(error.starts_with(wanted), "{error}");
        }
    }
}
