use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::path::Path;

use zip::ZipArchive;
use zip::result::ZipError;

use super::recoded::Utf8;
use super::xml::{Budget, Node, walk};
use super::{ExtractError, FileKind, Limits, Warning, WarningCode};

/// An Office document: a zip of XML parts that refer to each other.
pub(super) struct Package {
    archive: ZipArchive<BufReader<File>>,
    /// The places of the parts by their names, in which case does not count, and which some exporters write with the
    /// other slash.
    places: HashMap<String, usize>,
    kind: FileKind,
    budget: Budget,
    limits: Limits,
    /// The page whose parts are read.
    pub(super) page: Option<u32>,
    /// The parts that could not be read whole.
    pub(super) unread: Vec<Warning>,
}

/// A reference from one part to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Relation {
    pub(super) id: String,
    /// The last word of its type: `slide`, `footnotes`, `officeDocument`.
    pub(super) kind: String,
    /// The name of the part that it leads to.
    pub(super) part: String,
}

/// The format of a zip by its table of contents, which is at its end; `None` if it is none that is taken, or no zip
/// that opens.
pub(super) fn kind_of(path: &Path) -> io::Result<Option<FileKind>> {
    let mut archive = match open(path, Limits::default().entries) {
        Ok(Opened::Archive(archive)) => archive,
        Ok(Opened::TooManyEntries) | Err(ZipError::InvalidArchive(_) | ZipError::UnsupportedArchive(_)) => {
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    if let Some(media) = text_of(&mut archive, "mimetype") {
        // Templates have the type of what they make, and a word more.
        let opens = [FileKind::Odt, FileKind::Odp, FileKind::Ods, FileKind::Epub];
        return Ok(opens.into_iter().find(|kind| media.trim().starts_with(kind.mime())));
    }
    let Some(types) = text_of(&mut archive, "[Content_Types].xml") else { return Ok(None) };
    let names: Vec<String> = archive.file_names().map(plain_name).collect();
    let has = |folder: &str| names.iter().any(|name| name.starts_with(folder));
    // A workbook in Excel's own binary form.
    if has("xl/workbook.bin") {
        return Ok(None);
    }
    // By the type of the main part, which exporters put into folders of any name; else by the usual folder.
    let says = |family: &str, maker: &str| {
        let mut types = types.split('"').filter(|value| value.ends_with("main+xml"));
        types.any(|value| value.contains(family) || value.contains(maker))
    };
    Ok(if says("wordprocessingml", "ms-word.") {
        Some(FileKind::Docx)
    } else if says("presentationml", "ms-powerpoint.") {
        Some(FileKind::Pptx)
    } else if says("spreadsheetml", "ms-excel.") {
        Some(FileKind::Xlsx)
    } else if has("word/") {
        Some(FileKind::Docx)
    } else if has("ppt/") {
        Some(FileKind::Pptx)
    } else {
        has("xl/").then_some(FileKind::Xlsx)
    })
}

/// The text of a small entry.
fn text_of(archive: &mut ZipArchive<BufReader<File>>, name: &str) -> Option<String> {
    let mut text = String::new();
    Utf8::new(archive.by_name(name).ok()?.take(1 << 20)).read_to_string(&mut text).ok()?;
    Some(text)
}

impl Package {
    pub(super) fn open(path: &Path, kind: FileKind, limits: &Limits) -> Result<Self, ExtractError> {
        let archive = match open(path, limits.entries) {
            Ok(Opened::Archive(archive)) => archive,
            Ok(Opened::TooManyEntries) => return Err(limits.too_large()),
            Err(ZipError::Io(source)) if source.kind() != io::ErrorKind::UnexpectedEof => {
                return Err(ExtractError::io("open the document")(source));
            }
            Err(error) => return Err(ExtractError::unreadable(kind, error)),
        };
        let budget = Budget { left: limits.expanded_bytes, is_exceeded: false };
        let places =
            (0..archive.len()).filter_map(|at| Some((plain_name(archive.name_for_index(at)?), at))).collect();
        Ok(Self { archive, places, kind, budget, limits: limits.clone(), page: None, unread: Vec::new() })
    }

    pub(super) fn has(&self, part: &str) -> bool {
        self.places.contains_key(&plain_name(part))
    }

    /// Reads a part; one that is missing makes the document unreadable.
    pub(super) fn walk(
        &mut self,
        part: &str,
        visit: &mut dyn FnMut(Node<'_>) -> Result<(), ExtractError>,
    ) -> Result<(), ExtractError> {
        let kind = self.kind;
        let file = self.places.get(&plain_name(part)).ok_or(ZipError::FileNotFound);
        let file = file.and_then(|at| self.archive.by_index(*at)).map_err(|error| match error {
            ZipError::UnsupportedArchive(ZipError::PASSWORD_REQUIRED) => ExtractError::Encrypted(kind),
            error => ExtractError::unreadable(kind, format!("{part}: {error}")),
        })?;
        walk_part(file, &mut self.budget, visit)
            .map_err(|fault| fault.of_part(kind, part, self.budget, &self.limits))
    }

    /// Reads a part beside the main one as far as possible; a fault in it costs the rest of that part only, and adds a
    /// warning.
    pub(super) fn walk_beside(
        &mut self,
        part: &str,
        visit: &mut dyn FnMut(Node<'_>) -> Result<(), ExtractError>,
    ) -> Result<(), ExtractError> {
        let read = self.walk(part, visit);
        self.told(read)
    }

    /// The same of any other reading of a part: nothing in place of one that is damaged.
    pub(super) fn told<T: Default>(&mut self, read: Result<T, ExtractError>) -> Result<T, ExtractError> {
        let Err(ExtractError::Unreadable { reason, .. }) = read else { return read };
        let message = format!("a part of the document could not be read whole: {reason}");
        let warning = Warning { page: self.page, code: WarningCode::PartUnreadable, message };
        // A slide is walked twice.
        if !self.unread.contains(&warning) {
            self.unread.push(warning);
        }
        Ok(T::default())
    }

    /// The bytes of a part, where there are at most `limit`.
    pub(super) fn bytes(&mut self, part: &str, limit: u64) -> Result<Vec<u8>, ExtractError> {
        let kind = self.kind;
        let file = self.places.get(&plain_name(part)).ok_or(ZipError::FileNotFound);
        let file = file
            .and_then(|at| self.archive.by_index(*at))
            .map_err(|error| ExtractError::unreadable(kind, format!("{part}: {error}")))?;
        let limit = limit.min(self.budget.left);
        let mut bytes = Vec::new();
        let read = file.take(limit.saturating_add(1)).read_to_end(&mut bytes);
        read.map_err(|error| ExtractError::unreadable(kind, format!("{part}: {error}")))?;
        if bytes.len() as u64 > limit {
            return Err(self.limits.too_large());
        }
        self.budget.left -= bytes.len() as u64;
        Ok(bytes)
    }

    /// The references that a part makes, in their order; none where it makes none. Those that lead out of the
    /// package (a link, a picture on the web) are left out.
    pub(super) fn relations(&mut self, part: &str) -> Result<Vec<Relation>, ExtractError> {
        let (folder, file) = part.rsplit_once('/').unwrap_or(("", part));
        let listing = format!("{folder}/_rels/{file}.rels");
        let listing = listing.trim_start_matches('/');
        let mut relations = Vec::new();
        if !self.has(listing) {
            return Ok(relations);
        }
        self.walk_beside(listing, &mut |node| {
            if let Node::Open("Relationship", attributes) = node
                && attributes.get("TargetMode") != Some("External")
            {
                let get = |name| attributes.get(name).unwrap_or_default();
                let kind = get("Type").rsplit('/').next().unwrap_or_default();
                let part = resolve(folder, get("Target"));
                relations.push(Relation { id: get("Id").to_owned(), kind: kind.to_owned(), part });
            }
            Ok(())
        })?;
        Ok(relations)
    }
}

fn plain_name(name: &str) -> String {
    name.trim_start_matches(['/', '\\']).replace('\\', "/").to_lowercase()
}

/// Reads a document that is one file of XML.
pub(super) fn walk_file(
    path: &Path,
    kind: FileKind,
    limits: &Limits,
    visit: &mut dyn FnMut(Node<'_>) -> Result<(), ExtractError>,
) -> Result<(), ExtractError> {
    let file = File::open(path).map_err(ExtractError::io("open the document"))?;
    let mut budget = Budget { left: limits.expanded_bytes, is_exceeded: false };
    walk_part(file, &mut budget, visit).map_err(|fault| fault.of_part(kind, "the file", budget, limits))
}

fn walk_part(
    source: impl Read,
    budget: &mut Budget,
    visit: &mut dyn FnMut(Node<'_>) -> Result<(), ExtractError>,
) -> Result<(), Fault> {
    walk(source, budget, &mut |node| visit(node).map_err(Fault::Refused))
}

enum Fault {
    Refused(ExtractError),
    Xml(String),
}

impl Fault {
    fn of_part(self, kind: FileKind, part: &str, budget: Budget, limits: &Limits) -> ExtractError {
        match self {
            Self::Refused(error) => error,
            Self::Xml(_) if budget.is_exceeded => limits.too_large(),
            Self::Xml(reason) => ExtractError::unreadable(kind, format!("{part}: {reason}")),
        }
    }
}

impl From<String> for Fault {
    fn from(reason: String) -> Self {
        Self::Xml(reason)
    }
}

enum Opened {
    Archive(ZipArchive<BufReader<File>>),
    TooManyEntries,
}

/// Opening a zip loads its table of contents, which may list a million files in 50 MB. So their headers are
/// counted first, wherever they lie: what the table says of its own length is its author's word.
fn open(path: &Path, entries: usize) -> Result<Opened, ZipError> {
    let mut file = BufReader::with_capacity(64 * 1024, File::open(path)?);
    if count(&mut file, b"PK\x01\x02", entries + 1)? > entries {
        return Ok(Opened::TooManyEntries);
    }
    file.rewind()?;
    ZipArchive::new(file).map(Opened::Archive)
}

/// The number of occurrences of a signature that does not overlap itself. It reads no further once it has seen `enough`.
pub(super) fn count(source: &mut impl Read, signature: &[u8], enough: usize) -> io::Result<usize> {
    let mut found = 0;
    let mut buffer = vec![0; 64 * 1024];
    let mut kept = 0;
    loop {
        let length = source.read(&mut buffer[kept..])?;
        if length == 0 {
            return Ok(found);
        }
        let filled = kept + length;
        found += buffer[..filled].windows(signature.len()).filter(|window| *window == signature).count();
        if found >= enough {
            return Ok(found);
        }
        // A signature may lie across two reads.
        kept = filled.min(signature.len() - 1);
        buffer.copy_within(filled - kept..filled, 0);
    }
}

/// The name of the part that `target` means in a part of `folder`. It only ever names a part of the package.
pub(super) fn resolve(folder: &str, target: &str) -> String {
    let absolute = target.starts_with('/');
    let mut names: Vec<&str> = if absolute { Vec::new() } else { folder.split('/').collect() };
    for name in target.split('/') {
        match name {
            ".." => drop(names.pop()),
            "." | "" => {}
            name => names.push(name),
        }
    }
    names.retain(|name| !name.is_empty());
    names.join("/")
}

#[cfg(test)]
mod tests {
    use super::super::recoded::tests::Drops;
    use super::*;

    #[test]
    fn targets_are_resolved_within_the_package() {
        assert_eq!(resolve("ppt", "slides/slide1.xml"), "ppt/slides/slide1.xml");
        assert_eq!(resolve("ppt/slides", "../notesSlides/n.xml"), "ppt/notesSlides/n.xml");
        assert_eq!(resolve("ppt", "/word/document.xml"), "word/document.xml");
        assert_eq!(resolve("", "./word/document.xml"), "word/document.xml");
        assert_eq!(resolve("word", "../../../etc/passwd"), "etc/passwd");
    }

    #[test]
    fn signatures_are_counted_across_reads() {
        let bytes = b"PK\x01\x02..PK\x01\x02PK\x01\x03PPK\x01\x02PK";
        assert_eq!(count(&mut Drops(bytes), b"PK\x01\x02", usize::MAX).unwrap(), 3);
        assert_eq!(count(&mut &bytes[..], b"PK\x01\x02", usize::MAX).unwrap(), 3);
    }
}
