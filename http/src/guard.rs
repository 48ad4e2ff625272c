//! Who may call the API at all. Every rule applies before routing, to every route alike.
//!
//! - **Host** (threat: DNS rebinding). The `Host` header, and the authority of an absolute request target,
//!   must be exactly one of the names of this listener. A web page that rebinds its name to 127.0.0.1 still
//!   sends its own name.
//! - **Origin** (threat: requests that a web page makes the browser send). A foreign `Origin` or
//!   `Sec-Fetch-Site` is refused, on reads too, since an event stream is a read.
//! - **Proxies** (threat: a tunnel makes the world look like loopback). A request that says it was
//!   forwarded is nobody's on this machine.
//! - **User** (threat: loopback is not a user boundary). The kernel is asked who owns the client's socket,
//!   when it connects and again before each request that changes something.
//! - **Token**, where the configuration asks for one instead.

use std::net::SocketAddr;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, web};
use toq_api::ErrorCode;
use toq_net::local_user::{Owner, own_user, owner};

use crate::error::ApiError;
use crate::facade::Facade;
use crate::runs;

/// Headers that only a proxy adds.
const PROXY_HEADERS: [&str; 4] = ["forwarded", "x-real-ip", "via", "x-forwarded"];

/// The largest header, in bytes.
const MAX_HEADER: usize = 16 * 1024;

/// The most fields of a header.
const MAX_FIELDS: usize = 100;

/// How a caller proves that it may call.
#[derive(Clone, Debug)]
pub enum Access {
    /// By being the same user of the operating system.
    SameUser,
    /// By this bearer token.
    Token(String),
}

/// Who may call.
#[derive(Clone, Debug)]
pub struct Rules {
    /// How a caller proves that it may call.
    pub access: Access,
    /// The names under which the API may be called, with the port; the loopback names of the port are
    /// always among them.
    hosts: Vec<String>,
}

/// The two ends of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Ends {
    /// The client's address.
    pub client: SocketAddr,
    /// Ours.
    pub server: SocketAddr,
    /// Who owned the client's end when it connected.
    pub owner: Option<Owner>,
}

/// A connection at a socket of the file system, which only its owner can open: neither a web page nor another user. No name
/// leads there, and no token is asked for.
#[derive(Clone, Copy, Debug)]
pub struct AtSocket {
    /// Who opened it, as the kernel says.
    pub user: Option<u32>,
}

impl Ends {
    /// Looks at a new connection.
    #[must_use]
    pub fn new(client: SocketAddr, server: SocketAddr) -> Self {
        Self { client, server, owner: owner(client, server).ok() }
    }
}

impl Rules {
    /// The rules of a listener at `port`, which may also be called by `names`.
    #[must_use]
    pub fn new(access: Access, port: u16, names: &[String]) -> Self {
        let loopback = ["127.0.0.1", "localhost", "[::1]"].map(str::to_owned);
        let hosts = loopback
            .iter()
            .chain(names)
            .map(|name| if name.contains(':') && !name.ends_with(']') { name.clone() } else { format!("{name}:{port}") });
        Self { access, hosts: hosts.collect() }
    }

    fn check(&self, request: &ServiceRequest) -> Result<(), ApiError> {
        let at_socket = request.conn_data::<AtSocket>();
        if at_socket.is_none() {
            self.check_host(request)?;
        }
        check_size(request.headers())?;
        check_browser(request, &self.hosts)?;
        check_proxy(request.headers())?;
        check_content_type(request)?;
        if let Some(socket) = at_socket {
            return if socket.user == Some(own_user()) { Ok(()) } else { Err(stranger()) };
        }
        match &self.access {
            Access::SameUser => check_user(request),
            // The path holds a credential of its own, which is good for less.
            Access::Token(_) if request.path().starts_with(runs::PREFIX) => Ok(()),
            Access::Token(token) => check_token(request.headers(), token),
        }
    }

    fn check_host(&self, request: &ServiceRequest) -> Result<(), ApiError> {
        let mut hosts = request.headers().get_all(header::HOST);
        let host = match (hosts.next().and_then(|host| host.to_str().ok()), hosts.next()) {
            (Some(host), None) => host,
            _ => return Err(ApiError::new(ErrorCode::InvalidRequest, "a request needs exactly one Host header")),
        };
        let authority = request.uri().authority().map(actix_web::http::uri::Authority::as_str);
        if self.is_ours(host) && authority.is_none_or(|authority| self.is_ours(authority)) {
            return Ok(());
        }
        let hint = "call http://127.0.0.1 with the daemon's port, or add the name to api.allowed_hosts";
        Err(ApiError::new(ErrorCode::Misdirected, "the Host header does not name this daemon").hint(hint))
    }

