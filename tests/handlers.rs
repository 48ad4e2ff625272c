//! Shell handlers from outside: what a command gets, what it may do, and that nothing of it is left.

mod world;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use world::{Agent, TOQ, World, eventually};

const OPEN: &[(&str, &str)] = &[("connection_mode", "open"), ("graceful_shutdown_timeout", "1")];

fn add(agent: &Agent, definition: &Value) {
    let answer = agent.post("/v1/handlers", &definition.to_string());
    assert_eq!((answer.status, answer.json()["status"].as_str()), (200, Some("added")), "{answer:?}");
}

fn send(from: &Agent, to: &Agent, body: &Value, thread: Option<&str>, wait: &str) -> world::Answer {
    let mut request = json!({"to": to.address(), "body": body});
    if let Some(thread) = thread {
        request["thread_id"] = json!(thread);
    }
    from.post(&format!("/v1/messages?wait={wait}&timeout=60"), &request.to_string())
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn lines(path: &Path) -> Vec<String> {
    read(path).lines().map(str::to_owned).collect()
}

fn handler(agent: &Agent, name: &str) -> Value {
    let list = agent.get("/v1/handlers").json();
    list["handlers"].as_array().and_then(|all| all.iter().find(|one| one["name"] == name)).cloned().unwrap_or_default()
}

/// A process that has not ended.
fn lives(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}

fn kill_daemon(agent: &Agent) {
    let state: Value = serde_json::from_str(&read(&agent.place.join(".toq/state.json"))).expect("running");
    let pid = i32::try_from(state["pid"].as_i64().expect("a pid")).expect("a pid");
    let pid = rustix::process::Pid::from_raw(pid).expect("a pid");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("ours");
    eventually("the daemon is gone", || (!lives(&pid.as_raw_nonzero().to_string())).then_some(()));
}

#[test]
fn a_command_gets_the_message_and_nothing_of_the_daemon() {
    let world = World::new();
    let alice = world.agent("alice", OPEN);
    let place = world.workspace("bob", OPEN);
    let secrets = [("OPENAI_API_KEY", "canary-1"), ("SSH_AUTH_SOCK", "canary-2"), ("ALLOWED", "yes"), ("TZ", "UTC")];
    let mut up = Command::new(TOQ);
    up.arg("up").current_dir(&place).env_clear().env("HOME", world.home()).env("PATH", "/usr/bin:/bin").envs(secrets);
    assert!(up.output().expect("runs").status.success());
    let bob = Agent::at("bob", &place, &world);
    let command = "env > env.txt; cat > in.json; ls /proc/self/fd > fds.txt; pwd > cwd.txt; echo err-line >&2; echo the answer";
    add(&bob, &json!({"name": "dump", "command": command, "reply": "stdout", "env": ["ALLOWED"]}));

    let sent = send(&alice, &bob, &json!({"text": "hello\nyou", "more": 1}), Some("t1"), "reply");

    let sent = sent.json();
    assert_eq!(sent["reply"]["body"], json!({"text": "the answer", "auto_reply": {"hops": 1}}), "{sent}");
    assert_eq!((&sent["reply"]["thread_id"], &sent["reply"]["reply_to"]), (&json!("t1"), &sent["id"]));
    let env = read(&place.join("env.txt"));
    let names: BTreeSet<&str> = env.lines().filter_map(|line| line.split_once('=').map(|(name, _)| name)).collect();
    let expected = [
        "ALLOWED",
        "HOME",
        "PATH",
        "PWD",
        "TOQ_ATTEMPT",
        "TOQ_FROM",
        "TOQ_HANDLER",
        "TOQ_ID",
        "TOQ_RUN",
        "TOQ_TEXT",
        "TOQ_THREAD_ID",
        "TOQ_TYPE",
        "TOQ_URL",
        "TOQ_VERIFIED",
        "TZ",
    ];
    assert_eq!(names.iter().filter(|name| **name != "_" && **name != "SHLVL" && **name != "OLDPWD").copied().collect::<Vec<_>>(), expected);
    assert!(!env.contains("canary") && env.contains("TOQ_TEXT=hello\nyou\n"), "{env}");
    let input: Value = serde_json::from_str(&read(&place.join("in.json"))).expect("one JSON object");
    let from = input["from"].as_str().expect("a sender");
    assert!(from.ends_with("/alice") && env.contains(&format!("TOQ_FROM={from}\n")) && env.contains("TOQ_TYPE=message.send\n"), "{env}");
    assert_eq!((&input["id"], &input["body"]), (&sent["id"], &json!({"text": "hello\nyou", "more": 1})));
    // 3 is the directory that `ls` reads.
    assert_eq!(lines(&place.join("fds.txt")), ["0", "1", "2", "3"]);
    assert_eq!(read(&place.join("cwd.txt")).trim(), place.canonicalize().expect("there").to_str().expect("text"));
    let log = eventually("the log is written", || {
        let log = read(&place.join(".toq/logs/handlers/handler-dump.log"));
        log.contains("exited with status exit status: 0").then_some(log)
    });
    assert!(log.contains("] the answer\n") && log.contains(":stderr] err-line\n"), "{log}");
    let shown = bob.toq(&["handler", "logs", "dump"]);
    assert!(String::from_utf8_lossy(&shown.stdout).contains("the answer"), "{shown:?}");
}

#[test]
fn no_part_of_a_message_becomes_part_of_a_command() {
    let world = World::new();
    let (alice, bob) = (world.agent("alice", OPEN), world.agent("bob", OPEN));
    add(&bob, &json!({"name": "sh", "command": "cat > /dev/null; printf %s \"$TOQ_TEXT\"", "reply": "stdout"}));
    add(&bob, &json!({"name": "argv", "argv": ["tee", "-a", "argv.out"]}));

    let attacks = [
        "$(touch pwned)",
        "`touch pwned`",
        "; touch pwned",
        "\n touch pwned\n",
        "' ; touch pwned; '",
        "\"; touch pwned; \"",
        "| touch pwned",
        "&& touch pwned",
        "${IFS}touch${IFS}pwned",
        "() { :;}; touch pwned",
        "-e touch pwned",
        "%s%n$(touch pwned)",
        "\u{1b}]0;x\u{7}",
    ];
    for (number, attack) in attacks.iter().enumerate() {
        let sent = send(&alice, &bob, &json!({ "text": attack }), Some(&format!("{attack}{number}")), "reply");
        let answer = sent.json()["reply"]["body"]["text"].as_str().unwrap_or_default().to_owned();
        assert_eq!(answer, attack.trim_end_matches('\n'), "{sent:?}");
    }

    eventually("the other handler is done too", || (handler(&bob, "argv")["pending"] == 0).then_some(()));
    let found = Command::new("find").arg(world.path()).args(["-name", "pwned*"]).output().expect("runs");
    assert!(found.stdout.is_empty(), "{found:?}");
    assert_eq!(read(&bob.place.join("argv.out")).matches("\"type\":\"message.send\"").count(), attacks.len());
}

#[test]
fn values_that_the_system_would_refuse_are_cut_and_the_whole_is_on_standard_input() {
    let world = World::new();
    let (alice, bob) = (world.agent("alice", OPEN), world.agent("bob", OPEN));
    let command = "printf '%s %s %s' \"${#TOQ_TEXT}\" \"${TOQ_TEXT_TRUNCATED:-no}\" \"$(wc -c)\"";
    add(&bob, &json!({"name": "size", "command": command, "reply": "stdout"}));

    let many: serde_json::Map<String, Value> = (0..10_000).map(|number| (format!("V{number}"), json!("x"))).collect();
    for (text, more, expected) in [
        ("a\u{0}b".to_owned(), json!({}), "2 no"),
        ("x".repeat(900_000), json!({}), "32768 1"),
        ("short".to_owned(), Value::Object(many), "5 no"),
    ] {
        let sent = send(&alice, &bob, &json!({"text": text, "metadata": more}), None, "reply").json();
        let answer = sent["reply"]["body"]["text"].as_str().unwrap_or_default().to_owned();
        let (cut, input) = answer.rsplit_once(' ').unwrap_or_else(|| panic!("{sent}"));
        assert_eq!(cut, expected);
        assert!(input.parse::<usize>().expect("a number") > text.len() + more.to_string().len(), "{answer}");
    }
}

#[test]
fn a_run_may_answer_its_message_and_nothing_else() {
    let world = World::new();
    let (alice, bob, carol) = (world.agent("alice", OPEN), world.agent("bob", OPEN), world.agent("carol", OPEN));
    add(&bob, &json!({"name": "hold", "command": "echo $TOQ_URL > url.txt; until [ -e go ]; do sleep 0.05; done"}));
    send(&alice, &bob, &json!({"text": "hi"}), Some("t1"), "true");
    let url = eventually("the run has begun", || lines(&bob.place.join("url.txt")).into_iter().next());
    let base = url.split_once(&format!(":{}", bob.port)).expect("this daemon's").1.to_owned();
    assert!(base.starts_with("/runs/") && base.len() >= "/runs/".len() + 64, "{base}");
    let post = |path: &str, body: &Value| bob.post(&format!("{base}{path}"), &body.to_string());
    let to = alice.address();

    for (method, path) in [
        ("GET", "/v1/status"),
        ("GET", "/v1/messages"),
        ("GET", "/v1/messages/history"),
        ("GET", "/v1/threads/t1"),
        ("POST", "/v1/handlers"),
        ("DELETE", "/v1/handlers/hold"),
        ("POST", "/v1/approve"),
        ("POST", "/v1/block"),
        ("PATCH", "/v1/config"),
        ("POST", "/v1/keys/rotate"),
        ("POST", "/v1/backup/export"),
        ("POST", "/v1/daemon/shutdown"),
        ("POST", "/v1/ping"),
        ("GET", "/v1/openapi.json"),
    ] {
        let answer = bob.request(method, &format!("{base}{path}"), &[], (method != "GET").then_some("{}"));
        assert_eq!((answer.status, answer.code().as_str()), (403, "forbidden"), "{method} {path}: {answer:?}");
    }
    for (body, why) in [
        (json!({"to": carol.address(), "thread_id": "t1", "body": {"text": "x"}}), "only to the sender"),
        (json!({"to": [to, carol.address()], "thread_id": "t1", "body": {"text": "x"}}), "only to the sender"),
        (json!({"to": to, "thread_id": "other", "body": {"text": "x"}}), "only in the conversation"),
    ] {
        let answer = post("/v1/messages", &body);
        assert_eq!(answer.status, 403, "{answer:?}");
        assert!(answer.body.contains(why), "{answer:?}");
    }
    assert_eq!(post("/v1/stream/start", &json!({"to": carol.address()})).status, 403);
    assert_eq!(post("/v1/stream/chunk", &json!({"stream_id": "of somebody", "text": "x"})).status, 403);
    assert_eq!(bob.post("/runs/0000/v1/messages", &json!({"to": to, "body": {"text": "x"}}).to_string()).status, 403);

    assert_eq!(post("/v1/messages", &json!({"to": to, "thread_id": "t1", "body": {"text": "one"}})).status, 202);
    let stream = post("/v1/stream/start", &json!({"to": to, "thread_id": "t1"})).json();
    let id = stream["stream_id"].as_str().expect("a stream").to_owned();
    assert_eq!(post("/v1/stream/chunk", &json!({"stream_id": id, "text": "tw"})).status, 200);
    assert_eq!(post("/v1/stream/end", &json!({"stream_id": id, "text": "o"})).status, 200);
    let answers = alice.has_received(2);
    let texts: Vec<_> =
        answers.iter().map(|answer| (answer["body"]["text"].as_str(), answer["body"]["auto_reply"]["hops"].as_u64())).collect();
    assert_eq!(texts, [(Some("one"), Some(1)), (Some("two"), Some(1))]);

    std::fs::write(bob.place.join("go"), "").expect("ours");
    eventually("the run has ended", || (handler(&bob, "hold")["active"] == 0).then_some(()));
    let late = post("/v1/messages", &json!({"to": to, "thread_id": "t1", "body": {"text": "late"}}));
    assert_eq!(late.status, 403, "{late:?}");
    assert!(!read(&bob.place.join(".toq/logs/toq.log")).contains(base.trim_start_matches("/runs/")));
}

#[test]
fn a_script_answers_with_toq_reply_also_where_a_token_is_asked_for() {
    let world = World::new();
    let alice = world.agent("alice", OPEN);
    let bob = world.agent("bob", &[OPEN, &[("api.access", "token")]].concat());
    let added = bob.toq(&["handler", "add", "echo", "--command", &format!("{TOQ} reply \"you said $TOQ_TEXT\"")]);
    assert!(added.status.success(), "{added:?}");
    assert_eq!(String::from_utf8_lossy(&added.stdout), "Added handler 'echo'\n");

    let sent = send(&alice, &bob, &json!({"text": "hi"}), None, "reply").json();

    assert_eq!(sent["reply"]["body"]["text"], "you said hi", "{sent}");
}

#[test]
fn a_stop_ends_all_that_a_run_started_and_sets_its_message_aside() {
    let world = World::new();
    let (alice, bob) = (world.agent("alice", OPEN), world.agent("bob", OPEN));
    let command = "trap '' TERM; (setsid sh -c 'trap \"\" TERM; echo $$ >> pids; sleep 1000; :' &); sleep 1000 & echo $! >> pids; echo $$ >> pids; wait; sleep 1000";
    add(&bob, &json!({"name": "tree", "command": command}));
    let sent = send(&alice, &bob, &json!({"text": "hi"}), None, "true").json();
    let pids = eventually("three processes have begun", || Some(lines(&bob.place.join("pids"))).filter(|pids| pids.len() == 3));
    assert!(pids.iter().all(|pid| lives(pid)));
    let active = handler(&bob, "tree");
    let run = active["pids"][0].to_string();
    assert!(active["active"] == 1 && pids.contains(&run), "{active}");

    let other = bob.toq(&["handler", "stop", "tree", "--pid", "1"]);
    let stopped = bob.toq(&["handler", "stop", "tree"]);

    assert_eq!(String::from_utf8_lossy(&other.stdout), "Stopped 0 process(es) for 'tree'\n");
    assert_eq!(String::from_utf8_lossy(&stopped.stdout), "Stopped 1 process(es) for 'tree'\n", "{stopped:?}");
    eventually("all of them are gone", || (!pids.iter().any(|pid| lives(pid))).then_some(()));
    let aside = bob.get("/v1/handlers/tree/set-aside").json();
    assert_eq!(
        (&aside["messages"][0]["message"]["id"], &aside["messages"][0]["reason"]),
        (&sent["id"], &json!("handler tree: stopped by its owner"))
    );
}

#[test]
fn what_takes_too_long_or_writes_too_much_is_ended_and_bounded() {
    let world = World::new();
    let (alice, bob) = (world.agent("alice", OPEN), world.agent("bob", OPEN));
    add(&bob, &json!({"name": "slow", "command": "echo $$ >> pids; sleep 1000", "timeout_s": 1, "max_attempts": 1}));
    add(&bob, &json!({"name": "loud", "command": "yes | head -c 30000000", "max_attempts": 1}));
    send(&alice, &bob, &json!({"text": "hi"}), None, "true");

    let aside = eventually("it is set aside", || {
        Some(bob.get("/v1/handlers/slow/set-aside").json()).filter(|aside| aside["messages"][0].is_object())
    });
    assert_eq!(aside["messages"][0]["reason"], "handler slow: it took longer than 1 s");
    eventually("the process is gone", || (!lines(&bob.place.join("pids")).iter().any(|pid| lives(pid))).then_some(()));
    eventually("the loud one is done", || (handler(&bob, "loud")["pending"] == 0).then_some(()));
    let log = std::fs::metadata(bob.place.join(".toq/logs/handlers/handler-loud.log")).expect("written").len();
    assert!(log < 64 << 20, "{log}");
    assert!(read(&bob.place.join(".toq/logs/handlers/handler-loud.log")).contains("the rest of the output is not kept"));
}

#[test]
fn what_fails_is_tried_again_set_aside_and_told_and_others_go_on() {
    let world = World::new();
    let (alice, bob) = (world.agent("alice", OPEN), world.agent("bob", OPEN));
    add(&bob, &json!({"name": "picky", "command": "echo $TOQ_TEXT $TOQ_ATTEMPT >> seen; test \"$TOQ_TEXT\" != bad", "max_attempts": 2}));
    let bad = send(&alice, &bob, &json!({"text": "bad"}), None, "true").json();
    for text in ["good", "better"] {
        send(&alice, &bob, &json!({ "text": text }), None, "true");
    }

    let aside =
        eventually("it is set aside", || Some(handler(&bob, "picky")).filter(|picky| picky["set_aside"] == 1 && picky["pending"] == 0));
    assert_eq!(aside["state"], "working");
    let seen: BTreeSet<String> = lines(&bob.place.join("seen")).into_iter().collect();
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["bad 1", "bad 2", "better 1", "good 1"]);
    let words = bob.toq(&["handler", "set-aside", "picky"]);
    let words = String::from_utf8_lossy(&words.stdout).into_owned();
    assert!(
        words.contains("set aside after 2 attempt(s): handler picky: exit status: 1") && words.contains(bad["id"].as_str().expect("an id"))
    );
    let events = bob.first_event("/v1/events?since=0&type=handler.set_aside");
    assert_eq!((&events["type"], &events["id"]), (&json!("handler.set_aside"), &bad["id"]));
}

