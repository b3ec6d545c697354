use crate::text;

/// A passage to index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) text: String,
    /// The page that it stands on; `None` where the document's kind has none.
    pub(super) page: Option<u32>,
}

/// Cuts a document into passages as its pages come, so that it is never held whole. No passage reaches over the end of
/// a page: it is found under the number that is printed there. The parts of a kind without pages are one text.
#[derive(Debug)]
pub(super) enum Pieces {
    Paged,
    Running(String),
}

/// So much of a running text is cut at a time.
const WINDOW_BYTES: usize = 256 * 1024;

impl Pieces {
    pub(super) fn add(&mut self, number: u32, text: &str) -> Vec<Piece> {
        match self {
            Self::Paged => {
                let pieces = text::chunks(text).into_iter();
                pieces.map(|text| Piece { text, page: Some(number) }).collect()
            }
            Self::Running(rest) => {
                if !rest.is_empty() {
                    rest.push('\n');
                }
                rest.push_str(text);
                if rest.len() < WINDOW_BYTES {
                    return Vec::new();
                }
                let mut ranges = text::chunk_ranges(rest);
                // The last may still grow, and what follows begins where it does.
                let Some(last) = ranges.pop() else { return Vec::new() };
                let pieces = ranges.into_iter().map(|range| running(&rest[range])).collect();
                rest.drain(..last.start);
                pieces
            }
        }
    }

    pub(super) fn finish(self) -> Vec<Piece> {
        match self {
            Self::Paged => Vec::new(),
            Self::Running(rest) => text::chunks(&rest).iter().map(|text| running(text)).collect(),
        }
    }
}

fn running(text: &str) -> Piece {
    Piece { text: text.to_owned(), page: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_running_text_is_cut_as_if_it_had_come_at_once() {
        let lines: Vec<String> = (0..30_000).map(|n| format!("Leaf {n} turns light into sugar.")).collect();
        let whole = lines.join("\n");
        let mut pieces = Pieces::Running(String::new());
        let mut cut = Vec::new();
        for (number, part) in (1..).zip(lines.chunks(700)) {
            cut.extend(pieces.add(number, &part.join("\n")));
        }
        cut.extend(pieces.finish());
        let texts: Vec<String> = cut.into_iter().map(|piece| piece.text).collect();
        assert_eq!(texts, text::chunks(&whole));
    }

    #[test]
    fn a_passage_stands_on_one_page() {
        let mut pieces = Pieces::Paged;
        assert_eq!(
            pieces.add(3, "Stomata open."),
            [Piece { text: "Stomata open.".to_owned(), page: Some(3) }]
        );
        assert_eq!(pieces.add(4, " \n"), []);
        assert_eq!(pieces.finish(), []);
    }
}
