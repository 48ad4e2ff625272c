//! Keeps keys out of what a model writes.
//!
//! A model is never shown a secret, so this is the second wall. It looks for the exact secrets that it is
//! given and for the shapes of common keys, in text that arrives in pieces: what could still become a key
//! is held back until it has or has not.

/// What stands where a key was.
pub const REDACTED: &str = "[REDACTED]";

/// The fewest characters after a prefix that make a key, so that `sk-` in a sentence is left alone.
const KEY_LENGTH: usize = 20;

/// Takes keys out of text that arrives in pieces.
#[derive(Debug)]
pub struct Redactor<'a> {
    secrets: Vec<&'a str>,
    held: String,
    count: usize,
}

/// What can be said about a place in a text.
enum Finding {
    /// No key begins here.
    Nothing,
    /// A key may begin here; the text ends too soon to tell.
    Open,
    /// A key of this many bytes.
    Key(usize),
}

impl<'a> Redactor<'a> {
    /// A redactor that knows these secrets beside the shapes of keys. Very short ones are not looked for: they
    /// would turn up by chance.
    #[must_use]
    pub fn new(secrets: impl IntoIterator<Item = &'a str>) -> Self {
        let secrets = secrets.into_iter().filter(|secret| secret.len() >= 8).collect();
        Self { secrets, held: String::new(), count: 0 }
    }

    /// Takes the next piece; what is certain comes back.
    pub fn push(&mut self, piece: &str) -> String {
        self.held.push_str(piece);
        self.advance(false)
    }

    /// There is no further piece; the rest comes back.
    pub fn finish(&mut self) -> String {
        self.advance(true)
    }

    /// How many keys were taken out.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.count
    }

    fn advance(&mut self, is_end: bool) -> String {
        let mut out = String::with_capacity(self.held.len());
        let mut at = 0;
        while let Some(c) = self.held[at..].chars().next() {
            let rest = &self.held[at..];
            match self.look(rest, is_end) {
                Finding::Nothing => {
                    out.push(c);
                    at += c.len_utf8();
                }
                Finding::Open => break,
                Finding::Key(length) => {
                    out.push_str(REDACTED);
                    self.count += 1;
                    at += length;
                }
            }
        }
        self.held.drain(..at);
        out
    }

    fn look(&self, rest: &str, is_end: bool) -> Finding {
        let mut is_open = false;
        let known = self.secrets.iter().map(|secret| literal(rest, secret));
        for finding in known.chain(shapes(rest)) {
            match finding {
                Finding::Key(length) if length < rest.len() || is_end => return Finding::Key(length),
                // It ends where the text ends, and may go on.
                Finding::Key(_) | Finding::Open => is_open = true,
                Finding::Nothing => {}
            }
        }
        if is_open && !is_end { Finding::Open } else { Finding::Nothing }
    }
}

/// Takes keys out of a whole text, such as an error that a server wrote.
#[must_use]
pub fn redact<'a>(text: &str, secrets: impl IntoIterator<Item = &'a str>) -> String {
    let mut redactor = Redactor::new(secrets);
    let mut clean = redactor.push(text);
    clean.push_str(&redactor.finish());
    clean
}

fn literal(rest: &str, secret: &str) -> Finding {
    if rest.starts_with(secret) {
        Finding::Key(secret.len())
    } else if secret.starts_with(rest) {
        Finding::Open
    } else {
        Finding::Nothing
    }
}

fn shapes(rest: &str) -> impl Iterator<Item = Finding> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    [
        prefixed(rest, &["sk-ant-", "sk-proj-", "sk-svcacct-", "sk-or-"], KEY_LENGTH, usize::MAX, is_word),
        prefixed(rest, &["sk-"], KEY_LENGTH, usize::MAX, |c| c.is_ascii_alphanumeric()),
        prefixed(rest, &["AKIA", "ASIA"], 16, 16, |c| c.is_ascii_uppercase() || c.is_ascii_digit()),
        prefixed(rest, &["Bearer "], KEY_LENGTH, usize::MAX, move |c| is_word(c) || c == '.'),
        assigned(rest, "aws_secret_access_key"),
    ]
    .into_iter()
}

