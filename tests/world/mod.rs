//! Real daemons in temporary directories, and the plainest HTTP client there is.
#![allow(dead_code, reason = "each test binary uses its own part")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

pub mod rulings;
pub mod stranger;

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

/// The binary under test.
pub const TOQ: &str = env!("CARGO_BIN_EXE_toq");

/// A user's home and some workspaces.
pub struct World {
    dir: TempDir,
}

/// A workspace whose daemon runs until this is dropped.
pub struct Agent {
    pub name: String,
    pub place: PathBuf,
    pub port: u16,
    home: PathBuf,
}

/// What a daemon answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The error code of the body.
    pub fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or_default().to_owned()
    }
}

impl World {
    pub fn new() -> Self {
        Self { dir: TempDir::new().unwrap() }
    }

    /// Makes a workspace that listens on loopback and has these settings.
    pub fn workspace(&self, name: &str, settings: &[(&str, &str)]) -> PathBuf {
        let place = self.dir.path().join(name);
        std::fs::create_dir_all(&place).unwrap();
        let home = self.home();
        assert!(toq(&home, &place, &["init", "--name", name, "--host", "127.0.0.1", "--port", "0"]).status.success());
        for (key, value) in [("bind", "127.0.0.1")].iter().chain(settings) {
            let output = toq(&home, &place, &["config", "set", key, value]);
            assert!(output.status.success(), "{output:?}");
        }
        std::fs::write(place.join(".toq/last_port"), own_port().to_string()).unwrap();
        place
    }

    /// Makes a workspace and starts its daemon.
    pub fn agent(&self, name: &str, settings: &[(&str, &str)]) -> Agent {
        let place = self.workspace(name, settings);
        let output = self.up(&place);
        assert!(output.status.success(), "{output:?}");
        Agent { name: name.to_owned(), port: port(&place), place, home: self.home() }
    }

    /// A daemon that was started in a workspace, which ends with this.
    pub fn running(&self, name: &str, place: &Path) -> Agent {
        Agent { name: name.to_owned(), port: port(place), place: place.to_owned(), home: self.home() }
    }

    /// Runs `toq up` in a workspace.
    pub fn up(&self, place: &Path) -> Output {
        self.up_with(place, &[])
    }

    /// Runs `toq up` in a workspace, with these variables.
    pub fn up_with(&self, place: &Path, variables: &[(&str, &str)]) -> Output {
        command(&self.home(), place, &["up"]).envs(variables.iter().copied()).output().unwrap()
    }

    /// Starts the daemon of a workspace, with these variables.
    pub fn start_with(&self, name: &str, place: &Path, variables: &[(&str, &str)]) -> Agent {
        let output = self.up_with(place, variables);
        assert!(output.status.success(), "{output:?}");
        Agent { name: name.to_owned(), port: port(place), place: place.to_owned(), home: self.home() }
    }

    pub fn home(&self) -> PathBuf {
        let home = self.dir.path().join("home");
        std::fs::create_dir_all(&home).unwrap();
        home
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }
}

/// Tries until something is there, for at most a minute.
#[allow(clippy::disallowed_methods, reason = "a test gives up at some time")]
pub fn eventually<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let until = std::time::Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(there) = attempt() {
            return there;
        }
        assert!(std::time::Instant::now() < until, "{what}, within a minute");
        std::thread::yield_now();
    }
}

/// A free port that no other test takes, so that a daemon that is started again has it again. Without it, one that stops leaves the first free
/// port to whichever daemon starts next, of any test.
fn own_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Below those that the system gives to whoever does not care, and apart from those of other processes of tests.
    let first = 10_000 + u16::try_from(std::process::id() % 2_000).unwrap() * 10;
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    std::iter::repeat_with(|| first + NEXT.fetch_add(1, Ordering::Relaxed) % 2_000).take(2_000).find(is_free).expect("a free port")
}

/// Runs a command in a workspace.
pub fn toq(home: &Path, place: &Path, arguments: &[&str]) -> Output {
    command(home, place, arguments).output().unwrap()
}

fn command(home: &Path, place: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(TOQ);
    command.args(arguments).current_dir(place).env_clear().env("HOME", home).env("PATH", "/usr/bin:/bin");
    command
}

fn port(place: &Path) -> u16 {
    let state = std::fs::read_to_string(place.join(".toq/state.json")).unwrap();
    serde_json::from_str::<Value>(&state).unwrap()["port"].as_u64().unwrap().try_into().unwrap()
}

