//! What a member may not do, it cannot: for each kind of change, by value and by reference (threats H2, H3).

use mls_rs::extension::ExtensionType;
use mls_rs::extension::built_in::ExternalSendersExt;
use mls_rs::group::proposal::{CustomProposal, ProposalType};
use mls_rs::time::MlsTime;
use mls_rs::{CipherSuite, ExtensionList, MlsMessage};
use mls_rs_core::extension::Extension;
use toq_channels::group::{Admission, MAX_IDENTITY, Received, Refusal, Wish};
use toq_protocol::key::Identity;

use crate::party::{NOW, Party, channel, proven_channel};
use crate::rogue::{ROLES, Rogue, client, face, package, psk_id};

/// Whom the rogue joins, and as what.
fn scenes() -> Vec<(Admission, Vec<Party>, Rogue)> {
    let mut open = channel(3);
    let mut proven = proven_channel(3);
    let in_open = Rogue::join(&mut open, None, false);
    let in_proven = Rogue::join(&mut proven, Some(9), true);
    vec![(Admission::Any, open, in_open), (Admission::Proven, proven, in_proven)]
}

/// All refuse the blob, are where they were, and go on with each other and the rogue.
fn refused(parties: &mut [Party], rogue: &mut Rogue, blob: &[u8], what: &str) {
    let before = parties[0].authenticator();
    for party in parties.iter_mut() {
        let received = party.read(blob);
        assert!(matches!(received, Received::Refused(_)), "{what}: {received:?}");
        assert_eq!(party.authenticator(), before, "{what}");
        assert!(!party.group().has_proposals(), "{what}");
    }
    let text = parties[1].write(what);
    assert!(matches!(parties[2].read(&text), Received::Message { .. }), "{what}");
    rogue.read(&text);
}

fn owners(seeds: &[u8]) -> Extension {
    let mut keys: Vec<_> = seeds.iter().map(|seed| *Identity::from_seed(&[*seed; 32]).public().as_bytes()).collect();
    keys.sort_unstable();
    Extension::new(ROLES, std::iter::once(1).chain(keys.into_iter().flatten()).collect())
}

/// The settings that are there, with other owners.
fn settings(rogue: &Rogue, seeds: &[u8]) -> ExtensionList {
    let mut list = rogue.group.context().extensions.clone();
    list.set(owners(seeds));
    list
}

#[test]
fn a_member_without_the_right_changes_nothing_by_value() {
    for (admission, mut parties, mut rogue) in scenes() {
        let all = &mut parties;
        let blob = rogue.commit(|commit| commit.remove_member(1).expect("a member"));
        refused(all, &mut rogue, &blob, "remove another member");
        let blob = rogue.commit(|commit| commit.remove_member(0).expect("a member"));
        refused(all, &mut rogue, &blob, "remove the owner");
        let list = settings(&rogue, &[9]);
        let blob = rogue.commit(|commit| commit.set_group_context_ext(list).expect("extensions"));
        refused(all, &mut rogue, &blob, "name itself owner");
        let blob = rogue.commit(|commit| commit.add_member(package(&"n".repeat(MAX_IDENTITY + 1), None)).expect("a package"));
        refused(all, &mut rogue, &blob, "add an identity that each of its messages would store");
        let blob = rogue.commit(|commit| commit.add_external_psk(psk_id()).expect("a psk"));
        refused(all, &mut rogue, &blob, "mix in a key");
        let blob = rogue.commit(|commit| {
            commit.reinit(None, mls_rs::ProtocolVersion::MLS_10, CipherSuite::CURVE25519_CHACHA, ExtensionList::new()).expect("a reinit")
        });
        refused(all, &mut rogue, &blob, "begin anew");
        let blob =
            rogue.commit(|commit| commit.add_member(package("friend", None)).expect("a package").remove_member(2).expect("a member"));
        refused(all, &mut rogue, &blob, "add and remove at once");
        if admission == Admission::Proven {
            let blob = rogue.commit(|commit| commit.add_member(package("friend", Some(8))).expect("a package"));
            refused(all, &mut rogue, &blob, "add somebody");
        }
    }
}

#[test]
fn bringing_a_member_back_is_no_way_to_put_somebody_else_in_its_place() {
    for (admission, mut parties, mut rogue) in scenes() {
        let seed = |index: u8| (admission == Admission::Proven).then_some(index + 1);
        for leaf in [0_u8, 1] {
            let name = format!("member {leaf}");
            let blob = rogue.commit(|commit| {
                commit.remove_member(leaf.into()).expect("a member").add_member(package(&name, seed(leaf))).expect("a package")
            });
            refused(&mut parties, &mut rogue, &blob, "put another key under the name of a member");
        }
        let own = MlsMessage::from_bytes(&parties[0].package()).expect("a key package");
        let blob = rogue.commit(|commit| {
            commit.remove_member(0).expect("a member").add_member(own).expect("one").add_member(package("x", Some(7))).expect("two")
        });
        refused(&mut parties, &mut rogue, &blob, "bring the creator back among others, of whom one may get its leaf");
        let own = MlsMessage::from_bytes(&parties[1].package()).expect("a key package");
        let blob = rogue
            .commit(|commit| commit.remove_member(2).expect("a member").remove_member(1).expect("a member").add_member(own).expect("one"));
        refused(&mut parties, &mut rogue, &blob, "remove another on the way");
        if admission == Admission::Proven {
            let own = MlsMessage::from_bytes(&parties[1].package()).expect("a key package");
            let blob = rogue.commit(|commit| commit.remove_member(1).expect("a member").add_member(own).expect("a package"));
            refused(&mut parties, &mut rogue, &blob, "bring back without the right to add");
        }
    }
}

