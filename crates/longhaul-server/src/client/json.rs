//! JSON as it was sent, which keeps what no number type of ours holds, written for people.

/// The same JSON with a value a line. `text` is valid JSON without space around its values, as the contract sends it.
pub(crate) fn indented(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    let (mut depth, mut in_string, mut is_escaped) = (0_usize, false, false);
    let mut characters = text.chars().peekable();
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.push_str(&"  ".repeat(depth));
    };
    while let Some(c) = characters.next() {
        if in_string {
            out.push(c);
            in_string = is_escaped || c != '"';
            is_escaped = !is_escaped && c == '\\';
            continue;
        }
        match c {
            '"' => {
                in_string = true;
                out.push(c);
            }
            '{' | '[' if matches!(characters.peek(), Some('}' | ']')) => {
                out.push(c);
                out.extend(characters.next());
            }
            '{' | '[' => {
                depth += 1;
                out.push(c);
                line(&mut out, depth);
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            c if c.is_whitespace() => {}
            c => out.push(c),
        }
    }
    out
}

/// Text of a job's or a server's on one line of at most `longest` characters, with nothing in it that a terminal obeys.
pub(crate) fn one_line(text: &str, longest: usize) -> String {
    let mut line: String =
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(longest + 1).collect();
    if line.chars().count() > longest {
        line = line.chars().take(longest.saturating_sub(1)).chain(['…']).collect();
    }
    line.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_indented_and_its_numbers_and_strings_stay_as_they_are() {
        let text = r#"{"a":[1,12345678901234567890123,{}],"b":"x:{\",\\","c":[],"d":{"e":null}}"#;
        let expected = "{\n  \"a\": [\n    1,\n    12345678901234567890123,\n    {}\n  ],\n  \"b\": \"x:{\\\",\\\\\",\n  \
                        \"c\": [],\n  \"d\": {\n    \"e\": null\n  }\n}";
        assert_eq!(indented(text), expected);
        let read: serde_json::Value =
            serde_json::from_str(&indented(r#"{"a":{"b":[true,"\\\""]}}"#)).expect("JSON");
        assert_eq!(read, serde_json::json!({"a": {"b": [true, "\\\""]}}));
    }

    #[test]
    fn a_line_holds_nothing_that_a_terminal_obeys() {
        assert_eq!(one_line("a\nb\u{1b}[2J\tc", 80), "a b [2J c");
        assert_eq!(one_line("abcdef", 4), "abc…");
        assert_eq!(one_line("abcd", 4), "abcd");
    }
}
