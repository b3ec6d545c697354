use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufReader, Cursor, Seek};
use std::path::Path;

use bytes::Bytes;
use longhaul::clock::Stopwatch;

use super::grey::{Grey, Turn};
use super::tidy::{join_broken_words, letters, tidy};
use super::tool::{Ending, Input, Run};
use super::{ExtractError, FileKind, Limits, PageText, Warning, WarningCode, blocking, image, language};

/// The most that tesseract may write about one page; a page full of print is 10 kB of text and 60 of places.
const OUTPUT_BYTES: u64 = 8 << 20;
/// A picture of more pixels is made smaller first.
const MAX_PIXELS: &str = "18000000@>";
/// One of fewer pixels is made larger: letters of a screen are smaller than those that tesseract was trained on.
const SMALL_PIXELS: u64 = 600_000;
/// Words that tesseract is less sure of are dirt.
const MIN_WORD_CONFIDENCE: f64 = 25.0;
/// A page read with this confidence was read the right way up.
const SURE: f64 = 75.0;
/// Another way up is right where it scores so many times as much.
const CLEARLY: f64 = 1.15;
/// The confidence below which a page gets a warning.
const DOUBTFUL: f64 = 55.0;

/// The words that OCR saw on a page.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Seen {
    pub(super) text: String,
    /// 0 to 100, over the letters.
    pub(super) confidence: f64,
}

impl Seen {
    /// Words that come without a confidence.
    pub(super) fn sure(text: &str) -> Self {
        Self { text: tidy(text), confidence: 100.0 }
    }

    /// More letters, more surely read, are better, and whole words than crumbs: what is read the wrong way up falls into
    /// short ones, each of them surely read.
    fn score(&self) -> f64 {
        let (letters, words) =
            (letters(&self.text) as f64, self.text.split_whitespace().count().max(1) as f64);
        letters * self.confidence * (letters / words)
    }

    /// True if this is clearly better than the reading of the picture as it came: most pictures come upright.
    fn is_worth_a_turn(&self, before: &Self) -> bool {
        self.score() > CLEARLY * before.score()
    }

    fn is_sure(&self) -> bool {
        self.confidence >= SURE && letters(&self.text) > 0
    }

    pub(super) fn warning(&self) -> Option<Warning> {
        let message = || format!("OCR was not sure of its words (confidence {:.0} of 100)", self.confidence);
        let is_doubtful = self.confidence < DOUBTFUL && letters(&self.text) > 0;
        is_doubtful.then(|| Warning::new(WarningCode::OcrDoubtful, message()))
    }
}

/// Reads the words in a picture file, whichever way up it is.
pub(super) async fn file(path: &Path, kind: FileKind, limits: &Limits) -> Result<PageText, ExtractError> {
    let path = path.to_owned();
    if kind == FileKind::Webp {
        let read = move || std::fs::read(&path).map_err(ExtractError::io("read the document"));
        return bytes(blocking(read).await?, kind, limits).await;
    }
    let most = limits.clone();
    let open = move || {
        let file = File::open(&path).map_err(ExtractError::io("open the document"))?;
        let mut source = BufReader::new(&file);
        let turn = image::turn(kind, &mut source);
        let size = image::size_within(kind, &mut source, &most)?;
        Ok((file, turn, size))
    };
    let (file, turn, size) = blocking(open).await?;
    picture(&Packed { source: Source::File(file), kind, turn, size }, limits).await
}

/// The same for a picture in memory, in its own format.
pub(super) async fn bytes(bytes: Vec<u8>, kind: FileKind, limits: &Limits) -> Result<PageText, ExtractError> {
    let turn = image::turn(kind, &mut Cursor::new(&bytes));
    let bytes = match kind {
        FileKind::Webp => image::first_frame(&bytes).unwrap_or(bytes),
        _ => bytes,
    };
    let size = image::size_in(kind, &bytes, limits)?;
    picture(&Packed { source: Source::Bytes(bytes.into()), kind, turn, size }, limits).await
}

/// A picture in the format of its file.
struct Packed {
    source: Source,
    kind: FileKind,
    turn: Turn,
    size: Option<(u32, u32)>,
}

enum Source {
    Bytes(Bytes),
    File(File),
}

