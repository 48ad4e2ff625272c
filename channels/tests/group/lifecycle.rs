//! How members leave, are removed, come back and become owners.

use toq_channels::group::{Admission, Group, GroupError, Head, Intent, Received, Refusal, Role, Shelf, Why, Wish};
use toq_protocol::key::Identity;

use crate::party::{NOW, Party, admit, channel, name, payload, proven_channel};

#[test]
fn who_asks_to_leave_is_removed_by_whoever_commits_first_and_nobody_writes_in_between() {
    for mut parties in [channel(3), proven_channel(3)] {
        let (proposal, rows) = parties[2].group_mut().leave().expect("a proposal");
        parties[2].memory.commit(rows);
        let proposal = proposal.expect("others are there");

        for party in &mut parties {
            let received = party.read(&proposal);
            assert!(matches!(received, Received::Proposed { wish: Wish::Leave, .. } | Received::Ignored(Why::Own)), "{received:?}");
            party.restart();
            assert!(matches!(party.group_mut().encrypt(b"x", None), Err(GroupError::CommitFirst)));
        }
        let staged = parties[1].stage(&Intent::Commit);
        assert!(matches!(parties[0].read(&staged.commit), Received::Committed(change) if change.removed[0].identity == b"member 2"));
        assert!(matches!(parties[2].read(&staged.commit), Received::Removed { .. }));
        let _ = parties[1].read(&staged.commit);

        assert!(parties[2].memory.0.keys().all(|(shelf, _)| *shelf == Shelf::Identity));
        let blob = parties[0].write("without you");
        assert_eq!(payload(parties[1].read(&blob)), "without you");
        assert_eq!(parties[2].read(&blob), Received::Ignored(Why::NotMember));
        assert!(matches!(parties[2].group_mut().encrypt(b"x", None), Err(GroupError::NotMember)));
    }
}

#[test]
fn the_creator_of_an_open_channel_and_the_last_owner_of_the_other_stay() {
    let mut open = channel(2);
    assert!(matches!(open[0].group_mut().leave(), Err(GroupError::Refused(Refusal::CreatorStays))));
    let mut proven = proven_channel(2);
    assert!(matches!(proven[0].group_mut().leave(), Err(GroupError::Refused(Refusal::LastOwner))));
    let mut alone = channel(1);
    assert!(matches!(alone[0].group_mut().leave(), Ok((None, _))));
}

#[test]
fn an_owner_removes_and_a_member_does_not() {
    for mut parties in [channel(3), proven_channel(3)] {
        let error = parties[1].group_mut().stage(&Intent::Remove(vec![2]), None, NOW).expect_err("no right");
        assert!(matches!(error, GroupError::Refused(Refusal::NoRight { by: 1, .. })), "{error}");
        assert!(matches!(parties[0].group_mut().stage(&Intent::Remove(vec![7]), None, NOW), Err(GroupError::NoSuchMember)));

        let staged = parties[0].stage(&Intent::Remove(vec![2]));
        assert!(matches!(parties[0].group_mut().encrypt(b"x", None), Err(GroupError::CommitFirst)), "who is removed would read it");
        assert!(matches!(parties[2].read(&staged.commit), Received::Removed { by: Some(by), .. } if by.index == 0));
        for party in &mut parties[..2] {
            assert!(matches!(party.read(&staged.commit), Received::Committed(change) if change.removed.len() == 1));
        }

        assert_eq!(parties[0].authenticator(), parties[1].authenticator());
    }
}

#[test]
fn who_asked_to_leave_and_is_removed_goes_once() {
    for mut parties in [channel(3), proven_channel(3)] {
        let (proposal, rows) = parties[2].group_mut().leave().expect("a proposal");
        parties[2].memory.commit(rows);
        let _ = parties[0].read(&proposal.expect("others are there"));

        let staged = parties[0].stage(&Intent::Remove(vec![2]));

        assert!(matches!(parties[0].read(&staged.commit), Received::Committed(change) if change.removed.len() == 1));
    }
}

#[test]
fn a_member_adds_in_an_open_channel_and_not_in_the_other() {
    let mut open = channel(2);
    let package = Party::new("guest").package();
    let staged = open[1].stage(&Intent::Add(vec![package]));
    open.iter_mut().for_each(|party| assert!(matches!(party.read(&staged.commit), Received::Committed(_))));

    let mut proven = proven_channel(2);
    let package = Party::proven("guest", 9).package();
    let error = proven[1].group_mut().stage(&Intent::Add(vec![package]), None, NOW).expect_err("no right");
    assert!(matches!(error, GroupError::Refused(Refusal::NoRight { .. })), "{error}");
}

