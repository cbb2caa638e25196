//! What is wrong with a TOML file, in one line.

/// What is told of a message: a list of all fields that are known fits.
const MOST_CHARS: usize = 600;

/// The line, counted from 1, and the message of an error in this text.
pub fn one_line(text: &str, error: &toml::de::Error) -> String {
    let start = error.span().map_or(0, |span| span.start.min(text.len()));
    let line = 1 + text.as_bytes()[..start].iter().filter(|byte| **byte == b'\n').count();
    // It may repeat what it met: a text of any length, or a number with all of its 300 digits.
    let mut message = error.message().trim().replace('\n', "; ");
    if let Some((end, _)) = message.char_indices().nth(MOST_CHARS) {
        message.truncate(end);
        message.push('…');
    }
    format!("line {line}: {message}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_not_repeated_in_full() {
        for text in
            [format!("name = 1{}.0", "0".repeat(900)), format!("{} = 1", "x".repeat(5_000)), "name = 1e300".to_owned()]
        {
            let error = toml::from_str::<docket_core::desk::DeskConfig>(&text).unwrap_err();
            let line = one_line(&text, &error);
            assert!(line.chars().count() < 700 && line.starts_with("line 1: "), "{line}");
        }
    }

    #[test]
    fn an_unknown_key_is_told_with_its_line() {
        let text = "\n\n\nfoo = 1\n";
        let error = toml::from_str::<docket_core::desk::DeskConfig>(text).unwrap_err();
        let line = one_line(text, &error);
        assert!(line.starts_with("line 4: unknown field `foo`"), "{line}");
        assert_eq!(line.lines().count(), 1);
    }
}
