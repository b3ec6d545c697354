//! The lines of a file, which are counted and summed up as they are read.

use std::io::BufRead;

use service_support::Tables;

use super::file::{FORMAT, Footer, Header, Line, Sum};
use crate::Result;
use crate::output::tell;

/// What becomes of a file that ends without its footer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// It is refused.
    Refused,
    /// What there is of it is taken.
    Taken,
}

pub(super) struct Lines<'a, R> {
    reader: R,
    tables: &'a Tables,
    /// The number of the line that was read last.
    pub(super) number: u64,
    pub(super) sum: Sum,
    pub(super) footer: Option<Footer>,
}

impl<'a, R: BufRead> Lines<'a, R> {
    pub(super) fn new(reader: R, tables: &'a Tables) -> Self {
        Self { reader, tables, number: 0, sum: Sum::default(), footer: None }
    }

    /// The next line with its text; `None` at the end.
    fn line(&mut self) -> Result<Option<(Line, String)>> {
        let mut text = String::new();
        let number = self.number + 1;
        let read = self.reader.read_line(&mut text);
        let read = read.map_err(|error| format!("line {number} cannot be read: {error}"))?;
        if read == 0 {
            return Ok(None);
        }
        // The last line of a cut file is no line.
        if !text.ends_with('\n') {
            return Ok(None);
        }
        self.number = number;
        let line = Line::parse(&text);
        let line =
            line.map_err(|error| format!("line {number} is damaged, or of a later release: {error}"))?;
        Ok(Some((line, text)))
    }

    pub(super) fn header(&mut self) -> Result<Header> {
        let what = "the file does not begin as an export does: it must be one that `longhaul export` has written, unpacked";
        let line = self.line().map_err(|error| format!("{what} ({error})"))?;
        let Some((Line::Header(header), text)) = line else { return Err(what.into()) };
        if header.format > FORMAT {
            return Err(format!(
                "the file is of format {}, written by release {}, and this release reads formats up to {FORMAT}: import it with \
                 a release that is at least as new",
                header.format, header.version
            )
            .into());
        }
        self.sum.begin(&text);
        Ok(header)
    }

    /// The next record or row, which fits its table, and its bytes; `None` at the footer, and where the file ends without one.
    pub(super) fn next(&mut self) -> Result<Option<(Line, usize)>> {
        let Some((line, text)) = self.line()? else { return Ok(None) };
        let number = self.number;
        let line = match line {
            Line::Footer(footer) => {
                self.footer = Some(footer);
                return Ok(None);
            }
            Line::Header(_) => {
                return Err(format!("line {number} is a second header: import one export at a time").into());
            }
            Line::Row(row) => {
                Line::Row(self.tables.fit(row).map_err(|reason| format!("line {number}: {reason}"))?)
            }
            record => record,
        };
        self.sum.add(&text, line.name());
        Ok(Some((line, text.len())))
    }

    /// Holds what was read against the footer.
    pub(super) fn end(&self, cut: Cut) -> Result<()> {
        let number = self.number;
        let Some(footer) = &self.footer else {
            if cut == Cut::Taken {
                tell(format_args!(
                    "the file ends after line {number} without its footer: import the whole one to go on"
                ));
                return Ok(());
            }
            return Err(format!(
                "the file was cut after line {number}: export again, or take what there is with --partial and import the whole \
                 one later"
            )
            .into());
        };
        let found = self.sum.footer();
        if found.counts != footer.counts {
            return Err(format!(
                "the file has {:?} and its footer says {:?}: lines are missing or were added; export again",
                found.counts, footer.counts
            )
            .into());
        }
        if found.sha256 != footer.sha256 {
            return Err("the file is not as it was written: its checksum differs, though each line can be read; export again".into());
        }
        Ok(())
    }
}