#[test]
fn owners_are_named_and_lose_it_by_removal() {
    let mut parties = proven_channel(3);
    let keys = [1, 2].map(|seed| Identity::from_seed(&[seed; 32]).public());
    let all = |parties: &mut [Party], blob: &[u8]| parties.iter_mut().for_each(|party| drop(party.read(blob)));

    let staged = parties[0].stage(&Intent::Owners(keys.to_vec()));
    all(&mut parties, &staged.commit);
    assert_eq!(parties[2].group().members()[1].role, Role::Owner);
    let staged = parties[1].stage(&Intent::Remove(vec![0]));
    all(&mut parties, &staged.commit);
    let mut back = parties.remove(0);
    let staged = parties[0].stage(&Intent::Add(vec![back.package()]));
    all(&mut parties, &staged.commit);
    back.join(&staged.welcome.expect("a welcome"));

    let role = |identity: &[u8]| parties[1].group().members().iter().find(|member| member.identity == identity).map(|member| member.role);
    assert_eq!((role(b"member 0"), role(b"member 1")), (Some(Role::Member), Some(Role::Owner)));
    let stranger = Identity::from_seed(&[77; 32]).public();
    assert!(matches!(parties[0].group_mut().stage(&Intent::Owners(vec![stranger]), None, NOW), Err(GroupError::NoSuchMember)));
}

#[test]
fn a_member_that_lost_its_state_comes_back_on_a_fresh_leaf() {
    let mut parties = channel(3);
    let package = parties[2].package();

    let staged = parties[0].stage(&Intent::Replace(package));
    parties[..2].iter_mut().for_each(|party| assert!(matches!(party.read(&staged.commit), Received::Committed(_))));
    parties[2].join(&staged.welcome.expect("a welcome"));

    assert_eq!(parties[2].authenticator(), parties[0].authenticator());
    assert_eq!(parties[0].group().members().len(), 3);
    let blob = parties[2].write("back");
    assert_eq!(payload(parties[1].read(&blob)), "back");
}

#[test]
fn an_owner_that_lost_its_directory_comes_back_by_its_agent_key_in_one_commit_and_stays_owner() {
    let mut parties = proven_channel(3);
    let keys = [1, 2].map(|seed| Identity::from_seed(&[seed; 32]).public());
    let named = parties[0].stage(&Intent::Owners(keys.to_vec()));
    parties.iter_mut().for_each(|party| drop(party.read(&named.commit)));
    let mut fresh = Party::proven("member 1", 2);
    let package = fresh.package();

    let staged = parties[0].stage(&Intent::Replace(package));
    assert!(matches!(parties[1].read(&staged.commit), Received::Removed { .. }));
    for index in [0, 2] {
        assert!(matches!(parties[index].read(&staged.commit), Received::Committed(_)), "read by {index}");
    }
    fresh.join(&staged.welcome.expect("a welcome"));

    let blob = fresh.write("back");
    assert_eq!(payload(parties[2].read(&blob)), "back");
    let role = |party: &Party| party.group().members().iter().find(|member| member.identity == b"member 1").map(|member| member.role);
    assert_eq!((role(&parties[0]), role(&fresh), fresh.group().members().len()), (Some(Role::Owner), Some(Role::Owner), 3));
}

#[test]
fn nobody_takes_a_members_place_with_another_agent_key_or_without_the_right_to_remove() {
    let mut proven = proven_channel(3);
    let package = Party::proven("member 1", 77).package();
    assert!(matches!(proven[0].group_mut().stage(&Intent::Replace(package), None, NOW), Err(GroupError::NoSuchMember)));
    let package = Party::proven("member 1", 2).package();
    let error = proven[2].group_mut().stage(&Intent::Replace(package), None, NOW).expect_err("no right");
    assert!(matches!(error, GroupError::Refused(Refusal::NoRight { .. })), "{error}");

    let mut open = channel(3);
    let package = Party::new("member 1").package();
    assert!(matches!(open[0].group_mut().stage(&Intent::Replace(package), None, NOW), Err(GroupError::NoSuchMember)));
}

#[test]
fn any_member_brings_back_any_other_and_the_creator_stays_owner() {
    for lost in [0, 2] {
        let mut parties = channel(4);
        let package = parties[lost].package();

        let staged = parties[1].stage(&Intent::Replace(package));
        for index in (0..4).filter(|index| *index != lost) {
            assert!(matches!(parties[index].read(&staged.commit), Received::Committed(_)), "{lost}, read by {index}");
        }
        parties[lost].join(&staged.welcome.expect("a welcome"));

        let blob = parties[lost].write("back");
        assert_eq!(payload(parties[3].read(&blob)), "back");
        let names: Vec<_> = parties[3].group().members().iter().map(|member| (member.identity.clone(), member.role)).collect();
        let role = |index: usize| if index == 0 { Role::Owner } else { Role::Member };
        assert_eq!(names, (0..4).map(|index| (format!("member {index}").into_bytes(), role(index))).collect::<Vec<_>>());
    }
    // And it is owner in deed.
    let mut parties = channel(3);
    let package = parties[0].package();
    let staged = parties[2].stage(&Intent::Replace(package));
    parties[1..].iter_mut().for_each(|party| drop(party.read(&staged.commit)));
    parties[0].join(&staged.welcome.expect("a welcome"));
    let staged = parties[0].stage(&Intent::Remove(vec![1]));
    assert!(parties.iter_mut().all(|party| matches!(party.read(&staged.commit), Received::Committed(_) | Received::Removed { .. })));
}

