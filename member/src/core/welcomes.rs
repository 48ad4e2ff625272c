//! Welcomes, from the commit that made them until those whom they are for were heard of.
//!
//! A Welcome cannot be made twice: the key package that it is for is used up by the commit, and the commit is in the log. So it is
//! kept in the transaction that applies the commit, also where nobody waits for it any more: the process died between, or
//! whoever asked gave up. Who asks again with the same key package is given the same Welcome.

use toq_channels::group::{Change as Changed, Member, view_key_package, welcome_references};
use toq_store::member::{Change, WelcomeRow};

use super::{Core, Step};

/// How many are kept, where they have room (see [`super::limits::Limits`]); beyond that the oldest goes.
const MAX_WELCOMES: usize = 64;

/// The length of a signature key and of a reference in suite 1.
const KEY: usize = 32;

impl Core {
    /// Takes down what a commit means for Welcomes, ours or not.
    pub(super) fn keep_welcome(&mut self, change: &Changed, step: &mut Step) {
        for member in change.removed.iter().chain(&change.by) {
            self.heard_of(member, step);
        }
        let Some(welcome) = &change.welcome else { return };
        let references = match welcome_references(welcome) {
            Ok(references) => references.concat(),
            Err(error) => {
                tracing::error!(channel = %self.name, %error, "a Welcome of ours cannot be read");
                return;
            }
        };
        let joiners = change.added.iter().flat_map(|member| member.signature_key.iter().copied()).collect();
        let row = WelcomeRow { references, joiners, welcome: welcome.clone() };
        step.changes.push(Change::Welcome(self.id, change.epoch, row.clone()));
        self.welcomes.insert(change.epoch, row);
        while self.welcomes.len() > MAX_WELCOMES || (self.welcomes.len() > 1 && self.welcome_octets() > self.limits.welcomes) {
            let Some((epoch, _)) = self.welcomes.pop_first() else { break };
            step.changes.push(Change::Unwelcome(self.id, epoch));
        }
    }

    fn welcome_octets(&self) -> usize {
        self.welcomes.values().map(|row| row.welcome.len()).sum()
    }

    /// A member has spoken, so it has its Welcome; or it is out, so that it needs none.
    pub(super) fn heard_of(&mut self, member: &Member, step: &mut Step) {
        let mut over = Vec::new();
        for (epoch, row) in &mut self.welcomes {
            let without: Vec<u8> =
                row.joiners.as_chunks::<KEY>().0.iter().filter(|key| key.as_slice() != member.signature_key).flatten().copied().collect();
            if without.len() == row.joiners.len() {
                continue;
            }
            row.joiners = without;
            if row.joiners.is_empty() {
                over.push(*epoch);
            } else {
                step.changes.push(Change::Welcome(self.id, *epoch, row.clone()));
            }
        }
        for epoch in over {
            self.forget_welcome(epoch, step);
        }
    }

    /// The Welcome for these key packages, where they were all used by one commit of ours and it was not handed over in this life.
    pub(super) fn kept_welcome(&self, packages: &[Vec<u8>]) -> Option<Vec<u8>> {
        if self.welcomes.is_empty() {
            return None;
        }
        let wanted = packages.iter().map(|package| view_key_package(package).ok().map(|view| view.reference));
        let wanted = wanted.collect::<Option<Vec<_>>>().filter(|wanted| !wanted.is_empty())?;
        let has =
            |row: &WelcomeRow, reference: &Vec<u8>| row.references.as_chunks::<KEY>().0.iter().any(|known| known.as_slice() == reference);
        let is_wanted =
            |(epoch, row): &(&u64, &WelcomeRow)| !self.handed_over.contains(epoch) && wanted.iter().all(|reference| has(row, reference));
        self.welcomes.iter().find(is_wanted).map(|(_, row)| row.welcome.clone())
    }

    /// Whoever asked for it has it: the same key packages are used up from now on. It stays on the disk, in case that this process ends
    /// before it went further.
    pub(crate) fn hand_over(&mut self, welcome: &[u8]) {
        let epochs: Vec<u64> = self.epochs_of(welcome).collect();
        self.handed_over.extend(epochs);
    }

    /// Those whom it is for have it.
    pub(crate) fn welcomed(&mut self, welcome: &[u8]) -> Step {
        let mut step = Step::default();
        let epochs: Vec<u64> = self.epochs_of(welcome).collect();
        for epoch in epochs {
            self.forget_welcome(epoch, &mut step);
        }
        step
    }

    fn epochs_of(&self, welcome: &[u8]) -> impl Iterator<Item = u64> {
        self.welcomes.iter().filter(move |(_, row)| row.welcome == welcome).map(|(epoch, _)| *epoch)
    }

    fn forget_welcome(&mut self, epoch: u64, step: &mut Step) {
        self.welcomes.remove(&epoch);
        self.handed_over.remove(&epoch);
        step.changes.push(Change::Unwelcome(self.id, epoch));
    }
}
