use std::io::{self, Write};

/// Columns as wide as they have had to be so far, so that a long list can be written while it comes.
pub(crate) struct Table<const N: usize> {
    widths: [usize; N],
    sides: [Side; N],
}

/// The side of a column on which its cells stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Left,
    /// For numbers.
    Right,
}

impl<const N: usize> Table<N> {
    /// A table whose first column, and every one named in `texts`, is text; the others are numbers.
    pub(crate) fn new(texts: &[usize]) -> Self {
        let mut sides = [Side::Right; N];
        for place in texts.iter().copied().chain([0]).filter(|place| *place < N) {
            sides[place] = Side::Left;
        }
        Self { widths: [0; N], sides }
    }

    pub(crate) fn write(&mut self, out: &mut impl Write, rows: &[[String; N]]) -> io::Result<()> {
        for row in rows {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        for row in rows {
            let cells = row.iter().zip(self.widths).zip(self.sides).map(|((cell, width), side)| match side {
                Side::Left => format!("{cell:<width$}"),
                Side::Right => format!("{cell:>width$}"),
            });
            writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
        }
        Ok(())
    }
}
