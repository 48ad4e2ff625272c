//! How long a group takes: one member more, and a message.
//!
//! `cargo bench -p toq-channels`. Groups are made by one commit with all key packages, as a large group would be.

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use toq_channels::ChannelName;
use toq_channels::group::{Admission, Agent, Group, Intent, KeyPackageKind, Memory, Received};

const NOW: u64 = 1_790_000_000;

fn name() -> ChannelName {
    ChannelName::parse("acme/team/bench").expect("a name")
}

fn package(identity: &str) -> (Agent, Vec<u8>, Memory) {
    let mut memory = Memory::default();
    let (agent, _) = Agent::create(identity.as_bytes()).expect("an agent");
    let (package, rows) = agent.key_package(NOW, KeyPackageKind::OneTime).expect("a key package");
    memory.commit(rows);
    (agent, package.message, memory)
}

/// Two of `count` members, with their rows.
fn two_of(count: usize) -> [(Agent, Memory); 2] {
    let mut memory = Memory::default();
    let (agent, _) = Agent::create(b"owner").expect("an agent");
    let (mut owner, rows) = Group::create(&agent, &name(), Admission::Any, NOW).expect("a group");
    memory.commit(rows);
    let (other, first, mut others) = package("other");
    let mut packages = vec![first];
    packages.extend((2..count).map(|index| package(&format!("member {index}")).1));
    let (staged, rows) = owner.stage(&Intent::Add(packages), None, NOW).expect("a commit");
    memory.commit(rows);
    memory.commit(owner.receive(&staged.commit).1);
    let (_, rows) = Group::join(&other, &name(), &staged.welcome.expect("a welcome"), &others).expect("a group");
    others.commit(rows);
    [(agent, memory), (other, others)]
}

fn load((agent, memory): &(Agent, Memory)) -> Group {
    Group::load(agent, &name(), memory).expect("readable").expect("a member")
}

fn add(criterion: &mut Criterion) {
    for count in [100, 1_000] {
        let [owner, other] = two_of(count);
        let (_, package, _) = package("newcomer");
        let intent = Intent::Add(vec![package]);
        let (staged, _) = load(&owner).stage(&intent, None, NOW).expect("a commit");
        let mut group = criterion.benchmark_group(format!("one more than {count}"));
        group.sample_size(10);
        group.bench_function("commit made", |bench| {
            bench.iter_batched(|| load(&owner), |mut group| group.stage(&intent, None, NOW).expect("a commit"), BatchSize::PerIteration);
        });
        group.bench_function("commit applied by another", |bench| {
            bench.iter_batched(
                || load(&other),
                |mut group| {
                    let (received, rows) = group.receive(&staged.commit);
                    assert!(matches!(received, Received::Committed(_)));
                    (group, rows)
                },
                BatchSize::PerIteration,
            );
        });
        group.bench_function("loaded", |bench| bench.iter(|| load(&owner)));
        group.finish();
    }
}

fn message(criterion: &mut Criterion) {
    for count in [2, 10, 100] {
        let [owner, other] = two_of(count);
        let (mut writer, mut reader) = (load(&owner), load(&other));
        criterion.bench_function(&format!("message of 200 bytes, {count} members, encrypted and decrypted"), |bench| {
            bench.iter(|| {
                let (blob, rows) = writer.encrypt(&[7; 200], None).expect("a message");
                let (received, more) = reader.receive(&blob);
                assert!(matches!(received, Received::Message { .. }));
                (rows, more)
            });
        });
    }
}

criterion_group!(benches, add, message);
criterion_main!(benches);
