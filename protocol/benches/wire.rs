//! What one message costs on the wire: canonical form, signature, verification, parsing.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use toq_protocol::address::Address;
use toq_protocol::canonical::Json;
use toq_protocol::envelope::{Envelope, Kind, Unverified};
use toq_protocol::frame::{Decoder, MAX_FRAME, encode};
use toq_protocol::key::Identity;
use toq_protocol::message::{Message, MessageId};
use toq_protocol::time::Timestamp;

fn envelope(size: usize) -> Envelope {
    let message = Message {
        id: MessageId::from_random([7; 16]),
        kind: Kind::MessageSend,
        from: Address::parse("toq://127.0.0.1:9101/alice").expect("valid"),
        to: Address::parse("toq://127.0.0.1:9102/bob").expect("valid"),
        thread_id: Some("6f1e2d3c-4b5a-4987-8abc-def012345678".to_owned()),
        reply_to: None,
        content_type: Some("application/json".to_owned()),
        timestamp: Timestamp::from_nanos(1_800_000_000_123_456_789),
        ttl: None,
        body: Json::parse(&format!(r#"{{"text":"{}"}}"#, "x".repeat(size))).ok(),
    };
    message.to_envelope(2)
}

fn wire(criterion: &mut Criterion) {
    let identity = Identity::from_seed(&[7; 32]);
    for size in [200, 65_536] {
        let envelope = envelope(size);
        let signed = envelope.sign(&identity);
        let frame = encode(&signed).expect("small");
        let mut group = criterion.benchmark_group(format!("envelope of {size} B"));
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function("canonical form", |bencher| bencher.iter(|| black_box(envelope.canonical())));
        group.bench_function("sign", |bencher| bencher.iter(|| black_box(envelope.sign(&identity))));
        group.bench_function("parse", |bencher| bencher.iter(|| Unverified::parse(black_box(&signed)).expect("well-formed")));
        group.bench_function("parse and verify", |bencher| {
            bencher.iter(|| Unverified::parse(black_box(&signed)).and_then(|parsed| parsed.verify(&identity.public())).expect("good"));
        });
        group.bench_function("cut from the stream", |bencher| {
            bencher.iter(|| {
                let mut decoder = Decoder::new();
                decoder.push(black_box(&frame));
                decoder.next_frame(MAX_FRAME).expect("small").expect("whole")
            });
        });
        group.finish();
    }
}

criterion_group!(benches, wire);
criterion_main!(benches);
