use std::hash::{DefaultHasher, Hash, Hasher};

/// A picture in shades of grey, a byte for each pixel: all that OCR looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Grey {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) pixels: Vec<u8>,
}

/// A turn of a picture, as EXIF counts them: the top and the left of what was seen lie elsewhere in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    None,
    MirroredLeftRight,
    Half,
    MirroredUpDown,
    MirroredLeft,
    Right,
    MirroredRight,
    Left,
}

impl Turn {
    /// Cameras write values that mean nothing; those turn nothing.
    pub(super) fn from_exif(value: u16) -> Self {
        match value {
            2 => Self::MirroredLeftRight,
            3 => Self::Half,
            4 => Self::MirroredUpDown,
            5 => Self::MirroredLeft,
            6 => Self::Right,
            7 => Self::MirroredRight,
            8 => Self::Left,
            _ => Self::None,
        }
    }
}

impl Grey {
    /// Reads a binary PGM of 8 bits; `None` where it is none.
    pub(super) fn from_pgm(mut bytes: Vec<u8>) -> Option<Self> {
        let mut at = 0;
        let mut fields = [0_usize; 3];
        if !bytes.starts_with(b"P5") {
            return None;
        }
        at += 2;
        for field in &mut fields {
            loop {
                match bytes.get(at)? {
                    b'#' => at += bytes[at..].iter().position(|byte| *byte == b'\n')?,
                    byte if byte.is_ascii_whitespace() => at += 1,
                    _ => break,
                }
            }
            let digits = bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            *field = std::str::from_utf8(&bytes[at..at + digits]).ok()?.parse().ok()?;
            at += digits;
        }
        let [width, height, 255] = fields else { return None };
        let pixels = bytes.split_off(bytes.len().min(at + 1));
        (pixels.len() == width.checked_mul(height)? && width > 0).then_some(Self { width, height, pixels })
    }

    pub(super) fn to_pgm(&self) -> Vec<u8> {
        let mut pgm = format!("P5\n{} {}\n255\n", self.width, self.height).into_bytes();
        pgm.extend_from_slice(&self.pixels);
        pgm
    }

    pub(super) fn turned(self, turn: Turn) -> Self {
        let (width, height) = (self.width, self.height);
        let flip_rows = |mut grey: Self| {
            grey.pixels.chunks_exact_mut(width).for_each(<[u8]>::reverse);
            grey
        };
        let transposed = |grey: &Self| {
            let mut pixels = Vec::with_capacity(grey.pixels.len());
            for x in 0..width {
                pixels.extend(grey.pixels.iter().skip(x).step_by(width));
            }
            Self { width: height, height: width, pixels }
        };
        let half = |mut grey: Self| {
            grey.pixels.reverse();
            grey
        };
        match turn {
            Turn::None => self,
            Turn::MirroredLeftRight => flip_rows(self),
            Turn::Half => half(self),
            Turn::MirroredUpDown => half(flip_rows(self)),
            Turn::MirroredLeft => transposed(&self),
            // To the right: what was the lowest row becomes the leftmost column.
            Turn::Right => transposed(&half(flip_rows(self))),
            Turn::MirroredRight => transposed(&half(self)),
            Turn::Left => transposed(&flip_rows(self)),
        }
    }

    /// True if it shows nothing: hardly a pixel differs from the paper, whatever its colour. The dots of one printed
    /// digit are enough for it to show something.
    pub(super) fn is_blank(&self) -> bool {
        /// Of the pixels of a page: one character of twelve points on A4 at 300 dots per inch.
        const INK: f64 = 0.000_05;
        let paper = self.paper();
        let ink = self.pixels.iter().filter(|shade| shade.abs_diff(paper) > CONTRAST).count();
        // Counts of pixels are far below what a float holds exactly.
        ink as f64 <= INK * self.pixels.len() as f64
    }

    /// Equal for equal pictures, so that one need not be kept to be compared.
    pub(super) fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.width, &self.pixels).hash(&mut hasher);
        hasher.finish()
    }

    /// The commonest shade.
    pub(super) fn paper(&self) -> u8 {
        let mut shades = [0_usize; 256];
        for pixel in &self.pixels {
            shades[usize::from(*pixel)] += 1;
        }
        (0..=255).max_by_key(|shade| shades[usize::from(*shade)]).unwrap_or(255)
    }
}

/// The largest difference from the paper that is not ink.
pub(super) const CONTRAST: u8 = 48;

#[cfg(test)]
mod tests {
    use super::*;

    fn grey(width: usize, pixels: &[u8]) -> Grey {
        Grey { width, height: pixels.len() / width, pixels: pixels.to_vec() }
    }

    /// The pictures of EXIF's own table: `F` of which the first row is `12`, in each of the eight ways.
    #[test]
    fn every_turn_of_exif_shows_the_picture_as_it_was_seen() {
        let seen = grey(2, &[1, 2, 3, 4, 5, 6]);
        for (value, kept) in [
            (0, grey(2, &[1, 2, 3, 4, 5, 6])),
            (1, grey(2, &[1, 2, 3, 4, 5, 6])),
            (2, grey(2, &[2, 1, 4, 3, 6, 5])),
            (3, grey(2, &[6, 5, 4, 3, 2, 1])),
            (4, grey(2, &[5, 6, 3, 4, 1, 2])),
            (5, grey(3, &[1, 3, 5, 2, 4, 6])),
            (6, grey(3, &[2, 4, 6, 1, 3, 5])),
            (7, grey(3, &[6, 4, 2, 5, 3, 1])),
            (8, grey(3, &[5, 3, 1, 6, 4, 2])),
            (9, grey(2, &[1, 2, 3, 4, 5, 6])),
        ] {
            assert_eq!(kept.turned(Turn::from_exif(value)), seen, "{value}");
        }
    }

    #[test]
    fn a_pgm_is_read_and_written() {
        let picture = grey(2, &[1, 2, 3, 4]);
        assert_eq!(Grey::from_pgm(picture.to_pgm()), Some(picture));
        assert_eq!(Grey::from_pgm(b"P5 # made\n 1 1\n255\n\x07".to_vec()), Some(grey(1, &[7])));
        assert_eq!(Grey::from_pgm(b"P5 9 9 255 x".to_vec()), None);
        assert_eq!(Grey::from_pgm(b"P5".to_vec()), None);
    }

    #[test]
    fn blank_is_what_has_less_ink_than_a_character() {
        let mut page = grey(1000, &vec![250; 1_000_000]);
        assert!(page.is_blank());
        page.pixels[..60].fill(10);
        assert!(!page.is_blank());
        page.pixels.iter_mut().for_each(|shade| *shade = 255 - *shade);
        assert!(!page.is_blank());
    }
}