    fn is_ours(&self, host: &str) -> bool {
        self.hosts.iter().any(|ours| ours == host)
    }
}

/// The middleware.
pub(crate) async fn guard<B: MessageBody + 'static>(
    facade: web::Data<Facade>,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<actix_web::body::BoxBody>, Error> {
    if let Err(error) = facade.rules.check(&request) {
        tracing::warn!(path = runs::without_secret(request.path()), %error, "a local request was refused");
        return Ok(request.error_response(error));
    }
    let permit = if is_stream(&request) { None } else { Some(facade.credit.try_take()) };
    if matches!(permit, Some(None)) {
        let busy = ApiError::new(ErrorCode::Unavailable, "too many requests are in progress").hint("raise api.max_concurrent_requests");
        return Ok(request.error_response(busy));
    }
    Ok(next.call(request).await?.map_into_boxed_body())
}

/// Event streams stay open; they are counted by nobody and hold nothing.
fn is_stream(request: &ServiceRequest) -> bool {
    request.method() == Method::GET && matches!(request.path(), "/v1/messages" | "/v1/events" | "/v1/logs")
}

fn changes_something(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

fn check_browser(request: &ServiceRequest, hosts: &[String]) -> Result<(), ApiError> {
    let headers = request.headers();
    let refused = || ApiError::new(ErrorCode::Forbidden, "requests from web pages are refused");
    for origin in headers.get_all(header::ORIGIN) {
        let own = origin.to_str().ok().and_then(|origin| origin.strip_prefix("http://"));
        if own.is_none_or(|own| !hosts.iter().any(|host| host == own)) {
            return Err(refused());
        }
    }
    for site in headers.get_all("sec-fetch-site") {
        if !matches!(site.as_bytes(), b"same-origin" | b"none") {
            return Err(refused());
        }
    }
    Ok(())
}

/// No program of this machine needs more than this; a larger head is somebody trying.
fn check_size(headers: &HeaderMap) -> Result<(), ApiError> {
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if bytes > MAX_HEADER || headers.len() > MAX_FIELDS {
        let message = format!("a request's header may have {MAX_FIELDS} fields and {MAX_HEADER} bytes");
        return Err(ApiError::new(ErrorCode::InvalidRequest, message).with_status(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE));
    }
    Ok(())
}

fn check_proxy(headers: &HeaderMap) -> Result<(), ApiError> {
    let is_forwarded = headers.keys().any(|name| PROXY_HEADERS.contains(&name.as_str()) || name.as_str().starts_with("x-forwarded-"));
    if is_forwarded {
        return Err(ApiError::new(ErrorCode::Forbidden, "forwarded requests are not local").hint("call the daemon directly"));
    }
    Ok(())
}

fn check_content_type(request: &ServiceRequest) -> Result<(), ApiError> {
    let headers = request.headers();
    let has_body = headers.contains_key(header::TRANSFER_ENCODING)
        || headers.get(header::CONTENT_LENGTH).is_some_and(|length| length.as_bytes() != b"0");
    if !changes_something(request.method()) || !has_body {
        return Ok(());
    }
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_json = essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"));
    if is_json {
        return Ok(());
    }
    Err(ApiError::new(ErrorCode::UnsupportedMediaType, "Expected request with `Content-Type: application/json`"))
}

fn check_user(request: &ServiceRequest) -> Result<(), ApiError> {
    let Some(ends) = request.conn_data::<Ends>() else { return Err(stranger()) };
    let found = if changes_something(request.method()) { owner(ends.client, ends.server).ok() } else { ends.owner };
    match found {
        Some(Owner::User(user)) if user == own_user() => Ok(()),
        Some(_) => Err(stranger()),
        None => Err(ApiError::new(ErrorCode::Forbidden, "this system does not tell who calls").hint("set api.access = \"token\"")),
    }
}

fn stranger() -> ApiError {
    ApiError::new(ErrorCode::Forbidden, "only the user who runs the daemon may call it")
        .hint("run as that user, or set api.access = \"token\"")
}

fn check_token(headers: &HeaderMap, token: &str) -> Result<(), ApiError> {
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(|value| value.strip_prefix("Bearer "));
    let is_right = given.is_some_and(|given| is_same(given.as_bytes(), token.as_bytes()));
    if is_right {
        return Ok(());
    }
    Err(ApiError::new(ErrorCode::Forbidden, "a bearer token is required")
        .hint("it is in keys/api.token of the workspace")
        .with_status(StatusCode::UNAUTHORIZED))
}

/// Compares in a time that depends on the lengths only.
fn is_same(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len() && left.iter().zip(right).fold(0, |difference, (left, right)| difference | (left ^ right)) == 0
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn rules() -> Rules {
        Rules::new(Access::Token("t".repeat(32)), 9009, &["box.lan".to_owned()])
    }

    #[test]
    fn only_the_exact_names_of_the_listener_are_its_host() {
        let verdict = |host: &str| rules().check_host(&TestRequest::get().insert_header(("host", host)).to_srv_request()).is_ok();

        for host in ["127.0.0.1:9009", "localhost:9009", "[::1]:9009", "box.lan:9009"] {
            assert!(verdict(host), "{host}");
        }
        for host in [
            "evil.example",
            "127.0.0.1.nip.io:9009",
            "127.evil.example:9009",
            "localhost.:9009",
            "LOCALHOST:9009",
            "localhost:1",
            "localhost",
            "0.0.0.0:9009",
            "[::ffff:127.0.0.1]:9009",
            "127.0.0.1:9009@evil.example",
            "",
        ] {
            assert!(!verdict(host), "{host}");
        }
    }

    #[test]
    fn two_hosts_and_a_foreign_target_are_refused() {
        let two = TestRequest::get().append_header(("host", "127.0.0.1:9009")).append_header(("host", "evil.example"));
        assert!(rules().check_host(&two.to_srv_request()).is_err());
        assert!(rules().check_host(&TestRequest::get().to_srv_request()).is_err());
        let absolute = TestRequest::get().uri("http://evil.example/v1/status").insert_header(("host", "127.0.0.1:9009"));
        assert!(rules().check_host(&absolute.to_srv_request()).is_err());
    }

    #[test]
    fn a_web_page_is_refused_whatever_it_asks() {
        for (name, value) in
            [("origin", "http://evil.example"), ("origin", "null"), ("sec-fetch-site", "cross-site"), ("sec-fetch-site", "same-site")]
        {
            let request = TestRequest::get().insert_header((name, value)).to_srv_request();
            assert!(check_browser(&request, &rules().hosts).is_err(), "{name}: {value}");
        }
        let own = TestRequest::get().insert_header(("origin", "http://127.0.0.1:9009")).insert_header(("sec-fetch-site", "same-origin"));
        assert!(check_browser(&own.to_srv_request(), &rules().hosts).is_ok());
    }

    #[test]
    fn a_forwarded_request_is_not_local() {
        for name in ["forwarded", "x-forwarded-for", "x-forwarded-proto", "x-real-ip", "via"] {
            let request = TestRequest::get().insert_header((name, "1.2.3.4")).to_srv_request();
            assert!(check_proxy(request.headers()).is_err(), "{name}");
        }
    }

    #[test]
    fn a_change_with_a_body_is_json() {
        let verdict = |kind: &str| {
            let request = TestRequest::post().insert_header(("content-length", "2")).insert_header(("content-type", kind)).to_srv_request();
            check_content_type(&request).is_ok()
        };
        assert!(verdict("application/json; charset=utf-8") && verdict("application/problem+json"));
        assert!(!verdict("text/plain") && !verdict("application/x-www-form-urlencoded") && !verdict(""));
    }

    #[test]
    fn a_token_is_compared_whole() {
        let verdict = |value: String| {
            let request = TestRequest::get().insert_header(("authorization", value)).to_srv_request();
            check_token(request.headers(), &"t".repeat(32)).is_ok()
        };
        assert!(verdict(format!("Bearer {}", "t".repeat(32))));
        assert!(!verdict(format!("Bearer {}", "t".repeat(31))) && !verdict("Bearer ".to_owned()) && !verdict("t".repeat(32)));
    }
}
