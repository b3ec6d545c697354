use crate::language::Language;

/// The texts of a data file, by name. A line `# name` begins a text, and the next one or the file's end closes it; blank
/// lines around a text do not count. `{word}` in a text stands for a value: see [`filled`].
#[derive(Clone, Debug)]
pub struct Texts(Vec<(&'static str, &'static str)>);

impl Texts {
    /// Reads a data file.
    #[must_use]
    pub fn read(file: &'static str) -> Self {
        let file = file.strip_prefix("# ").unwrap_or(file);
        let part = |part: &'static str| part.split_once('\n').unwrap_or((part, ""));
        Self(file.split("\n# ").map(part).map(|(name, text)| (name.trim(), text.trim())).collect())
    }

    /// All texts in order, each with its name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.0.iter().copied()
    }

    /// A text.
    ///
    /// # Panics
    /// For a name that the file does not have. Files are compiled in, so a test that asks for each of a service's texts
    /// tells for good.
    #[must_use]
    pub fn get(&self, name: &str) -> &'static str {
        let found = self.0.iter().find(|(known, _)| *known == name);
        found.map_or_else(|| panic!("the data file has no text '{name}'"), |(_, text)| text)
    }

    /// The lines of a text: the entries of a list.
    ///
    /// # Panics
    /// As [`get`](Self::get).
    #[must_use]
    pub fn lines(&self, name: &str) -> Vec<&'static str> {
        self.get(name).lines().collect()
    }

    /// A text with values in place of its words.
    ///
    /// # Panics
    /// As [`get`](Self::get).
    #[must_use]
    pub fn fill(&self, name: &str, values: &[(&str, &str)]) -> String {
        filled(self.get(name), values)
    }
}

/// The texts of one data file for each language.
#[derive(Clone, Debug)]
pub struct Translated([Texts; Language::ALL.len()]);

impl Translated {
    /// Reads the data file of each language.
    #[must_use]
    pub fn read(file: impl Fn(Language) -> &'static str) -> Self {
        Self(Language::ALL.map(|language| Texts::read(file(language))))
    }

    /// The texts of a language.
    #[must_use]
    pub fn of(&self, language: Language) -> &Texts {
        &self.0[language as usize]
    }
}

/// Puts values in place of the words in braces, in one pass, so that a value that itself holds braces stays as it is. A
/// word without a value stays, too.
#[must_use]
pub fn filled(template: &str, values: &[(&str, &str)]) -> String {
    let mut text = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(open) = rest.find('{') {
        let word = rest[open + 1..].split_once('}').map_or("", |(word, _)| word);
        text.push_str(&rest[..open]);
        match values.iter().find(|(name, _)| *name == word) {
            Some((_, value)) => {
                text.push_str(value);
                rest = &rest[open + word.len() + 2..];
            }
            None => {
                text.push('{');
                rest = &rest[open + 1..];
            }
        }
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_found_by_name_and_keep_their_inner_blank_lines() {
        let texts = Texts::read("# a\n\none\n\ntwo {x}\n\n# b.c\n- one\n- two\n# d\n");
        assert_eq!(texts.get("a"), "one\n\ntwo {x}");
        assert_eq!(texts.lines("b.c"), ["- one", "- two"]);
        assert_eq!(texts.get("d"), "");
        assert_eq!(texts.fill("a", &[("x", "three")]), "one\n\ntwo three");
        assert_eq!(texts.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["a", "b.c", "d"]);
    }

    #[test]
    fn values_are_put_in_once() {
        let values = [("a", "{b}"), ("b", "x")];
        assert_eq!(filled("{a} {b} {c} { } {", &values), "{b} x {c} { } {");
        assert_eq!(filled("{{a} {a", &values), "{{b} {a");
    }
}