#[test]
fn a_hundred_messages_are_handled_once_by_four_at_most_across_a_kill() {
    let world = World::new();
    let (alice, bob) = (world.agent("alice", OPEN), world.agent("bob", OPEN));
    std::fs::create_dir(bob.place.join("runs")).expect("ours");
    // Each run counts those that live when it begins, itself among them.
    let command = "echo > runs/$$; n=0; for p in runs/*; do kill -0 ${p#runs/} 2>/dev/null && n=$((n+1)); done; echo $n >> counts; \
                   echo $TOQ_ID >> begun; sleep 0.1; echo $TOQ_ID >> done; rm runs/$$; echo handled $TOQ_TEXT";
    add(&bob, &json!({"name": "work", "command": command, "reply": "stdout", "concurrency": 4}));
    let mut ids = BTreeSet::new();
    for number in 0..100 {
        let sent = send(&alice, &bob, &json!({"text": number.to_string()}), None, "true").json();
        ids.insert(sent["id"].as_str().expect("delivered").to_owned());
    }
    eventually("some are done", || (lines(&bob.place.join("done")).len() > 10).then_some(()));

    kill_daemon(&bob);
    eventually("no run of it lives", || {
        let mut left = std::fs::read_dir(bob.place.join("runs")).expect("ours").filter_map(Result::ok);
        (!left.any(|entry| lives(&entry.file_name().to_string_lossy()))).then_some(())
    });
    for left in std::fs::read_dir(bob.place.join("runs")).expect("ours").filter_map(Result::ok) {
        std::fs::remove_file(left.path()).expect("ours");
    }
    let before = lines(&bob.place.join("done")).len();
    assert!(before < 100, "the kill came too late to prove anything");
    assert!(world.up(&bob.place).status.success());
    let bob = Agent::at("bob", &bob.place, &world);

    eventually("all are done", || (handler(&bob, "work")["pending"] == 0).then_some(()));
    let most = lines(&bob.place.join("counts")).iter().filter_map(|count| count.parse::<u32>().ok()).max();
    assert_eq!(most, Some(4));
    let done = lines(&bob.place.join("done"));
    assert_eq!(done.iter().cloned().collect::<BTreeSet<_>>(), ids);
    // Only what was running at the kill began a second time.
    let begun = lines(&bob.place.join("begun")).len();
    assert!((100..=104).contains(&begun), "{begun}");
    let answers = alice.has_received(100);
    let answered: BTreeSet<String> = answers.iter().filter_map(|answer| answer["reply_to"].as_str().map(str::to_owned)).collect();
    assert_eq!(answered, ids);
    assert_eq!(alice.get("/v1/messages/history?limit=1000").json()["messages"].as_array().map(Vec::len), Some(100));
}

