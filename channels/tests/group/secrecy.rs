//! What old states are good for: nothing (threats H5, H6, H10).

use toq_channels::group::{Agent, Group, GroupError, Intent, MAX_WELCOME, Received, Shelf, Why};

use crate::convergence::Dice;
use crate::party::{NOW, Party, channel, name, payload, proven_channel};
use crate::rogue::Rogue;

/// What a copy of a database reads of a log.
fn reads(copy: &Party, log: &[Vec<u8>]) -> Vec<String> {
    let mut thief = Party::new("thief");
    thief.memory = copy.memory.clone();
    thief.restart();
    log.iter()
        .filter_map(|blob| match thief.read(blob) {
            Received::Message { payload, .. } => Some(String::from_utf8(payload).expect("text")),
            _ => None,
        })
        .collect()
}

fn copy(party: &Party) -> Party {
    let mut copy = Party::new("copy");
    copy.memory = party.memory.clone();
    copy
}

#[test]
fn a_removed_member_reads_nothing_newer_with_its_old_state_and_all_of_the_log() {
    for mut parties in [channel(3), proven_channel(3)] {
        let out = copy(&parties[2]);
        let mut log = vec![parties[0].write("before")];
        let staged = parties[0].stage(&Intent::Remove(vec![2]));
        for party in &mut parties {
            let _ = party.read(&staged.commit);
        }
        log.push(staged.commit);
        for round in 0..3 {
            log.push(parties[0].write(&format!("after {round}")));
            let staged = parties[1].stage(&Intent::Rotate);
            parties[..2].iter_mut().for_each(|party| drop(party.read(&staged.commit)));
            log.push(staged.commit);
        }

        assert_eq!(reads(&out, &log), ["before"]);
        // Without the commit of its removal it reads no more.
        log.remove(1);
        assert_eq!(reads(&out, &log), ["before"]);
    }
}

#[test]
fn a_copied_state_is_useless_after_its_owner_rotated_its_keys() {
    for mut parties in [channel(3), proven_channel(3)] {
        let thief = copy(&parties[1]);
        let mut log = vec![parties[0].write("before")];
        assert_eq!(reads(&thief, &log), ["before"], "the copy is good until then");

        let staged = parties[1].stage(&Intent::Rotate);
        parties.iter_mut().for_each(|party| drop(party.read(&staged.commit)));
        log.push(staged.commit);
        log.push(parties[0].write("after"));

        assert_eq!(reads(&thief, &log), ["before"]);
    }
}

#[test]
fn a_state_taken_later_does_not_read_what_was_read_before() {
    let mut parties = channel(2);
    let blob = parties[0].write("gone");
    assert_eq!(payload(parties[1].read(&blob)), "gone");
    let copied = copy(&parties[1]);

    assert!(reads(&copied, &[blob]).is_empty());
}

#[test]
fn no_key_is_used_twice_wherever_a_sender_dies() {
    let mut dice = Dice::new(6);
    for mut parties in [channel(2), proven_channel(2)] {
        let mut sent = Vec::new();
        for number in 0..200 {
            let text = format!("number {number}");
            let (blob, rows) = parties[0].group_mut().encrypt(text.as_bytes(), None).expect("a message");
            match dice.below(4) {
                // Before the rows are committed: the blob has not left.
                0 => parties[0].restart(),
                // After that and before the blob leaves.
                1 => {
                    parties[0].memory.commit(rows);
                    parties[0].restart();
                }
                // Right after it left.
                2 => {
                    parties[0].memory.commit(rows);
                    sent.push((blob, text));
                    parties[0].restart();
                }
                _ => {
                    parties[0].memory.commit(rows);
                    sent.push((blob, text));
                }
            }
        }

        // A key can be used once, so a second message under it would be taken for a duplicate.
        for (blob, text) in &sent {
            assert_eq!(&payload(parties[1].read(blob)), text);
        }
        assert!(sent.len() > 50);
    }
}

#[test]
fn a_restored_copy_finds_out_by_its_own_message_and_never_encrypts_again() {
    for mut parties in [channel(2), proven_channel(2)] {
        let backup = parties[0].memory.clone();
        let sent = parties[0].write("sent after the copy");

        parties[0].memory = backup;
        parties[0].restart();
        assert_eq!(parties[0].read(&sent), Received::Stale);

        assert!(matches!(parties[0].group_mut().encrypt(b"again", None), Err(GroupError::Stale)));
        assert!(matches!(parties[0].group_mut().stage(&Intent::Rotate, None, NOW), Err(GroupError::Stale)));
        parties[0].restart();
        assert!(parties[0].group().is_stale());
        assert!(matches!(parties[0].group_mut().encrypt(b"again", None), Err(GroupError::Stale)));
        // Reading goes on.
        let blob = parties[1].write("to you");
        assert_eq!(payload(parties[0].read(&blob)), "to you");
    }
}

