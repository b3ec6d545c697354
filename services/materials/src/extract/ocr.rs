use std::ffi::OsStr;
use std::fs::File;
use std::path::Path;

use super::tool::{Ending, Input, Run};
use super::{ExtractError, FileKind, Limits, plain};

/// The most that tesseract may write about one page; a page full of print is 10 kB.
const OUTPUT_BYTES: u64 = 4 << 20;

/// Reads the words in a picture file, whichever way up it is.
pub(super) async fn file(path: &Path, kind: FileKind, limits: &Limits) -> Result<String, ExtractError> {
    let file = File::open(path).map_err(ExtractError::io("open the document"))?;
    tesseract(Input::File(file), kind, &[], limits).await
}

/// Reads the words in a picture in memory, of so many dots per inch.
pub(super) async fn picture(bytes: Vec<u8>, dpi: u32, limits: &Limits) -> Result<String, ExtractError> {
    tesseract(Input::Bytes(bytes), FileKind::Pdf, &["--dpi", &dpi.to_string()], limits).await
}

/// Mode 1 finds out which way is up, which phones and scanners often get wrong.
async fn tesseract(
    input: Input,
    kind: FileKind,
    more: &[&str],
    limits: &Limits,
) -> Result<String, ExtractError> {
    let mut args = ["stdin", "stdout", "--psm", "1", "-l", &limits.languages].map(OsStr::new).to_vec();
    args.extend(more.iter().map(OsStr::new));
    let run = Run { tool: "tesseract", args: &args, input, output_bytes: OUTPUT_BYTES, limits };
    match run.run().await? {
        Ending::Done(text) => {
            let text = plain::tidy(&String::from_utf8_lossy(&text));
            Ok(plain::join_broken_words(&text))
        }
        Ending::Failed(reason) if reason.contains("Failed loading language") => {
            Err(ExtractError::ToolUnavailable { tool: "tesseract", reason })
        }
        Ending::Failed(reason) => Err(ExtractError::unreadable(kind, reason)),
        Ending::TooMuchOutput => Err(ExtractError::unreadable(kind, "it reads as too much text")),
    }
}
