use html5gum::{StartTag, State, Token, Tokenizer};

use super::encoding::Encoding;
use super::formula::{Formula, raise};
use super::tidy::tidy;
use super::{ExtractError, FileKind, PageText, Warning, WarningCode, plain};

/// A web page as it is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Html {
    pub(super) text: String,
    /// The addresses of the pictures that it shows, in their order.
    pub(super) pictures: Vec<String>,
    pub(super) warnings: Vec<Warning>,
}

/// Reads a web page of any encoding: by its mark, by what its head says, or by its bytes.
pub(super) fn read(bytes: &[u8]) -> Result<Html, ExtractError> {
    let (source, warnings) = match declared(bytes) {
        Some(encoding) => (encoding.decode(bytes).text, Vec::new()),
        None => {
            let source = plain::whole(bytes, FileKind::Html)?;
            (source.text, source.warnings)
        }
    };
    Ok(Html { warnings, ..shown(&source) })
}

/// Reads a web page whose characters are known.
pub(super) fn shown(source: &str) -> Html {
    let mut page = Page::default();
    page.read(source, 0);
    page.end_block("\n");
    Html { text: tidy(&page.text), pictures: page.pictures, warnings: Vec::new() }
}

/// Reads a page that stands alone. Pictures that it brings along are told: they are not read.
pub(super) fn page(bytes: &[u8]) -> Result<PageText, ExtractError> {
    let mut page = read(bytes)?;
    page.warnings.extend(left_out(page.brought()));
    Ok(PageText { text: page.text, warnings: page.warnings })
}

impl Html {
    /// The number of the pictures that stand within the page itself.
    pub(super) fn brought(&self) -> usize {
        self.pictures.iter().filter(|address| address.trim_start().starts_with("data:image/")).count()
    }
}

/// Says that pictures which a page brings along were not read.
pub(super) fn left_out(pictures: usize) -> Option<Warning> {
    let message = || format!("pictures within the page were left out: {pictures}");
    (pictures > 0).then(|| Warning::new(WarningCode::PictureUnreadable, message()))
}

/// Pages within pages are read so deep.
const MAX_FRAMES: usize = 3;

/// The encoding that the head of a page names, unless its first bytes say another.
fn declared(bytes: &[u8]) -> Option<Encoding> {
    let head: String = bytes.iter().take(2048).map(|byte| char::from(*byte).to_ascii_lowercase()).collect();
    let after = head.split_once("charset=").or_else(|| head.split_once("encoding="))?.1;
    let label: String = after
        .trim_start_matches(['"', '\''])
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | ':'))
        .collect();
    let encoding = encoding_rs::Encoding::for_label(label.as_bytes())?;
    // A head that is read byte by byte is in no encoding of two bytes, whatever it says.
    if encoding == encoding_rs::UTF_16LE || encoding == encoding_rs::UTF_16BE {
        return None;
    }
    let encoding = Encoding::Known(encoding);
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
    pictures: Vec<String>,
    formula: Formula,
    /// Where the texts above the line begin that are open.
    raised: Vec<usize>,
}

impl Page {
    /// Takes the text that a page shows: what browsers run, and what they do not show, is none.
    fn read(&mut self, source: &str, depth: usize) {
        let mut tokens = Tokenizer::new(source);
        while let Some(token) = tokens.next() {
            match token {
                Ok(Token::StartTag(tag)) => {
                    // XHTML closes elements of plain text at once, and text follows them: `<title/>`, `<script src="…"/>`.
                    if let Some(state) = content(&tag.name).filter(|_| !tag.self_closing) {
                        tokens.set_state(state);
                    }
                    self.start(&tag, depth);
                }
                Ok(Token::EndTag(tag)) => self.close(&String::from_utf8_lossy(&tag.name)),
                Ok(Token::String(text)) => self.push(&String::from_utf8_lossy(&text)),
                Ok(Token::Comment(_) | Token::Doctype(_) | Token::Error(_)) => {}
            }
        }
    }