#[test]
fn a_kill_of_the_daemon_leaves_no_process_behind() {
    let world = World::new();
    let (alice, bob) = (world.agent("alice", OPEN), world.agent("bob", OPEN));
    let command = "trap '' TERM HUP INT; (setsid sh -c 'echo $$ >> pids; sleep 1000; :' &); echo $$ >> pids; sleep 1000; :";
    add(&bob, &json!({"name": "tree", "command": command}));
    send(&alice, &bob, &json!({"text": "hi"}), None, "true");
    let pids = eventually("two processes have begun", || Some(lines(&bob.place.join("pids"))).filter(|pids| pids.len() == 2));

    kill_daemon(&bob);

    eventually("both are gone", || (!pids.iter().any(|pid| lives(pid))).then_some(()));
}

/// Begins a run that leaves a process in its group and one in a session of its own; answers the process ids: the command's, those of
/// what it left, and the supervisor's.
fn tree(alice: &Agent, bob: &Agent) -> (Vec<String>, rustix::process::Pid) {
    let command = "echo run >> runs; (setsid sh -c 'echo $$ >> pids; sleep 1000; :' &); (sh -c 'echo $$ >> pids; sleep 1000; :' &); \
        echo $$ >> pids; echo $PPID > supervisor; sleep 1000; :";
    add(bob, &json!({"name": "tree", "command": command}));
    send(alice, bob, &json!({"text": "hi"}), None, "true");
    let pids = eventually("three processes have begun", || Some(lines(&bob.place.join("pids"))).filter(|pids| pids.len() == 3));
    let supervisor = eventually("it has a supervisor", || lines(&bob.place.join("supervisor")).into_iter().next());
    (pids, rustix::process::Pid::from_raw(supervisor.parse().expect("a pid")).expect("a pid"))
}

