#![no_main]
//! Two ends on a wire that cuts, flips, repeats and invents.
//!
//! The input is a list of small orders to the wire, the clock and the two drivers. Some orders put envelopes on the wire that
//! are signed with the right key and say anything at all, because a peer that has proven itself is still a stranger.

use std::collections::HashSet;
use std::sync::Arc;

use libfuzzer_sys::arbitrary::{self, Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use toq_fuzz::{ALICE, BOB, entropy, local, now};
use toq_protocol::binding::Exporter;
use toq_protocol::envelope::VERSION;
use toq_protocol::session::{Admission, Effect, Expected, Greeting, Local, LocalEnd, Outgoing, Session};
use toq_protocol::time::Now;
use toq_protocol::{Envelope, Json, Kind, Message, MessageId, frame};

#[derive(Arbitrary, Debug)]
enum Order {
    Deliver { to_bob: bool, bytes: u16 },
    Flip { to_bob: bool, at: u16, mask: u8 },
    Repeat { to_bob: bool, bytes: u16 },
    Lose { to_bob: bool, bytes: u16 },
    Invent { to_bob: bool, bytes: Vec<u8> },
    Forge { to_bob: bool, kind: u8, sequence: u8, body: String },
    Wait { seconds: u8 },
    Send { by_alice: bool, id: u8 },
    Ack { by_alice: bool, all: bool },
    Refuse { by_alice: bool },
    Eof { to_bob: bool },
    Leave { by_alice: bool },
    Verdict { admission: u8 },
}

/// One side: its session, what is on its way to it, and what it has seen.
struct Side {
    local: Arc<Local>,
    peer: Arc<Local>,
    greeting: Option<Greeting>,
    session: Option<Session>,
    incoming: Vec<u8>,
    admission: Admission,
    is_proven: bool,
    is_open: bool,
    is_over: bool,
    sent: HashSet<MessageId>,
    answered: HashSet<MessageId>,
    received: Vec<(MessageId, u64)>,
}

impl Side {
    fn new(local: Arc<Local>, peer: Arc<Local>) -> Self {
        Self {
            local,
            peer,
            greeting: None,
            session: None,
            incoming: Vec::new(),
            admission: Admission::Accept,
            is_proven: false,
            is_open: false,
            is_over: false,
            sent: HashSet::new(),
            answered: HashSet::new(),
            received: Vec::new(),
        }
    }

    /// The session, while it lives.
    fn live(&mut self) -> Option<&mut Session> {
        self.session.as_mut().filter(|_| !self.is_over)
    }

    /// Reads up to `count` bytes of what is on its way; returns what is said in answer.
    fn hear(&mut self, count: usize, at: Now) -> Vec<u8> {
        let count = count.min(self.incoming.len());
        let bytes: Vec<u8> = self.incoming.drain(..count).collect();
        let mut said = Vec::new();
        if let Some(greeting) = self.greeting.take() {
            match greeting.read(&bytes) {
                Err(_) => self.is_over = true,
                Ok(Err(more)) => self.greeting = Some(more),
                Ok(Ok(greeted)) => {
                    let (session, first) = Session::accept(
                        self.local.clone(),
                        greeted,
                        LocalEnd { host: "127.0.0.1", exporter: Exporter::new([7; 32]) },
                        entropy(2),
                        at,
                    );
                    self.session = Some(session);
                    said.extend(first);
                }
            }
        } else if let Some(session) = self.live() {
            session.push(&bytes);
        }
        while let Some(effects) = self.live().and_then(|session| session.next(at)) {
            said.extend(self.perform(effects, at));
        }
        said
    }

    fn perform(&mut self, effects: Vec<Effect>, at: Now) -> Vec<u8> {
        let mut said = Vec::new();
        for effect in effects {
            assert!(!self.is_over, "{effect:?} after the end");
            match effect {
                Effect::Write(bytes) => said.extend(bytes),
                Effect::Authenticated => {
                    assert!(!self.is_proven && !self.is_open, "proven twice");
                    self.is_proven = true;
                    let admission = self.admission;
                    let effects = self.live().map(|session| session.admit(admission, at)).unwrap_or_default();
                    said.extend(self.perform(effects, at));
                }
                Effect::Opened(_) => {
                    assert!(!self.is_open, "opened twice");
                    self.is_open = true;
                }
                Effect::Received(envelope) => {
                    assert!(self.is_open, "received before the session was open");
                    assert_eq!(envelope.from.wire(), self.peer.address.wire());
                    assert!(envelope.to.iter().any(|to| self.local.locality.includes(to)));
                    assert!(self.received.last().is_none_or(|(_, last)| *last < envelope.sequence), "out of order");
                    self.received.push((envelope.id, envelope.sequence));
                }
                Effect::Rejected(..) | Effect::Slow(_) | Effect::Rotated(..) | Effect::Followed(_) => assert!(self.is_open),
                Effect::Acked(ids) => ids.into_iter().for_each(|id| self.answer(id)),
                Effect::Refused(id, ..) | Effect::Wanted(id, _) => self.answer(id),
                Effect::Decided(_) => assert!(!self.is_proven && !self.is_open, "a decision in the middle of a session"),
                Effect::End(_) => self.is_over = true,
            }
        }
        said
    }

    fn answer(&mut self, id: MessageId) {
        assert!(self.is_open && self.sent.contains(&id), "an answer to what was not sent");
        assert!(self.answered.insert(id), "two answers to one message");
    }

    fn send(&mut self, id: u8, at: Now) -> Vec<u8> {
        let message = Message {
            id: MessageId::from_random([id; 16]),
            kind: Kind::MessageSend,
            from: self.local.address.clone(),
            to: self.peer.address.clone(),
            thread_id: None,
            reply_to: None,
            content_type: None,
            timestamp: at.wall,
            ttl: None,
            body: None,
        };
        if !self.is_open || !self.sent.insert(message.id) {
            return Vec::new();
        }
        self.live().and_then(|session| session.send(Outgoing::Message(&message), at).ok()).unwrap_or_default()
    }

    fn ack(&mut self, all: bool, at: Now) -> Vec<u8> {
        let Some((id, sequence)) = self.received.last().copied() else { return Vec::new() };
        let Some(session) = self.live() else { return Vec::new() };
        if all && session.has_cumulative_acks() { session.ack_up_to(id, sequence, at) } else { session.ack(id, at) }
    }
}

fuzz_target!(|data: &[u8]| {
    let mut input = Unstructured::new(data);
    let (alice, bob) = (local(ALICE), local(BOB));
    let mut sides = [Side::new(alice.clone(), bob.clone()), Side::new(bob.clone(), alice.clone())];
    let (session, first) = Session::dial(alice, &bob.address, Expected::default(), Exporter::new([7; 32]), entropy(1), now(0));
    sides[0].session = Some(session);
    sides[1].greeting = Some(Greeting::new());
    sides[1].incoming = first;

    let mut clock = 0;
    // Out of bytes, `arbitrary` invents zeros for ever.
    while !input.is_empty() {
        let Ok(order) = Order::arbitrary(&mut input) else { return };
        let at = now(clock);
        // What was said, and by which side.
        let (speaker, said) = match order {
            Order::Deliver { to_bob, bytes } => (usize::from(to_bob), sides[usize::from(to_bob)].hear(usize::from(bytes), at)),
            Order::Flip { to_bob, at, mask } => {
                if let Some(byte) = sides[usize::from(to_bob)].incoming.get_mut(usize::from(at)) {
                    *byte ^= mask;
                }
                continue;
            }
            Order::Repeat { to_bob, bytes } => {
                let incoming = &mut sides[usize::from(to_bob)].incoming;
                let again = incoming.iter().take(usize::from(bytes)).copied().collect::<Vec<_>>();
                incoming.extend(again);
                continue;
            }
            Order::Lose { to_bob, bytes } => {
                let incoming = &mut sides[usize::from(to_bob)].incoming;
                incoming.drain(..usize::from(bytes).min(incoming.len()));
                continue;
            }
            Order::Invent { to_bob, bytes } => (usize::from(!to_bob), bytes),
            Order::Forge { to_bob, kind, sequence, body } => {
                let author = usize::from(!to_bob);
                (author, forged(&sides[author], kind, sequence, &body, at))
            }
            Order::Wait { seconds } => {
                clock += u64::from(seconds);
                for speaker in [0, 1] {
                    let side = &mut sides[speaker];
                    let effects = side.live().map(|session| session.tick(now(clock))).unwrap_or_default();
                    let said = side.perform(effects, now(clock));
                    sides[1 - speaker].incoming.extend(said);
                }
                continue;
            }
            Order::Send { by_alice, id } => (usize::from(!by_alice), sides[usize::from(!by_alice)].send(id, at)),
            Order::Ack { by_alice, all } => (usize::from(!by_alice), sides[usize::from(!by_alice)].ack(all, at)),
            Order::Refuse { by_alice } => {
                let side = &mut sides[usize::from(!by_alice)];
                let last = side.received.last().copied();
                let reason = toq_protocol::Reason::StorageFull;
                let effects = last.and_then(|(id, _)| Some(side.live()?.refuse(id, reason, at))).unwrap_or_default();
                (usize::from(!by_alice), side.perform(effects, at))
            }
            Order::Eof { to_bob } => {
                let side = &mut sides[usize::from(to_bob)];
                let effects = side.live().map(Session::eof).unwrap_or_default();
                (usize::from(to_bob), side.perform(effects, at))
            }
            Order::Leave { by_alice } => {
                let side = &mut sides[usize::from(!by_alice)];
                let effects = side.live().map(|session| session.goodbye("fuzz", at)).unwrap_or_default();
                (usize::from(!by_alice), side.perform(effects, at))
            }
            Order::Verdict { admission } => {
                sides[1].admission = match admission {
                    0 => Admission::Refuse,
                    1 => Admission::Ask,
                    _ => Admission::Accept,
                };
                continue;
            }
        };
        sides[1 - speaker].incoming.extend(said);
    }
});

/// An envelope that is signed as it should be and says anything.
fn forged(author: &Side, kind: u8, sequence: u8, body: &str, at: Now) -> Vec<u8> {
    let envelope = Envelope {
        version: VERSION.to_owned(),
        id: MessageId::from_random([sequence; 16]),
        kind: Kind::ALL[usize::from(kind) % Kind::ALL.len()],
        from: author.local.address.clone(),
        to: vec![author.peer.address.clone()],
        thread_id: None,
        reply_to: None,
        sequence: u64::from(sequence),
        timestamp: at.wall.to_string(),
        priority: None,
        content_type: None,
        ttl: None,
        compression: None,
        e2e_nonce: None,
        body: Json::parse(body).ok(),
    };
    frame::encode(&envelope.sign(&author.local.identity)).expect("inputs are small")
}