impl Agent {
    /// A daemon that was started by other means and is stopped by them.
    pub fn elsewhere(name: &str, port: u16, world: &World) -> Self {
        Self { name: name.to_owned(), place: world.path().to_owned(), port, home: world.home() }
    }

    /// The daemon that runs in a workspace by now.
    pub fn at(name: &str, place: &Path, world: &World) -> Self {
        Self { name: name.to_owned(), port: port(place), place: place.to_owned(), home: world.home() }
    }

    /// Waits for the first event of a stream.
    pub fn first_event(&self, path: &str) -> Value {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n\r\n", self.port).as_bytes()).unwrap();
        let mut seen = String::new();
        let mut buffer = [0; 4096];
        loop {
            let whole = seen.split_inclusive('\n').filter(|line| line.ends_with('\n'));
            if let Some(event) = whole.filter_map(|line| line.strip_prefix("data: ")).find_map(|data| serde_json::from_str(data).ok()) {
                return event;
            }
            let read = stream.read(&mut buffer).expect("an event comes within a minute");
            seen += &String::from_utf8_lossy(&buffer[..read]);
        }
    }

    /// Kills the daemon at once, and waits until it is gone.
    pub fn kill(&self) {
        let state = std::fs::read_to_string(self.place.join(".toq/state.json")).unwrap();
        let pid = serde_json::from_str::<Value>(&state).unwrap()["pid"].as_i64().unwrap();
        let pid = rustix::process::Pid::from_raw(pid.try_into().unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        let stat = format!("/proc/{}/stat", pid.as_raw_nonzero());
        let lives = || std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z"));
        eventually("the daemon is gone", || (!lives()).then_some(()));
    }

    pub fn address(&self) -> String {
        format!("toq://127.0.0.1:{}/{}", self.port, self.name)
    }

    pub fn toq(&self, arguments: &[&str]) -> Output {
        toq(&self.home, &self.place, arguments)
    }

    pub fn get(&self, path: &str) -> Answer {
        self.request("GET", path, &[], None)
    }

    pub fn post(&self, path: &str, body: &str) -> Answer {
        self.request("POST", path, &[], Some(body))
    }

    pub fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&str>) -> Answer {
        let mut text = format!("{method} {path} HTTP/1.1\r\n");
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            text += &format!("Host: 127.0.0.1:{}\r\n", self.port);
        }
        for (name, value) in headers {
            text += &format!("{name}: {value}\r\n");
        }
        if let Some(body) = body {
            if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
                text += "Content-Type: application/json\r\n";
            }
            text += &format!("Content-Length: {}\r\n", body.len());
        }
        text += "Connection: close\r\n\r\n";
        self.raw(&[text.as_bytes(), body.unwrap_or_default().as_bytes()].concat())
    }

    /// Sends bytes as they are and reads the answer to its end.
    pub fn raw(&self, bytes: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        // A daemon that has refused the head does not read the rest of the body.
        let _refused_early = stream.write_all(bytes);
        let mut answer = Vec::new();
        let _reset = stream.read_to_end(&mut answer);
        let text = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        Answer { status, head: head.to_owned(), body: body.to_owned() }
    }

    /// Waits until history holds this many incoming messages.
    pub fn has_received(&self, count: usize) -> Vec<Value> {
        self.reads("/v1/messages?since=0", |messages| messages.len() >= count)
    }

    /// Reads an event stream until it has what is wanted, for at most a minute.
    #[allow(clippy::disallowed_methods, reason = "a test gives up at some time")]
    pub fn reads(&self, path: &str, has: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n\r\n", self.port);
        stream.write_all(request.as_bytes()).unwrap();
        let until = std::time::Instant::now() + Duration::from_secs(60);
        let mut seen = String::new();
        let mut buffer = [0; 4096];
        loop {
            let messages: Vec<Value> =
                seen.lines().filter_map(|line| line.strip_prefix("data: ")).filter_map(|data| serde_json::from_str(data).ok()).collect();
            if has(&messages) {
                return messages;
            }
            // Comments keep a stream alive on which nothing happens.
            assert!(std::time::Instant::now() < until, "{path} has only {messages:?} after a minute");
            let read = stream.read(&mut buffer).expect("the messages come within 30 s");
            seen += &String::from_utf8_lossy(&buffer[..read]);
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.toq(&["down"]);
    }
}