#[test]
fn what_a_run_has_left_ends_before_the_next_attempt_when_its_supervisor_is_killed() {
    let world = World::new();
    let (alice, bob) = (world.agent("alice", OPEN), world.agent("bob", OPEN));
    let (pids, supervisor) = tree(&alice, &bob);

    rustix::process::kill_process(supervisor, rustix::process::Signal::KILL).expect("ours");

    eventually("it is tried again", || (lines(&bob.place.join("runs")).len() == 2).then_some(()));
    assert_eq!(pids.iter().filter(|pid| lives(pid)).count(), 0, "{pids:?}");
}

#[test]
fn what_a_run_has_left_ends_with_the_next_start_when_its_supervisor_and_the_daemon_are_killed() {
    let world = World::new();
    let (alice, bob) = (world.agent("alice", OPEN), world.agent("bob", OPEN));
    let (pids, supervisor) = tree(&alice, &bob);

    rustix::process::kill_process(supervisor, rustix::process::Signal::KILL).expect("ours");
    kill_daemon(&bob);
    assert!(bob.toq(&["up"]).status.success());

    eventually("it is tried again", || (lines(&bob.place.join("runs")).len() == 2).then_some(()));
    assert_eq!(pids.iter().filter(|pid| lives(pid)).count(), 0, "{pids:?}");
}

