//! Later layers win, and each layer is as strict as the file.

use std::path::Path;
use std::time::Duration;

use toq_config::{Access, ConfigError, ConnectionMode, Loaded, WorkspaceConfig, init};

fn load(text: &str, env: &[(&str, &str)], overrides: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    std::fs::write(dir.path().join("config.toml"), text).expect("the directory is ours");
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    let overrides: Vec<_> = overrides.iter().map(owned).collect();
    WorkspaceConfig::load(dir.path(), env.iter().map(owned), &overrides)
}

#[test]
fn an_empty_file_means_the_defaults() {
    let config = load("", &[], &[]).expect("nothing is wrong").config;

    assert_eq!(config.agent_name.as_str(), "agent");
    assert_eq!(config.port, 9009);
    assert_eq!(config.connection_mode, ConnectionMode::Approval);
    assert_eq!(config.max_pending_approvals, 1000);
    assert_eq!(config.ack_timeout, Duration::from_secs(10));
    assert_eq!(config.delivery.retry_initial, Duration::from_millis(500));
    assert_eq!(config.delivery.message_ttl, Duration::from_secs(7 * 24 * 3600));
    assert_eq!(config.api.access, Access::SameUser);
    assert_eq!(config.api.listen, None);
    assert_eq!(config.limits.stream_max_bytes, 8 * 1024 * 1024);
    assert_eq!(config.address(18101).to_string(), "toq://localhost:18101/agent");
}

#[test]
fn the_environment_beats_the_file_and_the_command_line_beats_both() {
    let file = "port = 1\nagent_name = \"file\"\n[api]\naccess = \"same-user\"\n";
    let env = [("TOQ_PORT", "2"), ("TOQ_AGENT_NAME", "env"), ("TOQ_API__ACCESS", "token"), ("HOME", "/")];

    let config = load(file, &env, &[("port", "3")]).expect("nothing is wrong").config;

    assert_eq!(config.port, 3);
    assert_eq!(config.agent_name.as_str(), "env");
    assert_eq!(config.api.access, Access::Token);
}

#[test]
fn lists_are_written_with_commas() {
    let env = [("TOQ_API__ALLOWED_HOSTS", "a.internal, b.internal:9009"), ("TOQ_ALIASES", "toq://h/a,toq://h/b")];

    let config = load("", &env, &[]).expect("nothing is wrong").config;

    assert_eq!(config.api.allowed_hosts, ["a.internal", "b.internal:9009"]);
    assert_eq!(config.aliases.len(), 2);
}

#[test]
fn a_text_that_looks_like_a_number_stays_a_text() {
    let config = load("", &[("TOQ_AGENT_NAME", "007")], &[]).expect("nothing is wrong").config;

    assert_eq!(config.agent_name.as_str(), "007");
}

#[test]
fn name_servers_have_the_port_of_dns_unless_another_is_written() {
    let loaded = load("", &[("TOQ_DNS__RESOLVERS", "9.9.9.9, ::1, 127.0.0.1:5353")], &[]).expect("nothing is wrong");

    let servers: Vec<String> = loaded.config.dns.resolvers.iter().map(ToString::to_string).collect();
    assert_eq!(servers, ["9.9.9.9:53", "[::1]:53", "127.0.0.1:5353"]);
}

#[test]
fn a_misspelled_variable_is_an_error() {
    let error = load("", &[("TOQ_CONECTION_MODE", "open")], &[]).expect_err("no such key").to_string();

    assert_eq!(error, "environment variable TOQ_CONECTION_MODE: there is no such setting, did you mean `TOQ_CONNECTION_MODE`?");
}

#[test]
fn a_bad_value_in_a_variable_names_the_variable() {
    let error = load("", &[("TOQ_DELIVERY__WINDOW", "0")], &[]).expect_err("out of range").to_string();

    assert_eq!(error, "environment variable TOQ_DELIVERY__WINDOW: `delivery.window` must be from 1 to 1024, not 0");
}

#[test]
fn variables_of_the_process_and_of_handlers_are_no_settings() {
    let others = [
        "TOQ_URL",
        "TOQ_CONFIG_DIR",
        "TOQ_CRASH_POINT",
        "TOQ_FAULT",
        "TOQ_BIN",
        "TOQ_LOG",
        "TOQ_FROM",
        "TOQ_TEXT",
        "TOQ_THREAD_ID",
        "TOQ_TYPE",
        "TOQ_ID",
        "TOQ_HANDLER",
        "TOQ_ATTEMPT",
        "TOQ_RUN",
        "TOQ_TEXT_TRUNCATED",
        "TOQ_VERIFIED",
    ];
    let env: Vec<(&str, &str)> = others.iter().map(|name| (*name, "x")).collect();

    assert!(load("", &env, &[]).is_ok());
}

#[test]
fn an_unknown_override_is_an_error() {
    let error = load("", &[], &[("prot", "1")]).expect_err("no such key").to_string();

    assert_eq!(error, "unknown key `prot`, did you mean `port`?");
}

#[test]
fn json_has_published_keys_flat_the_others_in_tables_and_no_secret() {
    let json = load("a2a_api_key = \"hush\"", &[], &[]).expect("nothing is wrong").to_json();

    assert_eq!(json["port"], 9009);
    assert_eq!(json["mdns_enabled"], false);
    assert_eq!(json["delivery"]["window"], 32);
    assert_eq!(json["a2a_api_key"], "[redacted]");
    assert!(!json.to_string().contains("hush"));
    assert!(json.get("advertise").is_none());
}

#[test]
fn an_advertised_address_replaces_host_and_port() {
    let config = load("agent_name = \"a\"\nadvertise = \"127.0.0.9:19009\"", &[], &[]).expect("nothing is wrong").config;

    assert_eq!(config.address(9009).to_string(), "toq://127.0.0.9:19009/a");
}

#[test]
fn a_new_workspace_loads_and_is_private() {
    use std::os::unix::fs::PermissionsExt;
    let parent = tempfile::tempdir().expect("a temporary directory");
    let dir = parent.path().join(".toq");

    init(&dir, "alice", "localhost", None).expect("nothing is there yet");

    let config = WorkspaceConfig::load(&dir, std::iter::empty(), &[]).expect("a new workspace loads").config;
    assert_eq!((config.agent_name.as_str(), config.port), ("alice", 0));
    let mode = |path: &Path| std::fs::metadata(path).expect("it exists").permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    assert_eq!(mode(&dir.join("config.toml")), 0o600);
    assert!(matches!(init(&dir, "bob", "localhost", None), Err(ConfigError::Exists(_))));
}

#[test]
fn a_workspace_with_a_bad_name_is_not_made() {
    let parent = tempfile::tempdir().expect("a temporary directory");
    let dir = parent.path().join(".toq");

    assert!(init(&dir, "Alice!", "localhost", None).is_err());
    assert!(!dir.exists());
}
