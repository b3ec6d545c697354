use std::io::{self, BufReader, Read};

use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use super::recoded::Utf8;

/// A node of an XML document, as [`walk`] meets it. Names come without their prefix: Office's strict and transitional
/// formats differ in namespaces, not in names.
pub(super) enum Node<'a> {
    Open(&'a str, &'a Attributes),
    Close(&'a str),
    Text(&'a str),
}

/// An element's attributes, by their names as written (with prefix).
#[derive(Debug, Default)]
pub(super) struct Attributes(Vec<(String, String)>);

/// The rest of the bytes that a package may unpack to, over all its parts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    pub(super) left: u64,
    pub(super) is_exceeded: bool,
}

/// Deeper than any editor nests.
const MAX_DEPTH: usize = 256;
/// One tag or one run of text; a parser has to hold it whole.
const MAX_EVENT_BYTES: u64 = 16 << 20;

/// Reads an XML document of any encoding piece by piece and shows each to `visit`. A document type that declares anything is
/// refused, for there entities are declared that expand without end. One that is only named, as old books and OpenDocument do, is
/// not looked up.
pub(super) fn walk<E: From<String>>(
    source: impl Read,
    budget: &mut Budget,
    visit: &mut dyn FnMut(Node<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let metered = Metered { source, budget, event_left: MAX_EVENT_BYTES };
    let mut reader = Reader::from_reader(BufReader::new(Utf8::new(metered)));
    reader.config_mut().expand_empty_elements = true;
    let mut buffer = Vec::new();
    let mut depth = 0_usize;
    loop {
        buffer.clear();
        reader.get_mut().get_mut().source.event_left = MAX_EVENT_BYTES;
        match reader.read_event_into(&mut buffer).map_err(said)? {
            Event::Start(start) => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(format!("elements are nested deeper than {MAX_DEPTH}").into());
                }
                let attributes = Attributes::read(&start)?;
                visit(Node::Open(name(start.local_name().as_ref())?, &attributes))?;
            }
            Event::End(end) => {
                depth = depth.saturating_sub(1);
                visit(Node::Close(name(end.local_name().as_ref())?))?;
            }
            Event::Text(text) => visit(Node::Text(&text.decode().map_err(said)?))?,
            Event::CData(text) => visit(Node::Text(&text.decode().map_err(said)?))?,
            Event::GeneralRef(reference) => {
                visit(Node::Text(character(&reference)?.encode_utf8(&mut [0; 4])))?;
            }
            Event::DocType(text) if text.contains(&b'[') => {
                return Err("it declares a document type of its own".to_owned().into());
            }
            Event::DocType(_) => {}
            Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            Event::Eof if depth == 0 => return Ok(()),
            Event::Eof => return Err("it ends within an element".to_owned().into()),
        }
    }
}

impl Attributes {
    fn read(start: &BytesStart<'_>) -> Result<Self, String> {
        // The parser's check for repeated names takes the square of their number.
        let mut attributes = start.attributes();
        let attributes = attributes.with_checks(false).map(|attribute| {
            let attribute = attribute.map_err(said)?;
            let value = attribute.normalized_value(XmlVersion::Implicit1_0).map_err(said)?;
            Ok((name(attribute.key.as_ref())?.to_owned(), value.into_owned()))
        });
        attributes.collect::<Result<_, String>>().map(Self)
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The attribute of this name in any namespace or in none.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.get(name).or_else(|| self.get_foreign(name))
    }

    /// The attribute of this name in any namespace but the element's own: `r:id` beside `id`.
    pub(super) fn get_foreign(&self, name: &str) -> Option<&str> {
        let is_it = |key: &str| key.split_once(':').is_some_and(|(_, local)| local == name);
        self.0.iter().find(|(key, _)| is_it(key)).map(|(_, value)| value.as_str())
    }
}

