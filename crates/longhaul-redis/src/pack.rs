//! MessagePack, as much of it as the scripts speak: Lua reads and writes it at the speed of C.

/// Writes values one after the other.
#[derive(Debug, Default)]
pub(crate) struct Packer(Vec<u8>);

impl Packer {
    pub(crate) fn new() -> Self {
        Self(Vec::with_capacity(192))
    }

    pub(crate) fn done(self) -> Vec<u8> {
        self.0
    }

    /// Begins a list of `len` values.
    pub(crate) fn list(&mut self, len: usize) -> &mut Self {
        match u32::try_from(len).unwrap_or(u32::MAX) {
            len @ 0..=15 => self.0.push(0x90 | len as u8),
            len => {
                self.0.push(0xdd);
                self.0.extend_from_slice(&len.to_be_bytes());
            }
        }
        self
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        match u32::try_from(bytes.len()).unwrap_or(u32::MAX) {
            len @ 0..=31 => self.0.push(0xa0 | len as u8),
            len @ 32..=0xffff => {
                self.0.push(0xda);
                self.0.extend_from_slice(&(len as u16).to_be_bytes());
            }
            len => {
                self.0.push(0xdb);
                self.0.extend_from_slice(&len.to_be_bytes());
            }
        }
        self.0.extend_from_slice(bytes);
        self
    }

    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    pub(crate) fn int(&mut self, number: i64) -> &mut Self {
        match number {
            0..=127 => self.0.push(number as u8),
            _ => {
                self.0.push(0xd3);
                self.0.extend_from_slice(&number.to_be_bytes());
            }
        }
        self
    }

    /// Lua's `false`, which stands for none; a nil would end its list.
    pub(crate) fn none(&mut self) -> &mut Self {
        self.0.push(0xc2);
        self
    }

    pub(crate) fn yes(&mut self) -> &mut Self {
        self.0.push(0xc3);
        self
    }

    pub(crate) fn text_or_none(&mut self, text: Option<&str>) -> &mut Self {
        match text {
            Some(text) => self.text(text),
            None => self.none(),
        }
    }

    pub(crate) fn int_or_none(&mut self, number: Option<i64>) -> &mut Self {
        match number {
            Some(number) => self.int(number),
            None => self.none(),
        }
    }
}

/// A value as it is read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Item<'a> {
    /// Lua's `false`: none.
    None,
    Yes,
    Int(i64),
    Bytes(&'a [u8]),
    /// A list of so many values, which follow.
    List(usize),
}

/// Reads values one after the other.
#[derive(Clone, Debug)]
pub(crate) struct Unpacker<'a>(pub(crate) &'a [u8]);

impl<'a> Unpacker<'a> {
    /// The next value; `None` at the end, and where there is something that no script writes.
    pub(crate) fn next(&mut self) -> Option<Item<'a>> {
        let tag = self.take(1)?[0];
        Some(match tag {
            0x00..=0x7f => Item::Int(i64::from(tag)),
            0xe0..=0xff => Item::Int(i64::from(tag as i8)),
            0x90..=0x9f => Item::List(usize::from(tag & 0x0f)),
            0xa0..=0xbf => Item::Bytes(self.take(usize::from(tag & 0x1f))?),
            0xc0 | 0xc2 => Item::None,
            0xc3 => Item::Yes,
            0xcc => Item::Int(self.unsigned(1)?),
            0xcd => Item::Int(self.unsigned(2)?),
            0xce => Item::Int(self.unsigned(4)?),
            0xcf | 0xd3 => Item::Int(self.unsigned(8)?),
            0xd0 => Item::Int(i64::from(self.unsigned(1)? as i8)),
            0xd1 => Item::Int(i64::from(self.unsigned(2)? as i16)),
            0xd2 => Item::Int(i64::from(self.unsigned(4)? as i32)),
            0xc4 | 0xd9 => self.sized(1)?,
            0xc5 | 0xda => self.sized(2)?,
            0xc6 | 0xdb => self.sized(4)?,
            0xdc => Item::List(usize::try_from(self.unsigned(2)?).ok()?),
            0xdd => Item::List(usize::try_from(self.unsigned(4)?).ok()?),
            // A number that Lua could not write as a whole one: none of ours, but one beyond all bounds might be.
            0xcb => Item::Int(f64::from_bits(self.unsigned(8)? as u64) as i64),
            _ => return None,
        })
    }

    pub(crate) fn int(&mut self) -> Option<i64> {
        match self.next()? {
            Item::Int(number) => Some(number),
            _ => None,
        }
    }

    pub(crate) fn int_or_none(&mut self) -> Option<Option<i64>> {
        match self.next()? {
            Item::Int(number) => Some(Some(number)),
            Item::None => Some(None),
            _ => None,
        }
    }

    pub(crate) fn text_or_none(&mut self) -> Option<Option<&'a str>> {
        match self.next()? {
            Item::Bytes(bytes) => std::str::from_utf8(bytes).ok().map(Some),
            Item::None => Some(None),
            _ => None,
        }
    }

    pub(crate) fn list(&mut self) -> Option<usize> {
        match self.next()? {
            Item::List(len) => Some(len),
            _ => None,
        }
    }

    fn sized(&mut self, width: usize) -> Option<Item<'a>> {
        let len = usize::try_from(self.unsigned(width)?).ok()?;
        Some(Item::Bytes(self.take(len)?))
    }

    fn unsigned(&mut self, width: usize) -> Option<i64> {
        let bytes = self.take(width)?;
        Some(bytes.iter().fold(0, |number: i64, byte| (number << 8) | i64::from(*byte)))
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let long = "x".repeat(70_000);
        let mut packer = Packer::new();
        packer.list(9).int(0).int(-60_000).int(1 << 52).none().yes().text("a");
        packer.text(&long[..31]).text(&long[..300]).text(&long).list(40);
        let bytes = packer.done();
        let mut unpacker = Unpacker(&bytes);
        let mut next = || unpacker.next().unwrap();
        assert_eq!(next(), Item::List(9));
        assert_eq!([next(), next(), next()], [Item::Int(0), Item::Int(-60_000), Item::Int(1 << 52)]);
        assert_eq!([next(), next(), next()], [Item::None, Item::Yes, Item::Bytes(b"a")]);
        for len in [31, 300, 70_000] {
            assert_eq!(next(), Item::Bytes(&long.as_bytes()[..len]));
        }
        assert_eq!(next(), Item::List(40));
        assert_eq!(unpacker.next(), None);
    }

    #[test]
    fn what_is_cut_off_is_none() {
        let mut packer = Packer::new();
        packer.text(&"x".repeat(100));
        let bytes = packer.done();
        assert_eq!(Unpacker(&bytes[..50]).next(), None);
    }
}