#[test]
fn a_restored_copy_finds_out_by_its_own_commit() {
    for mut parties in [channel(2), proven_channel(2)] {
        let backup = parties[0].memory.clone();
        let staged = parties[0].stage(&Intent::Rotate);
        let _ = parties[1].read(&staged.commit);

        parties[0].memory = backup;
        parties[0].restart();

        assert_eq!(parties[0].read(&staged.commit), Received::Stale);
    }
}

#[test]
fn nobody_else_makes_a_member_believe_that_its_state_is_old() {
    let mut parties = channel(3);
    let theirs = parties[1].write("theirs");

    let received = parties[0].read(&theirs);

    assert!(matches!(received, Received::Message { .. }));
    let own = parties[0].write("ours");
    // The count, which stands before the 16 bytes of its tag, is in the clear: the relay makes it large.
    let mut forged = own.clone();
    let at = own.windows(18).position(|window| window[..2] == [1, 0] && window[2..8] == [0; 6]).expect("a stamp");
    forged[at + 2] = 0x7f;
    assert_eq!(parties[0].read(&forged), Received::Ignored(Why::Own));
}

#[test]
fn a_thousand_messages_may_be_missing_and_not_more() {
    let mut parties = channel(2);
    let blobs: Vec<_> = (0..=1025).map(|number| parties[0].write(&number.to_string())).collect();

    assert_eq!(parties[1].read(&blobs[1025]), Received::Ignored(Why::TooFar));
    assert_eq!(payload(parties[1].read(&blobs[1000])), "1000");
    assert_eq!(payload(parties[1].read(&blobs[0])), "0");
    assert_eq!(payload(parties[1].read(&blobs[1025])), "1025");
}

#[test]
fn a_welcome_above_its_limit_is_not_looked_at() {
    let party = Party::new("guest");

    let error = Group::join(&party.agent, &name(), &vec![0; MAX_WELCOME + 1], &party.memory).expect_err("too large");
    assert!(matches!(error, GroupError::TooLarge { what: "welcome", .. }), "{error}");
    let error = Group::join(&party.agent, &name(), &vec![0; MAX_WELCOME], &party.memory).expect_err("not a welcome");
    assert!(matches!(error, GroupError::Malformed(_)), "{error}");
}

#[test]
fn damaged_rows_are_an_error_and_nothing_else() {
    let mut parties = channel(2);
    let staged = parties[0].stage(&Intent::Rotate);
    let _ = parties[1].read(&staged.commit);
    let whole = parties[0].memory.clone();

    let mut dice = Dice::new(3);
    for place in whole.0.keys() {
        for _ in 0..20 {
            let mut damaged = whole.clone();
            let value = damaged.0.get_mut(place).expect("a row");
            let at = dice.below(value.len());
            if dice.hits(50) {
                value.truncate(at)
            } else {
                value[at] ^= 0x41
            }
            // Either it is noticed, or the change was in bytes that mean something else now; nothing panics.
            if let Ok(Some(agent)) = Agent::load(&damaged) {
                let _ = Group::load(&agent, &name(), &damaged);
            }
        }
    }
    assert!(whole.size(Shelf::Pending) > 0);
}

#[test]
fn a_member_that_skips_keys_with_each_message_makes_nobodys_state_grow_without_end() {
    let mut parties = channel(2);
    let mut rogue = Rogue::join(&mut parties, None, false);
    let size = |party: &Party| party.memory.0.values().map(|value| value.len()).sum::<usize>();
    let before = size(&parties[1]);
    let mut refused = 0;

    for _ in 0..9 {
        let mut last = Vec::new();
        for _ in 0..1000 {
            last = rogue.group.encrypt_application_message(b"x", Vec::new()).expect("MLS allows it").to_bytes().expect("bytes");
        }
        match parties[1].read(&last) {
            Received::Message { .. } => {}
            Received::Ignored(Why::TooFar) => refused += 1,
            other => panic!("{other:?}"),
        }
    }

    let grown = size(&parties[1]) - before;
    assert!(refused > 0 && (100_000..(256 << 10) + 4096).contains(&grown), "{refused} of 9 were refused, {grown} bytes more");
    // Others are read as before, and are kept when the state is loaded again.
    parties[1].restart();
    let blob = parties[0].write("from another");
    assert_eq!(payload(parties[1].read(&blob)), "from another");
}
