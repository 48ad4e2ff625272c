//! A verdict under many rules.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use toq_protocol::address::Address;
use toq_protocol::key::PeerKey;
use toq_protocol::policy::{Mode, Pattern, Policy, Proof, Ruling, Subject};

/// As many rules as anybody has, of every form.
const RULES: u32 = 10_000;

fn rule(number: u32) -> (Subject, Ruling) {
    let mut key = [0; 32];
    key[..4].copy_from_slice(&number.to_be_bytes());
    let subject = match number % 5 {
        0 => Subject::Key(PeerKey::from_bytes(key)),
        1 => Subject::Address(Pattern::new(&format!("toq://host-{number}.example/*"))),
        2 => Subject::Address(Pattern::new(&format!("toq://10.0.0.1:{}/agent-{number}", 1_000 + number))),
        3 => Subject::Address(Pattern::new(&format!("toq://*.domain-{number}.example/*"))),
        _ => Subject::Address(Pattern::new(&format!("toq://*/agent-{number}"))),
    };
    (subject, if number.is_multiple_of(2) { Ruling::Approve } else { Ruling::Block })
}

fn policy(criterion: &mut Criterion) {
    let mut policy = Policy::new(Mode::Approval);
    for (subject, ruling) in (0..RULES).map(rule) {
        policy.add(&subject, ruling);
    }
    let key = PeerKey::from_bytes([9; 32]);
    let mut group = criterion.benchmark_group("10,000 rules");
    for (name, address) in [
        ("a stranger", "toq://nobody.knows.this.one.example/stranger"),
        ("one that a wildcard covers", "toq://a.domain-8.example/somebody"),
    ] {
        let address = Address::parse(address).expect("valid");
        group.bench_function(name, |bencher| bencher.iter(|| policy.verdict(black_box(&key), black_box(&address), Proof::Pinned)));
    }
    group.finish();
}

criterion_group!(benches, policy);
criterion_main!(benches);