#[test]
fn a_command_dies_with_its_supervisor() {
    let world = World::new();
    let (alice, bob) = (world.agent("alice", OPEN), world.agent("bob", OPEN));
    add(&bob, &json!({"name": "one", "command": "echo $$ $PPID >> pids; sleep 1000; :", "max_attempts": 1}));
    send(&alice, &bob, &json!({"text": "hi"}), None, "true");
    let line = eventually("it has begun", || lines(&bob.place.join("pids")).into_iter().next());
    let (command, supervisor) = line.split_once(' ').expect("two numbers");

    let supervisor = rustix::process::Pid::from_raw(supervisor.parse().expect("a pid")).expect("a pid");
    rustix::process::kill_process(supervisor, rustix::process::Signal::KILL).expect("ours");

    eventually("the command is gone", || (!lives(command)).then_some(()));
    eventually("the message is set aside", || (handler(&bob, "one")["set_aside"] == 1).then_some(()));
}

#[test]
fn two_daemons_whose_handlers_echo_stop_by_themselves() {
    let world = World::new();
    let (alice, bob) = (world.agent("alice", OPEN), world.agent("bob", OPEN));
    for agent in [&alice, &bob] {
        add(agent, &json!({"name": "echo", "command": "cat > /dev/null; echo x >> turns; echo \"re: $TOQ_TEXT\"", "reply": "stdout"}));
    }

    send(&alice, &bob, &json!({"text": "hi"}), Some("loop"), "true");

    // Bob answers with odd hops and alice with even ones, so the tenth answer is alice's and bob notices.
    let paused = bob.first_event("/v1/events?since=0&type=thread.paused");
    assert_eq!((&paused["id"], &paused["reason"]), (&json!("loop"), &json!("loop_suspected")));
    let turns = lines(&alice.place.join("turns")).len() + lines(&bob.place.join("turns")).len();
    assert_eq!(turns, 10);
}

