//! Who is at the other end: the workspace is told whom we met, asked whether to let somebody in, and hears of ends that its owner
//! should know.

use actix::{ActorFutureExt as _, AsyncContext as _, Context, WrapFuture as _};
use toq_protocol::key::PeerKey;
use toq_protocol::reason::Reason;
use toq_protocol::session::{Admission, Decision, End, Session};

use super::Connection;
use crate::workspace::{Admitted, Authenticated, Decided, Held, Intercepted, KeyChanged, Met};

type Ctx = Context<Connection>;

impl Connection {
    /// Tells the workspace whom we dialled and met.
    pub(super) fn introduce(&self) {
        let session = self.session.as_ref();
        let Some((target, peer)) = self.target.clone().zip(session.and_then(Session::peer)) else { return };
        self.workspace.do_send(Met { target, peer: peer.clone(), is_bound: session.is_some_and(Session::is_bound) });
    }

    /// Tells the workspace of an end that its owner should hear of.
    pub(super) fn report(&self, end: &End) {
        match end {
            End::KeyChanged { expected, met } => {
                if let Some(target) = self.target.clone() {
                    self.workspace.do_send(KeyChanged { target, expected: *expected, met: *met });
                }
            }
            End::Refused(reason @ (Reason::ChannelBindingMismatch | Reason::ChannelBindingMissing)) => {
                let Some(peer) = self.session.as_ref().and_then(Session::peer) else { return };
                tracing::error!(peer = %peer.key.short(), remote = %self.remote, %reason, "somebody may be in between; nothing was exchanged");
                let address = self.target.as_ref().unwrap_or(&peer.address).clone();
                self.workspace.do_send(Intercepted { key: peer.key, address, reason: *reason });
            }
            End::Refused(Reason::NotAddressedHere) => self.note_misaddressed(),
            End::Pending(_) => {
                let met = self.session.as_ref().and_then(Session::peer).map(|peer| peer.key);
                if let Some((target, key)) = self.target.clone().zip(met) {
                    self.workspace.do_send(Held { target, key });
                }
            }
            _ => {}
        }
    }

    /// Passes on what the peer's owner decided about us.
    pub(super) fn pass_on(&self, decision: Decision) {
        if let Some(peer) = self.session.as_ref().and_then(Session::peer) {
            self.workspace.do_send(Decided { key: peer.key, decision });
        }
    }

    /// Notes for whom the peer took us: it may be a name of ours that the configuration does not know.
    pub(super) fn note_misaddressed(&self) {
        if let Some(address) = self.session.as_ref().and_then(Session::elsewhere) {
            self.home.counters.note_misaddressed(address);
        }
    }

    pub(super) fn be_judged(&mut self, ctx: &mut Ctx) {
        let Some(peer) = self.session.as_ref().and_then(Session::peer).cloned() else { return };
        self.is_judging = true;
        let asked = self.workspace.send(Authenticated {
            credentials: peer,
            connection: *self.lifeline.key(),
            is_bound: self.session.as_ref().is_some_and(Session::is_bound),
            remote: self.source,
            hears_decisions: self.session.as_ref().is_some_and(Session::hears_decisions),
        });
        ctx.spawn(asked.into_actor(self).map(|admission, act, ctx| {
            act.is_judging = false;
            let admission = admission.unwrap_or(Admission::Refuse);
            if let (Admission::Accept, None) = (&admission, &act.events)
                && let Some(key) = act.session.as_ref().and_then(Session::peer).map(|peer| peer.key)
            {
                act.enter(key, ctx);
            }
            let now = act.home.now();
            let effects = act.session.as_mut().map(|session| session.admit(admission, now)).unwrap_or_default();
            act.perform(effects, &mut Vec::new(), ctx);
            act.arm(ctx);
            act.pull(ctx);
        }));
    }

    /// Tells the workspace that this connection was let in; reads when it says so.
    fn enter(&mut self, key: PeerKey, ctx: &mut Ctx) {
        self.is_judging = true;
        let told = self.workspace.send(Admitted { key, connection: *self.lifeline.key() });
        ctx.spawn(told.into_actor(self).map(|pause, act, ctx| {
            act.is_judging = false;
            act.hold(pause.unwrap_or_default(), ctx);
            act.pull(ctx);
        }));
    }
}
