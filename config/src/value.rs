//! One value: what it must be, and how it is read from text and from JSON.
//!
//! A complaint is the second half of a sentence that begins with the key: `must be a whole number`.

use std::net::{IpAddr, SocketAddr};

use toml_edit::Value;
use toq_protocol::{Address, AgentName};

use crate::schema::Kind;

/// Where name servers listen.
const DNS_PORT: u16 = 53;

/// The longest agent name.
const NAME_MAX: usize = 63;

/// Checks a value against what its key holds.
pub fn check(kind: Kind, value: &Value) -> Result<(), String> {
    match kind {
        Kind::Addresses => each(value, "toq addresses", |text| {
            let complaint = |error| format!("must be a list of toq addresses such as toq://example.com/agent: {error}");
            Address::parse_strict(text).map(drop).map_err(complaint)
        }),
        Kind::Authority => authority(text(value)?),
        Kind::Choice { words, later } => word(text(value)?, words, later),
        Kind::Flag => match value.as_bool() {
            Some(_) => Ok(()),
            None => Err(format!("must be true or false, not {}", described(value))),
        },
        Kind::Host => host(text(value)?),
        Kind::Hosts => each(value, "hosts", authority),
        Kind::Interface => {
            text(value)?.parse::<IpAddr>().map(drop).map_err(|_| "must be an IP address such as \"0.0.0.0\" or \"127.0.0.1\"".to_owned())
        }
        Kind::Interfaces => each(value, "network interfaces", interface),
        Kind::Later => match value.as_bool() {
            Some(false) => Ok(()),
            Some(true) => Err("cannot be true: this arrives with a later release".to_owned()),
            None => Err(format!("must be true or false, not {}", value.type_name())),
        },
        Kind::Name => name(text(value)?),
        Kind::Only { value: only, why } => match value.as_integer() {
            Some(number) if u64::try_from(number) == Ok(only) => Ok(()),
            _ => Err(format!("can only be {only}: {why}")),
        },
        Kind::Path => path(text(value)?),
        Kind::Secret => match text(value)? {
            "" => Err("must not be empty".to_owned()),
            _ => Ok(()),
        },
        Kind::Servers => each(value, "IP addresses", |text| server(text).map(drop).ok_or_else(|| not_a_server(text))),
        Kind::Socket => text(value)?
            .parse::<SocketAddr>()
            .map(drop)
            .map_err(|_| "must be an IP address and a port such as \"127.0.0.1:9010\"".to_owned()),
        Kind::Url => match text(value)? {
            url if is_url(url) => Ok(()),
            _ => Err("must begin with http:// or https:// and name a host".to_owned()),
        },
        Kind::Fitting { min, max, why, .. } => match value.as_integer() {
            Some(number) if u64::try_from(number).is_ok_and(|number| number > max) => {
                Err(format!("must be from {min} to {max}, not {number}: {why}"))
            }
            _ => check(Kind::Whole { min, max }, value),
        },
        Kind::Whole { min, max } => match value.as_integer() {
            Some(number) if u64::try_from(number).is_ok_and(|number| (min..=max).contains(&number)) => Ok(()),
            Some(number) => Err(format!("must be from {min} to {max}, not {number}")),
            None => Err(format!("must be a whole number, not {}", described(value))),
        },
    }
}

/// Returns what a value of a file means: what published daemons write, though it cannot be kept, is taken for the nearest that can.
pub fn meant(kind: Kind, value: &Value) -> Value {
    match (kind, value.as_integer().and_then(|number| u64::try_from(number).ok())) {
        (Kind::Fitting { max, published, .. }, Some(number)) if (max..=published).contains(&number) => {
            Value::from(i64::try_from(max).unwrap_or(i64::MAX))
        }
        _ => value.clone(),
    }
}

/// Reads a value from text, as it stands in an environment variable or on a command line.
pub fn from_text(kind: Kind, text: &str) -> Result<Value, String> {
    let value = match kind {
        Kind::Addresses | Kind::Hosts | Kind::Interfaces | Kind::Servers => {
            // As it stands in the file, too; what begins so and is no such list may be an IPv6 address.
            let written = if text.trim_start().starts_with('[') { text.parse::<Value>().ok().filter(Value::is_array) } else { None };
            written.unwrap_or_else(|| text.split(',').map(str::trim).filter(|part| !part.is_empty()).collect::<Value>())
        }
        Kind::Flag | Kind::Later => match text {
            "true" => Value::from(true),
            "false" => Value::from(false),
            _ => return Err("must be true or false".to_owned()),
        },
        Kind::Only { value, why } => match text.parse::<i64>() {
            Ok(number) => Value::from(number),
            Err(_) => return Err(format!("can only be {value}: {why}")),
        },
        Kind::Whole { min, max } | Kind::Fitting { min, max, .. } => match text.parse::<i64>() {
            Ok(number) => Value::from(number),
            Err(_) => return Err(format!("must be a whole number from {min} to {max}, not \"{text}\"")),
        },
        Kind::Authority
        | Kind::Choice { .. }
        | Kind::Host
        | Kind::Interface
        | Kind::Name
        | Kind::Path
        | Kind::Secret
        | Kind::Socket
        | Kind::Url => Value::from(text),
    };
    check(kind, &value)?;
    Ok(value)
}