fn character(reference: &BytesRef<'_>) -> Result<char, String> {
    if let Some(character) = reference.resolve_char_ref().map_err(said)? {
        return Ok(character);
    }
    match name(reference)? {
        "amp" => Ok('&'),
        "lt" => Ok('<'),
        "gt" => Ok('>'),
        "quot" => Ok('"'),
        "apos" => Ok('\''),
        other => Err(format!("it refers to an entity '{other}' that nobody declared")),
    }
}

fn name(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(said)
}

fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Counts bytes as they are unpacked: what a zip's table of contents says of sizes is its author's word.
struct Metered<'a, R> {
    source: R,
    budget: &'a mut Budget,
    event_left: u64,
}

impl<R: Read> Read for Metered<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.source.read(buffer)?;
        let bytes = length as u64;
        if bytes > self.budget.left {
            self.budget.is_exceeded = true;
            return Err(io::Error::other("it unpacks to too much"));
        }
        self.budget.left -= bytes;
        let Some(event_left) = self.event_left.checked_sub(bytes) else {
            return Err(io::Error::other("it has a tag or a text that is too long"));
        };
        self.event_left = event_left;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(xml: &str) -> Result<String, String> {
        let mut seen = String::new();
        let mut budget = Budget { left: 100_000, is_exceeded: false };
        walk(xml.as_bytes(), &mut budget, &mut |node| {
            match node {
                Node::Open(name, attributes) => {
                    seen.push_str(&format!("<{name} {}>", attributes.get_foreign("id").unwrap_or("-")));
                }
                Node::Close(name) => seen.push_str(&format!("</{name}>")),
                Node::Text(text) => seen.push_str(text),
            }
            Ok::<(), String>(())
        })?;
        Ok(seen)
    }

    #[test]
    fn names_lose_their_prefix_and_references_become_characters() {
        assert_eq!(
            read(
                r#"<?xml version="1.0"?><w:p id="1" r:id="a&amp;b"><w:t>x &lt; &#233;<![CDATA[&]]></w:t><w:br/></w:p>"#
            ),
            Ok("<p a&b><t ->x < é&</t><br -></br></p>".to_owned())
        );
    }

    #[test]
    fn what_expands_nests_or_ends_too_soon_is_refused() {
        let bomb = r#"<!DOCTYPE a [<!ENTITY b "bb"><!ENTITY c "&b;&b;">]><a>&c;</a>"#;
        assert_eq!(read(bomb), Err("it declares a document type of its own".to_owned()));
        let named =
            "<?xml version=\"1.0\"?><!DOCTYPE a PUBLIC \"-//X//DTD A//EN\" \"http://x/a.dtd\"><a>b</a>";
        assert_eq!(read(named), Ok("<a ->b</a>".to_owned()));
        assert!(read("<a>&b;</a>").is_err());
        assert!(read(&"<a>".repeat(MAX_DEPTH + 1)).unwrap_err().contains("nested"));
        assert!(read("<a><b></b>").is_err());
        assert!(read("<a></b>").is_err());
    }

    #[test]
    fn bytes_are_counted_as_they_are_read() {
        let xml = format!("<a>{}</a>", "x".repeat(1000));
        let mut budget = Budget { left: 1007, is_exceeded: false };
        let mut ignore = |_: Node<'_>| Ok::<(), String>(());
        walk(xml.as_bytes(), &mut budget, &mut ignore).unwrap();
        assert_eq!((budget.left, budget.is_exceeded), (0, false));
        let mut budget = Budget { left: 1006, is_exceeded: false };
        walk(xml.as_bytes(), &mut budget, &mut ignore).unwrap_err();
        assert!(budget.is_exceeded);
    }

    #[test]
    fn one_endless_text_is_not_held_in_memory() {
        let mut budget = Budget { left: u64::MAX, is_exceeded: false };
        let endless = b"<a>".chain(io::repeat(b'x'));
        let refused = walk(endless, &mut budget, &mut |_| Ok::<(), String>(()));
        assert!(refused.unwrap_err().contains("too long"));
        assert!(u64::MAX - budget.left < 2 * MAX_EVENT_BYTES);
    }
}
