use std::collections::HashMap;

use super::xml::Node;

/// What styles and lists say of paragraphs and runs: the numbers before them, which stand nowhere in the text, and whether they
/// are shown.
#[derive(Debug, Default)]
pub(super) struct Numbering {
    /// The lists, by the number that paragraphs name.
    lists: HashMap<String, String>,
    /// Their levels, by the name of their kind.
    kinds: HashMap<String, Vec<Level>>,
    styles: HashMap<String, Style>,
    /// The count of each kind, at each level.
    counted: HashMap<String, Vec<u32>>,
    at: At,
}

#[derive(Clone, Debug, Default)]
struct Level {
    start: Option<u32>,
    format: String,
    /// `%1.%2`
    text: String,
    style: Option<String>,
}

#[derive(Debug, Default)]
struct Style {
    based_on: Option<String>,
    list: Option<String>,
    level: Option<usize>,
    is_hidden: Option<bool>,
}

/// The place within the part that is read.
#[derive(Debug, Default)]
struct At {
    kind: Option<String>,
    level: usize,
    list: Option<String>,
    style: Option<String>,
}

/// Styles that are based on each other in a circle end after so many.
const MAX_STYLES: usize = 20;
/// More levels than Word has.
const MAX_LEVELS: usize = 16;

impl Numbering {
    /// Takes what `numbering.xml` and `styles.xml` say.
    pub(super) fn read(&mut self, node: &Node<'_>) {
        match node {
            Node::Open(name, attributes) => {
                let value = |name: &str| attributes.value(name).map(str::to_owned);
                match *name {
                    "abstractNum" => self.at.kind = value("abstractNumId"),
                    "num" => self.at.list = value("numId"),
                    "style" => self.at.style = value("styleId"),
                    "lvl" => {
                        let level = value("ilvl").and_then(|level| level.parse().ok()).unwrap_or(0);
                        self.at.level = level;
                        if let Some(levels) = self.levels()
                            && level < MAX_LEVELS
                            && levels.len() <= level
                        {
                            levels.resize_with(level + 1, Level::default);
                        }
                    }
                    "abstractNumId" => {
                        if let (Some(list), Some(kind)) = (&self.at.list, value("val")) {
                            self.lists.insert(list.clone(), kind);
                        }
                    }
                    name => self.read_property(name, value("val")),
                }
            }
            Node::Close("abstractNum") => self.at.kind = None,
            Node::Close("num") => self.at.list = None,
            Node::Close("style") => self.at.style = None,
            Node::Close(_) | Node::Text(_) => {}
        }
    }

    fn levels(&mut self) -> Option<&mut Vec<Level>> {
        let kind = self.at.kind.as_ref()?;
        Some(self.kinds.entry(kind.clone()).or_default())
    }

    fn read_property(&mut self, name: &str, value: Option<String>) {
        let level = self.at.level;
        if let Some(style) = self.at.style.clone() {
            let style = self.styles.entry(style).or_default();
            match name {
                "basedOn" => style.based_on = value,
                "numId" => style.list = value,
                "ilvl" => style.level = value.and_then(|level| level.parse().ok()),
                "vanish" => style.is_hidden = Some(!matches!(value.as_deref(), Some("0" | "false" | "off"))),
                _ => {}
            }
        } else if let Some(level) = self.levels().and_then(|levels| levels.get_mut(level)) {
            match name {
                "start" => level.start = value.and_then(|start| start.parse().ok()),
                "numFmt" => level.format = value.unwrap_or_default(),
                "lvlText" => level.text = value.unwrap_or_default(),
                "pStyle" => level.style = value,
                _ => {}
            }
        }
    }

    /// True for a style whose text is not shown.
    pub(super) fn hides(&self, style: &str) -> bool {
        let mut style = Some(style);
        for _ in 0..MAX_STYLES {
            let Some(found) = style.and_then(|style| self.styles.get(style)) else { return false };
            if let Some(is_hidden) = found.is_hidden {
                return is_hidden;
            }
            style = found.based_on.as_deref();
        }
        false
    }

    /// The number of the next paragraph, by its style and by what it says itself; `None` where it has none.
    pub(super) fn next(
        &mut self,
        style: Option<&str>,
        list: Option<&str>,
        level: Option<usize>,
    ) -> Option<String> {
        let (mut list, mut level) = (list.map(str::to_owned), level);
        let named = style.map(str::to_owned);
        let mut style = named.clone();
        for _ in 0..MAX_STYLES {
            let Some(found) = style.as_ref().and_then(|style| self.styles.get(style)) else { break };
            list = list.or_else(|| found.list.clone());
            level = level.or(found.level);
            style = found.based_on.clone();
        }
        let kind = self.lists.get(&list?)?.clone();
        let levels = self.kinds.get(&kind)?;
        // The levels of headings name the style that they are for.
        let of_style = || levels.iter().position(|level| level.style.is_some() && level.style == named);
        let level = level.or_else(of_style).unwrap_or(0);
        let found = levels.get(level)?.clone();
        let starts: Vec<u32> = levels.iter().map(|level| level.start.unwrap_or(1)).collect();
        let formats: Vec<String> = levels.iter().map(|level| level.format.clone()).collect();
        let counted = self.counted.entry(kind).or_default();
        counted.truncate(level + 1);
        while counted.len() <= level {
            let start = starts[counted.len()];
            // A level that was left out counts as begun.
            counted.push(if counted.len() == level { start.saturating_sub(1) } else { start });
        }
        counted[level] = counted[level].saturating_add(1);
        if matches!(found.format.as_str(), "bullet" | "none") {
            return None;
        }
        let mut number = found.text;
        for (at, count) in counted.iter().enumerate() {
            number = number.replace(&format!("%{}", at + 1), &written(*count, &formats[at]));
        }
        let number = number.trim().to_owned();
        (!number.is_empty()).then_some(number)
    }
}

