//! Verdicts: which rule wins, what proof it asks for, and what becomes of rules when keys change.

use super::*;

fn key(byte: u8) -> PeerKey {
    PeerKey::from_bytes([byte; 32])
}

fn address(text: &str) -> Address {
    Address::parse(text).expect("valid")
}

#[test]
fn a_block_beats_an_approval_and_an_approval_beats_the_mode() {
    let alice = address("toq://a.example/alice");
    for mode in [Mode::Open, Mode::Allowlist, Mode::Approval] {
        let mut policy = Policy::new(mode);
        policy.add(&Subject::Key(key(1)), Ruling::Approve);
        assert_eq!(policy.verdict(&key(1), &alice, Proof::Claimed), Verdict::Accept);

        policy.add(&Subject::Address(Pattern::new("toq://A.example/*")), Ruling::Block);
        assert_eq!(policy.verdict(&key(1), &alice, Proof::Claimed), Verdict::Refuse);
    }
}

#[test]
fn a_block_removes_the_approval_and_unblocking_does_not_restore_it() {
    let subject = Subject::Key(key(1));
    let mut policy = Policy::new(Mode::Allowlist);
    policy.add(&subject, Ruling::Approve);

    for covered in policy.covered_by(&subject, &[]) {
        policy.remove(&covered, Ruling::Approve);
    }
    policy.add(&subject, Ruling::Block);
    policy.remove(&subject, Ruling::Block);

    assert_eq!(policy.verdict(&key(1), &address("toq://h/a"), Proof::Claimed), Verdict::Refuse);
}

/// A policy that knows that key 2 followed key 1, as it is when the rules of key 1 have moved.
fn rotated(ruling: Ruling) -> Policy {
    let mut policy = Policy::new(Mode::Allowlist);
    policy.add(&Subject::Key(key(1)), ruling);
    for moved in policy.moving(&key(1)) {
        policy.remove(&Subject::Key(key(1)), moved);
        policy.add(&Subject::Key(key(2)), moved);
    }
    policy.follow(key(1), Succession { new: key(2), counter: 1, retires_at: Timestamp::from_nanos(10) });
    policy
}

fn verdicts(policy: &Policy) -> [Verdict; 2] {
    [1, 2].map(|byte| policy.verdict(&key(byte), &address("toq://h/eve"), Proof::Claimed))
}

#[test]
fn a_block_of_a_key_is_one_of_the_keys_before_it() {
    let mut policy = rotated(Ruling::Approve);
    assert_eq!(verdicts(&policy), [Verdict::Accept; 2], "within its grace the old key is as good as the new one");

    let block = Subject::Key(key(2));
    policy.covered_by(&block, &[]).iter().for_each(|covered| policy.remove(covered, Ruling::Approve));
    policy.add(&block, Ruling::Block);

    assert_eq!(verdicts(&policy), [Verdict::Refuse; 2]);
    policy.set_mode(Mode::Open);
    assert_eq!(verdicts(&policy), [Verdict::Refuse; 2]);
}

#[test]
fn a_revoked_key_does_not_come_back_with_the_one_before_it() {
    let mut policy = rotated(Ruling::Approve);
    // As in a log in which an old approval was left behind.
    policy.add(&Subject::Key(key(1)), Ruling::Approve);

    let gone = policy.taken_back(&Subject::Key(key(2)), Ruling::Approve);
    gone.iter().for_each(|subject| policy.remove(subject, Ruling::Approve));

    assert_eq!(gone, [Subject::Key(key(2)), Subject::Key(key(1))]);
    assert_eq!(verdicts(&policy), [Verdict::Refuse; 2]);
    assert!(policy.taken_back(&Subject::Key(key(2)), Ruling::Approve).is_empty(), "there is nothing left to take back");
}

#[test]
fn a_stolen_key_is_shut_out_and_its_agent_is_not() {
    let mut policy = rotated(Ruling::Approve);

    policy.add(&Subject::Key(key(1)), Ruling::Block);

    assert_eq!(verdicts(&policy), [Verdict::Refuse, Verdict::Accept]);
    assert!(policy.taken_back(&Subject::Key(key(2)), Ruling::Block).is_empty());
}

#[test]
fn an_approval_that_was_left_with_an_old_key_dies_with_its_grace() {
    let mut policy = rotated(Ruling::Approve);
    policy.add(&Subject::Key(key(1)), Ruling::Approve);

    assert!(policy.dead_approvals(Timestamp::from_nanos(9)).is_empty());
    assert_eq!(policy.dead_approvals(Timestamp::from_nanos(10)), [Subject::Key(key(1))]);
}

