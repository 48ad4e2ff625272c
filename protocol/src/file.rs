//! Files between two of our own kind: what announces one, what carries its bytes, and what is not taken.
//!
//! A file is announced by an ordinary message whose body is a [`Manifest`]. A receiver that lacks the bytes answers with how many
//! it has, the sender writes [`FileChunk`]s from there and announces again; the message is acknowledged once the whole is on the
//! receiver's disk and has the hash that was announced.
//!
//! What an attacker would try: a name that leads somewhere else (it is data until a person saves the file, and [`safe_name`] then),
//! a size that is not true (nothing is reserved for it and no byte beyond it is taken), a program under another label
//! ([`is_program`]).

mod program;

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::json;

use crate::canonical::Json;

pub use program::{is_program, is_program_name};

/// The content type of a message that announces a file.
pub const MANIFEST_TYPE: &str = "application/vnd.toq.file+json";

/// The content type of a stream chunk that carries bytes of one.
pub const CHUNK_TYPE: &str = "application/vnd.toq.file-chunk+json";

/// How many bytes one chunk carries: with its base64 a third of a frame.
pub const CHUNK: usize = 256 * 1024;

/// The longest name, in bytes, that is kept at all.
const MAX_NAME: usize = 1024;

/// The longest name that a file is saved under, in bytes: file systems take 255.
const MAX_SAVED: usize = 200;

/// A file's SHA-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentId(pub [u8; 32]);

impl ContentId {
    /// Parses 64 lower-case hexadecimal digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return None;
        }
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let mut id = [0; 32];
        for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Some(Self(id))
    }
}

impl fmt::Display for ContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What is said of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Its name as the sender has it; never a path of ours.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its hash.
    pub id: ContentId,
    /// Which sending of it this is; the sender's own.
    pub transfer: String,
}

impl Manifest {
    /// Reads the body of an announcement.
    #[must_use]
    pub fn parse(body: Option<&Json>) -> Option<Self> {
        #[derive(Deserialize)]
        struct Body {
            file: File,
        }
        #[derive(Deserialize)]
        struct File {
            name: String,
            size: u64,
            sha256: String,
            #[serde(default)]
            transfer: String,
        }
        let file = serde_json::from_str::<Body>(body?.as_str()).ok()?.file;
        let is_plain = file.transfer.len() <= 64 && file.transfer.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if file.name.len() > MAX_NAME || !is_plain {
            return None;
        }
        Some(Self { name: file.name, size: file.size, id: ContentId::parse(&file.sha256)?, transfer: file.transfer })
    }

    /// The body of an announcement, with a text for those who read only that.
    #[must_use]
    pub fn to_body(&self) -> Json {
        let sha256 = self.id.to_string();
        let text = format!("File {} ({} bytes), sha256 {sha256}", safe_name(&self.name), self.size);
        Json::from_value(
            &json!({"text": text, "file": {"name": self.name, "size": self.size, "sha256": sha256, "transfer": self.transfer}}),
        )
    }
}

/// A piece of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileChunk {
    /// Of which file.
    pub id: ContentId,
    /// Where it belongs.
    pub offset: u64,
    /// What it carries; at most [`CHUNK`] bytes.
    pub bytes: Vec<u8>,
}

impl FileChunk {
    /// Reads the body of a chunk.
    #[must_use]
    pub fn parse(body: Option<&Json>) -> Option<Self> {
        #[derive(Deserialize)]
        struct Body {
            stream_id: String,
            data: Data,
        }
        #[derive(Deserialize)]
        struct Data {
            offset: u64,
            base64: String,
        }
        let body = serde_json::from_str::<Body>(body?.as_str()).ok()?;
        let bytes = STANDARD.decode(body.data.base64).ok().filter(|bytes| !bytes.is_empty() && bytes.len() <= CHUNK)?;
        Some(Self { id: ContentId::parse(&body.stream_id)?, offset: body.data.offset, bytes })
    }

    /// The body of a chunk.
    #[must_use]
    pub fn to_body(&self) -> Json {
        let data = json!({"offset": self.offset, "base64": STANDARD.encode(&self.bytes)});
        Json::from_value(&json!({"stream_id": self.id.to_string(), "data": data}))
    }
}