    fn start(&mut self, tag: &StartTag<()>, depth: usize) {
        let name = String::from_utf8_lossy(&tag.name).into_owned();
        let attribute = |name: &str| {
            let value = tag.attributes.get(name.as_bytes())?;
            Some(String::from_utf8_lossy(value).into_owned())
        };
        // A template that is the shadow of its element is shown.
        if name == "template" && attribute("shadowrootmode").is_some() {
            return self.end_block("\n");
        }
        self.open(&name, tag.self_closing);
        match name.as_str() {
            "img" => {
                if let Some(words) = attribute("alt") {
                    self.push(&format!(" {words} "));
                }
                self.picture(attribute("src"));
            }
            "image" => self.picture(attribute("xlink:href").or_else(|| attribute("href"))),
            "iframe" if depth < MAX_FRAMES && self.frames_hidden() => {
                if let Some(page) = attribute("srcdoc") {
                    let hidden = self.hidden.take();
                    self.end_block("\n");
                    self.read(&page, depth + 1);
                    self.end_block("\n");
                    self.hidden = hidden;
                }
            }
            _ => {}
        }
    }

    /// True unless an iframe stands within something else that is not shown.
    fn frames_hidden(&self) -> bool {
        self.hidden.as_ref().is_none_or(|(name, depth)| name == "iframe" && *depth == 1)
    }

    fn picture(&mut self, address: Option<String>) {
        if self.hidden.is_none() {
            self.pictures.extend(address.filter(|address| !address.trim().is_empty()));
        }
    }

