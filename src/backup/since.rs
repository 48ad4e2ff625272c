//! What the owner changes while an import waits for the next start.
//!
//! An import is accepted against what holds then. Whatever is confirmed afterwards is newer than that decision and holds
//! after it: a rule that was made, made again or taken back, a setting, a handler. So an accepted import remembers what it was held
//! against, and what differs from that when it is carried out goes into what comes. A key that was replaced meanwhile cannot be carried
//! over: peers have moved on to it, and the import is given up.

use std::path::Path;

use serde::{Deserialize, Serialize};
use toq_config::{ConfigError, carry_handlers, carry_settings};
use toq_protocol::address::Address;
use toq_protocol::key::{Identity, PeerKey};
use toq_protocol::policy::{Home, Mode, Policy, Ruling, Subject};
use toq_protocol::rotation::Succession;
use toq_protocol::time::Timestamp;
use toq_store::batch::Change;
use toq_store::{Reader, StoreError};
use toq_vault::backup::{KnownPeer, Pin};
use toq_vault::{read_seed, write_private};

use super::BackupFailure;
use super::export::optional_text;
use super::stage::StagedRule;

const HANDLERS: &str = toq_config::handlers::FILE;

/// How things stand.
#[derive(Serialize, Deserialize)]
pub struct Standing {
    /// The agent's public key.
    key: Option<String>,
    /// The text of `config.toml`.
    config: Option<String>,
    /// The text of `handlers.toml`.
    handlers: Option<String>,
    /// The rules, and when each was last confirmed, in nanoseconds of Unix time.
    rules: Vec<(StagedRule, i64)>,
}

impl Standing {
    /// Reads how things stand in the workspace in `dir`, whose log is read by `reader`, if it has one.
    pub fn read(dir: &Path, reader: Option<&Reader>) -> Result<Self, BackupFailure> {
        let rules = reader.map(Reader::confirmed_rules).transpose()?.unwrap_or_default();
        Ok(Self {
            key: public_key(dir)?,
            config: optional_text(&dir.join(toq_config::FILE))?,
            handlers: optional_text(&dir.join(HANDLERS))?,
            rules: rules.iter().map(|(subject, ruling, at)| (StagedRule::of(subject, *ruling), at.as_nanos())).collect(),
        })
    }

    /// Puts what was changed in the files of the workspace since into those that are staged. It can be done twice, until the first
    /// staged file is in its place.
    pub fn carry_files(&self, dir: &Path, staged: &Path) -> Result<(), BackupFailure> {
        let key = public_key(dir)?;
        if let (Some(old), Some(new)) = (&self.key, &key)
            && old != new
        {
            return Err(BackupFailure::KeyReplaced { old: old.clone(), new: new.clone() });
        }
        let carry = |name: &'static str, before: &Option<String>, carried: &dyn Fn(&str, &str, &str) -> Result<String, ConfigError>| {
            let now = optional_text(&dir.join(name))?;
            let (Some(now), Some(onto)) = (now.filter(|now| Some(now) != before.as_ref()), optional_text(&staged.join(name))?) else {
                return Ok(());
            };
            let text = carried(before.as_deref().unwrap_or_default(), &now, &onto);
            let text = text.map_err(|source| BackupFailure::CarryOver { name, source: Box::new(source) })?;
            Ok::<(), BackupFailure>(write_private(&staged.join(name), text.as_bytes())?)
        };
        carry(toq_config::FILE, &self.config, &|before, now, onto| carry_settings(dir, before, now, onto))?;
        carry(HANDLERS, &self.handlers, &|before, _, onto| carry_handlers(dir, before, onto))
    }

    /// The rules that were confirmed or taken back since.
    pub fn rules_since(&self, reader: &Reader) -> Result<Since, StoreError> {
        let now = reader.confirmed_rules()?;
        let before: Vec<(Subject, Ruling, i64)> =
            self.rules.iter().filter_map(|(rule, at)| rule.read().map(|(subject, ruling)| (subject, ruling, *at))).collect();
        let stands = |subject: &Subject, ruling: Ruling| now.iter().any(|rule| rule.0 == *subject && rule.1 == ruling);
        let gone = before.iter().filter(|(subject, ruling, _)| !stands(subject, *ruling));
        let gone = gone.map(|(subject, ruling, _)| (subject.clone(), *ruling)).collect();
        // A rule that was there already and was confirmed again has another time.
        let is_new = |rule: &(Subject, Ruling, Timestamp)| !before.contains(&(rule.0.clone(), rule.1, rule.2.as_nanos()));
        let mut confirmed: Vec<_> = now.iter().filter(|rule| is_new(rule)).cloned().collect();
        confirmed.sort_by_key(|(_, _, at)| at.as_nanos());
        Ok(Since { confirmed, gone })
    }
}

