//! Runs a folder of documents through extraction and reports what came of each: `make corpus FOLDER=…`. Where a second
//! extractor is installed, it says how many of that one's words were found too.

#![allow(clippy::print_stdout, reason = "the report is what it is for")]

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use longhaul::clock::Stopwatch;
use materials::extract::{Extracted, FileKind, Limits, extract, sniff_file};
use tokio::process::Command;

/// A program that reads documents too, with its arguments before and after the document.
struct Other {
    program: &'static str,
    kinds: &'static [FileKind],
    before: &'static [&'static str],
    after: &'static [&'static str],
}

const OTHERS: [Other; 6] = {
    use FileKind::{Docx, Epub, Html, Odt, Pdf, Rtf};
    [
        Other { program: "mutool", kinds: &[Pdf], before: &["draw", "-q", "-F", "txt"], after: &[] },
        Other { program: "pdf2txt.py", kinds: &[Pdf], before: &[], after: &[] },
        Other {
            program: "pandoc",
            kinds: &[Docx, Odt, Epub, Html, Rtf],
            before: &["-t", "plain"],
            after: &[],
        },
        Other { program: "docx2txt", kinds: &[Docx], before: &[], after: &["-"] },
        Other { program: "unrtf", kinds: &[Rtf], before: &["--text"], after: &[] },
        Other { program: "soffice", kinds: &[Docx, Odt, Rtf], before: &["--headless", "--cat"], after: &[] },
    ]
};
/// The longest that one of them may take for a document.
const OTHERS_TIME: Duration = Duration::from_secs(120);

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(folder), None) = (arguments.next(), arguments.next()) else {
        return Err("usage: corpus FOLDER".into());
    };
    let languages = std::env::var("OCR_LANGUAGES").unwrap_or(Limits::default().languages);
    let limits = Limits { languages, ..Limits::default() };
    let mut files = Vec::new();
    list(Path::new(&folder), &mut files)?;
    files.sort();
    let planted = planted(Path::new(&folder))?;
    println!("pages  words  warnings  seconds  peak MB  document");
    let mut sum = Sum::default();
    for file in &files {
        report(file, &planted, &limits, &mut sum).await?;
    }
    println!(
        "\n{} documents: {} read, {} failed, {} not taken; {} pages, {} words, {} warnings",
        files.len(),
        sum.read,
        sum.failed,
        sum.not_taken,
        sum.pages,
        sum.words,
        sum.warnings
    );
    if sum.planted > 0 {
        let share = 100.0 * sum.found as f64 / sum.planted as f64;
        println!("planted words: {} of {} found ({share:.1} %)", sum.found, sum.planted);
    }
    Ok(())
}

#[derive(Default)]
struct Sum {
    read: usize,
    failed: usize,
    not_taken: usize,
    pages: usize,
    words: usize,
    warnings: usize,
    planted: usize,
    found: usize,
}

async fn report(
    file: &Path,
    planted: &[(String, Vec<String>)],
    limits: &Limits,
    sum: &mut Sum,
) -> Result<(), Box<dyn std::error::Error>> {
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if name == PLANTED {
        return Ok(());
    }
    let Some(kind) = sniff_file(file, &name)? else {
        sum.not_taken += 1;
        println!("    -      -         -        -        -  {} (not taken)", file.display());
        return Ok(());
    };
    forget_peak();
    let watch = Stopwatch::start();
    let read = extract(file, kind, limits, &mut |_| {}).await;
    let seconds = watch.elapsed().as_secs_f64();
    let peak = peak_megabytes().map_or_else(|| "-".to_owned(), |peak| peak.to_string());
    let read = match read {
        Ok(read) => read,
        Err(error) => {
            sum.failed += 1;
            println!("    -      -         - {seconds:8.2} {peak:>8}  {} ({error})", file.display());
            return Ok(());
        }
    };
    let Extracted { pages, warnings } = read;
    let text = pages.join("\n");
    let words = words(&text);
    println!(
        "{:5} {:6} {:9} {seconds:8.2} {peak:>8}  {}",
        pages.len(),
        words.len(),
        warnings.len(),
        file.display()
    );
    for warning in &warnings {
        let page = warning.page.map_or_else(String::new, |page| format!("page {page}: "));
        println!("{:42}{page}{}", "", warning.message);
    }
    let ours: HashSet<&String> = words.iter().collect();
    if let Some((other, theirs)) = second(file, kind).await {
        let theirs: HashSet<String> = self::words(&theirs).into_iter().collect();
        let found = theirs.iter().filter(|word| ours.contains(word)).count();
        println!("{:42}{other}: {found} of its {} words", "", theirs.len());
        let missing: Vec<&str> =
            theirs.iter().filter(|word| !ours.contains(word)).map(String::as_str).take(8).collect();
        if !missing.is_empty() {
            println!("{:42}only there: {}", "", missing.join(" "));
        }
    }
    if let Some((_, planted)) = planted.iter().find(|(planted, _)| *planted == name) {
        let (found, missing): (Vec<&String>, Vec<&String>) =
            planted.iter().partition(|word| text.contains(*word));
        sum.planted += planted.len();
        sum.found += found.len();
        if !missing.is_empty() {
            println!("{:42}planted and not found: {missing:?}", "");
        }
    }
    sum.read += 1;
    sum.pages += pages.len();
    sum.words += words.len();
    sum.warnings += warnings.len();
    Ok(())
}

fn list(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            list(&entry.path(), files)?;
        } else if kind.is_file() {
            files.push(entry.path());
        }
    }
    Ok(())
}

/// The name of the list of words that a folder's documents hold: a line for each document, its name and its words,
/// with tabs between them.
const PLANTED: &str = "planted.tsv";

fn planted(folder: &Path) -> std::io::Result<Vec<(String, Vec<String>)>> {
    let list = match std::fs::read_to_string(folder.join(PLANTED)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        list => list?,
    };
    let rows = list.lines().map(|line| line.split('\t').map(str::to_owned));
    Ok(rows.filter_map(|mut cells| Some((cells.next()?, cells.collect()))).collect())
}

/// The text of the first other program that is installed and reads the document.
async fn second(file: &Path, kind: FileKind) -> Option<(&'static str, String)> {
    for Other { program, kinds, before, after } in OTHERS {
        if !kinds.contains(&kind) {
            continue;
        }
        let mut command = Command::new(program);
        command.args(before).arg(file).args(after).kill_on_drop(true);
        command.stdin(std::process::Stdio::null());
        if let Ok(Ok(output)) = tokio::time::timeout(OTHERS_TIME, command.output()).await
            && output.status.success()
        {
            return Some((program, String::from_utf8_lossy(&output.stdout).into_owned()));
        }
    }
    None
}

fn words(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| word.chars().count() > 2);
    words.map(str::to_lowercase).collect()
}

/// Linux counts the peak anew after this; elsewhere it is that of all documents so far, or unknown.
fn forget_peak() {
    let _elsewhere = std::fs::write("/proc/self/clear_refs", "5");
}

/// The most memory that this program has held; the programs that it runs are bounded by themselves.
fn peak_megabytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(peak.split_whitespace().next()?.parse::<u64>().ok()? / 1024)
}