/// One of the prefixes, then at least `fewest` and at most `most` characters of a kind.
fn prefixed(rest: &str, prefixes: &[&str], fewest: usize, most: usize, is_part: impl Fn(char) -> bool) -> Finding {
    for prefix in prefixes {
        let Some(tail) = rest.strip_prefix(prefix) else {
            if prefix.starts_with(rest) {
                return Finding::Open;
            }
            continue;
        };
        // All characters of all kinds are ASCII, so characters are bytes.
        let length = tail.chars().take_while(|c| is_part(*c)).count().min(most);
        if length >= fewest {
            return Finding::Key(prefix.len() + length);
        }
        if length == tail.len() {
            return Finding::Open;
        }
    }
    Finding::Nothing
}

/// `name = value`, with any spaces and quotes, in any case.
fn assigned(rest: &str, name: &str) -> Finding {
    let length = name.len().min(rest.len());
    if !rest.as_bytes()[..length].eq_ignore_ascii_case(&name.as_bytes()[..length]) {
        return Finding::Nothing;
    }
    if rest.len() <= name.len() {
        return Finding::Open;
    }
    // Kept short, so that a sentence about the name is not held back for long.
    let is_filler = |c: char| matches!(c, ' ' | '\t' | '"' | '\'');
    let tail = rest[name.len()..].trim_start_matches(is_filler);
    if tail.is_empty() {
        return Finding::Open;
    }
    let Some(tail) = tail.strip_prefix(['=', ':']) else { return Finding::Nothing };
    let value = tail.trim_start_matches(is_filler);
    let end = value.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'')).unwrap_or(value.len());
    match end {
        0 if value.is_empty() => Finding::Open,
        0 => Finding::Nothing,
        end => Finding::Key(rest.len() - value.len() + end),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "a sk-abcdefghij0123456789 b sk-ant-api03-abcdefghijklmnop-q c AKIAIOSFODNN7EXAMPLE d \
        aws_secret_access_key = wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY e Bearer abc.def-ghi_jkl.mno0123 f canary-9d2e g";

    #[test]
    fn keys_are_taken_out_and_the_text_around_them_stays() {
        let clean = redact(TEXT, ["canary-9d2e"]);

        assert_eq!(clean, "a [REDACTED] b [REDACTED] c [REDACTED] d [REDACTED] e [REDACTED] f [REDACTED] g");
    }

    #[test]
    fn it_does_not_matter_where_the_pieces_are_cut() {
        let whole = redact(TEXT, ["canary-9d2e"]);
        for size in 1..TEXT.len() {
            let mut redactor = Redactor::new(["canary-9d2e"]);
            let mut clean = String::new();
            for piece in TEXT.as_bytes().chunks(size) {
                clean.push_str(&redactor.push(std::str::from_utf8(piece).expect("ASCII")));
            }
            clean.push_str(&redactor.finish());

            assert_eq!((clean, redactor.count()), (whole.clone(), 6), "pieces of {size}");
        }
    }

    #[test]
    fn ordinary_text_passes_at_once() {
        let mut redactor = Redactor::new(["canary-9d2e"]);

        assert_eq!(redactor.push("Grüße; a sk-8 desk, Bearer of news, AKIA. "), "Grüße; a sk-8 desk, Bearer of news, AKIA. ");
        assert_eq!(redactor.push("task-"), "ta");
        assert_eq!(redactor.push("list "), "sk-list ");
        assert_eq!((redactor.finish().as_str(), redactor.count()), ("", 0));
    }

    #[test]
    fn a_secret_at_the_very_end_is_found() {
        assert_eq!(redact("it is canary-9d2e", ["canary-9d2e"]), "it is [REDACTED]");
        assert_eq!(redact("Bearer aaaaaaaaaaaaaaaaaaaaaaaa", []), "[REDACTED]");
    }
}