fn written(count: u32, format: &str) -> String {
    match format {
        "lowerLetter" => letters(count),
        "upperLetter" => letters(count).to_uppercase(),
        "lowerRoman" => roman(count),
        "upperRoman" => roman(count).to_uppercase(),
        "decimalZero" => format!("{count:02}"),
        _ => count.to_string(),
    }
}

/// Word goes on after `z` with `aa`, `bb`.
fn letters(count: u32) -> String {
    let count = count.max(1) - 1;
    let letter = char::from(b'a' + u8::try_from(count % 26).unwrap_or(0));
    letter.to_string().repeat((count / 26 + 1).min(20) as usize)
}

fn roman(mut count: u32) -> String {
    const SIGNS: [(u32, &str); 13] = [
        (1000, "m"),
        (900, "cm"),
        (500, "d"),
        (400, "cd"),
        (100, "c"),
        (90, "xc"),
        (50, "l"),
        (40, "xl"),
        (10, "x"),
        (9, "ix"),
        (5, "v"),
        (4, "iv"),
        (1, "i"),
    ];
    if count > 5_000 {
        return count.to_string();
    }
    let mut text = String::new();
    for (value, sign) in SIGNS {
        while count >= value {
            text.push_str(sign);
            count -= value;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::xml::{Budget, walk};
    use super::*;

    fn numbering(xml: &str) -> Numbering {
        let mut numbering = Numbering::default();
        let mut budget = Budget { left: 1 << 20, is_exceeded: false };
        walk(xml.as_bytes(), &mut budget, &mut |node| {
            numbering.read(&node);
            Ok::<(), String>(())
        })
        .unwrap();
        numbering
    }

    #[test]
    fn paragraphs_are_counted_level_by_level_and_by_their_styles() {
        let mut found = numbering(
            "<n xmlns:w='w'><abstractNum w:abstractNumId='7'>\
             <lvl w:ilvl='0'><start w:val='3'/><numFmt w:val='decimal'/><pStyle w:val='Heading1'/><lvlText w:val='%1.'/></lvl>\
             <lvl w:ilvl='1'><numFmt w:val='lowerRoman'/><lvlText w:val='%1.%2'/></lvl>\
             <lvl w:ilvl='2'><numFmt w:val='bullet'/><lvlText w:val='o'/></lvl></abstractNum>\
             <num w:numId='2'><abstractNumId w:val='7'/></num>\
             <style w:styleId='Heading1'><pPr><numPr><numId w:val='2'/></numPr></pPr></style>\
             <style w:styleId='Part'><basedOn w:val='Heading1'/></style></n>",
        );
        assert_eq!(found.next(Some("Heading1"), None, None).as_deref(), Some("3."));
        assert_eq!(found.next(None, Some("2"), Some(1)).as_deref(), Some("3.i"));
        assert_eq!(found.next(None, Some("2"), Some(1)).as_deref(), Some("3.ii"));
        assert_eq!(found.next(None, Some("2"), Some(2)), None);
        assert_eq!(found.next(Some("Part"), None, None).as_deref(), Some("4."));
        assert_eq!(found.next(None, Some("2"), Some(1)).as_deref(), Some("4.i"));
        assert_eq!(found.next(None, None, None), None);
        assert_eq!(found.next(None, Some("0"), None), None);
    }

    #[test]
    fn a_style_hides_what_it_or_the_one_that_it_is_based_on_says() {
        let found = numbering(
            "<n xmlns:w='w'><style w:styleId='A'><rPr><vanish/></rPr></style><style w:styleId='B'><basedOn w:val='A'/></style>\
             <style w:styleId='C'><basedOn w:val='A'/><rPr><vanish w:val='0'/></rPr></style>\
             <style w:styleId='D'><basedOn w:val='D'/></style></n>",
        );
        let hidden = ["A", "B", "C", "D", "E"].map(|style| found.hides(style));
        assert_eq!(hidden, [true, true, false, false, false]);
    }

    #[test]
    fn counts_are_written_in_letters_and_roman_numerals() {
        assert_eq!(written(28, "upperLetter"), "BB");
        assert_eq!(written(1994, "lowerRoman"), "mcmxciv");
        assert_eq!(written(7, "decimalZero"), "07");
    }
}
