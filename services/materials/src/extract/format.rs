/// The form in which a format of cells shows a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Number,
    Day,
    /// A time of day or a duration, by its code in lower case.
    Time(String),
    /// Of a hundred, with so many digits behind the point.
    Percent(usize),
    /// A code of digits: a postcode, a telephone number. The first that a number is not too large for.
    Digits(Vec<Pattern>),
}

/// The places of the digits of a number, and the signs between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    /// The largest number that is shown so.
    at_most: u64,
    places: Vec<Place>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// A digit, zero where the number has no more.
    Zero,
    /// A digit, if the number has one more.
    Digit,
    Sign(char),
}

impl Format {
    /// The formats that every workbook has.
    pub(super) fn of_number(number: u32) -> Self {
        match number {
            14..=17 | 22 | 27..=31 | 36 | 50..=58 => Self::Day,
            9 => Self::Percent(0),
            10 => Self::Percent(2),
            18 => Self::Time("h:mm am/pm".to_owned()),
            19 => Self::Time("h:mm:ss am/pm".to_owned()),
            20 => Self::Time("h:mm".to_owned()),
            21 => Self::Time("h:mm:ss".to_owned()),
            45 => Self::Time("mm:ss".to_owned()),
            46 => Self::Time("[h]:mm:ss".to_owned()),
            _ => Self::Number,
        }
    }

    /// A format of its own; words in quotes, signs behind `\\`, colours and languages in brackets tell nothing.
    pub(super) fn of_code(code: &str) -> Self {
        let mut told = String::new();
        let mut characters = code.chars().flat_map(char::to_lowercase);
        while let Some(c) = characters.next() {
            match c {
                ';' => break,
                '"' => while characters.next().is_some_and(|c| c != '"') {},
                '\\' | '_' | '*' => drop(characters.next()),
                '[' => {
                    let within: String = characters.by_ref().take_while(|c| *c != ']').collect();
                    if matches!(within.as_str(), "h" | "hh") {
                        told.push_str("[h]");
                    }
                }
                c => told.push(c),
            }
        }
        if told.contains(['y', 'd']) || told.contains("mmm") {
            Self::Day
        } else if told.contains('%') {
            let behind = told.split_once('.').map_or("", |(_, behind)| behind);
            Self::Percent(behind.chars().take_while(|c| matches!(c, '0' | '#' | '?')).count())
        } else if told.contains(":m") || told.contains(":s") {
            Self::Time(told)
        } else {
            patterns(code).map_or(Self::Number, Self::Digits)
        }
    }
}

/// The patterns of a code whose digits are no amount: with more than one zero, or signs between them other than the spaces
/// that part thousands.
fn patterns(code: &str) -> Option<Vec<Pattern>> {
    let patterns: Vec<Pattern> = sections(code).into_iter().map(pattern).collect::<Option<_>>()?;
    let first = &patterns.first()?.places;
    let zeros = first.iter().filter(|place| **place == Place::Zero).count();
    let is_digit = |place: &Place| !matches!(place, Place::Sign(_));
    let (begin, end) = (first.iter().position(is_digit)?, first.iter().rposition(is_digit)?);
    let parts = |place: &Place| matches!(place, Place::Sign(sign) if !sign.is_whitespace());
    (zeros > 1 || first[begin..end].iter().any(parts)).then_some(patterns)
}

/// A section for each condition. Those that have none beyond the first are for negative numbers, for zero and for texts.
fn sections(code: &str) -> Vec<&str> {
    let mut sections = code.split(';');
    let mut found: Vec<&str> = sections.next().into_iter().collect();
    if found.first().is_some_and(|first| first.starts_with("[<")) {
        found.extend(sections.next());
    }
    found
}

fn pattern(section: &str) -> Option<Pattern> {
    let mut pattern = Pattern { at_most: u64::MAX, places: Vec::new() };
    let mut characters = section.chars();
    while let Some(c) = characters.next() {
        match c {
            '0' => pattern.places.push(Place::Zero),
            '#' => pattern.places.push(Place::Digit),
            '[' => {
                let within: String = characters.by_ref().take_while(|c| *c != ']').collect();
                if let Some(limit) = within.strip_prefix("<=") {
                    pattern.at_most = limit.parse().ok()?;
                } else if let Some(limit) = within.strip_prefix('<') {
                    pattern.at_most = limit.parse::<u64>().ok()?.checked_sub(1)?;
                } else if within.starts_with(['>', '=']) {
                    return None;
                }
            }
            '"' => pattern.places.extend(characters.by_ref().take_while(|c| *c != '"').map(Place::Sign)),
            '\\' => pattern.places.extend(characters.next().map(Place::Sign)),
            // A space as wide as the next sign.
            '_' => drop(characters.next()),
            ' ' | '-' | '+' | '(' | ')' => pattern.places.push(Place::Sign(c)),
            _ => return None,
        }
    }
    Some(pattern)
}

