//! What is wrong is named: the line, the column, the key, and the key that was probably meant.

use toq_config::{ConfigError, Place, WorkspaceConfig, check};

fn load(text: &str) -> Result<toq_config::Loaded, ConfigError> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    std::fs::write(dir.path().join("config.toml"), text).expect("the directory is ours");
    WorkspaceConfig::load(dir.path(), std::iter::empty(), &[])
}

#[test]
fn bad_files_are_explained() {
    let cases: &[(&str, usize, usize, &str)] = &[
        ("conection_mode = \"open\"", 1, 1, "unknown key `conection_mode`, did you mean `connection_mode`?"),
        ("port = 9009\n\nwindow = 3", 3, 1, "unknown key `window`, did you mean `delivery.window`?"),
        ("[api]\nacces = \"token\"", 2, 1, "unknown key `api.acces`, did you mean `api.access`?"),
        ("colour = 1", 1, 1, "unknown key `colour`"),
        ("[colours]\nred = 1", 1, 2, "unknown key `colours`"),
        ("port = 70000", 1, 8, "`port` must be from 0 to 65535, not 70000"),
        ("port = -1", 1, 8, "`port` must be from 0 to 65535, not -1"),
        ("port = \"9009\"", 1, 8, "`port` must be a whole number, not the text \"9009\""),
        ("ack_timeout = 2.5", 1, 15, "`ack_timeout` must be a whole number, not a fraction"),
        ("agent_name = 7", 1, 14, "`agent_name` must be a text in quotes, not 7"),
        ("agent_name = \"-a\"", 1, 14, "`agent_name` must be 1 to 63 lower-case letters, digits and inner hyphens, not \"-a\""),
        ("host = \"a:1\"", 1, 8, "`host` must be a host name or an IPv4 address without a port"),
        (
            "connection_mode = \"closed\"",
            1,
            19,
            "`connection_mode` must be \"open\", \"allowlist\", \"approval\" or \"dns-verified\", not \"closed\"",
        ),
        (
            "# binding\nrequire_channel_binding = \"never\"",
            2,
            27,
            "`require_channel_binding` must be \"prefer\" or \"always\", not \"never\"",
        ),
        ("adapter = \"grpc\"", 1, 11, "`adapter` \"grpc\" is not implemented in this release, use \"http\", \"unix\" or \"stdin\""),
        ("[\"adapter.grpc\"]\naddress = \"localhost:1\"", 2, 1, "`address` of \"adapter.grpc\" is not implemented in this release"),
        (
            "[\"adapter.http\"]\ncallback_url = \"nowhere\"",
            2,
            16,
            "`adapter.http.callback_url` must begin with http:// or https:// and name a host",
        ),
        (
            "session_resume_timeout = 5",
            1,
            26,
            "`session_resume_timeout` can only be 300: a session that ends is over, and what was not acknowledged is sent again on the next one",
        ),
        ("mdns_enabled = 1", 1, 16, "`mdns_enabled` must be true or false, not 1"),
        (
            "[mdns]\ninterfaces = [\"no such name!/\"]",
            2,
            14,
            "`mdns.interfaces` must be names or addresses of network interfaces such as \"eth0\" or \"192.168.1.9\", not \"no such name!/\"",
        ),
        ("a2a_enabled = true", 1, 15, "`a2a_enabled` cannot be true: this arrives with a later release"),
        ("accept_files = 1", 1, 16, "`accept_files` must be true or false, not 1"),
        ("api = 1", 1, 1, "`api` is a table, write its keys below [api]"),
        ("port = { a = 1 }", 1, 8, "`port` must be a whole number, not a table"),
        ("[port]\na = 1", 1, 1, "`port` must be a value, not a table"),
        (
            "aliases = [\"bob\"]",
            1,
            11,
            "`aliases` must be a list of toq addresses such as toq://example.com/agent: address \"bob\" must start with toq://",
        ),
        ("heartbeat_interval = 90\nheartbeat_timeout = 60", 2, 21, "`heartbeat_timeout` must be more than `heartbeat_interval`"),
        ("[delivery]\nmessage_ttl_s = 2592001", 2, 17, "`delivery.message_ttl_s` must be from 1 to 2592000, not 2592001"),
        ("[dns]\nallow_private = \"yes\"", 2, 17, "`dns.allow_private` must be true or false, not the text \"yes\""),
        (
            "[dns]\nresolvers = [\"dns.example\"]",
            2,
            13,
            "`dns.resolvers` must be IP addresses such as \"9.9.9.9\" or \"127.0.0.1:5353\", not \"dns.example\"",
        ),
        (
            "[dns]\nresolvers = [\"127.0.0.1:0\"]",
            2,
            13,
            "`dns.resolvers` must be IP addresses such as \"9.9.9.9\" or \"127.0.0.1:5353\", not \"127.0.0.1:0\"",
        ),
        (
            "[dns]\nresolvers = [\"9.9.9.9\", \"9.9.9.9:53\"]\nrequire = \"agreement\"",
            3,
            11,
            "`dns.require` can be \"agreement\" only with two different `dns.resolvers` or more",
        ),
        (
            "[api]\nlisten = \"0.0.0.0:9010\"",
            2,
            10,
            "`api.listen` must be a loopback address: an API for other machines arrives with a later release",
        ),
    ];
    for (text, line, column, message) in cases {
        let error = load(text).expect_err(text);

        let ConfigError::Fault(fault) = &error else { panic!("{text}: {error}") };
        let Place::File { line: at_line, column: at_column, path } = &fault.place else { panic!("{text}: {fault}") };
        assert_eq!((at_line, at_column), (line, column), "{text}");
        assert_eq!(error.to_string(), format!("{}:{line}:{column}: {message}", path.display()));
    }
}

#[test]
fn text_that_is_not_toml_is_located_too() {
    let error = load("port = 1\nhost = = 2\n").expect_err("not TOML").to_string();

    assert!(error.contains("config.toml:2:"), "{error}");
    assert!(error.contains("not valid TOML"), "{error}");
}

#[test]
fn a_missing_file_is_an_error_of_its_own() {
    let dir = tempfile::tempdir().expect("a temporary directory");

    let missing = WorkspaceConfig::load(dir.path(), std::iter::empty(), &[]);

    assert!(matches!(missing, Err(ConfigError::Missing(_))));
}

#[test]
fn a_check_reports_everything_at_once() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    std::fs::write(dir.path().join("config.toml"), "prot = 1\nport = -1\n").expect("the directory is ours");

    let errors = check(dir.path()).expect_err("two keys are wrong");

    assert_eq!(errors.len(), 2);
}

#[test]
fn every_number_is_bounded_on_both_sides() {
    for key in toq_config::keys() {
        for number in ["-1", "99999999999999999"] {
            let result = WorkspaceConfig::load(&workspace(), std::iter::empty(), &[(key.to_owned(), number.to_owned())]);

            let text_or_list = ["agent_name", "host", "a2a_api_key", "advertise", "adapter.unix.socket_path"].contains(&key)
                || ["api.allowed_hosts", "mdns.interfaces"].contains(&key);
            assert!(text_or_list || result.is_err(), "{key} = {number}");
        }
    }
}

fn workspace() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join("workspace")
}