#[test]
fn streams_reach_a_command_whole_and_a_close_reaches_who_asks_for_it() {
    let world = World::new();
    let (alice, bob) = (world.agent("alice", OPEN), world.agent("bob", OPEN));
    add(&bob, &json!({"name": "streams", "command": "echo \"$TOQ_TYPE $TOQ_TEXT\" >> streams", "filter_type": ["stream.end"]}));
    add(&bob, &json!({"name": "closes", "command": "echo \"$TOQ_TYPE $TOQ_TEXT\" >> closes", "filter_type": ["thread.close"]}));
    let id = alice.post("/v1/stream/start", &json!({"to": bob.address(), "thread_id": "t"}).to_string()).json()["stream_id"].clone();
    for text in ["Here is ", "a stream"] {
        assert_eq!(alice.post("/v1/stream/chunk", &json!({"stream_id": id, "text": text}).to_string()).status, 200);
    }

    assert_eq!(alice.post("/v1/stream/end", &json!({"stream_id": id, "text": "."}).to_string()).status, 200);
    let close = json!({"to": bob.address(), "thread_id": "t", "close_thread": true, "body": {"text": "bye"}});
    assert_eq!(alice.post("/v1/messages?wait=true", &close.to_string()).status, 200);

    eventually("both are handled", || {
        (!read(&bob.place.join("closes")).is_empty() && !read(&bob.place.join("streams")).is_empty()).then_some(())
    });
    assert_eq!(lines(&bob.place.join("streams")), ["message.stream.end Here is a stream."]);
    assert_eq!(lines(&bob.place.join("closes")), ["thread.close bye"]);
}