async fn picture(packed: &Packed, limits: &Limits) -> Result<PageText, ExtractError> {
    let Packed { kind, turn, .. } = *packed;
    let (white, damage) = decode(packed, Paper::White, limits).await?;
    let look = white.digest();
    let mut best =
        if white.is_blank() { Seen::default() } else { grey(white.turned(turn), None, limits).await? };
    // White letters on nothing are there only before something dark.
    if !best.is_sure() && kind != FileKind::Jpeg {
        let (black, _) = decode(packed, Paper::Black, limits).await?;
        if black.digest() != look && !black.is_blank() {
            let on_black = grey(black.turned(turn), None, limits).await?;
            if on_black.score() > best.score() {
                best = on_black;
            }
        }
    }
    let warnings = damage.into_iter().chain(best.warning()).collect();
    Ok(PageText { text: best.text, warnings })
}

/// Reads the words on a page of so many dots per inch, whichever way up it is.
pub(super) async fn grey(picture: Grey, dpi: Option<u32>, limits: &Limits) -> Result<Seen, ExtractError> {
    let watch = Stopwatch::start();
    let first = tesseract(&picture, "1", dpi, limits).await?;
    // What takes so long once is a page of dirt, and no more is to be had of it.
    if first.is_sure() || watch.elapsed() > limits.page_time / 5 {
        return Ok(first);
    }
    // Tesseract finds out which way is up from many letters; of few it has to be tried. Each turn takes the picture of
    // the one before by a quarter, so that there are never two of them.
    let mut best = first;
    let mut turned = picture;
    for turn in [Turn::None, Turn::Half, Turn::Right, Turn::Half] {
        turned = turned.turned(turn);
        let seen = tesseract(&turned, "3", dpi, limits).await?;
        if seen.is_worth_a_turn(&best) {
            best = seen;
        }
        if best.is_sure() {
            break;
        }
    }
    Ok(best)
}

/// The colour that is put behind the transparent parts of a picture.
#[derive(Clone, Copy, Debug)]
enum Paper {
    White,
    Black,
}

/// Unpacks a picture in a process of its own. One that ends too soon is unpacked as far as it goes.
async fn decode(
    packed: &Packed,
    paper: Paper,
    limits: &Limits,
) -> Result<(Grey, Option<Warning>), ExtractError> {
    let kind = packed.kind;
    let format = match kind {
        FileKind::Jpeg => "jpeg:-",
        FileKind::Png => "png:-",
        FileKind::Gif => "gif:-[0]",
        _ => "webp:-",
    };
    let background = match paper {
        Paper::White => "white",
        Paper::Black => "black",
    };
    let pixels = packed.size.map_or(0, |(width, height)| u64::from(width) * u64::from(height));
    let scale = if pixels < SMALL_PIXELS { "250%" } else { MAX_PIXELS };
    let args =
        ["convert", "-background", background, format, "-flatten", "-resize", scale, "-colorspace", "Gray"];
    let mut args = args.map(OsStr::new).to_vec();
    args.extend(["-depth", "8", "pgm:-"].map(OsStr::new));
    let input = match &packed.source {
        Source::Bytes(bytes) => Input::Bytes(bytes.clone()),
        Source::File(file) => {
            // The program reads on from where the file stands, which all of its handles share.
            let mut file = file.try_clone().map_err(ExtractError::io("open the document"))?;
            file.rewind().map_err(ExtractError::io("read the document"))?;
            Input::File(file)
        }
    };
    let run = Run { tool: "gm", args: &args, input, output_bytes: limits.image_pixels, limits };
    match run.run().await? {
        Ending::Done(pgm, complaint) => {
            let grey = Grey::from_pgm(pgm);
            let grey = grey.ok_or_else(|| ExtractError::unreadable(kind, "it unpacks to no picture"))?;
            let is_damaged = ["Premature", "Corrupt", "corrupt", "truncated", "incomplete"];
            let is_damaged = is_damaged.iter().any(|word| complaint.contains(word));
            let message = "the picture is cut short or damaged; what is there of it was read";
            Ok((grey, is_damaged.then(|| Warning::new(WarningCode::PictureDamaged, message))))
        }
        Ending::Failed(reason) => Err(ExtractError::unreadable(kind, reason)),
        Ending::TooMuchOutput => Err(ExtractError::ImageTooLarge { limit: limits.image_pixels }),
    }
}

