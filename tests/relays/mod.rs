//! Relays as processes, and members that say what they hear.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use toq_channels::ChannelName;
use toq_dataplane::{Carriage, Event, Incoming, Link, Options, Tag};

/// How long anything may take before the test has failed.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A relay in the background; killed with the test.
pub struct Relay {
    pub data: PathBuf,
    pub pid: u32,
    pub grpc: SocketAddr,
    pub api: SocketAddr,
}

pub fn toq(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_toq")).args(arguments).output().expect("it runs")
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl Relay {
    pub fn start(data: &Path, more: &[&str]) -> Self {
        let mut arguments = vec!["--json", "relay", "up", "--data", data.to_str().expect("utf-8")];
        arguments.extend(["--grpc", "127.0.0.1:0", "--api", "127.0.0.1:0", "--anonymous"]);
        arguments.extend(more);
        Self::started(data.to_owned(), toq(&arguments))
    }

    /// Starts one with what a shell has set before, such as limits; `$0` is toq and `$@` what it is given.
    pub fn start_in(data: &Path, script: &str) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", script, env!("CARGO_BIN_EXE_toq"), "--json", "relay", "up", "--anonymous"]);
        command.args(["--grpc", "127.0.0.1:0", "--api", "127.0.0.1:0", "--data"]).arg(data);
        Self::started(data.to_owned(), command.output().expect("it runs"))
    }

    fn started(data: PathBuf, output: Output) -> Self {
        assert!(output.status.success(), "{}", text(&output.stderr));
        let answer: Value = serde_json::from_slice(&output.stdout).expect("json");
        let address = |name: &str| answer[name].as_str().expect("an address").parse().expect("an address");
        let pid = u32::try_from(answer["pid"].as_u64().expect("a number")).expect("a pid");
        Self { data, pid, grpc: address("grpc"), api: address("api") }
    }

    /// Kills it; it is gone, with its files closed, when this returns.
    pub fn kill(&self) {
        let pid = Pid::from_raw(i32::try_from(self.pid).expect("a pid")).expect("a pid");
        // It may have ended already.
        let _gone = kill_process(pid, Signal::KILL);
        // A thread that is still in the middle of a write keeps the files open for a moment.
        let tasks = format!("/proc/{}/task", self.pid);
        let is_there = |task: std::io::Result<std::fs::DirEntry>| {
            let stat = std::fs::read_to_string(task.ok()?.path().join("stat")).ok()?;
            Some(!stat.rsplit_once(") ")?.1.starts_with(['Z', 'X']))
        };
        while std::fs::read_dir(&tasks).is_ok_and(|mut tasks| tasks.any(|task| is_there(task) == Some(true))) {
            std::thread::yield_now();
        }
    }

    pub async fn link(&self) -> (Link, Incoming) {
        Link::open(Options::new(format!("http://{}", self.grpc))).await.expect("it lets us in")
    }

    pub fn down(&self) -> Output {
        toq(&["relay", "down", "--data", self.data.to_str().expect("utf-8")])
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.kill();
    }
}

pub fn block_on(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async { tokio::time::timeout(PATIENCE, test).await.expect("in time") });
}

pub fn channel() -> ChannelName {
    ChannelName::parse("acme/team/general").expect("a name")
}

pub fn tag(number: u64) -> Tag {
    let mut tag = [9; 16];
    tag[..8].copy_from_slice(&number.to_be_bytes());
    Tag(tag)
}

pub async fn publish(link: &Link, number: u64) -> bool {
    let blob = number.to_string().into_bytes().into();
    link.publish(&channel(), Carriage::Message, blob, tag(number), None).await.is_ok()
}

/// Everything in the log, in order.
pub async fn history(relay: &Relay) -> Vec<u64> {
    let (link, mut incoming) = relay.link().await;
    link.subscribe(&channel(), Some(0), tag(u64::MAX)).await.expect("sent");
    let mut heard = Vec::new();
    loop {
        match incoming.next().await.expect("it lives") {
            Event::Delivered { seq, blob, .. } => {
                assert_eq!(seq, heard.len() as u64 + 1, "no gap");
                heard.push(text(&blob).trim_end_matches('.').parse().expect("a number"));
            }
            Event::CaughtUp { .. } => return heard,
            Event::Accepted { .. } => {}
            other => panic!("unexpected: {other:?}"),
        }
    }
}
