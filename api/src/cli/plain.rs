//! What is printed for people: text of customers must not move the cursor, colour the terminal or turn the line around.

use std::{borrow::Cow, fmt::Write};

/// True for a character that is not shown but does something: controls (C0, C1, among them ESC) and marks of direction.
fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn escaped(text: &str, kept: impl Fn(char) -> bool) -> Cow<'_, str> {
    let acting = |c: char| acts(c) && !kept(c);
    if !text.contains(acting) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\n' if acting(c) => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' if acting(c) => out.push_str("\\t"),
            // Writing into memory does not fail.
            c if acting(c) => _ = write!(out, "\\u{{{:x}}}", u32::from(c)),
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// A text of somebody's, to stand within a line.
pub fn plain(text: &str) -> Cow<'_, str> {
    escaped(text, |_| false)
}

/// Lines of our own with texts of somebody's in them: line ends and tabs stay.
pub fn lines(text: &str) -> Cow<'_, str> {
    escaped(text, |c| matches!(c, '\n' | '\t'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_would_act_is_shown_and_what_is_written_stays() {
        assert_eq!(plain("Grüße, 🦀 日本 שלום"), "Grüße, 🦀 日本 שלום");
        assert_eq!(
            plain("a\u{1b}[31mb\u{202e}c\u{9b}d\u{2066}e\u{7}"),
            "a\\u{1b}[31mb\\u{202e}c\\u{9b}d\\u{2066}e\\u{7}"
        );
        assert_eq!(plain("one\ntwo\r\tthree"), "one\\ntwo\\r\\tthree");
        assert_eq!(lines("one\n\ttwo\rthree"), "one\n\ttwo\\rthree");
        assert!(matches!(plain("nothing"), Cow::Borrowed(_)));
    }

    /// Texts with many characters that do something.
    fn text() -> impl Strategy<Value = String> {
        let acting = prop::sample::select("\u{1b}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}\u{200e}\u{200f}\u{0}\n\r\t\u{7f}\u{85}\u{9b}\\".chars().collect::<Vec<_>>());
        prop::collection::vec(prop_oneof![acting, any::<char>()], 0..40).prop_map(String::from_iter)
    }

    proptest! {
        #[test]
        fn nothing_that_acts_is_printed_and_everything_else_stays_in_its_order(text in text()) {
            let shown = plain(&text);
            let bidi = |c: char| ('\u{202a}'..='\u{202e}').contains(&c) || ('\u{2066}'..='\u{2069}').contains(&c) || c == '\u{200e}' || c == '\u{200f}';
            prop_assert!(!shown.contains(|c: char| c.is_control() || bidi(c)), "{:?}", shown);
            let shown_lines = lines(&text);
            prop_assert!(!shown_lines.contains(|c: char| (c.is_control() && c != '\n' && c != '\t') || bidi(c)), "{:?}", shown_lines);
            let visible: String = text.chars().filter(|c| !acts(*c)).collect();
            let mut rest = shown.chars();
            prop_assert!(visible.chars().all(|c| rest.any(|shown| shown == c)));
        }
    }
}
