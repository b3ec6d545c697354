//! Batches that are too large for one request.

use longhaul::{AttemptError, ErrorKind, Finish, Record, Result};
use serde::Serialize;

use crate::wire::{FinishBody, Item, MAX_WORKER_BODY_BYTES, OutcomeBody};

/// About as many bytes are sent in one request, where the items are small enough for that.
const PIECE: usize = 4 * 1024 * 1024;
/// The most that one item may take of a request, with room for what is around it.
const LARGEST: usize = MAX_WORKER_BODY_BYTES - 64 * 1024;

/// The finishes in pieces. One that no request can carry becomes a failure that says so: sent as it is, it would be
/// refused for ever, and its job with it.
pub(super) fn finish_pieces(finishes: &[Finish]) -> Result<Vec<Vec<Item<FinishBody>>>> {
    let mut pieces: Vec<Vec<Item<FinishBody>>> = Vec::new();
    let mut filled = PIECE;
    for finish in finishes {
        let mut body = FinishBody::from(finish);
        let mut bytes = size(&body)?;
        if bytes > LARGEST {
            let message = format!(
                "the job ended with {bytes} bytes to be sent, and a remote store takes at most {LARGEST}; keep \
                 large results elsewhere and return where"
            );
            let error = AttemptError::new(ErrorKind::Fatal, message);
            body.outcome = OutcomeBody::from(&longhaul::Outcome::Failed { error });
            body.entries.clear();
            body.follow_ups.clear();
            bytes = size(&body)?;
        }
        if filled + bytes > PIECE || pieces.is_empty() {
            pieces.push(Vec::new());
            filled = 0;
        }
        filled += bytes;
        if let Some(piece) = pieces.last_mut() {
            piece.push(Item::Read(body));
        }
    }
    Ok(pieces)
}

/// The records in pieces, each with its place in the whole. A record that is too large is cut between its entries, which
/// are small enough by themselves.
pub(super) fn record_pieces(records: Vec<Record>) -> Result<Vec<Vec<(usize, Record)>>> {
    let mut pieces: Vec<Vec<(usize, Record)>> = Vec::new();
    let mut filled = PIECE;
    for (place, record) in records.into_iter().enumerate() {
        let Record { lease, entries } = record;
        let mut part = Record { lease, entries: Vec::new() };
        let empty = size(&part)?;
        let mut bytes = empty;
        for entry in entries {
            let more = size(&entry)?;
            if bytes + more > PIECE && !part.entries.is_empty() {
                let rest = Record { lease: part.lease.clone(), entries: Vec::new() };
                pieces.push(vec![(place, std::mem::replace(&mut part, rest))]);
                (filled, bytes) = (PIECE, empty);
            }
            bytes += more;
            part.entries.push(entry);
        }
        if filled + bytes > PIECE || pieces.is_empty() {
            pieces.push(Vec::new());
            filled = 0;
        }
        filled += bytes;
        if let Some(piece) = pieces.last_mut() {
            piece.push((place, part));
        }
    }
    Ok(pieces)
}

fn size(item: &impl Serialize) -> Result<usize> {
    let mut counter = Counter(0);
    serde_json::to_writer(&mut counter, item)
        .map_err(|error| longhaul::Error::Invalid { field: "json".into(), reason: error.to_string() })?;
    Ok(counter.0)
}

/// Counts what is written.
struct Counter(usize);

impl std::io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use longhaul::{Entry, JobId, Json, Lease, Outcome};

    use super::*;

    fn lease(name: &str) -> Lease {
        Lease { id: JobId::from_store(name.into()), token: 1 }
    }

    fn text(bytes: usize) -> Json {
        Json::new(&"x".repeat(bytes)).unwrap()
    }

    fn finish(name: &str, bytes: usize) -> Finish {
        let outcome = Outcome::Completed { output: text(bytes) };
        Finish { lease: lease(name), outcome, entries: Vec::new(), follow_ups: Vec::new(), cost: None }
    }

    fn sizes<T>(pieces: &[Vec<T>]) -> Vec<usize> {
        pieces.iter().map(Vec::len).collect()
    }

    #[test]
    fn finishes_are_sent_together_as_far_as_they_fit() {
        assert!(finish_pieces(&[]).unwrap().is_empty());
        assert_eq!(sizes(&finish_pieces(&[finish("a", 1), finish("b", 1)]).unwrap()), [2]);
        let large = [finish("a", 1), finish("b", PIECE), finish("c", PIECE / 2), finish("d", PIECE / 4)];
        assert_eq!(sizes(&finish_pieces(&large).unwrap()), [1, 1, 2]);
    }

    #[test]
    fn a_finish_that_the_store_refuses_becomes_a_failure() {
        let pieces = finish_pieces(&[finish("a", LARGEST)]).unwrap();
        let outcome = |pieces: &[Vec<Item<FinishBody>>]| match &pieces[0][0] {
            Item::Read(body) => format!("{:?}", body.outcome),
            Item::Unreadable { .. } => panic!("it was not read"),
        };
        assert!(outcome(&pieces).starts_with("Failed"), "{pieces:?}");
        let pieces = finish_pieces(&[finish("a", LARGEST - 200)]).unwrap();
        assert!(outcome(&pieces).starts_with("Completed"));
    }

    #[test]
    fn a_record_is_cut_between_its_entries_and_each_part_knows_its_place() {
        let chunk = |bytes: usize| Entry::Chunk { data: text(bytes) };
        let long = Record { lease: lease("a"), entries: vec![chunk(PIECE / 2), chunk(PIECE / 2), chunk(1)] };
        let short = Record { lease: lease("b"), entries: vec![chunk(1)] };
        let silent = Record { lease: lease("c"), entries: Vec::new() };
        let pieces = record_pieces(vec![long, short, silent]).unwrap();
        let places: Vec<Vec<usize>> =
            pieces.iter().map(|piece| piece.iter().map(|(place, _)| *place).collect()).collect();
        assert_eq!(places, [vec![0], vec![0, 1, 2]]);
        let entries: usize = pieces.iter().flatten().map(|(_, record)| record.entries.len()).sum();
        assert_eq!(entries, 4);
    }
}
