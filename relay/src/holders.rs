//! Which connections came in with which API key: one key that is revoked concerns them and nobody else.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use crate::subscriber::SubscriberKey;

/// The list.
#[derive(Debug, Default)]
pub struct Holders {
    keys: HashMap<Uuid, HashSet<SubscriberKey>>,
    by: HashMap<SubscriberKey, Uuid>,
}

impl Holders {
    /// Notes with which key (the claim of its token) a connection came in.
    pub fn entered(&mut self, who: SubscriberKey, key: Option<&str>) {
        // A token that names none was not made here, and is not revoked here.
        let Some(key) = key.and_then(|key| Uuid::parse_str(key).ok()) else { return };
        self.keys.entry(key).or_default().insert(who);
        self.by.insert(who, key);
    }

    /// Notes that a connection has ended.
    pub fn left(&mut self, who: SubscriberKey) {
        let Some(key) = self.by.remove(&who) else { return };
        if let Some(of) = self.keys.get_mut(&key) {
            of.remove(&who);
            if of.is_empty() {
                self.keys.remove(&key);
            }
        }
    }

    /// Those that came in with a key.
    pub fn of(&self, key: &Uuid) -> impl Iterator<Item = &SubscriberKey> {
        self.keys.get(key).into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_its_connections_until_they_end_and_leaves_nothing() {
        let (mut holders, keys) = (Holders::default(), [1, 2].map(|byte| Uuid::from_bytes([byte; 16])));
        for (who, key) in [(1, Some(keys[0])), (2, Some(keys[1])), (3, Some(keys[0])), (4, None)] {
            holders.entered(SubscriberKey(who), key.map(|key| key.to_string()).as_deref());
        }
        holders.entered(SubscriberKey(5), Some("no uuid"));
        let of = |holders: &Holders| {
            let mut found: Vec<u64> = holders.of(&keys[0]).map(|key| key.0).collect();
            found.sort_unstable();
            found
        };

        assert_eq!(of(&holders), [1, 3]);
        holders.left(SubscriberKey(1));
        assert_eq!(of(&holders), [3]);
        (2..=5).for_each(|who| holders.left(SubscriberKey(who)));
        assert!(holders.keys.is_empty() && holders.by.is_empty());
    }
}
