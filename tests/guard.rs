//! Who may call: every route of the OpenAPI document refuses web pages, other names and proxies.

mod world;

use serde_json::Value;
use world::World;

/// Every method and path, with something in place of parameters.
fn routes() -> Vec<(String, String)> {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json")).expect("committed");
    let document: Value = serde_json::from_str(&text).expect("JSON");
    let mut routes = Vec::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for method in methods.as_object().expect("methods").keys() {
            let concrete = path.replace("{id}", "x").replace("{thread_id}", "x").replace("{name}", "x").replace("{key}", "x");
            routes.push((method.to_uppercase(), concrete));
        }
    }
    assert!(routes.len() > 30);
    routes
}

#[test]
fn every_route_refuses_other_names_web_pages_and_proxies() {
    let world = World::new();
    let alice = world.agent("alice", &[]);
    let port = alice.port;
    let evil_host = format!("evil.example:{port}");
    let attacks: &[(&[(&str, &str)], u16)] = &[
        (&[("Host", &evil_host)], 421),
        (&[("Host", "localhost.:1")], 421),
        (&[("Origin", "http://evil.example")], 403),
        (&[("Sec-Fetch-Site", "cross-site")], 403),
        (&[("X-Forwarded-For", "1.2.3.4")], 403),
        (&[("Via", "1.1 proxy")], 403),
    ];
    for (method, path) in routes() {
        for (headers, status) in attacks {
            let body = (method != "GET").then_some("{}");
            let answer = alice.request(&method, &path, headers, body);
            assert_eq!(answer.status, *status, "{method} {path} {headers:?}: {answer:?}");
            assert!(!answer.head.to_lowercase().contains("access-control-allow"), "{answer:?}");
        }
    }
    assert_eq!(alice.get("/v1/health").status, 200);
}

#[test]
fn a_form_or_text_post_changes_nothing() {
    let world = World::new();
    let alice = world.agent("alice", &[]);
    for (method, path) in routes().into_iter().filter(|(method, _)| method != "GET") {
        for kind in ["text/plain", "application/x-www-form-urlencoded"] {
            let answer = alice.request(&method, &path, &[("Content-Type", kind)], Some(r#"{"key":"x"}"#));
            assert_eq!(answer.status, 415, "{method} {path}: {answer:?}");
        }
    }
    let permissions = alice.get("/v1/permissions").json();
    assert_eq!((permissions["approved"].as_array().map(Vec::len), permissions["blocked"].as_array().map(Vec::len)), (Some(0), Some(0)));
}

#[test]
fn missing_and_double_hosts_and_garbage_are_refused() {
    let world = World::new();
    let alice = world.agent("alice", &[]);
    let port = alice.port;

    assert_eq!(alice.raw(b"GET /v1/health HTTP/1.1\r\nConnection: close\r\n\r\n").status, 400);
    let two = format!("GET /v1/health HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nHost: evil.example\r\nConnection: close\r\n\r\n");
    assert_eq!(alice.raw(two.as_bytes()).status, 400);
    assert_eq!(alice.raw(b"\x00\x01garbage\r\n\r\n").status, 400);
    assert_eq!(alice.get("/v1/health").status, 200);
}

#[test]
fn a_token_is_required_where_the_configuration_says_so() {
    let world = World::new();
    let alice = world.agent("alice", &[("api.access", "token")]);
    let token = std::fs::read_to_string(alice.place.join(".toq/keys/api.token")).expect("made at the start");
    let bearer = format!("Bearer {}", token.trim());

    assert_eq!(alice.get("/v1/status").status, 401);
    assert_eq!(alice.request("GET", "/v1/status", &[("Authorization", "Bearer wrong")], None).status, 401);
    assert_eq!(alice.request("GET", "/v1/status", &[("Authorization", &bearer)], None).status, 200);
}

/// A socket that its owner has closed shows the user 0, which is the daemon's own here: it must not pass for root's.
#[test]
fn another_user_who_writes_and_closes_at_once_changes_nothing_though_the_daemon_is_root() {
    use std::io::Write as _;
    use std::os::unix::process::CommandExt as _;

    if !rustix::process::geteuid().is_root() {
        writeln!(std::io::stdout().lock(), "not root: nothing is proven here").expect("prints");
        return;
    }
    let world = World::new();
    let alice = world.agent("alice", &[]);
    let rules = || alice.get("/v1/permissions").json();
    let before = rules();
    let script = "import socket, struct, sys\nport = int(sys.argv[1])\n\
        body = b'{\"from\":\"toq://evil.example/*\"}'\n\
        head = b'POST /v1/block HTTP/1.1\\r\\nHost: 127.0.0.1:%d\\r\\nContent-Type: application/json\\r\\nContent-Length: %d\\r\\n\\r\\n' % (port, len(body))\n\
        for number in range(300):\n    s = socket.create_connection(('127.0.0.1', port))\n    s.sendall(head + body)\n    s.close()\n";

    let done =
        std::process::Command::new("/usr/bin/python3").args(["-c", script, &alice.port.to_string()]).uid(65_534).current_dir("/").output();

    let Ok(done) = done else { return };
    assert!(done.status.success(), "{done:?}");
    assert_eq!(alice.get("/v1/health").status, 200);
    assert_eq!(rules(), before);
    assert_eq!(alice.post("/v1/block", r#"{"from":"toq://evil.example/*"}"#).status, 200, "the owner's own request is well formed");
    assert_ne!(rules(), before);
}

/// Needs root, who alone can be two users. Elsewhere the test says that it proves nothing.
#[test]
fn another_user_of_the_system_is_refused_on_every_route() {
    use std::io::Write as _;
    use std::os::unix::process::CommandExt as _;

    const NOBODY: u32 = 65_534;
    if !rustix::process::geteuid().is_root() {
        writeln!(std::io::stdout().lock(), "not root: nothing is proven here").expect("prints");
        return;
    }
    let world = World::new();
    let alice = world.agent("alice", &[]);
    for (method, path) in routes() {
        let request = format!("{method} {path} HTTP/1.1\\r\\nHost: 127.0.0.1:{}\\r\\nConnection: close\\r\\n\\r\\n", alice.port);
        let script = format!("exec 3<>/dev/tcp/127.0.0.1/{}; printf '{request}' >&3; head -1 <&3", alice.port);
        let output = std::process::Command::new("/bin/bash").args(["-c", &script]).uid(NOBODY).current_dir("/").output().expect("runs");
        let answer = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(answer.starts_with("HTTP/1.1 403"), "{method} {path}: {answer} {}", String::from_utf8_lossy(&output.stderr));
    }
    let token = std::process::Command::new("/bin/cat").arg(alice.place.join(".toq/keys/identity.key")).uid(NOBODY).output().expect("runs");
    assert!(!token.status.success());
}
