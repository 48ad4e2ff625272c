//! Makes text from elsewhere harmless to a terminal.
//!
//! Agent names, message texts and error messages may come from a stranger. Printed as they are they could move the
//! cursor, change the title, answer the terminal's own questions, or, with the controls for right-to-left writing, show
//! `toq://evil/…` as something else. So every control character and every invisible one is shown as `\u{…}`. A line
//! break in a message stays one, indented, so that a message cannot imitate the line of another message.

/// How many characters of a name are shown.
const NAME_MAX: usize = 256;

/// Returns a text of any length, for people.
pub fn text(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.replace("\r\n", "\n").chars() {
        match letter {
            '\n' => safe.push_str("\n    "),
            '\t' => safe.push('\t'),
            // Joiners are part of ordinary writing; in a text, unlike in a name, nothing depends on them.
            '\u{200c}' | '\u{200d}' => safe.push(letter),
            letter => push(&mut safe, letter),
        }
    }
    safe
}

/// Returns a name, an address, an id or another text that belongs on one line.
pub fn name(name: &str) -> String {
    let mut safe = String::with_capacity(name.len().min(NAME_MAX));
    for letter in name.chars().take(NAME_MAX) {
        push(&mut safe, letter);
    }
    if name.chars().nth(NAME_MAX).is_some() {
        safe.push('…');
    }
    safe
}

/// Returns serialized JSON that means the same and shows nothing invisible.
pub fn json(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    let mut units = [0; 2];
    for letter in json.chars() {
        if is_harmful(letter) {
            // Outside of a string these cannot occur in JSON, and inside of one this is how they are escaped.
            for unit in letter.encode_utf16(&mut units) {
                safe.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            safe.push(letter);
        }
    }
    safe
}

fn push(safe: &mut String, letter: char) {
    if is_harmful(letter) {
        safe.extend(letter.escape_unicode());
    } else {
        safe.push(letter);
    }
}

fn is_harmful(letter: char) -> bool {
    letter.is_control()
        || matches!(letter,
            // Soft hyphen and fillers: nothing to see.
            '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180e}'
            | '\u{3164}' | '\u{ffa0}'
            // Marks, embeddings, overrides and isolates of bidirectional writing.
            | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            // Line and paragraph separators.
            | '\u{2028}' | '\u{2029}'
            // Invisible operators and deprecated format controls.
            | '\u{2060}'..='\u{2065}' | '\u{206a}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            // Tags: a whole invisible alphabet.
            | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminal_controls_are_shown_not_obeyed() {
        for (raw, safe) in [
            ("\u{1b}[2Jhi", "\\u{1b}[2Jhi"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("a\u{7}b\u{8}c", "a\\u{7}b\\u{8}c"),
            ("\u{7f}", "\\u{7f}"),
            ("a\rb", "a\\u{d}b"),
            ("plain ascii, ünïcödé, 日本語, 👍", "plain ascii, ünïcödé, 日本語, 👍"),
        ] {
            assert_eq!(text(raw), safe);
            assert_eq!(name(raw), safe);
        }
    }

    #[test]
    fn bidirectional_controls_are_shown() {
        assert_eq!(name("toq://a/\u{202e}live"), "toq://a/\\u{202e}live");
        assert_eq!(name("\u{2066}x\u{2069}"), "\\u{2066}x\\u{2069}");
    }

    #[test]
    fn a_text_may_have_lines_but_none_at_the_margin() {
        assert_eq!(text("one\ntwo\r\nthree"), "one\n    two\n    three");
        assert_eq!(name("one\ntwo"), "one\\u{a}two");
    }

    #[test]
    fn a_name_has_an_end() {
        let long = "x".repeat(NAME_MAX + 1);

        assert_eq!(name(&long).chars().count(), NAME_MAX + 1);
        assert!(name(&long).ends_with('…'));
        assert_eq!(name(&long[1..]), long[1..]);
    }

    #[test]
    fn json_keeps_its_meaning() {
        let value = serde_json::json!({"text": "a\u{202e}b\u{9b}c\u{e0041}\u{7f}\n"});

        let safe = json(&value.to_string());

        assert!(!safe.chars().any(is_harmful));
        assert_eq!(serde_json::from_str::<serde_json::Value>(&safe).expect("still JSON"), value);
    }
}
