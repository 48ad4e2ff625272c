//! Who may wait for the owner's decision when many want to.
//!
//! A stranger makes keys for nothing, so the queue is bounded and a crowd must not push out others: what
//! leaves a full queue is the oldest unproven question from the source that has most of them. Questions
//! whose address is proven have room in reserve and never give way to unproven ones.

use std::collections::HashMap;
use std::net::IpAddr;

use super::Proof;
use crate::key::PeerKey;
use crate::time::Timestamp;

/// For this many places there is one more that is kept for proven questions.
const RESERVED: usize = 10;

/// The network that a peer asks from, of which one owner usually has the whole: /24 for IPv4, /48 for IPv6.
#[must_use]
pub fn source(remote: Option<IpAddr>) -> String {
    match remote.map(|ip| ip.to_canonical()) {
        None => String::new(),
        Some(IpAddr::V4(ip)) => {
            let [a, b, c, _] = ip.octets();
            format!("{a}.{b}.{c}.0/24")
        }
        Some(IpAddr::V6(ip)) => {
            let [a, b, c, ..] = ip.segments();
            format!("{a:x}:{b:x}:{c:x}::/48")
        }
    }
}

/// A question that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Who asks.
    pub key: PeerKey,
    /// Where it asks from: a network prefix, or a host name where its address is proven.
    pub source: String,
    /// Whether its address is its own.
    pub proof: Proof,
    /// When it first asked.
    pub since: Timestamp,
}

/// What to do about a new question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// There is room, or this key waits already.
    Free,
    /// There is room once this one leaves.
    Instead(PeerKey),
    /// There is none.
    None,
}

/// Finds room for `newcomer` among those who wait, of whom `limit` may be unproven.
#[must_use]
pub fn room<'q>(waiting: impl IntoIterator<Item = &'q Question>, newcomer: &Question, limit: usize) -> Room {
    let waiting: Vec<&Question> = waiting.into_iter().collect();
    if waiting.iter().any(|question| question.key == newcomer.key) {
        return Room::Free;
    }
    let unproven: Vec<&Question> = waiting.iter().copied().filter(|question| !question.proof.is_proven()).collect();
    let places = limit + limit.div_ceil(RESERVED);
    if newcomer.proof.is_proven() {
        return match (waiting.len() < places, unproven.is_empty()) {
            (true, _) => Room::Free,
            (false, false) => evicted(&unproven, &newcomer.source),
            (false, true) => evicted(&waiting, &newcomer.source),
        };
    }
    if unproven.len() < limit && waiting.len() < places {
        return Room::Free;
    }
    evicted(&unproven, &newcomer.source)
}

/// The oldest question of the source that would have most with the newcomer's.
fn evicted(candidates: &[&Question], newcomer: &str) -> Room {
    let mut counts: HashMap<&str, usize> = HashMap::from([(newcomer, 1)]);
    for question in candidates {
        *counts.entry(&question.source).or_default() += 1;
    }
    let crowd = |question: &&&Question| counts.get(question.source.as_str()).copied().unwrap_or_default();
    let Some(most) = candidates.iter().map(|question| crowd(&question)).max() else { return Room::None };
    let oldest = candidates.iter().filter(|question| crowd(question) == most).min_by_key(|question| question.since);
    oldest.map_or(Room::None, |question| Room::Instead(question.key))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(number: u32, source: &str, proof: Proof) -> Question {
        let mut key = [0; 32];
        key[..4].copy_from_slice(&number.to_be_bytes());
        Question { key: PeerKey::from_bytes(key), source: source.to_owned(), proof, since: Timestamp::from_nanos(i64::from(number)) }
    }

    fn ask(waiting: &mut Vec<Question>, newcomer: Question, limit: usize) -> Room {
        let room = room(waiting.iter(), &newcomer, limit);
        match room {
            Room::None => return room,
            Room::Instead(key) => waiting.retain(|question| question.key != key),
            Room::Free => {}
        }
        if waiting.iter().all(|question| question.key != newcomer.key) {
            waiting.push(newcomer);
        }
        room
    }

    #[test]
    fn a_flood_from_few_places_pushes_out_only_itself() {
        let mut waiting = Vec::new();
        let quiet = question(0, "203.0.113.0/24", Proof::Claimed);
        ask(&mut waiting, quiet.clone(), 100);
        for number in 1..2_000 {
            let source = format!("198.51.{}.0/24", number % 5);
            ask(&mut waiting, question(number, &source, Proof::Claimed), 100);
        }
        let late = question(5_000, "192.0.2.0/24", Proof::Claimed);
        ask(&mut waiting, late.clone(), 100);

        assert!(waiting.contains(&quiet) && waiting.contains(&late));
        assert_eq!(waiting.len(), 100);
    }

    #[test]
    fn proven_questions_have_room_in_reserve_and_do_not_give_way() {
        let mut waiting = Vec::new();
        for number in 0..1_000 {
            ask(&mut waiting, question(number, "s", Proof::Claimed), 100);
        }
        assert_eq!(waiting.len(), 100);
        for number in 2_000..2_010 {
            assert_eq!(ask(&mut waiting, question(number, "partner.example", Proof::Dns), 100), Room::Free);
        }
        for number in 3_000..3_200 {
            ask(&mut waiting, question(number, "t", Proof::Claimed), 100);
        }

        assert_eq!(waiting.iter().filter(|question| question.proof == Proof::Dns).count(), 10);
    }

    #[test]
    fn a_key_that_waits_already_is_never_turned_away() {
        let mut waiting = Vec::new();
        for number in 0..100 {
            ask(&mut waiting, question(number, "s", Proof::Claimed), 100);
        }
        assert_eq!(room(&waiting, &question(7, "s", Proof::Claimed), 100), Room::Free);
    }

    #[test]
    fn a_queue_of_one_holds_the_latest() {
        let mut waiting = Vec::new();
        ask(&mut waiting, question(1, "a", Proof::Claimed), 1);
        assert_eq!(ask(&mut waiting, question(2, "b", Proof::Claimed), 1), Room::Instead(question(1, "a", Proof::Claimed).key));
        assert_eq!(waiting.len(), 1);
    }
}
