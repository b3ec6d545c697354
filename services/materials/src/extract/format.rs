/// The form in which a format of cells shows a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Number,
    Day,
    /// A time of day or a duration, by its code in lower case.
    Time(String),
    /// Of a hundred, with so many digits behind the point.
    Percent(usize),
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
            Self::Number
        }
    }
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
