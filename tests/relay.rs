//! The relay as a process: started, asked, killed and started again.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::Value;
use toq_channels::ChannelName;
use toq_dataplane::{Carriage, Event, Incoming, Link, Options, Tag};

/// How long anything may take before the test has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// A relay in the background; killed with the test.
struct Relay {
    data: std::path::PathBuf,
    pid: u32,
    grpc: SocketAddr,
    api: SocketAddr,
}

fn toq(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_toq")).args(arguments).output().expect("it runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl Relay {
    fn start(data: &Path, more: &[&str]) -> Self {
        let data = data.to_owned();
        let mut arguments = vec!["--json", "relay", "up", "--data", data.to_str().expect("utf-8")];
        arguments.extend(["--grpc", "127.0.0.1:0", "--api", "127.0.0.1:0", "--anonymous"]);
        arguments.extend(more);
        let output = toq(&arguments);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let answer: Value = serde_json::from_slice(&output.stdout).expect("json");
        let address = |name: &str| answer[name].as_str().expect("an address").parse().expect("an address");
        let pid = u32::try_from(answer["pid"].as_u64().expect("a number")).expect("a pid");
        Self { data, pid, grpc: address("grpc"), api: address("api") }
    }

    fn kill(&self) {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.pid).expect("a pid")).expect("a pid");
        // It may have ended already.
        let _gone = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }

    async fn link(&self) -> (Link, Incoming) {
        Link::open(Options::new(format!("http://{}", self.grpc))).await.expect("it lets us in")
    }

    fn down(&self) -> Output {
        toq(&["relay", "down", "--data", self.data.to_str().expect("utf-8")])
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.kill();
    }
}

fn block_on(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async { tokio::time::timeout(PATIENCE, test).await.expect("in time") });
}

fn channel() -> ChannelName {
    ChannelName::parse("acme/team/general").expect("a name")
}

fn tag(number: u64) -> Tag {
    let mut tag = [9; 16];
    tag[..8].copy_from_slice(&number.to_be_bytes());
    Tag(tag)
}

async fn publish(link: &Link, number: u64) -> bool {
    let blob = number.to_string().into_bytes().into();
    link.publish(&channel(), Carriage::Message, blob, tag(number), None).await.is_ok()
}

/// Everything in the log, in order.
async fn history(relay: &Relay) -> Vec<u64> {
    let (link, mut incoming) = relay.link().await;
    link.subscribe(&channel(), Some(0), tag(u64::MAX)).await.expect("sent");
    let mut heard = Vec::new();
    loop {
        match incoming.next().await.expect("it lives") {
            Event::Delivered { seq, blob, .. } => {
                assert_eq!(seq, heard.len() as u64 + 1, "no gap");
                heard.push(text(&blob).parse().expect("a number"));
            }
            Event::CaughtUp { .. } => return heard,
            Event::Accepted { .. } => {}
            other => panic!("unexpected: {other:?}"),
        }
    }
}

#[test]
fn what_was_accepted_survives_kill_9_and_what_is_sent_again_stands_once() {
    block_on(async {
        let dir = tempfile::tempdir().expect("a directory");
        let (mut accepted, mut next): (Vec<u64>, u64) = (Vec::new(), 1);
        for round in 0..5 {
            let relay = Relay::start(dir.path(), &[]);
            let (link, mut incoming) = relay.link().await;
            // What was not answered before is sent again, and then more, until the relay dies under it.
            let unanswered: Vec<u64> = (1..next).filter(|number| !accepted.contains(number)).collect();
            for number in unanswered.into_iter().chain(next..next + 200) {
                if !publish(&link, number).await {
                    break;
                }
                next = next.max(number + 1);
            }
            let enough = accepted.len() + 20 + round * 13;
            while let Some(event) = incoming.next().await {
                match event {
                    Event::Accepted { tag: of, .. } => {
                        accepted.push(u64::from_be_bytes(of.0[..8].try_into().expect("eight bytes")));
                        if accepted.len() == enough {
                            relay.kill();
                        }
                    }
                    Event::Closed(_) => break,
                    other => panic!("unexpected: {other:?}"),
                }
            }
        }

        let history = history(&Relay::start(dir.path(), &[])).await;

        for number in &accepted {
            assert_eq!(history.iter().filter(|heard| *heard == number).count(), 1, "{number} was accepted");
        }
        let mut unique = history.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), history.len(), "nothing stands twice");
        assert!(accepted.len() >= 100);
    });
}

