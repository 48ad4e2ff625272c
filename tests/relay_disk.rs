//! A relay whose disk fails: it accepts nothing that it did not store, hands out what it has, and heals by itself.

mod relays;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;

use relays::{Relay, block_on, channel, history, tag};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use toq_dataplane::{Carriage, Event, Incoming, Link, Refusal};

/// What one publication takes up.
const SIZE: usize = 256 << 10;

/// Publishes one large message; what became of it.
async fn publish(link: &Link, incoming: &mut Incoming, number: u64) -> Result<u64, String> {
    let mut blob = number.to_string().into_bytes();
    blob.resize(SIZE, b'.');
    link.publish(&channel(), Carriage::Message, blob.into(), tag(number), None).await.expect("the link holds");
    match incoming.next().await.expect("the link holds") {
        Event::Accepted { tag: of, seq } if of == tag(number) => Ok(seq),
        Event::Refused { tag: Some(of), why: Refusal::Unavailable, detail, .. } if of == tag(number) => Err(detail),
        other => panic!("unexpected: {other:?}"),
    }
}

/// Publishes until that is refused; the last number that was accepted, and the refusal.
async fn fill(link: &Link, incoming: &mut Incoming) -> (u64, String) {
    for number in 1..200 {
        match publish(link, incoming, number).await {
            Ok(seq) => assert_eq!(seq, number, "one place after the other"),
            Err(detail) => return (number - 1, detail),
        }
    }
    panic!("the disk does not fill");
}

/// Sends what was refused again, as members do, until it is accepted.
async fn heal(link: &Link, incoming: &mut Incoming, number: u64) -> u64 {
    loop {
        if let Ok(seq) = publish(link, incoming, number).await {
            return seq;
        }
    }
}

async fn fails_and_heals(relay: Relay, mend: impl FnOnce()) -> Relay {
    let (link, mut incoming) = relay.link().await;
    let (last, detail) = fill(&link, &mut incoming).await;
    assert!(last > 0 && detail.contains("send it again later"), "{detail}");
    assert!(publish(&link, &mut incoming, last + 1).await.is_err(), "it stays so");
    assert_eq!(history(&relay).await, (1..=last).collect::<Vec<_>>(), "what was accepted can be read, and nothing else is there");

    mend();

    assert_eq!(heal(&link, &mut incoming, last + 1).await, last + 1, "on the same link, without a gap");
    relay
}

#[test]
fn an_error_of_the_disk_refuses_what_it_hits_and_nothing_that_was_accepted_is_lost() {
    block_on(async {
        let dir = tempfile::tempdir().expect("a directory");
        // The database may not grow beyond 12 MiB: writing fails in the middle of a commit.
        let relay = Relay::start_in(dir.path(), "trap '' XFSZ; ulimit -S -f 24576 && exec \"$0\" \"$@\"");
        let pid = Pid::from_raw(relay.pid.try_into().expect("a pid"));
        let mend = || prlimit(pid, Resource::Fsize, Rlimit { current: None, maximum: None }).map(|_| ()).expect("ours");

        let relay = fails_and_heals(relay, mend).await;
        let kept = history(&relay).await;
        relay.kill();

        assert_eq!(history(&Relay::start(dir.path(), &[])).await, kept);
    });
}

#[test]
fn a_relay_that_has_used_its_quota_refuses_before_it_accepts_and_goes_on_with_a_larger_one() {
    block_on(async {
        let dir = tempfile::tempdir().expect("a directory");
        let quota = |mib: u32| std::fs::write(dir.path().join("relay.toml"), format!("[store]\nmax_mib = {mib}\n")).expect("ours");
        quota(12);
        let relay = Relay::start(dir.path(), &[]);
        let (link, mut incoming) = relay.link().await;

        let (last, detail) = fill(&link, &mut incoming).await;

        assert!(last > 0 && detail.contains("used up what it may keep"), "the disk is not to blame: {detail}");
        let kept: Vec<u64> = (1..=last).collect();
        assert_eq!(history(&relay).await, kept, "what was accepted can be read, and nothing else is there");
        relay.kill();
        quota(64);
        let relay = Relay::start(dir.path(), &[]);
        let (link, mut incoming) = relay.link().await;
        assert_eq!(publish(&link, &mut incoming, last + 1).await, Ok(last + 1), "without a gap");
    });
}

#[test]
fn a_full_disk_refuses_before_it_accepts_and_goes_on_when_there_is_room() {
    let allowed = Command::new("unshare").args(["--mount", "true"]).status().is_ok_and(|status| status.success());
    if !allowed {
        let mut out = std::io::stdout().lock();
        writeln!(out, "this system allows no mount namespace: nothing is proven here").expect("prints");
        return;
    }
    block_on(async {
        let dir = tempfile::tempdir().expect("a directory");
        let place = dir.path().display();
        let inside = format!(
            "mount -t tmpfs -o size=24m,mode=700 tmpfs {place} && dd if=/dev/zero of={place}/filler bs=1M count=10 2>/dev/null && exec \"$0\" \"$@\""
        );
        let relay = Relay::start_in(dir.path(), &format!("exec unshare --mount sh -c '{inside}' \"$0\" \"$@\""));
        // The mount is the relay's own; its files are seen through it.
        let filler = PathBuf::from(format!("/proc/{}/root{place}/filler", relay.pid));

        fails_and_heals(relay, || std::fs::remove_file(filler).expect("frees space")).await;
    });
}
