//! The table of a tar's members: the only place where their names mean anything.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::sync::Arc;

use super::ArchiveError;
use super::content::{Content, Shelf};
use super::members::{InFile, InStream, Kind, Member, Members};

/// The most members of an archive. One of 500 layers has some 2,000 in the layout with the most.
pub const MAX_MEMBERS: usize = 100_000;
/// The most bytes of all names.
const MAX_NAMES: usize = 16 << 20;
/// How many links may lead to one another. `docker save` needs one.
const MAX_LINKS: usize = 8;

/// What an archive has, by normalised name: no `.`, no `..`, no slash at either end.
#[derive(Debug, Default)]
pub struct Table {
    items: BTreeMap<String, Item>,
    members: usize,
    names: usize,
}

#[derive(Clone, Debug)]
enum Item {
    Content(Content),
    /// A link to another name, which may not be there.
    Link(String),
}

impl Table {
    /// Reads the headers of a plain tar; `archive` names it in errors.
    ///
    /// # Errors
    /// It is no tar, it is cut off, it has too many members.
    pub fn scan(archive: &str, file: File) -> Result<Self, ArchiveError> {
        let file = Arc::new(file);
        let blocks = InFile::new(&file)
            .map_err(|source| ArchiveError::Read { archive: archive.to_owned(), source })?;
        let (mut table, mut members) = (Self::default(), Members::new(archive, blocks));
        while let Some(member) = members.next()? {
            let (offset, size) = (member.offset, member.size);
            let content = Content::Range { file: Arc::clone(&file), offset, size };
            table.insert(archive, &member, Some(content))?;
        }
        Ok(table)
    }

    /// The same for a stream, which nothing can be read of later: names and sizes only.
    ///
    /// # Errors
    /// As [`Table::scan`].
    pub fn list(archive: &str, stream: impl Read) -> Result<Self, ArchiveError> {
        let (mut table, mut members) = (Self::default(), Members::new(archive, InStream(stream)));
        while let Some(member) = members.next()? {
            let digest = crate::digest::Digest::of(b"");
            let content = Content::Blob { digest, size: member.size };
            table.insert(archive, &member, Some(content))?;
        }
        Ok(table)
    }

    /// Every name.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.items.keys().map(String::as_str)
    }

    /// The bytes of a member, through links; `None` where there is none.
    pub fn size(&self, name: &str) -> Option<u64> {
        self.content(name).map(Content::size)
    }

    /// Takes a member in. Where its name was there before, the later one counts, as it does when
    /// an archive is unpacked.
    pub(super) fn insert(
        &mut self,
        archive: &str,
        member: &Member,
        content: Option<Content>,
    ) -> Result<(), ArchiveError> {
        let refuse =
            |problem: String| ArchiveError::Refused { archive: archive.to_owned(), problem };
        self.members += 1;
        self.names += member.name.as_ref().map_or(0, String::len);
        if self.members > MAX_MEMBERS || self.names > MAX_NAMES {
            return Err(refuse(format!("more than {MAX_MEMBERS} members, or names of 16 MiB")));
        }
        let Some(name) = member.name.as_deref().and_then(|name| normal("", name)) else {
            return Ok(());
        };
        let parent = name.rsplit_once('/').map_or("", |(parent, _)| parent);
        let item = match &member.kind {
            Kind::File => content.map(Item::Content),
            Kind::Symlink(target) => normal(parent, target).map(Item::Link),
            Kind::Link(target) => normal("", target).map(Item::Link),
            Kind::Other => None,
        };
        if let Some(Item::Link(target)) = &item {
            self.names += target.len();
        }
        match item {
            Some(item) => drop(self.items.insert(name, item)),
            None => drop(self.items.remove(&name)),
        }
        Ok(())
    }

    fn content(&self, name: &str) -> Option<&Content> {
        let mut item = self.items.get(&normal("", name)?)?;
        for _ in 0..MAX_LINKS {
            match item {
                Item::Content(content) => return Some(content),
                Item::Link(target) => item = self.items.get(target)?,
            }
        }
        None
    }
}

impl Shelf for Table {
    fn find(&self, name: &str) -> Result<Option<Content>, ArchiveError> {
        Ok(self.content(name).cloned())
    }
}

/// A name from the top; `None` where it leads above it or to it.
fn normal(parent: &str, name: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    // A link from the top of the file system means the top of the archive.
    let parent = if name.starts_with('/') { "" } else { parent };
    for part in parent.split('/').chain(name.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    (!parts.is_empty()).then(|| parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::normal;

    #[test]
    fn names_stay_inside() {
        let cases = [
            ("", "./a//b/", Some("a/b")),
            ("a", "../b/layer.tar", Some("b/layer.tar")),
            ("a", "/etc/passwd", Some("etc/passwd")),
            ("a", "../../b", None),
            ("", "..", None),
            ("", "a/..", None),
            ("", "", None),
        ];
        for (parent, name, wanted) in cases {
            assert_eq!(normal(parent, name).as_deref(), wanted, "{parent} {name}");
        }
    }
}