/// Reads a value from JSON, as it stands in a request.
pub fn from_json(kind: Kind, json: &serde_json::Value) -> Result<Value, String> {
    let value = plain(json).ok_or("must be a text, a number, true, false, or a list of texts")?;
    check(kind, &value)?;
    Ok(value)
}

/// Turns a checked value into one for the layers.
pub fn layered(value: &Value) -> config::Value {
    let kind = match value {
        Value::Array(list) => {
            let items: Vec<&str> = list.iter().filter_map(Value::as_str).collect();
            return config::Value::from(items);
        }
        Value::Boolean(flag) => config::ValueKind::Boolean(*flag.value()),
        Value::Integer(number) => config::ValueKind::I64(*number.value()),
        other => config::ValueKind::String(other.as_str().unwrap_or_default().to_owned()),
    };
    config::Value::new(None, kind)
}

fn plain(json: &serde_json::Value) -> Option<Value> {
    match json {
        serde_json::Value::Array(list) => list.iter().map(serde_json::Value::as_str).collect::<Option<Value>>(),
        serde_json::Value::Bool(flag) => Some(Value::from(*flag)),
        serde_json::Value::Number(number) => number.as_i64().map(Value::from).or_else(|| number.as_f64().map(Value::from)),
        serde_json::Value::String(text) => Some(Value::from(text.as_str())),
        serde_json::Value::Null | serde_json::Value::Object(_) => None,
    }
}

fn text(value: &Value) -> Result<&str, String> {
    value.as_str().ok_or_else(|| format!("must be a text in quotes, not {}", described(value)))
}

fn each(value: &Value, what: &str, check: impl Fn(&str) -> Result<(), String>) -> Result<(), String> {
    let Some(list) = value.as_array() else {
        return Err(format!("must be a list of {what}, not {}", described(value)));
    };
    for item in list {
        check(text(item)?)?;
    }
    Ok(())
}

fn word(text: &str, words: &[&str], later: &[&str]) -> Result<(), String> {
    if words.contains(&text) {
        return Ok(());
    }
    if later.contains(&text) {
        return Err(format!("\"{text}\" is not implemented in this release, use {}", listed(words)));
    }
    Err(format!("must be {}, not \"{text}\"", listed(words)))
}

fn listed(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [only] => format!("\"{only}\""),
        [init @ .., last] => {
            let init: Vec<String> = init.iter().map(|word| format!("\"{word}\"")).collect();
            format!("{} or \"{last}\"", init.join(", "))
        }
    }
}

fn name(text: &str) -> Result<(), String> {
    if text.len() <= NAME_MAX && AgentName::parse(text).is_ok() {
        return Ok(());
    }
    Err(format!("must be 1 to {NAME_MAX} lower-case letters, digits and inner hyphens, not \"{}\"", text.escape_debug()))
}

fn host(text: &str) -> Result<(), String> {
    if text == "auto" {
        return Err("\"auto\" is not implemented in this release, write the name by which peers reach this machine".into());
    }
    if text.contains(':') {
        return Err("must be a host name or an IPv4 address without a port".to_owned());
    }
    authority(text)
}

/// A host with or without a port is what stands between `toq://` and the agent's name.
fn authority(text: &str) -> Result<(), String> {
    let strict = !text.contains('/') && Address::parse_strict(&format!("toq://{text}/a")).is_ok();
    if strict {
        return Ok(());
    }
    Err(format!("must be a host name or an IPv4 address, with or without a port, not \"{}\"", text.escape_debug()))
}

/// The system's limit for the name of a Unix socket, which is the only kind of path there is.
fn path(text: &str) -> Result<(), String> {
    if text.is_empty() || text.contains('\0') || text.len() > 107 {
        return Err("must be a path of 1 to 107 bytes".to_owned());
    }
    Ok(())
}

/// Interfaces have names of at most 15 bytes, and addresses.
fn interface(text: &str) -> Result<(), String> {
    let is_name = (1..=15).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_graphic() && c != b'/');
    if is_name || text.parse::<IpAddr>().is_ok() {
        return Ok(());
    }
    Err(format!("must be names or addresses of network interfaces such as \"eth0\" or \"192.168.1.9\", not \"{}\"", text.escape_debug()))
}

/// Reads the address of a name server; the port of DNS is meant where none is written.
pub fn server(text: &str) -> Option<SocketAddr> {
    text.parse()
        .ok()
        .or_else(|| text.parse().ok().map(|ip: IpAddr| SocketAddr::new(ip, DNS_PORT)))
        .filter(|server: &SocketAddr| server.port() != 0)
}

fn not_a_server(text: &str) -> String {
    format!("must be IP addresses such as \"9.9.9.9\" or \"127.0.0.1:5353\", not \"{}\"", text.escape_debug())
}

fn is_url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| {
        let clean = !rest.contains(|letter: char| letter.is_whitespace() || letter.is_control());
        clean && !rest.is_empty() && !rest.starts_with('/')
    })
}

fn described(value: &Value) -> String {
    match value {
        Value::Array(_) => "a list".to_owned(),
        Value::Boolean(flag) => flag.value().to_string(),
        Value::Datetime(_) => "a date".to_owned(),
        Value::Float(_) => "a fraction".to_owned(),
        Value::InlineTable(_) => "a table".to_owned(),
        Value::Integer(number) => number.value().to_string(),
        Value::String(text) => format!("the text \"{}\"", text.value().escape_debug()),
    }
}