/// What became of rules since an import was accepted.
#[derive(Debug, Default)]
pub struct Since {
    /// Those that were made or made again, the earliest first.
    confirmed: Vec<(Subject, Ruling, Timestamp)>,
    /// Those that were taken back.
    gone: Vec<(Subject, Ruling)>,
}

impl Since {
    /// Whether nothing was decided.
    pub const fn is_empty(&self) -> bool {
        self.confirmed.is_empty() && self.gone.is_empty()
    }

    /// What writes the rules that come, and what was decided since over them. `peers` and `pins` come as well.
    pub fn over(
        &self,
        coming: Vec<(Subject, Ruling)>,
        reader: &Reader,
        peers: &[KnownPeer],
        pins: &[Pin],
        now: Timestamp,
    ) -> Result<Vec<Change>, StoreError> {
        let mut policy = Policy::new(Mode::default());
        for (old, row) in reader.rotations()? {
            let retires_at = Timestamp::from_nanos(row.retires_at);
            policy.follow(old, Succession { new: PeerKey::from_bytes(row.new), counter: row.counter, retires_at });
        }
        let coming: Vec<_> = coming.into_iter().filter(|rule| !self.gone.contains(rule)).collect();
        coming.iter().for_each(|(subject, ruling)| policy.add(subject, *ruling));
        let here = reader.peers()?.into_iter().map(|(key, row)| (key, row.address));
        let known = here.chain(peers.iter().map(|peer| (peer.key, peer.address.clone())));
        let mut homes = Vec::new();
        for (key, address) in known {
            let Ok(address) = Address::parse(&address) else { continue };
            let coming = || pins.iter().find(|pin| pin.address.pin_key() == address.pin_key()).map(|pin| pin.key);
            let pinned = reader.pin(&address)?.map(|pin| pin.peer()).or_else(coming);
            let is_proven = pinned.is_some_and(|pinned| pinned == key || policy.successions().leads(&pinned, &key));
            homes.push(Home { key, address, is_proven });
        }

        let mut changes: Vec<Change> = coming.into_iter().map(|(subject, ruling)| Change::AddRule(subject, ruling, now)).collect();
        // As where it is confirmed: a block ends the approvals that it covers.
        let blocks = self.confirmed.iter().filter(|(_, ruling, _)| *ruling == Ruling::Block);
        let covered = blocks.flat_map(|(subject, ..)| policy.covered_by(subject, &homes));
        changes.extend(covered.map(|subject| Change::RemoveRule(subject, Ruling::Approve)));
        changes.extend(self.confirmed.iter().map(|(subject, ruling, at)| Change::AddRule(subject.clone(), *ruling, *at)));
        Ok(changes)
    }
}

/// Whose workspace it is, if anybody's yet.
fn public_key(dir: &Path) -> Result<Option<String>, BackupFailure> {
    let seed = read_seed(&dir.join("keys").join("identity.key"))?;
    Ok(seed.map(|seed| Identity::from_seed(&seed).public().to_string()))
}
