//! What an owner decided about a peer, told to that peer in place of a session.
//!
//! An agent that had to wait tries again by itself, after pauses that grow. It need not: once its owner has decided, the
//! other side dials back, shows its credentials and writes `approval.granted` or `approval.denied` where
//! `negotiate.request` would stand. Nothing is negotiated and nobody has to be admitted for it, and a published peer,
//! which closes on whatever is no `negotiate.request`, notices nothing.
//!
//! What an attacker would try: tell a decision that nobody made, or repeat an old one. So a decision grants nothing. It is
//! signed by the key of the handshake and addressed to the agent, and whoever hears it asks that key again, no earlier than it may.

use std::sync::Arc;

use super::{Effect, End, Entropy, Expected, Session};
use crate::address::Address;
use crate::binding::Exporter;
use crate::envelope::{Envelope, Kind};
use crate::key::PeerKey;
use crate::message::is_timely;
use crate::reason::Reason;
use crate::time::{Now, Timestamp};

/// What an owner decided about a peer that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It may come in.
    Granted,
    /// Not this time; it may ask again.
    Denied,
}

impl Decision {
    /// The envelope that tells it.
    #[must_use]
    pub const fn kind(self) -> Kind {
        match self {
            Self::Granted => Kind::ApprovalGranted,
            Self::Denied => Kind::ApprovalDenied,
        }
    }

    pub(super) const fn of(kind: Kind) -> Option<Self> {
        match kind {
            Kind::ApprovalGranted => Some(Self::Granted),
            Kind::ApprovalDenied => Some(Self::Denied),
            _ => None,
        }
    }
}

impl Session {
    /// Starts a session that tells `decision` to the agent with this key and ends. The bytes to write first are
    /// returned with it. Whoever answers with another key hears nothing.
    #[must_use]
    pub fn tell(
        local: Arc<super::Local>,
        target: &Address,
        key: PeerKey,
        decision: Decision,
        exporter: Exporter,
        entropy: Entropy,
        now: Now,
    ) -> (Self, Vec<u8>) {
        let expected = Expected { key: Some(key), binding: false };
        let (mut session, first) = Self::dial(local, target, expected, exporter, entropy, now);
        session.decision = Some(decision);
        (session, first)
    }

    pub(super) fn say(&mut self, decision: Decision, now: Now) -> Vec<Effect> {
        let mut effects = vec![Effect::Write(self.write(decision.kind(), None, now))];
        effects.extend(self.end(End::Left("the decision was told")));
        effects
    }

    pub(super) fn told(&mut self, decision: Decision, envelope: &Envelope, now: Now) -> Result<Vec<Effect>, End> {
        if !self.is_meant(&envelope.to) {
            return Err(End::Refused(Reason::NotAddressedHere));
        }
        let written = Timestamp::parse(&envelope.timestamp).ok_or(End::Refused(Reason::InvalidEnvelope))?;
        if !is_timely(written, None, now.wall) {
            return Err(End::Refused(Reason::ClockSkew));
        }
        let mut effects = vec![Effect::Decided(decision)];
        effects.extend(self.end(End::Left("a decision was told")));
        Ok(effects)
    }
}
