//! What is wrong with a TOML file, in one line.

/// The line, counted from 1, and the message of an error in this text.
pub fn one_line(text: &str, error: &toml::de::Error) -> String {
    let start = error.span().map_or(0, |span| span.start.min(text.len()));
    let line = 1 + text.as_bytes()[..start].iter().filter(|byte| **byte == b'\n').count();
    format!("line {line}: {}", error.message().trim().replace('\n', "; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_is_told_with_its_line() {
        let text = "\n\n\nfoo = 1\n";
        let error = toml::from_str::<docket_core::desk::DeskConfig>(text).unwrap_err();
        let line = one_line(text, &error);
        assert!(line.starts_with("line 4: unknown field `foo`"), "{line}");
        assert_eq!(line.lines().count(), 1);
    }
}
