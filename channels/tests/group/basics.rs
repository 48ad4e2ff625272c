//! How a group begins, is joined, written to and read.

use toq_channels::ChannelName;
use toq_channels::group::{
    Admission, Agent, Group, GroupError, Intent, KeyPackageKind, PACKAGE_LIFETIME, Received, Role, Shelf, Why, view_key_package,
};

use crate::party::{NOW, Party, channel, name, payload, proven_channel};

#[test]
fn members_read_each_other_and_survive_restarts() {
    for mut parties in [channel(3), proven_channel(3)] {
        for round in 0..3 {
            for writer in 0..3 {
                let text = format!("{round} by {writer}");
                let blob = parties[writer].write(&text);
                for reader in (0..3).filter(|reader| *reader != writer) {
                    let received = parties[reader].read(&blob);
                    assert_eq!(payload(received), text);
                }
                parties[writer].restart();
            }
            parties.iter_mut().for_each(Party::restart);
        }

        assert_eq!(parties[0].authenticator(), parties[2].authenticator());
        assert_eq!(parties[1].group().members().len(), 3);
    }
}

#[test]
fn a_commit_changes_nothing_before_it_is_read_back() {
    let mut parties = channel(1);
    let mut new = Party::new("new");
    let package = new.package();

    let staged = parties[0].stage(&Intent::Add(vec![package]));
    assert_eq!((parties[0].group().epoch(), parties[0].group().members().len()), (0, 1));
    parties[0].restart();
    let received = parties[0].read(&staged.commit);

    let Received::Committed(change) = received else { panic!("{received:?}") };
    assert!(change.own && !change.lost);
    assert_eq!((change.epoch, change.added[0].identity.as_slice()), (1, b"new".as_slice()));
    assert_eq!(parties[0].memory.size(Shelf::Pending), 0);
}

#[test]
fn a_one_time_key_package_is_deleted_by_its_use_and_one_of_last_resort_is_not() {
    for (kind, left) in [(KeyPackageKind::OneTime, 0), (KeyPackageKind::LastResort, 1)] {
        let mut owner = Party::creator("owner");
        let mut new = Party::new("new");
        let (package, rows) = new.agent.key_package(NOW, kind).expect("a key package");
        new.memory.commit(rows);
        assert_eq!(view_key_package(&package.message).expect("a view").is_last_resort, kind == KeyPackageKind::LastResort);

        let staged = owner.stage(&Intent::Add(vec![package.message]));
        let _ = owner.read(&staged.commit);
        new.join(&staged.welcome.expect("a welcome"));

        assert_eq!(new.memory.0.keys().filter(|(shelf, _)| *shelf == Shelf::KeyPackage).count(), left);
    }
}

#[test]
fn a_used_welcome_a_foreign_one_and_garbage_are_refused_in_the_words_of_published_members() {
    let mut owner = Party::creator("owner");
    let mut new = Party::new("new");
    let package = new.package();
    let staged = owner.stage(&Intent::Add(vec![package.clone()]));
    let _ = owner.read(&staged.commit);
    let welcome = staged.welcome.expect("a welcome");

    let elsewhere = ChannelName::parse("acme/team/other").expect("a name");
    let error = Group::join(&new.agent, &elsewhere, &welcome, &new.memory).expect_err("another channel");
    assert!(matches!(error, GroupError::OtherChannel(_)));
    new.join(&welcome);
    let error = Group::join(&new.agent, &name(), &welcome, &new.memory).expect_err("used");
    assert_eq!(error.to_string(), "MLS group error: WelcomeKeyPackageNotFound");
    let error = Group::join(&new.agent, &name(), b"garbage", &new.memory).expect_err("garbage");
    assert!(error.to_string().starts_with("message serialization error: "), "{error}");
    let error = owner.group_mut().stage(&Intent::Add(vec![package]), None, NOW).expect_err("used twice");
    assert_eq!(error.to_string(), "MLS group error: DuplicateLeafData(1)");
    let mut other_version = new.package();
    other_version[1] = 0;
    let longer = [new.package(), vec![0]].concat();
    for bytes in [other_version, longer] {
        assert!(matches!(view_key_package(&bytes), Err(GroupError::Malformed(_))));
    }
    let error = owner.group_mut().stage(&Intent::Add(vec![b"garbage".to_vec()]), None, NOW).expect_err("garbage");
    assert!(error.to_string().starts_with("message serialization error: "), "{error}");
}

#[test]
fn duplicates_own_messages_and_garbage_are_ignored_and_change_nothing() {
    let mut parties = channel(2);
    let blob = parties[0].write("once");
    let before = parties[0].memory.0.clone();

    assert_eq!(parties[0].read(&blob), Received::Ignored(Why::Own));
    assert_eq!(parties[0].memory.0, before);
    assert_eq!(payload(parties[1].read(&blob)), "once");
    assert_eq!(parties[1].read(&blob), Received::Ignored(Why::Duplicate));
    assert_eq!(parties[1].read(b""), Received::Ignored(Why::Undecodable));
    assert_eq!(parties[1].read(&[blob.as_slice(), &[0; 8]].concat()), Received::Ignored(Why::Undecodable));
    let package = parties[1].package();
    assert_eq!(parties[1].read(&package), Received::Ignored(Why::NotForMembers));
    let blob = parties[0].write("twice");
    assert_eq!(payload(parties[1].read(&blob)), "twice");
}

