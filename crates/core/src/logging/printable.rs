//! Text of strangers, made harmless for a terminal.

use std::borrow::Cow;
use std::fmt::Write;

/// The text without anything that a terminal obeys instead of showing it: control characters
/// (among them ESC, line feed, carriage return, DEL and the C1 set, of which U+009B starts escape
/// sequences, too) and the characters that reorder or hide text. They become `\n`, `\r`, `\x1b`,
/// `\u{202e}`. A tab stays.
///
/// ```
/// use lxcri_core::logging::printable;
/// assert_eq!(printable("red: \x1b[31m"), "red: \\x1b[31m");
/// ```
pub fn printable(text: &str) -> Cow<'_, str> {
    let shown = |letter: char| letter == '\t' || is_printable(letter);
    if text.chars().all(shown) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len() + 8);
    for letter in text.chars() {
        match letter {
            letter if shown(letter) => clean.push(letter),
            '\n' => clean.push_str("\\n"),
            '\r' => clean.push_str("\\r"),
            letter => push_code(&mut clean, letter),
        }
    }
    Cow::Owned(clean)
}

fn push_code(text: &mut String, letter: char) {
    let code = u32::from(letter);
    // Writing to a string cannot fail.
    let _: std::fmt::Result = match code {
        0..0x80 => write!(text, "\\x{code:02x}"),
        _ => write!(text, "\\u{{{code:x}}}"),
    };
}

/// Whether a character shows as itself. Source of the second part: Unicode, the characters with
/// Bidi_Control, the line and paragraph separators, zero-width ones and the tag block.
pub(super) fn is_printable(letter: char) -> bool {
    let invisible = matches!(letter,
        '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{e0000}'..='\u{e007f}');
    !letter.is_control() && !invisible
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_shows_stays() {
        let cases = [
            ("plain ünïcödé 容器\t", "plain ünïcödé 容器\t"),
            ("\x1b]52;c;aGk=\x07", "\\x1b]52;c;aGk=\\x07"),
            ("a\nb\rc\0", "a\\nb\\rc\\x00"),
            ("\u{9b}31m\u{7f}", "\\u{9b}31m\\x7f"),
            ("\u{202e}txt.exe", "\\u{202e}txt.exe"),
            ("a\u{200b}b", "a\\u{200b}b"),
        ];
        for (text, expected) in cases {
            assert_eq!(printable(text), expected);
        }
        assert!(matches!(printable("plain"), Cow::Borrowed(_)));
    }
}
