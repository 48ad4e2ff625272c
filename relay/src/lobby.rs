//! Sockets that carry no stream: they have just come, or have done with what they came for.
//!
//! Whoever connects costs a descriptor before anything is known of it. A socket that carries a member's stream has its place by
//! that; all others share a few, and when those are taken the one that has sat longest is closed. So a crowd that connects and asks for
//! nothing loses its own sockets, and a member that comes in between needs its place for a moment only.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

/// The places. Clones share them.
#[derive(Clone, Debug)]
pub struct Lobby {
    room: Arc<Mutex<Room>>,
    places: usize,
}

#[derive(Debug, Default)]
struct Room {
    next: u64,
    sockets: HashMap<u64, Socket>,
    /// Who sits, in the order in which they sat down.
    seated: BTreeMap<u64, u64>,
}

#[derive(Debug)]
struct Socket {
    /// Its place among the seated; `None` while it carries a stream.
    turn: Option<u64>,
    streams: usize,
    has_asked: bool,
    /// Dropped when it is to go.
    _stay: oneshot::Sender<()>,
}

/// One socket. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Visit {
    lobby: Lobby,
    number: u64,
}

/// A stream on a socket; ended when it is dropped.
#[derive(Debug)]
pub struct Carried(Visit);

impl Lobby {
    /// Makes so many places for sockets without a stream.
    #[must_use]
    pub fn new(places: usize) -> Self {
        Self { room: Arc::default(), places: places.max(1) }
    }

    /// Seats a newcomer; the receiver ends when its place is somebody else's.
    pub fn enter(&self) -> (Visit, oneshot::Receiver<()>) {
        let (stay, sent_away) = oneshot::channel();
        let number = self.with(|room| {
            room.next += 1;
            let number = room.next;
            room.sockets.insert(number, Socket { turn: None, streams: 0, has_asked: false, _stay: stay });
            room.seat(number, self.places);
            number
        });
        (Visit { lobby: self.clone(), number }, sent_away)
    }

    fn with<T>(&self, act: impl FnOnce(&mut Room) -> T) -> T {
        act(&mut self.room.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Room {
    fn seat(&mut self, number: u64, places: usize) {
        self.next += 1;
        let turn = self.next;
        if let Some(socket) = self.sockets.get_mut(&number) {
            socket.turn = Some(turn);
            self.seated.insert(turn, number);
        }
        if self.seated.len() > places
            && let Some((_, longest)) = self.seated.pop_first()
        {
            self.sockets.remove(&longest);
        }
    }
}

impl Visit {
    /// Notes that it has asked for something.
    pub fn ask(&self) {
        self.lobby.with(|room| {
            if let Some(socket) = room.sockets.get_mut(&self.number) {
                socket.has_asked = true;
            }
        });
    }

    /// Whether it has asked for anything yet.
    #[must_use]
    pub fn has_asked(&self) -> bool {
        self.lobby.with(|room| room.sockets.get(&self.number).is_some_and(|socket| socket.has_asked))
    }

    /// Notes that it carries one more stream; it is nobody's to send away meanwhile.
    #[must_use]
    pub fn carry(self) -> Carried {
        self.lobby.with(|room| {
            let Some(socket) = room.sockets.get_mut(&self.number) else { return };
            socket.streams += 1;
            if let Some(turn) = socket.turn.take() {
                room.seated.remove(&turn);
            }
        });
        Carried(self)
    }

    /// Gives its place back.
    pub fn leave(&self) {
        self.lobby.with(|room| {
            if let Some(Socket { turn: Some(turn), .. }) = room.sockets.remove(&self.number) {
                room.seated.remove(&turn);
            }
        });
    }
}

impl Drop for Carried {
    fn drop(&mut self) {
        let Visit { lobby, number } = &self.0;
        lobby.with(|room| {
            let Some(socket) = room.sockets.get_mut(number) else { return };
            socket.streams = socket.streams.saturating_sub(1);
            if socket.streams == 0 {
                room.seat(*number, lobby.places);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot::error::TryRecvError;

    use super::*;

    fn is_sent_away(receiver: &mut oneshot::Receiver<()>) -> bool {
        receiver.try_recv() == Err(TryRecvError::Closed)
    }

    #[test]
    fn a_full_lobby_sends_away_whoever_sat_longest() {
        let lobby = Lobby::new(2);
        let (_first, mut first) = lobby.enter();
        let (_second, mut second) = lobby.enter();
        assert!(!is_sent_away(&mut first));

        let (_third, mut third) = lobby.enter();

        assert!(is_sent_away(&mut first));
        assert!(!is_sent_away(&mut second) && !is_sent_away(&mut third));
    }

    #[test]
    fn whoever_carries_a_stream_stays_and_takes_nobodys_place() {
        let lobby = Lobby::new(1);
        let (member, mut stays) = lobby.enter();
        let carried = (member.clone().carry(), member.clone().carry());

        let (_stranger, mut stranger) = lobby.enter();
        assert!(!is_sent_away(&mut stays) && !is_sent_away(&mut stranger));
        drop(carried.0);
        assert!(!is_sent_away(&mut stranger), "it still carries the other one");

        drop(carried.1);
        assert!(is_sent_away(&mut stranger), "it sits again, and there is one place");
        assert!(!is_sent_away(&mut stays));
    }

    #[test]
    fn a_socket_that_is_gone_leaves_nothing_behind() {
        let lobby = Lobby::new(2);
        for _ in 0..10 {
            let (visit, _) = lobby.enter();
            visit.ask();
            let carried = visit.clone().carry();
            visit.leave();
            drop(carried);
            assert!(!visit.has_asked());
        }

        assert!(lobby.with(|room| room.sockets.is_empty() && room.seated.is_empty()));
    }
}
