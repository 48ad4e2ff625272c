//! A full disk: new sends and incoming messages are refused before they are acknowledged, everything else
//! goes on, and it heals by itself.
//!
//! The workspace is on a small memory file system in a mount namespace of its own, which needs root. Where
//! the system does not allow that, the test says so and proves nothing.

mod world;

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command};

use serde_json::Value;
use world::{TOQ, World};

/// A daemon in a mount namespace of its own.
struct Confined {
    child: Child,
    root: PathBuf,
}

impl Confined {
    fn start(world: &World) -> Option<Self> {
        let allowed = Command::new("unshare").args(["--mount", "true"]).status().is_ok_and(|status| status.success());
        if !allowed {
            return None;
        }
        let place = world.path().join("carol");
        std::fs::create_dir_all(&place).expect("a directory");
        let script = format!(
            "mount -t tmpfs -o size=24m,mode=700 tmpfs '{0}' && cd '{0}' && '{TOQ}' init --name carol --host 127.0.0.1 --port 0 && \
             '{TOQ}' config set bind 127.0.0.1 && '{TOQ}' config set connection_mode open && \
             dd if=/dev/zero of=filler bs=1M count=10 2>/dev/null && exec '{TOQ}' up --foreground",
            place.display()
        );
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", &script]).env_clear().env("HOME", world.home()).env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin");
        let child = command.process_group(0).spawn().expect("starts");
        let root = PathBuf::from(format!("/proc/{}/root{}", child.id(), place.display()));
        Some(Self { child, root })
    }

    /// The agent, once it is up. Its files are seen through the process, since the mount is its own.
    fn agent(&self, world: &World) -> world::Agent {
        world::eventually("the confined daemon starts", || {
            let state = std::fs::read_to_string(self.root.join(".toq/state.json")).ok()?;
            let state = serde_json::from_str::<Value>(&state).ok()?;
            let port = state["port"].as_u64().and_then(|port| port.try_into().ok()).expect("a port");
            Some(world::Agent::elsewhere("carol", port, world))
        })
    }
}

impl Drop for Confined {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

#[test]
fn a_full_disk_refuses_before_it_acknowledges_and_heals_by_itself() {
    let world = World::new();
    let Some(confined) = Confined::start(&world) else {
        let mut out = std::io::stdout().lock();
        writeln!(out, "this system allows no mount namespace: nothing is proven here").expect("prints");
        return;
    };
    let carol = confined.agent(&world);
    let bob = world.agent("bob", &[]);
    let big = format!(r#"{{"to":"toq://127.0.0.1:1/nobody","body":"{}"}}"#, "x".repeat(1_000_000));

    let mut accepted = Vec::new();
    let refused = loop {
        let answer = carol.post("/v1/messages", &big);
        if answer.status != 202 {
            break answer;
        }
        accepted.push(answer.json()["id"].as_str().expect("an id").to_owned());
        assert!(accepted.len() < 64, "the disk fills");
    };
    assert_eq!((refused.status, refused.code().as_str()), (507, "storage_full"), "{refused:?}");
    assert_eq!(carol.get("/v1/health").status, 200);
    assert_eq!(carol.get("/v1/status").json()["store"], "read_only");
    let body = format!(r#"{{"to":"{}","body":"{}"}}"#, carol.address(), "y".repeat(1_000_000));
    let waiting = bob.post("/v1/messages?wait=true&timeout=1", &body);
    assert_ne!(waiting.status, 200, "nothing is acknowledged without a commit");

    std::fs::remove_file(confined.root.join("filler")).expect("frees space");

    world::eventually("it goes on by itself", || (carol.post("/v1/messages", &big).status == 202).then_some(()));
    for id in accepted {
        assert_eq!(carol.get(&format!("/v1/messages/{id}")).json()["state"], "accepted", "what was accepted is still there");
    }
}
