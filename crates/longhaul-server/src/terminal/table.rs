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

    /// Writes rows. What a cell holds of characters that a terminal obeys, such as the newline in the name of a signal, is a blank.
    pub(crate) fn write(&mut self, out: &mut impl Write, rows: &[[String; N]]) -> io::Result<()> {
        let plain =
            |cell: &String| cell.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>();
        let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(plain).collect()).collect();
        for row in &rows {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        for row in &rows {
            let cells = row.iter().zip(self.widths).zip(self.sides).map(|((cell, width), side)| match side {
                Side::Left => format!("{cell:<width$}"),
                Side::Right => format!("{cell:>width$}"),
            });
            writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_stays_on_its_line_and_says_nothing_to_the_terminal() {
        let mut out = Vec::new();
        let rows = [["a", "one\n\u{1b}[31mtwo"], ["bcd", "three"]].map(|row| row.map(str::to_owned));
        Table::<2>::new(&[1]).write(&mut out, &rows).expect("it is written");
        assert_eq!(String::from_utf8(out).as_deref(), Ok("a    one  [31mtwo\nbcd  three\n"));
    }
}
