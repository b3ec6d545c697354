/// A table of DOS that browsers do not know: the characters of the bytes from 0x80.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dos(&'static str);

impl Dos {
    pub(super) fn of_number(number: u32) -> Option<Self> {
        let lines = include_str!("dos.txt").lines().filter_map(|line| line.split_once(' '));
        lines.filter(|(name, _)| name.parse() == Ok(number)).map(|(_, table)| Self(table)).next()
    }

    pub(super) fn decode(self, bytes: &[u8]) -> String {
        let table: Vec<char> = self.0.chars().collect();
        let decoded = bytes.iter().map(|byte| match byte.checked_sub(0x80) {
            Some(at) => table.get(usize::from(at)).copied().unwrap_or(char::REPLACEMENT_CHARACTER),
            None => char::from(*byte),
        });
        decoded.collect()
    }
}

/// An encoding of Latin letters that the detector does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Older {
    Macintosh,
    Dos(Dos),
}

impl Older {
    fn characters(self, bytes: &[u8]) -> String {
        match self {
            Self::Macintosh => encoding_rs::MACINTOSH.decode_without_bom_handling(bytes).0.into_owned(),
            Self::Dos(table) => table.decode(bytes),
        }
    }
}

/// The older encoding of words, where it makes whole words of what the guess of the detector makes signs within words;
/// `None` in doubt, since a text in windows-1252 must stay one.
pub(super) fn of_western_words(words: &[u8], guess: &'static encoding_rs::Encoding) -> Option<Older> {
    let guessed = Fit::of(&guess.decode_without_bom_handling(words).0);
    if guessed.impossible == 0 || guessed.odd() < 2 {
        return None;
    }
    let tables = [850, 437].into_iter().filter_map(Dos::of_number).map(Older::Dos);
    let (fit, older) = std::iter::once(Older::Macintosh)
        .chain(tables)
        .map(|older| (Fit::of(&older.characters(words)), older))
        .min_by_key(|(fit, _)| (fit.odd(), std::cmp::Reverse(fit.letters)))?;
    (fit.odd() * 4 <= guessed.odd() && fit.letters >= guessed.odd()).then_some(older)
}

/// Characters beyond ASCII by how they fit the words around them.
#[derive(Default)]
struct Fit {
    /// Small letters of western languages: a wrong table makes capitals of many.
    letters: usize,
    /// Signs that people set between words without a space, as dashes.
    doubtful: usize,
    impossible: usize,
}

impl Fit {
    fn of(text: &str) -> Self {
        let characters: Vec<char> = text.chars().collect();
        let mut fit = Self::default();
        for (at, c) in characters.iter().copied().enumerate().filter(|(_, c)| !c.is_ascii()) {
            let before = at.checked_sub(1).and_then(|at| characters.get(at)).copied().unwrap_or(' ');
            let after = characters.get(at + 1).copied().unwrap_or(' ');
            let is_within = before.is_alphabetic() && after.is_alphabetic();
            let is_beside = before.is_alphabetic() || after.is_alphabetic();
            match c {
                '–' | '—' | '…' | '’' | '‘' => fit.doubtful += usize::from(is_within),
                '\u{AD}' | '·' => {}
                // Bytes that stand for nothing, and accents without a letter.
                '\u{80}'..='\u{9F}' | 'ˆ' | '˜' => fit.impossible += usize::from(is_beside),
                c if c.is_whitespace() => {}
                c if c.is_uppercase() && before.is_lowercase() => fit.impossible += 1,
                c if c.is_lowercase() && c != 'ß' && before.is_uppercase() && after.is_uppercase() => {
                    fit.impossible += 1;
                }
                'ß'..='ÿ' | 'œ' if c.is_lowercase() => fit.letters += 1,
                c if c.is_alphabetic() => {}
                _ => fit.impossible += usize::from(is_within),
            }
        }
        fit
    }

    fn odd(&self) -> usize {
        self.doubtful + self.impossible
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(bytes: &[u8]) -> Option<String> {
        of_western_words(bytes, encoding_rs::WINDOWS_1252).map(|older| older.characters(bytes))
    }

    #[test]
    fn words_of_dos_and_macintosh_are_known_by_their_letters() {
        for (bytes, said) in [
            (&b"Sch\x81ler \x81ben gr\x94\xE1ere W\x84rmelehre"[..], "Schüler üben größere Wärmelehre"),
            (
                b"Les \x82l\x8Aves \x82tudient \x85 l'\x82cole, le gar\x87on",
                "Les élèves étudient à l'école, le garçon",
            ),
            (b"Les \x8El\x8Fves \x8Etudient pr\x8Fs du ch\x89teau", "Les élèves étudient près du château"),
            (b"\xC0Qu\x8E lecci\x97n sigue ma\x96ana?", "¿Qué lección sigue mañana?"),
        ] {
            assert_eq!(found(bytes).as_deref(), Some(said));
        }
    }

    #[test]
    fn words_of_windows_stay() {
        for said in [
            "It’s late—but “why”—wait…what? l’œuvre, Žižek’s naïve café™ §5 „Größe“ a×b 20°C",
            "ÉCOLE STRAßE François cœur\u{A0}: «mot» col·legi Šestka Ÿ 10€ ½ ± ‰ †note‡",
            "ação não português — coração",
        ] {
            assert_eq!(found(&encoding_rs::WINDOWS_1252.encode(said).0), None, "{said}");
        }
    }
}