#[test]
fn a_member_without_the_right_changes_nothing_by_reference() {
    for (admission, mut parties, mut rogue) in scenes() {
        let remove = rogue.group.propose_remove(1, Vec::new()).expect("a proposal");
        let owner = rogue.group.propose_remove(0, Vec::new()).expect("a proposal");
        let list = settings(&rogue, &[9]);
        let name = rogue.group.propose_group_context_extensions(list, Vec::new()).expect("a proposal");
        let psk = rogue.group.propose_external_psk(psk_id(), Vec::new()).expect("a proposal");
        let mut blobs = vec![remove, owner, name, psk];
        if admission == Admission::Proven {
            blobs.push(rogue.group.propose_add(package("friend", Some(8)), Vec::new()).expect("a proposal"));
        }
        rogue.group.clear_proposal_cache();
        for blob in blobs {
            refused(&mut parties, &mut rogue, &blob.to_bytes().expect("bytes"), "propose");
        }

        // Its own commit of what was refused names proposals that nobody keeps.
        let proposal = rogue.group.propose_remove(1, Vec::new()).expect("a proposal").to_bytes().expect("bytes");
        let commit = rogue.commit(|commit| commit);
        rogue.group.clear_proposal_cache();
        refused(&mut parties, &mut rogue, &proposal, "propose");
        refused(&mut parties, &mut rogue, &commit, "commit its own proposal");
    }
}

#[test]
fn nobody_takes_over_a_leaf() {
    for (admission, mut parties, mut rogue) in scenes() {
        let all = &mut parties;
        let other = face("member 1", Some(2));
        let (signer, identity) = (other.signer.clone(), other.identity.clone());
        let blob = rogue.commit(|commit| commit.set_new_signing_identity(signer, identity));
        refused(all, &mut rogue, &blob, "take another name by a path");
        let own_name = face("rogue", Some(9));
        let (signer, identity) = (own_name.signer.clone(), own_name.identity.clone());
        let blob = rogue.commit(|commit| commit.set_new_signing_identity(signer, identity));
        refused(all, &mut rogue, &blob, "take another key under its own name");
        let blob = rogue.group.propose_update_with_identity(other.signer, other.identity, Vec::new()).expect("a proposal");
        rogue.group.clear_proposal_cache();
        refused(all, &mut rogue, &blob.to_bytes().expect("bytes"), "take another name by reference");
        if admission == Admission::Proven {
            let blob = rogue.commit(|commit| commit.set_leaf_node_extensions(ExtensionList::new()));
            refused(all, &mut rogue, &blob, "drop its proof");
            let stolen = face("rogue", Some(1)).proof;
            let blob = rogue.commit(|commit| commit.set_leaf_node_extensions(stolen));
            refused(all, &mut rogue, &blob, "take another proof");
        }
    }
}

#[test]
fn nobody_comes_in_from_outside() {
    for (_, mut parties, mut rogue) in scenes() {
        let outsider = client(&face("outsider", Some(7)), false);
        let info = rogue.group.group_info_message_allowing_ext_commit(true).expect("a group info");
        let (_, commit) = outsider.commit_external(info.clone()).expect("MLS allows it");
        refused(&mut parties, &mut rogue, &commit.to_bytes().expect("bytes"), "join from outside");
        let blob = outsider
            .external_add_proposal(&info, None, Vec::new(), ExtensionList::new(), face("outsider", Some(7)).proof, Some(MlsTime::from(NOW)))
            .expect("MLS allows it");
        refused(&mut parties, &mut rogue, &blob.to_bytes().expect("bytes"), "ask from outside");
        let custom = CustomProposal::new(ProposalType::new(0xF7FF), vec![1]);
        let blob = rogue.group.propose_custom(custom, Vec::new()).expect("MLS allows it").to_bytes().expect("bytes");
        rogue.group.clear_proposal_cache();
        refused(&mut parties, &mut rogue, &blob, "propose what nobody knows");
    }
}