#[test]
fn a_losing_commit_is_told_and_made_again() {
    let mut parties = channel(3);
    let first = parties[0].stage(&Intent::Rotate);
    let package = Party::new("guest").package();
    let second = parties[1].stage(&Intent::Add(vec![package.clone()]));

    for party in &mut parties {
        assert!(matches!(party.read(&first.commit), Received::Committed(_)));
        assert_eq!(party.read(&second.commit), Received::Ignored(Why::Old));
    }
    assert_eq!(parties[1].group().staged(), None);
    assert_eq!(parties[1].memory.size(Shelf::Pending), 0);
    let again = parties[1].stage(&Intent::Add(vec![package]));

    assert!(parties.iter_mut().all(|party| matches!(party.read(&again.commit), Received::Committed(_))));
}

#[test]
fn a_commit_that_was_given_up_counts_if_it_reaches_the_log() {
    for mut parties in [channel(2), proven_channel(2)] {
        let given_up = parties[1].stage(&Intent::Rotate);
        let rows = parties[1].group_mut().discard();
        parties[1].memory.commit(rows);
        parties[1].restart();
        let _second = parties[1].stage(&Intent::Rotate);

        let own = parties[1].read(&given_up.commit);
        assert!(
            matches!(&own, Received::Committed(change) if !change.own && change.lost && change.by.as_ref().is_some_and(|by| by.me)),
            "{own:?}"
        );
        let _ = parties[0].read(&given_up.commit);

        assert_eq!(parties[0].authenticator(), parties[1].authenticator());
        assert_eq!(parties[1].memory.size(Shelf::Pending), 0);
    }
}

#[test]
fn only_one_commit_waits_and_four_are_remembered() {
    let mut parties = channel(1);
    for _ in 0..4 {
        let _ = parties[0].stage(&Intent::Rotate);
        assert!(matches!(parties[0].group_mut().stage(&Intent::Rotate, None, NOW), Err(GroupError::AlreadyStaged)));
        let rows = parties[0].group_mut().discard();
        parties[0].memory.commit(rows);
    }

    assert!(matches!(parties[0].group_mut().stage(&Intent::Rotate, None, NOW), Err(GroupError::TooManyAttempts(4))));
    assert!(matches!(channel(1)[0].group_mut().stage(&Intent::Commit, None, NOW), Err(GroupError::NothingToCommit)));
}

#[test]
fn a_place_in_the_log_travels_with_messages_and_welcomes() {
    let mut parties = channel(2);
    let head = Head { seq: 7, hash: [9; 32] };
    let (blob, _) = parties[0].group_mut().encrypt(b"text", Some(head)).expect("a message");
    assert!(matches!(parties[1].read(&blob), Received::Message { head: Some(told), epoch: 1, .. } if told == head));

    let mut guest = Party::new("guest");
    let package = guest.package();
    let (staged, rows) = parties[0].group_mut().stage(&Intent::Add(vec![package]), Some(head), NOW).expect("a commit");
    parties[0].memory.commit(rows);
    guest.join(&staged.welcome.expect("a welcome"));

    assert_eq!(guest.group().joined_at(), Some(head));
}

#[test]
fn a_channel_made_again_under_its_name_has_nothing_of_the_one_before() {
    let mut parties = channel(2);
    let staged = parties[0].stage(&Intent::Rotate);
    parties.iter_mut().for_each(|party| drop(party.read(&staged.commit)));
    let old = parties[1].write("old");
    let _ = parties[0].stage(&Intent::Rotate);

    parties[0].create(Admission::Any);
    assert_eq!((parties[0].memory.size(Shelf::Epoch), parties[0].memory.size(Shelf::Pending)), (0, 0));
    assert_eq!(parties[0].read(&old), Received::Ignored(Why::Ahead));
    let mut fresh = vec![parties.remove(0)];
    admit(&mut fresh, Party::new("guest"));
    fresh.iter_mut().for_each(Party::restart);

    assert_eq!(fresh[0].authenticator(), fresh[1].authenticator());
    fresh[0].memory.commit(Group::forget(&name()));
    assert!(fresh[0].memory.0.keys().all(|(shelf, _)| matches!(shelf, Shelf::Identity | Shelf::KeyPackage)));
}
