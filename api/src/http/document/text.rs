//! The text of a document in the words that both parsers read alike: async-graphql's takes no surrogate pairs and no `\u{…}`,
//! and apollo's stumbles over a comma or a comment behind `...`.

use std::iter::Peekable;

/// A document without its ignored tokens (specification, section 2.1), every other character in its place.
pub struct Plain {
    pub text: String,
    /// Length in bytes, strings and comments not counted.
    pub length: usize,
}

impl Plain {
    pub fn of(document: &str) -> Self {
        let mut plain = Self { text: String::with_capacity(document.len()), length: 0 };
        let mut rest = document;
        while let Some(first) = rest.chars().next() {
            let taken = match first {
                '"' if rest.starts_with("\"\"\"") => {
                    let end = end_of_block(rest);
                    plain.text.push_str(&rest[..end]);
                    end
                }
                '"' => {
                    let end = end_of_string(rest);
                    push_string(&rest[..end], &mut plain.text);
                    end
                }
                '#' => {
                    let end = rest.find(['\n', '\r']).unwrap_or(rest.len());
                    plain.text.extend(rest[..end].chars().map(|_| ' '));
                    end
                }
                ',' | '\u{feff}' => {
                    plain.text.push(' ');
                    plain.length += 1;
                    first.len_utf8()
                }
                other => {
                    plain.text.push(other);
                    plain.length += other.len_utf8();
                    other.len_utf8()
                }
            };
            rest = &rest[taken..];
        }
        plain
    }
}

/// Where a block string ends: behind three quotes without a backslash.
fn end_of_block(text: &str) -> usize {
    let mut at = 3;
    while let Some(found) = text[at..].find("\"\"\"") {
        let quotes = at + found;
        at = quotes + 3;
        if !text[..quotes].ends_with('\\') {
            return at;
        }
    }
    text.len()
}

/// Where a string ends: behind a quote without a backslash, or with its line, where it is wrong.
fn end_of_string(text: &str) -> usize {
    let mut escaped = false;
    for (at, char) in text.char_indices().skip(1) {
        match char {
            '\n' | '\r' => return at,
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Writes a string, its characters beyond `\uXXXX` as they are.
fn push_string(string: &str, out: &mut String) {
    let mut chars = string.chars().peekable();
    while let Some(char) = chars.next() {
        if char != '\\' {
            out.push(char);
            continue;
        }
        let mut ahead = chars.clone();
        if ahead.next() == Some('u')
            && let Some(code) = code_point(&mut ahead)
        {
            match char::from_u32(code) {
                Some(char) if code > 0xffff => out.push(char),
                // Half a pair is wrong, as whoever parses it will say.
                Some(_) | None => out.push_str(&format!("\\u{code:04X}")),
            }
            chars = ahead;
        } else {
            out.push(char);
            out.extend(chars.next());
        }
    }
}

/// The code point behind `\u`: of four digits, of two times four that are a surrogate pair, or of `{…}`.
fn code_point(chars: &mut Peekable<std::str::Chars<'_>>) -> Option<u32> {
    if chars.next_if_eq(&'{').is_some() {
        let mut code = 0_u32;
        let mut digits = 0;
        loop {
            let char = chars.next()?;
            if char == '}' {
                return (digits > 0 && char::from_u32(code).is_some()).then_some(code);
            }
            code = code.checked_mul(16)?.checked_add(char.to_digit(16)?)?;
            digits += 1;
        }
    }
    let first = four_digits(chars)?;
    if !(0xd800..0xdc00).contains(&first) {
        return Some(first);
    }
    let mut ahead = chars.clone();
    let second = (ahead.next() == Some('\\') && ahead.next() == Some('u')).then(|| four_digits(&mut ahead)).flatten();
    match second {
        Some(second) if (0xdc00..0xe000).contains(&second) => {
            *chars = ahead;
            Some(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00))
        }
        Some(_) | None => Some(first),
    }
}

fn four_digits(chars: &mut Peekable<std::str::Chars<'_>>) -> Option<u32> {
    (0..4).try_fold(0, |code, _| Some(code * 16 + chars.next()?.to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_tokens_become_blanks_and_everything_else_stays_in_its_place() {
        let plain = |text: &str| Plain::of(text).text;
        assert_eq!(plain("{ a ...,{ # no } \n b } }"), "{ a ... {        \n b } }");
        assert_eq!(plain("{ a(b: \"x, # y \\\" z\", c: 1) }"), "{ a(b: \"x, # y \\\" z\"  c: 1) }");
        assert_eq!(plain("\"\"\"a, \\\"\"\" # b\"\"\",c"), "\"\"\"a, \\\"\"\" # b\"\"\" c");
        assert_eq!(plain("\"open\n, x"), "\"open\n  x");
        assert_eq!(plain("\"\\"), "\"\\");
        assert_eq!(plain("\"\"\"a"), "\"\"\"a");
    }

    #[test]
    fn surrogate_pairs_and_long_escapes_become_characters() {
        let plain = |text: &str| Plain::of(text).text;
        assert_eq!(plain(r#""\uD83D\uDE80 \u{1F680} \u{41} \u00e9 \n""#), "\"🚀 🚀 \\u0041 \\u00E9 \\n\"");
        assert_eq!(
            plain(r#""\uD83D \\uD83D\uDE80 \u{} \u{110000} \u12""#),
            r#""\uD83D \\uD83D\uDE80 \u{} \u{110000} \u12""#
        );
    }

    #[test]
    fn strings_and_comments_are_not_counted() {
        assert_eq!(Plain::of("{ a(b: \"long text\") } # c").length, "{ a(b: ) } ".len());
    }
}
