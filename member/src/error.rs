//! Why something was not done, in the words that programs of published members look for.
//!
//! Each [`Kind`] has the prefix that the published SDK documents (`MLS engine error: `, `transport error: `, ...), so that a
//! program which reads texts goes on working. The text after it says what, why and what to do next.

use toq_api::relay::{RelayApiError, RelayCode};
use toq_channels::NameError;
use toq_channels::group::GroupError;
use toq_dataplane::link::LinkError;
use toq_store::StoreError;

/// What to do about credentials that are not good.
pub(crate) const NEW_KEY: &str = "; `toq relay key create` on the relay makes an API key, to be given as api_key or SKYTALE_API_KEY";

/// What kind of failure it is; callers raise an exception by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// Groups and keys: `MLS engine error: `.
    Mls,
    /// The relay or the API server cannot be reached: `transport error: `.
    Transport,
    /// The name is no channel's: `invalid channel name: `.
    ChannelName,
    /// The message is too long: `message too large: `.
    TooLarge,
    /// The credentials are not good: `auth error: `.
    Auth,
    /// The account has used up what it may.
    Quota,
    /// There is no such channel, member or invite here.
    NotFound,
    /// Somebody asked for what is not allowed, or not any more.
    Refused,
    /// The directory cannot be used: `MLS engine error: storage error: `.
    Storage,
    /// Nothing happened in the time that was given.
    TimedOut,
    /// Anything else: `runtime error: `.
    Runtime,
}

/// Why something was not done.
#[derive(Clone, Debug)]
pub struct Error {
    kind: Kind,
    text: String,
    status: Option<u16>,
    code: Option<String>,
}

impl Error {
    pub(crate) fn new(kind: Kind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into(), status: None, code: None }
    }

    /// The same with a word for programs.
    pub(crate) fn with_code(mut self, code: &str) -> Self {
        self.code = Some(code.to_owned());
        self
    }

    pub(crate) fn closed() -> Self {
        Self::new(Kind::Runtime, "the client is closed; open a new one")
    }

    pub(crate) fn no_channel(name: &str) -> Self {
        Self::new(Kind::NotFound, format!("no channel {name} here; create it, join it, or look at the names of the channels there are"))
    }

    /// What kind of failure it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// The text without the prefix of its kind.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.text
    }

    /// The HTTP status, where the API server gave one.
    #[must_use]
    pub const fn http_status(&self) -> Option<u16> {
        self.status
    }

    /// The API server's code, where it gave one; `state_lost` where a directory has a key and no state.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let prefix = match self.kind {
            Kind::Mls => "MLS engine error: ",
            Kind::Storage => "MLS engine error: storage error: ",
            Kind::Transport => "transport error: ",
            Kind::Auth => "auth error: ",
            Kind::Runtime => "runtime error: ",
            // Names and lengths bring their prefix with them; the others have none.
            _ => "",
        };
        write!(f, "{prefix}{}", self.text)
    }
}

impl std::error::Error for Error {}

impl From<NameError> for Error {
    fn from(error: NameError) -> Self {
        Self::new(Kind::ChannelName, error.to_string())
    }
}

impl From<GroupError> for Error {
    fn from(error: GroupError) -> Self {
        let kind = match &error {
            GroupError::MessageTooLarge(_) => Kind::TooLarge,
            GroupError::Storage(detail) => return Self::new(Kind::Storage, detail.clone()),
            GroupError::NoSuchMember => Kind::NotFound,
            GroupError::Refused(_) => Kind::Refused,
            _ => Kind::Mls,
        };
        Self::new(kind, error.to_string())
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        let text = match &error {
            StoreError::AlreadyOpen(path) => {
                format!("{} is open in another process: one data directory is for one client at a time", path.display())
            }
            other => other.to_string(),
        };
        Self::new(Kind::Storage, text)
    }
}

impl From<LinkError> for Error {
    fn from(error: LinkError) -> Self {
        let (kind, next) = match error {
            LinkError::Unauthenticated(_) => (Kind::Auth, NEW_KEY),
            LinkError::Token => (Kind::Auth, ""),
            LinkError::Unreachable { .. } => {
                (Kind::Transport, "; is it running there, and with TLS if this is https? `toq relay up` starts one here")
            }
            _ => (Kind::Transport, ""),
        };
        Self::new(kind, format!("{error}{next}"))
    }
}

impl From<RelayApiError> for Error {
    fn from(error: RelayApiError) -> Self {
        let text = match (error.hint(), &error) {
            (Some(hint), _) => format!("{error}; {hint}"),
            (None, RelayApiError::Connection(_)) => format!("{error}; is the API server running there? `toq relay up` starts one here"),
            (None, _) if error.code() == Some(RelayCode::Unauthorized) => format!("{error}{NEW_KEY}"),
            (None, _) => error.to_string(),
        };
        let kind = match error.code() {
            Some(RelayCode::Unauthorized) => Kind::Auth,
            Some(RelayCode::QuotaExceeded) => Kind::Quota,
            Some(RelayCode::NotFound) => Kind::NotFound,
            Some(RelayCode::BadRequest | RelayCode::Conflict | RelayCode::Forbidden) => Kind::Refused,
            Some(_) => Kind::Runtime,
            None => match &error {
                RelayApiError::Connection(_) | RelayApiError::Timeout => Kind::Transport,
                _ => Kind::Runtime,
            },
        };
        let status = error.status();
        let code = error.code().map(|code| code.as_str().to_owned());
        Self { kind, text, status, code }
    }
}