#[test]
fn an_address_rule_admits_only_an_address_that_is_proven() {
    let mut policy = Policy::new(Mode::Approval);
    policy.add(&Subject::Address(Pattern::new("toq://partner.example/*")), Ruling::Approve);
    let partner = address("toq://partner.example/x");

    assert_eq!(policy.verdict(&key(2), &partner, Proof::Claimed), Verdict::Ask);
    assert_eq!(policy.verdict(&key(2), &partner, Proof::Pinned), Verdict::Accept);
}

#[test]
fn a_block_covers_the_approvals_of_whoever_lives_there() {
    let home = |number, text: &str| Home { key: key(number), address: address(text), is_proven: true };
    let known = [home(1, "toq://a.example/alice"), home(2, "toq://b.example/bob")];
    let mut policy = Policy::new(Mode::Allowlist);
    let whole = Subject::Address(Pattern::new("toq://a.example/alice"));
    let wide = Subject::Address(Pattern::new("toq://*/alice"));
    for subject in [&Subject::Key(key(1)), &Subject::Key(key(2)), &whole, &wide] {
        policy.add(subject, Ruling::Approve);
    }

    let by_address = policy.covered_by(&Subject::Address(Pattern::new("toq://a.example/*")), &known);
    let by_key = policy.covered_by(&Subject::Key(key(1)), &known);

    assert_eq!(by_address, [Subject::Key(key(1)), whole.clone()]);
    assert_eq!(by_key, [Subject::Key(key(1)), whole]);
}

#[test]
fn who_only_claims_an_address_takes_no_approval_of_it_away_when_it_is_blocked() {
    let mut policy = Policy::new(Mode::Allowlist);
    let approved = Subject::Address(Pattern::new("toq://127.0.0.1:9016/carol"));
    policy.add(&approved, Ruling::Approve);
    let home = |number, is_proven| Home { key: key(number), address: address("toq://127.0.0.1:9016/carol"), is_proven };
    let homes = [home(1, true), home(2, false)];

    assert_eq!(policy.covered_by(&Subject::Key(key(2)), &homes), []);
    assert_eq!(policy.covered_by(&Subject::Key(key(1)), &homes), [approved]);
}

#[test]
fn an_approval_of_one_agent_goes_with_its_block_whichever_of_them_has_the_port() {
    let approved = |text: &str| {
        let mut policy = Policy::new(Mode::Allowlist);
        policy.add(&Subject::Address(Pattern::new(text)), Ruling::Approve);
        policy
    };
    let home = Home { key: key(1), address: address("toq://h:9010/alice"), is_proven: true };
    let goes = |text: &str, block: &Subject| !approved(text).covered_by(block, std::slice::from_ref(&home)).is_empty();
    for block in [Subject::Key(key(1)), Subject::Address(Pattern::new("toq://h:9010/alice"))] {
        assert!(goes("toq://h/alice", &block) && goes("toq://H:9010/alice", &block), "{block}");
        assert!(!goes("toq://h:9011/alice", &block) && !goes("toq://h/*", &block) && !goes("toq://h/bob", &block), "{block}");
    }
}

#[test]
fn a_rule_is_taken_back_however_it_is_written() {
    let mut policy = Policy::new(Mode::Open);
    let written = ["toq://EXAMPLE.com/*", "toq://example.com/**"].map(|text| Subject::Address(Pattern::new(text)));
    written.iter().for_each(|subject| policy.add(subject, Ruling::Block));

    let gone = policy.taken_back(&Subject::Address(Pattern::new("toq://example.com/*")), Ruling::Block);

    assert_eq!(gone.len(), 2, "{gone:?}");
    gone.iter().for_each(|subject| policy.remove(subject, Ruling::Block));
    assert_eq!(policy.verdict(&key(1), &address("toq://example.com/a"), Proof::Claimed), Verdict::Accept);
}

#[test]
fn dns_verified_admits_whom_dns_proves_and_whom_a_rule_approves() {
    let mut policy = Policy::new(Mode::DnsVerified);
    let alice = address("toq://a.example/alice");
    assert_eq!(policy.verdict(&key(1), &alice, Proof::Dns), Verdict::Accept);
    assert_eq!(policy.verdict(&key(1), &alice, Proof::Pinned), Verdict::Refuse);
    assert_eq!(policy.verdict(&key(1), &alice, Proof::Claimed), Verdict::Refuse);

    policy.add(&Subject::Key(key(1)), Ruling::Approve);
    assert_eq!(policy.verdict(&key(1), &alice, Proof::Claimed), Verdict::Accept);
}