/// A number by its pattern; `None` for one that is no code of digits.
pub(super) fn digits(number: f64, patterns: &[Pattern]) -> Option<String> {
    // Whole numbers up to this are told apart by floats.
    if number.fract() != 0.0 || !(0.0..9_007_199_254_740_992.0).contains(&number) {
        return None;
    }
    let number = number as u64;
    let pattern = patterns.iter().find(|pattern| number <= pattern.at_most)?;
    let digits = if number == 0 { String::new() } else { number.to_string() };
    let mut left = digits.chars().rev();
    let mut shown: Vec<char> = Vec::new();
    let mut last_place = 0;
    for place in pattern.places.iter().rev() {
        match place {
            Place::Sign(sign) => shown.push(*sign),
            Place::Zero => shown.push(left.next().unwrap_or('0')),
            Place::Digit => shown.extend(left.next()),
        }
        if !matches!(place, Place::Sign(_)) {
            last_place = shown.len();
        }
    }
    // Digits that have no place of their own stand before the first that has one.
    let rest: Vec<char> = left.collect();
    drop(shown.splice(last_place..last_place, rest));
    Some(shown.into_iter().rev().collect())
}

/// A share of a day as a format of times shows it.
pub(super) fn time(serial: f64, code: &str) -> Option<String> {
    if !(0.0..2_958_466.0).contains(&serial) {
        return None;
    }
    // In range, so the cast only drops what rounding left.
    let seconds = (serial * 86_400.0).round() as u64;
    let (hours, minutes, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    let rest = if code.contains('s') { format!("{minutes:02}:{second:02}") } else { format!("{minutes:02}") };
    Some(match code {
        code if code.contains("[h]") => format!("{hours}:{rest}"),
        code if code.contains("am/pm") => {
            let half = if hours % 24 < 12 { "AM" } else { "PM" };
            format!("{}:{rest} {half}", (hours + 11) % 12 + 1)
        }
        code if code.contains("hh") => format!("{:02}:{rest}", hours % 24),
        code if code.contains('h') => format!("{}:{rest}", hours % 24),
        _ => rest,
    })
}

/// A share as so many of a hundred, rounded as people round.
pub(super) fn percent(share: f64, digits: usize) -> String {
    let digits = digits.min(9);
    let scale = 10_f64.powi(i32::try_from(digits).unwrap_or(0));
    format!("{:.digits$}%", (share * 100.0 * scale).round() / scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(code: &str, serial: f64) -> Option<String> {
        match Format::of_code(code) {
            Format::Time(code) => time(serial, &code),
            Format::Percent(digits) => Some(percent(serial, digits)),
            Format::Digits(patterns) => digits(serial, &patterns),
            Format::Day | Format::Number => None,
        }
    }

    #[test]
    fn times_and_shares_are_shown_as_the_sheet_shows_them() {
        for (code, serial, said) in [
            ("h:mm", 0.604_166_666_666_666, Some("14:30")),
            ("[$-409]h:mm AM/PM", 0.604_166_666_666_666, Some("2:30 PM")),
            ("h:mm AM/PM", 0.0, Some("12:00 AM")),
            ("hh:mm:ss", 0.25, Some("06:00:00")),
            ("[hh]:mm:ss", 1.25, Some("30:00:00")),
            ("[h]:mm", 1.25, Some("30:00")),
            ("0%", 0.25, Some("25%")),
            ("0%", 0.125, Some("13%")),
            ("0.00%", 0.125, Some("12.50%")),
            ("0.00", 0.25, None),
            ("00000", 1067.0, Some("01067")),
            ("00000", 1_234_567.0, Some("1234567")),
            ("00000", 10.5, None),
            ("00000", -7.0, None),
            ("[$-407]\"D-\"00000", 1067.0, Some("D-01067")),
            ("000-0000", 5_551_234.0, Some("555-1234")),
            ("000\\-00\\-0000", 12_345_678.0, Some("012-34-5678")),
            ("\\(000\\) 000\\-0000", 2_125_551_234.0, Some("(212) 555-1234")),
            ("[<=9999999]###\\-####;\\(###\\) ###\\-####", 5_551_234.0, Some("555-1234")),
            ("[<=9999999]###\\-####;\\(###\\) ###\\-####", 2_125_551_234.0, Some("(212) 555-1234")),
            ("[<=99999]00000;00000\\-0000", 21_201.0, Some("21201")),
            ("[<=99999]00000;00000\\-0000", 12_201_234.0, Some("01220-1234")),
            ("00", 0.0, Some("00")),
            ("0", 5.0, None),
            ("#,##0", 5_000.0, None),
            ("#\\ ##0", 5_000.0, None),
            ("0 \"days\"", 5.0, None),
            ("0.0E+00", 5.0, None),
            ("# ?/?", 0.5, None),
            ("0;(0)", 5.0, None),
            ("0 \"h:mm%\"", 0.25, None),
        ] {
            assert_eq!(shown(code, serial).as_deref(), said, "{code}");
        }
    }

    #[test]
    fn days_are_told_from_numbers_by_their_format() {
        for code in ["dd/mm/yyyy", "[$-407]d. mmmm", "yyyy\\-mm\\-dd hh:mm", "mmmm"] {
            assert_eq!(Format::of_code(code), Format::Day, "{code}");
        }
        for code in ["0.00", "#,##0 \"days\"", "[red]0", "General"] {
            assert_eq!(Format::of_code(code), Format::Number, "{code}");
        }
    }
}
