use std::path::Path;

use super::office::Office;
use super::package::{Package, resolve};
use super::tidy::parts;
use super::xml::Node;
use super::{ExtractError, FileKind, Limits, Plan, PlannedPage, html};

/// The most bytes of one chapter.
const MAX_CHAPTER: u64 = 32 << 20;

/// A file that a book lists.
struct File {
    id: String,
    href: String,
    /// True for a page that is no table of contents for programs.
    is_chapter: bool,
}

/// Reads a book in the order of its spine, and then its pages that are not in it.
pub(super) fn inspect(path: &Path, limits: &Limits) -> Result<Plan, ExtractError> {
    let kind = FileKind::Epub;
    let mut book = Office::new(Package::open(path, kind, limits)?, kind, limits);
    let mut root = None;
    book.package.walk("META-INF/container.xml", &mut |node| {
        if let Node::Open("rootfile", attributes) = node {
            root = root.take().or_else(|| attributes.value("full-path").map(str::to_owned));
        }
        Ok(())
    })?;
    let root = root.ok_or_else(|| ExtractError::unreadable(kind, "it names no list of chapters"))?;
    if book.package.has("META-INF/encryption.xml") {
        let mut is_locked = false;
        book.package.walk("META-INF/encryption.xml", &mut |node| {
            // Fonts are often garbled, which costs no text.
            if let Node::Open("CipherReference", attributes) = node {
                let name = attributes.value("URI").unwrap_or_default();
                is_locked |= name.contains("htm");
            }
            Ok(())
        })?;
        if is_locked {
            return Err(ExtractError::Encrypted(kind));
        }
    }
    let (mut files, mut spine) = (Vec::new(), Vec::new());
    book.package.walk(&root, &mut |node| {
        if let Node::Open(name, attributes) = node {
            let get = |name| attributes.value(name).unwrap_or_default().to_owned();
            match name {
                "item" => files.push(File {
                    id: get("id"),
                    href: get("href"),
                    is_chapter: get("media-type").contains("html")
                        && !get("properties").split_whitespace().any(|property| property == "nav"),
                }),
                "itemref" => spine.push(get("idref")),
                _ => {}
            }
        }
        Ok(())
    })?;
    let folder = root.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut pages = Vec::new();
    let mut chapters = Vec::with_capacity(spine.len());
    for id in spine {
        let at = files.iter().position(|file| file.id == id.trim());
        chapters.push(at.map(|at| files.remove(at)).ok_or(id));
    }
    // Notes that only links lead to, and all chapters of a book that does not say in which order they come.
    chapters.extend(files.into_iter().filter(|file| file.is_chapter).map(Ok));
    for chapter in chapters {
        let chapter = match chapter {
            Ok(chapter) => chapter,
            Err(id) => {
                book.package.told::<()>(Err(ExtractError::unreadable(kind, format!("no chapter {id}"))))?;
                continue;
            }
        };
        let name = address(folder, &chapter.href);
        // A chapter that is missing is told like one that is damaged.
        let chapter = book.package.bytes(&name, MAX_CHAPTER);
        let chapter = book.package.told(chapter)?;
        if chapter.is_empty() {
            continue;
        }
        let chapter = html::read(&chapter)?;
        book.count(chapter.text.len())?;
        chapter.warnings.into_iter().for_each(|warning| book.warn(warning));
        if !chapter.text.is_empty() {
            pages.extend(parts(&chapter.text).into_iter().map(PlannedPage::Text));
        }
        let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
        let pictures = chapter.pictures.iter().filter(|picture| !picture.contains("://"));
        let pictures = pictures.filter(|picture| !picture.starts_with("data:"));
        let pictures = book.new_pictures(pictures.map(|picture| address(folder, picture)).collect());
        let pictured = |name| PlannedPage::Pictured { text: String::new(), pictures: vec![name] };
        pages.extend(pictures.into_iter().map(pictured));
    }
    if pages.is_empty() {
        pages.push(PlannedPage::Text(String::new()));
    }
    book.plan(pages)
}

/// The name of the file that a link in a file of `folder` leads to.
fn address(folder: &str, link: &str) -> String {
    let file = link.trim().split(['#', '?']).next().unwrap_or_default();
    resolve(folder, &decoded(file))
}

/// `%20` and the like, as links write what names have.
fn decoded(link: &str) -> String {
    let mut bytes = Vec::with_capacity(link.len());
    let mut rest = link.as_bytes();
    while let [first, more @ ..] = rest {
        let code = more.get(..2).and_then(|code| std::str::from_utf8(code).ok());
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) if *first == b'%' => {
                bytes.push(byte);
                rest = &more[2..];
            }
            _ => {
                bytes.push(*first);
                rest = more;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_names_once_their_codes_are_undone() {
        assert_eq!(decoded("a%20b%C3%A9.html"), "a bé.html");
        assert_eq!(decoded("100%"), "100%");
    }
}
