//! What stands above, below or over something else. A text in one line has no place for it, and with nothing in between ten to the
//! sixth would read as a hundred and six, and a half as twelve.

/// Puts `^` before the end of a text from `start` on, which stands above the line: `10^6`, `m^2`. Letters are left as they are, for most
/// are the rest of a word (`1st`, `Mme`), and so is what stands behind nothing, as the number of a note does.
pub(super) fn raise(text: &mut String, start: usize) {
    let (Some(before), Some(above)) = (text.get(..start), text.get(start..)) else { return };
    let has_base = before.ends_with(|c: char| c.is_alphanumeric() || matches!(c, ')' | ']'));
    let is_number =
        above.contains(|c: char| c.is_ascii_digit()) && !above.contains(|c: char| c.is_alphabetic());
    if has_base && is_number && !above.starts_with(char::is_whitespace) {
        text.insert(start, '^');
    }
}

/// The elements of a formula of MathML that are open.
#[derive(Debug, Default)]
pub(super) struct Formula(Vec<Element>);

#[derive(Debug)]
struct Element {
    name: String,
    /// Where its children begin in the text.
    children: Vec<usize>,
}

impl Formula {
    /// True within a formula.
    pub(super) fn is_open(&self) -> bool {
        !self.0.is_empty()
    }

    /// An element begins at this place of the text; what it does not hold begins with `math`.
    pub(super) fn open(&mut self, name: &str, at: usize) {
        if name == "math" || self.is_open() {
            if let Some(parent) = self.0.last_mut() {
                parent.children.push(at);
            }
            self.0.push(Element { name: name.to_owned(), children: Vec::new() });
        }
    }

    /// An element ends: its parts are put beside each other, as one line has them.
    pub(super) fn close(&mut self, name: &str, text: &mut String) {
        let Some(at) = self.0.iter().rposition(|element| element.name == name) else { return };
        let element = self.0.swap_remove(at);
        self.0.truncate(at);
        let Some(&start) = element.children.first() else { return };
        if !PARTED.contains(&name) || text.get(start..).is_none() {
            return;
        }
        let ends = element.children.iter().skip(1).copied().chain([text.len()]);
        let parts = element.children.iter().zip(ends).map(|(start, end)| text.get(*start..end));
        let parts: Vec<String> = parts.map(|part| part.unwrap_or_default().trim().to_owned()).collect();
        text.truncate(start);
        text.push_str(&in_a_line(name, &parts));
    }
}

/// Elements whose parts do not follow each other.
const PARTED: [&str; 11] = [
    "mfrac",
    "msup",
    "msub",
    "msubsup",
    "msqrt",
    "mroot",
    "munder",
    "mover",
    "munderover",
    "mmultiscripts",
    "mphantom",
];

fn in_a_line(name: &str, parts: &[String]) -> String {
    let part = |number: usize| parts.get(number).map(String::as_str).unwrap_or_default();
    let all = || parts.join("");
    match name {
        "mfrac" => format!("{}/{}", grouped(part(0)), grouped(part(1))),
        "msup" => with(part(0), "^", part(1)),
        "msub" | "munder" => with(part(0), "_", part(1)),
        "msubsup" | "munderover" => with(&with(part(0), "_", part(1)), "^", part(2)),
        "msqrt" => format!("√({})", all()),
        "mroot" => format!("{}√({})", part(1), part(0)),
        // A bar, an arrow or a hat stands behind the letter that it is on.
        "mover" => {
            with(part(0), if part(1).chars().all(|c| !c.is_alphanumeric()) { "" } else { "^" }, part(1))
        }
        "mphantom" => String::new(),
        _ => parts.join(" "),
    }
}

fn with(base: &str, sign: &str, part: &str) -> String {
    if part.is_empty() { base.to_owned() } else { format!("{base}{sign}{}", grouped(part)) }
}

/// A part of more than one number, word or sign, in brackets.
fn grouped(part: &str) -> String {
    let is_one = part.chars().count() <= 1 || part.chars().all(char::is_alphanumeric);
    let has_own = part.starts_with('(') && part.find(')') == Some(part.len() - 1);
    if is_one || has_own { part.to_owned() } else { format!("({part})") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_above_the_line_are_marked_and_the_rest_of_a_word_is_not() {
        let raised = |before: &str, above: &str| {
            let mut text = format!("{before}{above}");
            raise(&mut text, before.len());
            text
        };
        assert_eq!(raised("10", "6"), "10^6");
        assert_eq!(raised("s", "−1"), "s^−1");
        assert_eq!(raised("Smith", "1,2"), "Smith^1,2");
        assert_eq!((raised("1", "st"), raised("M", "me")), ("1st".into(), "Mme".into()));
        assert_eq!((raised("", "1"), raised("a. ", "1")), ("1".into(), "a. 1".into()));
        assert_eq!((raised("word", "[1]"), raised("word", "*")), ("word^[1]".into(), "word*".into()));
    }
}