async fn tesseract(
    picture: &Grey,
    mode: &str,
    dpi: Option<u32>,
    limits: &Limits,
) -> Result<Seen, ExtractError> {
    let dpi = dpi.map(|dpi| dpi.to_string());
    let mut args = ["stdin", "stdout", "--psm", mode, "-l", &limits.languages].map(OsStr::new).to_vec();
    args.extend(dpi.iter().flat_map(|dpi| ["--dpi", dpi.as_str()]).map(OsStr::new));
    args.push(OsStr::new("tsv"));
    let input = Input::Bytes(picture.to_pgm().into());
    let run = Run { tool: "tesseract", args: &args, input, output_bytes: OUTPUT_BYTES, limits };
    match run.run().await? {
        Ending::Done(_, complaint) if complaint.contains("Failed loading language") => {
            Err(language::missing(&complaint, &limits.languages))
        }
        Ending::Done(table, _) => Ok(words(&String::from_utf8_lossy(&table))),
        Ending::Failed(reason) if reason.contains("Failed loading language") => {
            Err(language::missing(&reason, &limits.languages))
        }
        // It gives up on a picture without a single line.
        Ending::Failed(reason) if reason.contains("Too few characters") || reason.contains("Empty page") => {
            Ok(Seen::default())
        }
        Ending::Failed(reason) => Err(ExtractError::unreadable(FileKind::Png, reason)),
        Ending::TooMuchOutput => Err(ExtractError::unreadable(FileKind::Png, "it reads as too much text")),
    }
}

/// Reads tesseract's table: a row for each word, with its block, paragraph and line.
fn words(table: &str) -> Seen {
    let mut text = String::new();
    let mut place: Option<[&str; 3]> = None;
    let (mut sum, mut count) = (0.0, 0.0);
    for row in table.lines() {
        let cells: Vec<&str> = row.split('\t').collect();
        let ["5", _, block, paragraph, line, _, _, _, _, _, confidence, word] = cells[..] else { continue };
        let confidence: f64 = confidence.parse().unwrap_or(0.0);
        if confidence < MIN_WORD_CONFIDENCE || word.trim().is_empty() {
            continue;
        }
        let here = [block, paragraph, line];
        match place {
            None => {}
            Some(before) if before == here => text.push(' '),
            Some(before) if before[..2] == here[..2] => text.push('\n'),
            Some(_) => text.push_str("\n\n"),
        }
        place = Some(here);
        text.push_str(word.trim());
        let letters = letters(word) as f64;
        sum += letters * confidence;
        count += letters;
    }
    let text = join_broken_words(&tidy(&text));
    Seen { text: join_unspaced(&text), confidence: if count > 0.0 { sum / count } else { 0.0 } }
}

/// Between letters of scripts that write no spaces tesseract puts some.
fn join_unspaced(text: &str) -> String {
    let is_unspaced =
        |c: char| matches!(c, '\u{3000}'..='\u{30FF}' | '\u{3400}'..='\u{9FFF}' | '\u{FF00}'..='\u{FFEF}');
    let mut joined = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        let is_between = joined.chars().next_back().is_some_and(is_unspaced)
            && characters.peek().copied().is_some_and(is_unspaced);
        if c != ' ' || !is_between {
            joined.push(c);
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_of_words_becomes_lines_and_paragraphs_without_dirt() {
        let row = |place: &str, confidence: &str, word: &str| {
            format!("5\t1\t{place}\t1\t0\t0\t9\t9\t{confidence}\t{word}\n")
        };
        let table = ["level\tpage_num\n", "4\t1\t1\t1\t1\t0\t0\t0\t9\t9\t-1\t\n"].concat()
            + &row("1\t1\t1", "90", "Exam")
            + &row("1\t1\t1", "80", "on")
            + &row("1\t1\t2", "96", "Friday")
            + &row("2\t1\t1", "3", "~~")
            + &row("2\t1\t2", "90", "Room");
        let seen = words(&table);
        assert_eq!(seen.text, "Exam on\nFriday\n\nRoom");
        assert!(seen.confidence > 85.0 && seen.is_sure() && seen.warning().is_none());
        assert_eq!(words("").confidence, 0.0);
    }

    #[test]
    fn doubt_is_told() {
        let seen = Seen { text: "Aepuu4j".to_owned(), confidence: 40.0 };
        assert_eq!(seen.warning().unwrap().code, WarningCode::OcrDoubtful);
        assert_eq!(Seen::default().warning(), None);
    }

    #[test]
    fn letters_of_scripts_without_spaces_stand_together() {
        assert_eq!(join_unspaced("光 合 成 is 光合 成\nA b"), "光合成 is 光合成\nA b");
    }
}
