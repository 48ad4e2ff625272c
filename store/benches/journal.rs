//! What a durable commit costs, alone and in a group.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use toq_protocol::address::Address;
use toq_protocol::canonical::Json;
use toq_protocol::envelope::Kind;
use toq_protocol::key::PeerKey;
use toq_protocol::message::{Message, MessageId};
use toq_protocol::policy::Proof;
use toq_protocol::time::Timestamp;
use toq_store::batch::{Change, Guard};
use toq_store::{Batch, Options, Store};

fn receive(number: u64) -> Batch {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&number.to_be_bytes());
    let sender = PeerKey::from_bytes([7; 32]);
    let message = Message {
        id: MessageId::from_bytes(id),
        kind: Kind::MessageSend,
        from: Address::parse("toq://127.0.0.1:9101/alice").expect("valid"),
        to: Address::parse("toq://127.0.0.1:9102/bob").expect("valid"),
        thread_id: Some(format!("thread-{number}")),
        reply_to: None,
        content_type: Some("application/json".to_owned()),
        timestamp: Timestamp::from_nanos(1),
        ttl: None,
        body: Json::parse(&format!(r#"{{"text":"{}"}}"#, "x".repeat(200))).ok(),
    };
    let guard = Guard::Unseen(sender, message.id);
    Batch::guarded(guard, vec![Change::Receive { sender, message: Box::new(message), proof: Proof::Claimed, is_bound: false }])
}

fn commit(runtime: &Runtime, store: &Store, batches: Vec<Batch>) {
    runtime.block_on(async {
        let commits = batches.into_iter().map(|batch| store.journal().commit(batch));
        for outcome in futures_util::future::join_all(commits).await {
            outcome.expect("the disk is well");
        }
    });
}

fn journal(criterion: &mut Criterion) {
    let runtime = Builder::new_current_thread().build().expect("a runtime");
    let dir = TempDir::new_in(".").expect("a directory");
    let store = Store::open(&dir.path().join("state.redb"), Options::default()).expect("opens");
    let mut next = 0;
    let mut group = criterion.benchmark_group("journal");
    for size in [1, 16, 64] {
        group.throughput(Throughput::Elements(size));
        group.bench_function(format!("receive {size} together"), |bencher| {
            bencher.iter_batched(
                || {
                    let batches = (next..next + size).map(receive).collect();
                    next += size;
                    batches
                },
                |batches| commit(&runtime, &store, batches),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, journal);
criterion_main!(benches);