#[test]
fn one_directory_has_one_relay_and_a_stopped_one_starts_where_it_was() {
    block_on(async {
        let dir = tempfile::tempdir().expect("a directory");
        let relay = Relay::start(dir.path(), &[]);
        let (link, mut incoming) = relay.link().await;
        assert!(publish(&link, 7).await);
        assert!(matches!(incoming.next().await, Some(Event::Accepted { seq: 1, .. })));

        let data = dir.path().to_str().expect("utf-8");
        let second = toq(&["relay", "up", "--data", data, "--grpc", "127.0.0.1:0", "--api", "127.0.0.1:0"]);
        assert_eq!(second.status.code(), Some(75), "{}", text(&second.stderr));
        assert!(text(&second.stderr).contains(&format!("PID {}", relay.pid)) && text(&second.stderr).contains("toq relay down"));

        let down = relay.down();
        assert!(down.status.success(), "{}", text(&down.stderr));
        assert!(matches!(incoming.next().await, Some(Event::Closed(_))));
        assert!(text(&relay.down().stdout).contains("no relay runs"), "a second stop changes nothing");

        assert_eq!(history(&Relay::start(dir.path(), &[])).await, [7]);
    });
}

#[test]
fn a_running_relay_says_what_it_keeps_and_has_done() {
    block_on(async {
        let dir = tempfile::tempdir().expect("a directory");
        let relay = Relay::start(dir.path(), &[]);
        let (link, mut incoming) = relay.link().await;
        assert!(publish(&link, 7).await);
        assert!(matches!(incoming.next().await, Some(Event::Accepted { seq: 1, .. })));

        let asked = toq(&["--json", "relay", "stats", "--data", dir.path().to_str().expect("utf-8")]);

        assert!(asked.status.success(), "{}", text(&asked.stderr));
        let stats: Value = serde_json::from_slice(&asked.stdout).expect("json");
        for name in ["channels", "rows", "accepted", "connections", "topics"] {
            assert_eq!(stats[name], 1, "{name}: {stats}");
        }
    });
}

#[test]
fn a_relay_whose_state_file_is_gone_still_keeps_others_out() {
    let dir = tempfile::tempdir().expect("a directory");
    let relay = Relay::start(dir.path(), &[]);
    std::fs::remove_file(dir.path().join("relay.json")).expect("it is there");

    let data = dir.path().to_str().expect("utf-8");
    let second = toq(&["relay", "up", "--foreground", "--data", data, "--grpc", "127.0.0.1:0", "--api", "127.0.0.1:0"]);

    assert_eq!(second.status.code(), Some(75), "{}", text(&second.stderr));
    assert!(text(&second.stderr).contains("relay.redb"), "{}", text(&second.stderr));
    drop(relay);
}

#[test]
fn what_is_wrong_is_said_by_the_command_itself() {
    let dir = tempfile::tempdir().expect("a directory");
    let relay = Relay::start(&dir.path().join("one"), &[]);
    let two = dir.path().join("two");
    let data = two.to_str().expect("utf-8");

    let taken = toq(&["relay", "up", "--data", data, "--grpc", &relay.grpc.to_string(), "--api", "127.0.0.1:0"]);
    assert!(!taken.status.success());
    assert!(text(&taken.stderr).contains(&relay.grpc.to_string()), "{}", text(&taken.stderr));

    let taken = toq(&["relay", "up", "--data", data, "--grpc", "127.0.0.1:0", "--api", &relay.api.to_string()]);
    assert!(text(&taken.stderr).contains(&relay.api.to_string()), "{}", text(&taken.stderr));

    std::fs::write(two.join("relay.toml"), "[limits]\nmax_mesage = 4096\n").expect("ours");
    let misspelt = toq(&["relay", "up", "--data", data]);
    assert_eq!(misspelt.status.code(), Some(78));
    assert!(
        text(&misspelt.stderr).contains("relay.toml:2:1") && text(&misspelt.stderr).contains("max_mesage"),
        "{}",
        text(&misspelt.stderr)
    );
}

#[test]
fn its_files_are_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;

    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("relay");
    let _relay = Relay::start(&data, &[]);

    let mode = |path: &Path| std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    for name in ["relay.redb", "relay.json", "token.key", "operator.sock"] {
        assert_eq!(mode(&data.join(name)), 0o600, "{name}");
    }
}
