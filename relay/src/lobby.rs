//! Sockets that carry no stream: they have just come, or have done with what they came for.
//!
//! Whoever connects costs a descriptor before anything is known of it. A socket that carries a member's stream has its place by
//! that; all others share a few. When those are taken, the socket is closed that has sat longest of all that come from where most
//! come from. So a crowd that connects and asks for nothing loses its own sockets, however fast it comes, and a member from elsewhere
//! keeps its place for the moment that it needs it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
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
    source: IpAddr,
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
    source: IpAddr,
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

    /// Seats a newcomer from an address or a network; the receiver ends when its place is somebody else's.
    pub fn enter(&self, source: IpAddr) -> (Visit, oneshot::Receiver<()>) {
        let (stay, sent_away) = oneshot::channel();
        let number = self.with(|room| {
            room.next += 1;
            let number = room.next;
            room.sockets.insert(number, Socket { source, turn: None, streams: 0, has_asked: false, _stay: stay });
            room.seat(number, self.places);
            number
        });
        (Visit { lobby: self.clone(), number, source }, sent_away)
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
            && let Some(turn) = self.one_too_many()
            && let Some(number) = self.seated.remove(&turn)
        {
            self.sockets.remove(&number);
        }
    }

    /// The turn of who has sat longest of the largest crowd.
    fn one_too_many(&self) -> Option<u64> {
        let mut crowds: HashMap<IpAddr, (usize, Reverse<u64>)> = HashMap::new();
        for (turn, number) in &self.seated {
            if let Some(socket) = self.sockets.get(number) {
                crowds.entry(socket.source).or_insert((0, Reverse(*turn))).0 += 1;
            }
        }
        crowds.into_values().max().map(|(_, Reverse(longest))| longest)
    }
}

impl Visit {
    /// Where it comes from: an address, or the first one of a network.
    #[must_use]
    pub const fn source(&self) -> IpAddr {
        self.source
    }

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
        let Visit { lobby, number, .. } = &self.0;
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

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn is_sent_away(receiver: &mut oneshot::Receiver<()>) -> bool {
        receiver.try_recv() == Err(TryRecvError::Closed)
    }

    #[test]
    fn a_full_lobby_sends_away_whoever_sat_longest() {
        let lobby = Lobby::new(2);
        let (_first, mut first) = lobby.enter(HERE);
        let (_second, mut second) = lobby.enter(HERE);
        assert!(!is_sent_away(&mut first));

        let (_third, mut third) = lobby.enter(HERE);

        assert!(is_sent_away(&mut first));
        assert!(!is_sent_away(&mut second) && !is_sent_away(&mut third));
    }

    #[test]
    fn a_crowd_that_comes_fast_sends_away_its_own_and_nobody_from_elsewhere() {
        let lobby = Lobby::new(4);
        let elsewhere = IpAddr::from([192, 0, 2, 1]);
        let (_member, mut member) = lobby.enter(elsewhere);

        let crowd: Vec<_> = (0..100).map(|_| lobby.enter(HERE)).collect();

        assert!(!is_sent_away(&mut member), "it is still at its handshake");
        let left = crowd.into_iter().filter_map(|(_, mut receiver)| (!is_sent_away(&mut receiver)).then_some(())).count();
        assert_eq!(left, 3);
    }

    #[test]
    fn whoever_carries_a_stream_stays_and_takes_nobodys_place() {
        let lobby = Lobby::new(1);
        let (member, mut stays) = lobby.enter(HERE);
        let carried = (member.clone().carry(), member.clone().carry());

        let (_stranger, mut stranger) = lobby.enter(HERE);
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
            let (visit, _) = lobby.enter(HERE);
            visit.ask();
            let carried = visit.clone().carry();
            visit.leave();
            drop(carried);
            assert!(!visit.has_asked());
        }

        assert!(lobby.with(|room| room.sockets.is_empty() && room.seated.is_empty()));
    }
}
