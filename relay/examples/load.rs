//! How much a relay carries: publications that are answered, and what many members hear of one.
//!
//! `load publish URL [clients 16] [bytes 1024] [seconds 5] [in flight for each 64]` prints durable publications for each second;
//! every one counts when its answer has come. `load fanout URL [members 10] [bytes 200] [seconds 5]` has one sender and prints what
//! all members together were handed for each second. The relay runs elsewhere, with `--anonymous` or with the token in `TOQ_TOKEN`.
#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a program for people, that measures time")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use prost::bytes::Bytes;
use tokio::sync::Semaphore;
use toq_channels::ChannelName;
use toq_dataplane::{Carriage, Event, Incoming, Link, Options, Tag};

/// The measurements of all clients.
#[derive(Default)]
struct Counts {
    done: AtomicU64,
    is_over: AtomicBool,
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |at: usize, otherwise: usize| arguments.get(at).and_then(|text| text.parse().ok()).unwrap_or(otherwise);
    let url = arguments.get(2).cloned().unwrap_or_else(|| "http://127.0.0.1:5000".to_owned());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    match arguments.get(1).map(String::as_str) {
        Some("publish") => runtime.block_on(publish(&url, number(3, 16), number(4, 1024), number(5, 5), number(6, 64))),
        Some("fanout") => runtime.block_on(fanout(&url, number(3, 10), number(4, 200), number(5, 5))),
        _ => println!("load publish URL [clients] [bytes] [seconds] [in flight] | load fanout URL [members] [bytes] [seconds]"),
    }
}

async fn open(url: &str) -> (Link, Incoming) {
    let options = Options { token: std::env::var("TOQ_TOKEN").ok(), ..Options::new(url) };
    Link::open(options).await.expect("the relay lets us in")
}

/// A channel that no other run has used.
fn channel(number: usize) -> ChannelName {
    let stamp = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_nanos();
    ChannelName::parse(&format!("load/{stamp}/{number}")).expect("a name")
}

fn tag(client: usize, number: u64) -> Tag {
    let mut tag = [0; 16];
    tag[..8].copy_from_slice(&(client as u64).to_be_bytes());
    tag[8..].copy_from_slice(&number.to_be_bytes());
    Tag(tag)
}

async fn publish(url: &str, clients: usize, bytes: usize, seconds: usize, in_flight: usize) {
    let counts = Arc::new(Counts::default());
    let mut waits = tokio::task::JoinSet::new();
    for client in 0..clients {
        let (counts, url) = (counts.clone(), url.to_owned());
        waits.spawn(async move {
            let ((link, mut incoming), channel, blob) = (open(&url).await, channel(client), Bytes::from(vec![7; bytes]));
            let window = Arc::new(Semaphore::new(in_flight));
            let mut sent = 0;
            let free = window.clone();
            let over = counts.clone();
            let sending = async move {
                while !over.is_over.load(Ordering::Relaxed) {
                    let Ok(permit) = free.clone().acquire_owned().await else { return };
                    permit.forget();
                    sent += 1;
                    if link.publish(&channel, Carriage::Message, blob.clone(), tag(client, sent), None).await.is_err() {
                        return;
                    }
                }
            };
            let answers = async {
                while let Some(event) = incoming.next().await {
                    match event {
                        Event::Accepted { .. } => {
                            counts.done.fetch_add(1, Ordering::Relaxed);
                            window.add_permits(1);
                        }
                        Event::Closed(_) => return,
                        other => panic!("unexpected: {other:?}"),
                    }
                }
            };
            tokio::join!(sending, answers);
        });
    }
    report("durable publications", &counts, seconds).await;
    waits.abort_all();
}

async fn fanout(url: &str, members: usize, bytes: usize, seconds: usize) {
    let (counts, channel) = (Arc::new(Counts::default()), channel(0));
    let mut waits = tokio::task::JoinSet::new();
    for member in 0..members {
        let ((link, mut incoming), counts) = (open(url).await, counts.clone());
        link.subscribe(&channel, Some(0), tag(member, 0)).await.expect("it is sent");
        assert!(matches!(incoming.next().await, Some(Event::Accepted { .. })), "the subscription is in force");
        waits.spawn(async move {
            let (_link, mut expected) = (link, 1);
            while let Some(event) = incoming.next().await {
                if let Event::Delivered { seq, .. } = event {
                    assert_eq!(seq, expected, "in order and without a gap");
                    expected += 1;
                    counts.done.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
    }
    let (link, mut incoming) = open(url).await;
    let (window, blob, over) = (Arc::new(Semaphore::new(64)), Bytes::from(vec![7; bytes]), counts.clone());
    let free = window.clone();
    waits.spawn(async move {
        let mut number = 0;
        while !over.is_over.load(Ordering::Relaxed) {
            let Ok(permit) = free.acquire().await else { return };
            permit.forget();
            number += 1;
            if link.publish(&channel, Carriage::Message, blob.clone(), tag(members, number), None).await.is_err() {
                return;
            }
        }
    });
    waits.spawn(async move {
        while let Some(event) = incoming.next().await {
            if matches!(event, Event::Accepted { .. }) {
                window.add_permits(1);
            }
        }
    });
    report("messages handed to members", &counts, seconds).await;
    waits.abort_all();
}

/// Lets it warm up, counts for so many seconds, prints.
async fn report(what: &str, counts: &Counts, seconds: usize) {
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (before, since) = (counts.done.load(Ordering::Relaxed), Instant::now());
    tokio::time::sleep(Duration::from_secs(seconds as u64)).await;
    let done = counts.done.load(Ordering::Relaxed) - before;
    counts.is_over.store(true, Ordering::Relaxed);
    println!("{what}: {:.0}/s", done as f64 / since.elapsed().as_secs_f64());
}