#[test]
fn a_message_is_read_for_five_epochs_and_no_longer() {
    let mut parties = channel(2);
    let late: Vec<_> = ["first", "second"].iter().map(|text| parties[0].write(text)).collect();

    for _ in 0..5 {
        let staged = parties[0].stage(&Intent::Rotate);
        parties.iter_mut().for_each(|party| assert!(matches!(party.read(&staged.commit), Received::Committed(_))));
    }
    parties[1].restart();
    assert_eq!(payload(parties[1].read(&late[0])), "first");
    let staged = parties[0].stage(&Intent::Rotate);
    parties.iter_mut().for_each(|party| assert!(matches!(party.read(&staged.commit), Received::Committed(_))));

    assert_eq!(parties[1].read(&late[1]), Received::Ignored(Why::Old));
    assert_eq!(parties[1].memory.0.keys().filter(|(shelf, _)| *shelf == Shelf::Epoch).count(), 5);
}

#[test]
fn members_are_known_by_name_proof_and_role() {
    let parties = proven_channel(2);

    let members = parties[1].group().members();

    assert_eq!(members[0].identity, b"member 0");
    assert_eq!(members[0].proven, parties[0].agent.proven());
    assert_eq!((members[0].role, members[1].role), (Role::Owner, Role::Member));
    assert!(members[1].me && !members[0].me && members[0].is_native);
}

#[test]
fn a_plain_credential_is_admitted_and_unproven_in_a_channel_for_everybody_and_refused_in_the_other() {
    let parties = channel(2);
    assert_eq!(parties[0].group().members()[1].proven, None);

    let mut owner = Party::proven("owner", 1);
    owner.create(Admission::Proven);
    let mut plain = Party::new("plain");
    let package = plain.package();
    let error = owner.group_mut().stage(&Intent::Add(vec![package]), None, NOW).expect_err("unproven");
    assert!(matches!(error, GroupError::Refused(_)), "{error}");
    assert!(Group::create(&plain.agent, &name(), Admission::Proven, NOW).is_err());
}

#[test]
fn the_exporter_is_the_same_for_all_and_another_in_each_epoch() {
    let mut parties = channel(2);
    let secret = |party: &Party| party.group().exporter("audit", b"", 32).expect("a secret").to_vec();
    let before = secret(&parties[0]);

    assert_eq!(before, secret(&parties[1]));
    let staged = parties[1].stage(&Intent::Rotate);
    parties.iter_mut().for_each(|party| drop(party.read(&staged.commit)));

    assert_eq!(secret(&parties[0]), secret(&parties[1]));
    assert_ne!(before, secret(&parties[0]));
}

#[test]
fn too_long_a_message_says_so_in_the_words_of_published_members() {
    let mut parties = channel(1);

    let error = parties[0].group_mut().encrypt(&vec![0; 262_145], None).expect_err("too long");

    assert_eq!(error.to_string(), "message too large: 262145 bytes exceeds 262144 byte limit");
    assert!(parties[0].group_mut().encrypt(&vec![0; 262_144], None).is_ok());
}

#[test]
fn an_agent_is_loaded_with_its_proof_and_another_agents_proof_is_refused() {
    let party = Party::proven("bob", 3);
    let loaded = Agent::load(&party.memory).expect("readable").expect("an agent");
    assert_eq!((loaded.identity(), loaded.proven()), (b"bob".as_slice(), party.agent.proven()));

    let mut other = Party::new("bob");
    let key = toq_protocol::key::Identity::from_seed(&[3; 32]);
    assert!(matches!(other.agent.prove(key.public(), key.sign(&party.agent.statement())), Err(GroupError::Proof(_))));
}

#[test]
fn the_private_half_of_a_key_package_is_kept_a_week_beyond_its_end_and_no_longer() {
    let mut party = Party::new("a member");
    let _package = party.package();
    let references: Vec<Vec<u8>> =
        party.memory.0.keys().filter(|(shelf, _)| *shelf == Shelf::KeyPackage).map(|(_, reference)| reference.clone()).collect();
    let forgotten = |now| Agent::forget_ended(&references, &party.memory, now).expect("readable").iter().count();
    // It begins an hour before it was made.
    let end = NOW - 3600 + PACKAGE_LIFETIME;

    assert_eq!((references.len(), forgotten(NOW), forgotten(end + 7 * 24 * 3600), forgotten(end + 7 * 24 * 3600 + 1)), (1, 0, 0, 1));
}
