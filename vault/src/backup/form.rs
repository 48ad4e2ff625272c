//! The forms in which a backup is written.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::derive::{Cost, OURS, PUBLISHED, argon2id};
use super::{BackupError, Bundle, MAX_FILE, Opened, Passphrase, Strength};

/// The version that we write, and the only one of ours there is.
const VERSION: u32 = 1;

/// The length of a nonce of AES-GCM, in bytes.
const NONCE: usize = 12;

/// The length of the salts that we write, in bytes.
const SALT: usize = 16;

/// The lengths of salts that are read, in bytes: from what Argon2 takes to what anybody would write.
const SALTS: std::ops::RangeInclusive<usize> = 8..=64;

/// How a backup was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Form {
    /// Ours: Argon2id, the header authenticated.
    Ours,
    /// The published daemon's: Argon2id.
    Published,
    /// An older one of the published daemon: a bare hash of the passphrase is the key.
    Hashed,
    /// Not encrypted.
    Plain,
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Form::Ours => "encrypted",
            Form::Published => "encrypted, in the published form",
            Form::Hashed => "encrypted with a bare hash of its passphrase, which is quickly guessed",
            Form::Plain => "not encrypted; whoever has seen it has the agent's key",
        })
    }
}

/// Whatever a file may hold at its top. Other members are not looked at.
#[derive(Deserialize)]
struct Outer<'a> {
    #[serde(borrow)]
    toq_backup: Option<Cow<'a, str>>,
    encrypted: Option<bool>,
    #[serde(borrow)]
    kdf: Option<Cow<'a, str>>,
    #[serde(borrow)]
    salt: Option<Cow<'a, str>>,
    #[serde(borrow)]
    nonce: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data: Option<Cow<'a, str>>,
}

/// The header of our form.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    version: u32,
    cipher: String,
    kdf: String,
    memory_kib: u32,
    iterations: u32,
    parallelism: u32,
    salt: String,
    nonce: String,
}

pub(super) fn is_open(file: &[u8]) -> bool {
    serde_json::from_slice(file).is_ok_and(|outer: Outer<'_>| outer.form() == Form::Plain)
}

impl Outer<'_> {
    fn form(&self) -> Form {
        match self {
            Outer { toq_backup: Some(_), .. } => Form::Ours,
            Outer { encrypted: Some(true), kdf: Some(_), .. } => Form::Published,
            Outer { encrypted: Some(true), .. } => Form::Hashed,
            _ => Form::Plain,
        }
    }
}

pub(super) fn open(file: &[u8], passphrase: &Passphrase, strength: Strength) -> Result<Opened, BackupError> {
    if file.len() > MAX_FILE {
        return Err(BackupError::TooLarge { size: file.len() });
    }
    let malformed = |error: serde_json::Error| BackupError::Malformed(position(&error));
    let outer: Outer<'_> = serde_json::from_slice(file).map_err(malformed)?;
    let form = outer.form();
    if matches!(form, Form::Hashed | Form::Plain) && strength == Strength::Strong {
        return Err(BackupError::Weak(form));
    }
    let bundle = match form {
        Form::Ours => Bundle::read_ours(&ours(&outer, passphrase)?)?,
        Form::Published | Form::Hashed => Bundle::read_published(&published(&outer, passphrase)?)?,
        Form::Plain => Bundle::read_published(file)?,
    };
    Ok(Opened { bundle, form })
}

fn ours(outer: &Outer<'_>, passphrase: &Passphrase) -> Result<Zeroizing<Vec<u8>>, BackupError> {
    let text = outer.toq_backup.as_deref().unwrap_or_default();
    let malformed = |error: serde_json::Error| BackupError::Malformed(format!("header: {}", position(&error)));
    // The version is read first: a later one may have a header of another shape.
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    let Versioned { version } = serde_json::from_str(text).map_err(malformed)?;
    if version != VERSION {
        return Err(BackupError::Version { found: version, known: VERSION });
    }
    let header: Header = serde_json::from_str(text).map_err(malformed)?;
    if header.kdf != "argon2id" || header.cipher != "aes-256-gcm" {
        return Err(BackupError::Malformed("header: unknown kdf or cipher".to_owned()));
    }
    let cost = Cost { memory_kib: header.memory_kib, iterations: header.iterations, parallelism: header.parallelism }.check()?;
    let salt = salt(&header.salt)?;
    let nonce = nonce(&header.nonce)?;
    let data = decode(outer.data.as_deref())?;
    decrypt(&*argon2id(passphrase, &salt, cost)?, nonce, text.as_bytes(), data)
}

