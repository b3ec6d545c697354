use html5gum::{DefaultEmitter, Token, Tokenizer};

use super::encoding::Encoding;
use super::tidy::tidy;
use super::{ExtractError, FileKind, PageText, plain};

/// Reads a web page of any encoding: by its mark, by what its head says, or by its bytes.
pub(super) fn read(bytes: &[u8]) -> Result<PageText, ExtractError> {
    let source = match declared(bytes) {
        Some(encoding) => PageText::from(encoding.decode(bytes).text),
        None => plain::whole(bytes, FileKind::Html)?,
    };
    Ok(PageText { text: text(&source.text), ..source })
}

/// The text that a page shows: what browsers run, and what they do not show, is none.
pub(super) fn text(source: &str) -> String {
    let mut emitter = DefaultEmitter::default();
    emitter.naively_switch_states(true);
    let mut page = Page::default();
    for token in Tokenizer::new_with_emitter(source, emitter) {
        match token {
            Ok(Token::StartTag(tag)) => {
                let name = String::from_utf8_lossy(&tag.name).into_owned();
                let alternative = tag.attributes.get(&b"alt"[..]);
                page.open(&name, tag.self_closing);
                if let Some(words) = alternative.filter(|_| name == "img") {
                    page.push(&format!(" {} ", String::from_utf8_lossy(words)));
                }
            }
            Ok(Token::EndTag(tag)) => page.close(&String::from_utf8_lossy(&tag.name)),
            Ok(Token::String(text)) => page.push(&String::from_utf8_lossy(&text)),
            Ok(Token::Comment(_) | Token::Doctype(_) | Token::Error(_)) => {}
        }
    }
    page.end_block("\n");
    tidy(&page.text)
}

/// The encoding that the head of a page names, unless its first bytes say another.
fn declared(bytes: &[u8]) -> Option<Encoding> {
    let head: String = bytes.iter().take(2048).map(|byte| char::from(*byte).to_ascii_lowercase()).collect();
    let after = head.split_once("charset=").or_else(|| head.split_once("encoding="))?.1;
    let label: String = after
        .trim_start_matches(['"', '\''])
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | ':'))
        .collect();
    let encoding = Encoding::Known(encoding_rs::Encoding::for_label(label.as_bytes())?);
    // The declaration may be older than the encoding in which the file was saved.
    let is_mislabelled =
        encoding.is_utf8() || head.starts_with("\u{EF}\u{BB}\u{BF}") || std::str::from_utf8(bytes).is_ok();
    (!is_mislabelled).then_some(encoding)
}

#[derive(Default)]
struct Page {
    text: String,
    /// The element whose content is not shown, and how often it is open.
    hidden: Option<(String, usize)>,
    preformatted: usize,
    /// Readings of characters, which follow the paragraph: between the characters they would part a word.
    readings: Vec<String>,
    reading: Option<String>,
}

impl Page {
    fn open(&mut self, name: &str, is_empty: bool) {
        if let Some((hidden, depth)) = &mut self.hidden {
            *depth += usize::from(hidden == name && !is_empty);
            return;
        }
        match name {
            "script" | "style" | "template" | "rp" | "noframes" if !is_empty => {
                self.hidden = Some((name.to_owned(), 1));
            }
            "rt" if !is_empty => self.reading = Some(String::new()),
            "br" => self.text.push('\n'),
            "pre" => {
                self.end_block("\n");
                self.preformatted += 1;
            }
            "td" | "th" if !self.text.ends_with('\n') => self.text.push('\t'),
            name => self.end_block(gap(name)),
        }
    }

    fn close(&mut self, name: &str) {
        if let Some((hidden, depth)) = &mut self.hidden {
            *depth -= usize::from(hidden == name);
            if *depth == 0 {
                self.hidden = None;
            }
            return;
        }
        match name {
            "rt" => self.readings.extend(self.reading.take()),
            "pre" => {
                self.preformatted = self.preformatted.saturating_sub(1);
                self.end_block("\n\n");
            }
            "p" if self.text.ends_with('\t') => {}
            name => self.end_block(gap(name)),
        }
    }

    fn push(&mut self, text: &str) {
        if self.hidden.is_some() {
            return;
        }
        if let Some(reading) = &mut self.reading {
            reading.push_str(text.trim());
            return;
        }
        if self.preformatted > 0 {
            self.text.push_str(text);
            return;
        }
        for c in text.chars() {
            if !c.is_ascii_whitespace() {
                self.text.push(c);
            } else if !self.text.ends_with(|before: char| before.is_whitespace()) {
                self.text.push(' ');
            }
        }
    }

    fn end_block(&mut self, gap: &str) {
        if gap.is_empty() {
            return;
        }
        for reading in std::mem::take(&mut self.readings).iter().filter(|reading| !reading.is_empty()) {
            self.text.push_str(&format!(" ({reading})"));
        }
        // Elements that begin where others end share their gap.
        self.text.truncate(self.text.trim_end_matches(' ').len());
        let there = self.text.len() - self.text.trim_end_matches('\n').len();
        self.text.push_str(&gap[there.min(gap.len())..]);
    }
}

/// The lines that an element begins and ends with.
fn gap(name: &str) -> &'static str {
    match name {
        "p" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6" | "blockquote" | "table" | "ul" | "ol" | "dl"
        | "title" | "section" | "article" => "\n\n",
        "div" | "li" | "tr" | "dt" | "dd" | "header" | "footer" | "main" | "nav" | "aside" | "figure"
        | "figcaption" | "caption" | "hr" | "form" | "fieldset" | "legend" | "option" | "button" | "body"
        | "head" | "html" | "summary" | "details" | "address" => "\n",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_gives_what_it_shows() {
        let page = "<!DOCTYPE html><html><head><title>Leaf</title><style>p { x: y }</style></head><body>\
                    <h1>How a\n  leaf</h1><p>turns <b>li</b>ght &amp; water<br>into sugar</p><script>if (a < b) {}</script>\
                    <ul><li>one<li>two</ul><table><tr><td>a<td>b</tr><tr><td>c</table><img src=x alt=\"a stoma\">\
                    <pre>x\n  y</pre></body></html>";
        assert_eq!(
            text(page),
            "Leaf\n\nHow a leaf\n\nturns light & water\ninto sugar\n\none\ntwo\n\na\tb\nc\n\na stoma\nx\n  y"
        );
    }

    #[test]
    fn readings_stand_apart_from_their_characters() {
        let page = "<p><ruby>漢<rp>(</rp><rt>かん</rt><rp>)</rp></ruby>字です</p>";
        assert_eq!(text(page), "漢字です (かん)");
    }

    #[test]
    fn the_encoding_is_the_one_that_the_head_names() {
        let page = "<html><head><meta charset=\"shift_jis\"></head><body>光合成</body></html>";
        let (bytes, _, _) = encoding_rs::SHIFT_JIS.encode(page);
        assert_eq!(read(&bytes).unwrap().text, "光合成");
        assert_eq!(read("<meta charset=latin1><p>光</p>".as_bytes()).unwrap().text, "光");
        assert_eq!(read(b"<p>caf\xE9 cr\xE8me</p>").unwrap().text, "café crème");
    }
}