/// A name under which a file can be saved in a directory: the last part of what the sender wrote, without anything that leads
/// elsewhere, hides it, or means something to a system.
#[must_use]
pub fn safe_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\', ':']).next().unwrap_or_default();
    let is_invisible = |letter: char| {
        letter.is_control() || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    let cleaned: String = last
        .chars()
        .filter(|letter| !is_invisible(*letter))
        .map(|letter| if matches!(letter, '*' | '?' | '"' | '<' | '>' | '|') { '_' } else { letter })
        .collect();
    let mut cut = cleaned.trim().trim_start_matches('.').trim_start_matches('-').to_owned();
    while cut.len() > MAX_SAVED {
        cut.pop();
    }
    let cut = cut.trim_end_matches(|letter: char| letter == '.' || letter.is_whitespace()).trim_start();
    if cut.is_empty() {
        return "file".to_owned();
    }
    let stem = cut.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
    let numbered =
        |word: &str| stem.strip_prefix(word).is_some_and(|rest| rest.chars().count() == 1 && !rest.starts_with(char::is_alphabetic));
    let is_reserved = ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"].contains(&stem.as_str()) || numbered("COM") || numbered("LPT");
    if is_reserved { format!("_{cut}") } else { cut.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leads_anywhere_else() {
        let corpus = [
            ("../../.ssh/authorized_keys", "authorized_keys"),
            ("/etc/passwd", "passwd"),
            ("C:\\Windows\\system32\\drivers\\etc\\hosts", "hosts"),
            ("C:autorun.inf", "autorun.inf"),
            ("\\\\server\\share\\secret.doc", "secret.doc"),
            ("..\\..\\x", "x"),
            ("report.txt\0.png", "report.txt.png"),
            ("report.txt:stream", "stream"),
            ("..", "file"),
            (".", "file"),
            ("", "file"),
            ("/", "file"),
            ("a/..", "file"),
            (".bashrc", "bashrc"),
            ("-rf", "rf"),
            ("CON", "_CON"),
            ("nul.txt", "_nul.txt"),
            ("com1", "_com1"),
            ("LPT9.log", "_LPT9.log"),
            ("COM¹.txt", "_COM¹.txt"),
            ("company.txt", "company.txt"),
            ("trailing. . ", "trailing"),
            ("\x1b]0;title\x07x", "]0;titlex"),
            ("gpj.\u{202e}exe", "gpj.exe"),
            ("what?.txt", "what_.txt"),
            ("Bericht über Öl.pdf", "Bericht über Öl.pdf"),
        ];
        for (name, saved) in corpus {
            assert_eq!(safe_name(name), saved, "{name:?}");
        }
        let long = safe_name(&"ö".repeat(500));
        assert!(long.len() <= MAX_SAVED && long.starts_with('ö'));
    }

    #[test]
    fn what_is_written_is_read_again_and_nothing_else() {
        let manifest = Manifest { name: "a\u{0}b".to_owned(), size: 7, id: ContentId([0xab; 32]), transfer: "7f".to_owned() };
        let chunk = FileChunk { id: ContentId([1; 32]), offset: 1 << 40, bytes: vec![0, 255, 7] };

        assert_eq!(Manifest::parse(Some(&manifest.to_body())), Some(manifest));
        assert_eq!(FileChunk::parse(Some(&chunk.to_body())), Some(chunk.clone()));
        for sha256 in ["", "ab", &"AB".repeat(32), &"ag".repeat(32), &"../".repeat(22)] {
            let body = json!({"file": {"name": "x", "size": 1, "sha256": sha256}});
            assert_eq!(Manifest::parse(Some(&Json::from_value(&body))), None, "{sha256}");
        }
        let path = json!({"file": {"name": "x", "size": 1, "sha256": "ab".repeat(32), "transfer": "../x"}});
        assert_eq!(Manifest::parse(Some(&Json::from_value(&path))), None);
        assert_eq!(FileChunk::parse(Some(&FileChunk { bytes: vec![0; CHUNK + 1], ..chunk.clone() }.to_body())), None);
        assert_eq!(FileChunk::parse(Some(&FileChunk { bytes: Vec::new(), ..chunk }.to_body())), None);
    }
}