fn published(outer: &Outer<'_>, passphrase: &Passphrase) -> Result<Zeroizing<Vec<u8>>, BackupError> {
    let nonce = nonce(outer.nonce.as_deref().ok_or(BackupError::Missing("nonce"))?)?;
    let key = match outer.kdf.as_deref() {
        Some("argon2id") => {
            let salt = salt(outer.salt.as_deref().ok_or(BackupError::Missing("salt"))?)?;
            argon2id(passphrase, &salt, PUBLISHED)?
        }
        Some(_) => return Err(BackupError::Malformed("unknown kdf".to_owned())),
        None => {
            let mut key = Zeroizing::new([0; 32]);
            key.copy_from_slice(digest(&SHA256, passphrase.as_bytes()).as_ref());
            key
        }
    };
    decrypt(&key, nonce, b"", decode(outer.data.as_deref())?)
}

pub(super) fn seal(bundle: &Bundle, passphrase: &Passphrase) -> Result<String, BackupError> {
    let random = |_| BackupError::Random;
    let salt = crate::random::<SALT>().map_err(random)?;
    let nonce = crate::random::<NONCE>().map_err(random)?;
    let header = Header {
        version: VERSION,
        cipher: "aes-256-gcm".to_owned(),
        kdf: "argon2id".to_owned(),
        memory_kib: OURS.memory_kib,
        iterations: OURS.iterations,
        parallelism: OURS.parallelism,
        salt: STANDARD.encode(salt),
        nonce: STANDARD.encode(nonce),
    };
    let header = serde_json::to_string(&header).expect("strings and numbers always serialise");
    let mut bytes = bundle.write();
    let size = bytes.len().div_ceil(3) * 4 + 2 * header.len();
    if size > MAX_FILE {
        return Err(BackupError::TooLarge { size });
    }
    let key = argon2id(passphrase, &salt, OURS)?;
    aead(&key)
        .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(header.as_bytes()), &mut *bytes)
        .map_err(|_| BackupError::TooLarge { size })?;
    let file = serde_json::json!({"toq_backup": header, "data": STANDARD.encode(&*bytes)});
    Ok(format!("{file:#}\n"))
}

fn salt(text: &str) -> Result<Vec<u8>, BackupError> {
    let wrong = || BackupError::Malformed("its salt is not base64 of 8 to 64 bytes".to_owned());
    // Looked at before it is decoded: the file may say a gigabyte.
    if text.len() > SALTS.end().div_ceil(3) * 4 {
        return Err(wrong());
    }
    STANDARD.decode(text).ok().filter(|salt| SALTS.contains(&salt.len())).ok_or_else(wrong)
}

fn nonce(text: &str) -> Result<[u8; NONCE], BackupError> {
    let wrong = || BackupError::Malformed("its nonce is not base64 of 12 bytes".to_owned());
    if text.len() != NONCE.div_ceil(3) * 4 {
        return Err(wrong());
    }
    STANDARD.decode(text).ok().and_then(|nonce| nonce.try_into().ok()).ok_or_else(wrong)
}

fn decode(data: Option<&str>) -> Result<Zeroizing<Vec<u8>>, BackupError> {
    let data = data.ok_or(BackupError::Missing("data"))?;
    // Damage to the text is damage like any other.
    STANDARD.decode(data).map(Zeroizing::new).map_err(|_| BackupError::Unopened)
}

fn decrypt(key: &[u8; 32], nonce: [u8; NONCE], header: &[u8], mut data: Zeroizing<Vec<u8>>) -> Result<Zeroizing<Vec<u8>>, BackupError> {
    let opened = aead(key).open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(header), &mut data);
    let length = opened.map_err(|_| BackupError::Unopened)?.len();
    data.truncate(length);
    Ok(data)
}

fn aead(key: &[u8; 32]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("32 bytes are a key of AES-256"))
}

/// Where something is wrong, without the words around it, which may be a secret.
pub(super) fn position(error: &serde_json::Error) -> String {
    format!("not JSON of the expected shape (line {}, column {})", error.line(), error.column())
}