#[test]
fn a_member_may_rotate_its_own_keys_and_leave() {
    for (_, mut parties, mut rogue) in scenes() {
        let commit = rogue.group.commit(Vec::new()).expect("a commit").commit_message.to_bytes().expect("bytes");
        rogue.group.apply_pending_commit().expect("its own");
        for party in &mut parties {
            assert!(matches!(party.read(&commit), Received::Committed(change) if change.rotated && !change.own));
        }
        let me = rogue.group.current_member_index();
        let proposal = rogue.group.propose_remove(me, Vec::new()).expect("a proposal").to_bytes().expect("bytes");
        for party in &mut parties {
            assert!(matches!(party.read(&proposal), Received::Proposed { wish: Wish::Leave, .. }));
        }
    }
}

#[test]
fn a_channel_of_the_proven_takes_no_handshake_in_the_clear_and_no_one_without_proof() {
    let mut parties = proven_channel(3);
    let mut rogue = Rogue::join(&mut parties, Some(9), false);

    let blob = rogue.commit(|commit| commit);
    assert_eq!(parties[0].read(&blob), Received::Refused(Refusal::InTheClear));

    let error =
        parties[0].group_mut().stage(&toq_channels::group::Intent::Add(vec![package("plain", None).to_bytes().expect("bytes")]), None, NOW);
    assert!(error.expect_err("no proof").to_string().contains("does not prove its agent key"));
}

#[test]
fn an_owner_may_add_remove_and_name_owners_and_no_more() {
    let mut parties = proven_channel(3);
    let mut rogue = Rogue::join(&mut parties, Some(9), true);
    let keys = [1, 9].map(|seed| Identity::from_seed(&[seed; 32]).public());
    let staged = parties[0].stage(&toq_channels::group::Intent::Owners(keys.to_vec()));
    parties.iter_mut().for_each(|party| assert!(matches!(party.read(&staged.commit), Received::Committed(change) if change.owners)));
    rogue.read(&staged.commit);
    let all = &mut parties;

    let blob = rogue.commit(|commit| commit.add_member(package("plain", None)).expect("a package"));
    refused(all, &mut rogue, &blob, "add somebody without proof");
    let list = settings(&rogue, &[42]);
    let blob = rogue.commit(|commit| commit.set_group_context_ext(list).expect("extensions"));
    refused(all, &mut rogue, &blob, "leave the channel without an owner");
    let mut list = rogue.group.context().extensions.clone();
    list.remove(ROLES);
    let blob = rogue.commit(|commit| commit.set_group_context_ext(list).expect("extensions"));
    refused(all, &mut rogue, &blob, "make the channel one for everybody");
    let mut list = rogue.group.context().extensions.clone();
    list.remove(ExtensionType::REQUIRED_CAPABILITIES);
    let blob = rogue.commit(|commit| commit.set_group_context_ext(list).expect("extensions"));
    refused(all, &mut rogue, &blob, "require less");
    let mut list = rogue.group.context().extensions.clone();
    list.set_from(ExternalSendersExt::new(vec![face("outsider", None).identity])).expect("an extension");
    let blob = rogue.commit(|commit| commit.set_group_context_ext(list).expect("extensions"));
    refused(all, &mut rogue, &blob, "let somebody act from outside");

    let list = settings(&rogue, &[1, 2, 9]);
    let blob = rogue.commit(|commit| {
        commit
            .set_group_context_ext(list)
            .expect("extensions")
            .add_member(package("friend", Some(8)))
            .expect("a package")
            .remove_member(2)
            .expect("a member")
    });
    assert!(
        matches!(parties[1].read(&blob), Received::Committed(change) if change.owners && change.added.len() == 1 && change.removed.len() == 1)
    );
    assert!(matches!(parties[2].read(&blob), Received::Removed { .. }));
}

#[test]
fn a_commit_by_somebody_who_becomes_owner_by_it_is_judged_by_what_he_was() {
    let mut parties = proven_channel(3);
    let mut rogue = Rogue::join(&mut parties, Some(9), true);

    let list = settings(&rogue, &[1, 9]);
    let blob = rogue.commit(|commit| commit.set_group_context_ext(list).expect("extensions").remove_member(1).expect("a member"));

    refused(&mut parties, &mut rogue, &blob, "name itself owner and act as one");
}

#[test]
fn what_a_member_forges_in_anothers_name_costs_the_other_nothing() {
    for (_, mut parties, mut rogue) in scenes() {
        let genuine = parties[1].write("genuine");
        rogue.read(&genuine);
        let next = parties[1].write("next");
        // The rogue has everybody's keys. A changed tail has the right sender data and a wrong content.
        let mut forged = next.clone();
        *forged.last_mut().expect("bytes") ^= 1;

        let _ = parties[2].read(&genuine);
        let before = parties[2].memory.0.clone();
        assert!(matches!(parties[2].read(&forged), Received::Ignored(_)));
        assert_eq!(parties[2].memory.0, before);

        assert!(matches!(parties[2].read(&next), Received::Message { payload, .. } if payload == b"next"));
    }
    // And what is no message at all is none.
    assert!(MlsMessage::from_bytes(&[0, 1, 0, 2]).is_err());
}