    fn open(&mut self, name: &str, is_empty: bool) {
        if let Some((hidden, depth)) = &mut self.hidden {
            *depth += usize::from(hidden == name && !is_empty);
            return;
        }
        match name {
            "script" | "style" | "template" | "rp" | "noframes" | "noembed" | "iframe" if !is_empty => {
                self.hidden = Some((name.to_owned(), 1));
            }
            // The source of a formula, or its meaning, for programs.
            "annotation" | "annotation-xml" if self.formula.is_open() && !is_empty => {
                self.hidden = Some((name.to_owned(), 1));
            }
            // A page that forgets to end a formula.
            _ if self.formula.is_open() && gap(name) == "\n\n" => {
                self.formula = Formula::default();
                self.end_block(gap(name));
            }
            _ if self.formula.is_open() || name == "math" => {
                if !is_empty {
                    self.formula.open(name, self.text.len());
                }
                match name {
                    "mtd" if !self.text.ends_with('\n') => self.text.push('\t'),
                    name => self.end_block(gap(name)),
                }
            }
            "sup" if !is_empty => self.raised.push(self.text.len()),
            "rt" if !is_empty => self.reading = Some(String::new()),
            "br" => self.text.push('\n'),
            "pre" => {
                self.end_block("\n");
                self.preformatted += 1;
            }
            "td" | "th" | "mtd" if !self.text.ends_with('\n') => self.text.push('\t'),
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
            _ if self.formula.is_open() => {
                self.formula.close(name, &mut self.text);
                self.end_block(gap(name));
            }
            "sup" => {
                if let Some(start) = self.raised.pop() {
                    raise(&mut self.text, start);
                }
            }
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
        // Between the elements of a formula spaces are those of its source.
        if self.formula.is_open() && text.trim().is_empty() {
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

/// The form of the content of an element that holds no elements. `noscript` is none of them for those who run no scripts.
fn content(name: &[u8]) -> Option<State> {
    match name {
        b"textarea" | b"title" => Some(State::RcData),
        b"plaintext" => Some(State::PlainText),
        b"script" => Some(State::ScriptData),
        b"style" | b"iframe" | b"xmp" | b"noembed" | b"noframes" => Some(State::RawText),
        _ => None,
    }
}

/// The lines that an element begins and ends with.
fn gap(name: &str) -> &'static str {
    match name {
        "p" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6" | "blockquote" | "table" | "ul" | "ol" | "dl"
        | "title" | "section" | "article" | "noscript" | "xmp" | "plaintext" | "listing" => "\n\n",
        "div" | "li" | "tr" | "dt" | "dd" | "header" | "footer" | "main" | "nav" | "aside" | "figure"
        | "figcaption" | "caption" | "hr" | "form" | "fieldset" | "legend" | "option" | "button" | "body"
        | "head" | "html" | "summary" | "details" | "address" | "center" | "dialog" | "dir" | "hgroup"
        | "menu" | "search" | "select" | "optgroup" | "textarea" | "thead" | "tbody" | "tfoot" | "text"
        | "mtr" => "\n",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(page: &str) -> String {
        read(page.as_bytes()).unwrap().text
    }

    #[test]
    fn elements_that_xhtml_closes_at_once_hold_none_of_the_page() {
        let page = "<?xml version=\"1.0\"?><html><head><title/><script src=\"a.js\"/><style/></head><body><p>One</p>\
                    <textarea/><p>two</p><iframe src=\"x\"/><p>three</p></body></html>";
        assert_eq!(text(page), "One\n\ntwo\n\nthree");
    }

    #[test]
    fn what_a_page_shows_without_scripts_is_read_as_a_page() {
        let page = "<noscript><p>Read <b>me</b></p></noscript><iframe src=x><p>old <i>browser</i></p></iframe>\
                    <noembed><p>no</p></noembed><iframe srcdoc=\"<p>framed &amp;amp; shown</p>\"></iframe>\
                    <template><p>no</p><iframe srcdoc='no'></iframe></template>\
                    <template shadowrootmode=open><p>shadow</p></template><xmp><b>as it is</b></xmp>last";
        assert_eq!(text(page), "Read me\n\nframed & shown\n\nshadow\n\n<b>as it is</b>\n\nlast");
    }

    #[test]
    fn words_of_elements_that_stand_below_each_other_are_not_joined() {
        let page = "one<center>two</center>three<select><option>four</select>five<svg><text>six</text><text>seven</text></svg>";
        assert_eq!(text(page), "one\ntwo\nthree\nfour\nfive\nsix\nseven");
    }

    #[test]
    fn what_stands_above_the_line_is_no_part_of_the_number_before_it() {
        let page = "<p>10<sup>6</sup> m<sup>2</sup>, H<sub>2</sub>O, the 1<sup>st</sup> leaf<sup>1</sup></p><p><sup>1</sup>note";
        assert_eq!(text(page), "10^6 m^2, H2O, the 1st leaf^1\n\n1note");
    }

    #[test]
    fn a_formula_is_one_line_that_means_the_same() {
        let page = "<p>If <math alttext=\"x\"><semantics><mrow> <mi>x</mi> <mo>=</mo> <mfrac><mrow><mo>-</mo><mi>b</mi><mo>+</mo>\
                    <msqrt><msup><mi>b</mi><mn>2</mn></msup><mo>-</mo><mn>4</mn><mi>a</mi></msqrt></mrow><mrow><mn>2</mn><mi>a</mi>\
                    </mrow></mfrac></mrow><annotation encoding=\"application/x-tex\">x=\\frac{a}</annotation></semantics></math>, then \
                    <math><munderover><mo>∑</mo><mrow><mi>i</mi><mo>=</mo><mn>0</mn></mrow><mi>n</mi></munderover><msub><mi>a</mi>\
                    <mi>i</mi></msub><mover><mi>x</mi><mo>¯</mo></mover><mroot><mi>y</mi><mn>3</mn></mroot></math> is <math><mfrac>\
                    <mn>1</mn><mn>2</mn></mfrac></math>.</p><math><mtable><mtr><mtd><mn>1</mn></mtd><mtd><mn>2</mn></mtd></mtr></mtable></math>end";
        assert_eq!(text("<math><mi>x</mi><p>a <b>b</b> <i>c</i>"), "x\n\na b c");
        assert_eq!(text(page), "If x=(-b+√(b^2-4a))/2a, then ∑_(i=0)^na_ix¯3√(y) is 1/2.\n\n1\t2\nend");
    }

    #[test]
    fn pictures_are_listed_in_their_order() {
        let page = "<img src='a.png'><svg><image xlink:href=\"b.jpg\"/></svg><noscript><img src=c.gif></noscript>\
                    <template><img src='d.png'></template><img alt='x'>";
        assert_eq!(read(page.as_bytes()).unwrap().pictures, ["a.png", "b.jpg", "c.gif"]);
        let told = super::page(b"a<img src='data:image/png;base64,AAAA'><img src=b.png>").unwrap();
        assert_eq!(told.text, "a");
        assert_eq!(told.warnings[0].code, WarningCode::PictureUnreadable);
        assert!(super::page(page.as_bytes()).unwrap().warnings.is_empty());
    }

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
        assert_eq!(read(b"<meta charset=utf-16><p>caf\xE9 cr\xE8me</p>").unwrap().text, "café crème");
    }
}
