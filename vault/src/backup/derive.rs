//! From a passphrase to a key: Argon2id (RFC 9106), inside a fixed window of cost.

use argon2::{Algorithm, Argon2, Params, Version};
use zeroize::Zeroizing;

use super::{BackupError, Passphrase};

/// The length of a key, in bytes: that of AES-256.
const KEY: usize = 32;

/// What a derivation costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cost {
    /// Memory, in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub iterations: u32,
    /// Lanes.
    pub parallelism: u32,
}

/// What published daemons use, and do not write down.
pub(super) const PUBLISHED: Cost = Cost { memory_kib: 19_456, iterations: 2, parallelism: 1 };

/// What we write: the memory and the passes of RFC 9106's second choice, on one lane, since one thread computes.
pub(super) const OURS: Cost = Cost { memory_kib: 64 << 10, iterations: 3, parallelism: 1 };

impl Cost {
    /// Refuses what would cost the reader too much, or a thief too little.
    pub(super) fn check(self) -> Result<Self, BackupError> {
        let window = [
            ("memory_kib", self.memory_kib, 19_456, 256 << 10),
            ("iterations", self.iterations, 1, 6),
            ("parallelism", self.parallelism, 1, 4),
        ];
        for (name, found, least, most) in window {
            if !(least..=most).contains(&found) {
                return Err(BackupError::Cost { name, found: found.into(), least: least.into(), most: most.into() });
            }
        }
        Ok(self)
    }
}

/// Derives the key. The caller has checked the cost, and the salt's length.
pub(super) fn argon2id(passphrase: &Passphrase, salt: &[u8], cost: Cost) -> Result<Zeroizing<[u8; KEY]>, BackupError> {
    let cost = cost.check()?;
    let refused = |_: argon2::Error| BackupError::Malformed("its salt cannot be used".to_owned());
    let params = Params::new(cost.memory_kib, cost.iterations, cost.parallelism, Some(KEY)).map_err(refused)?;
    let mut key = Zeroizing::new([0; KEY]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase.as_bytes(), salt, key.as_mut_slice())
        .map_err(refused)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    #[test]
    fn the_published_key_is_derived() {
        let vectors: serde_json::Value = serde_json::from_str(include_str!("../../tests/vectors/backup.json")).expect("JSON");
        let text = |pointer: &str| vectors.pointer(pointer).and_then(serde_json::Value::as_str).expect("text").to_owned();
        let passphrase = Passphrase::new(text("/passphrase")).expect("not empty");
        let salt = STANDARD.decode(text("/wrapper/salt")).expect("base64");

        let key = argon2id(&passphrase, &salt, PUBLISHED).expect("within the window");

        let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, text("/derived_key_hex"));
    }

    #[test]
    fn the_window_of_cost_is_exact() {
        let cost = |memory_kib, iterations, parallelism| Cost { memory_kib, iterations, parallelism }.check().is_ok();

        assert!(cost(19_456, 1, 1) && cost(262_144, 6, 4));
        assert!(!cost(19_455, 1, 1) && !cost(262_145, 1, 1) && !cost(u32::MAX, 1, 1));
        assert!(!cost(65_536, 0, 1) && !cost(65_536, 7, 1) && !cost(65_536, 1 << 31, 1));
        assert!(!cost(65_536, 1, 0) && !cost(65_536, 1, 5));
        assert!(PUBLISHED.check().is_ok() && OURS.check().is_ok());
    }
}
