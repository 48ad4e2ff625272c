//! What is told of a connection that broke, in words for whoever wanted something of it.

use std::io::{Error, ErrorKind};

/// Says what happened to a connection, without the words of the libraries below.
#[must_use]
pub fn told(error: &Error) -> String {
    let words = match error.kind() {
        ErrorKind::UnexpectedEof => {
            "the other side closed the connection without a word; it may not know this address, not be a toq agent, or block this one"
        }
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe | ErrorKind::NotConnected => {
            "the other side broke the connection off; it may have been stopped"
        }
        ErrorKind::TimedOut => "no answer in time",
        ErrorKind::InvalidData => return format!("what answers there does not speak TLS as toq agents do: {error}"),
        _ => return error.to_string(),
    };
    words.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_broke_is_told_in_our_words() {
        let rustls = "peer closed connection without sending TLS close_notify: https://docs.rs/rustls/latest/…";

        for kind in [ErrorKind::UnexpectedEof, ErrorKind::ConnectionReset, ErrorKind::BrokenPipe, ErrorKind::TimedOut] {
            let told = told(&Error::new(kind, rustls));
            assert!(!told.contains("docs.rs") && !told.contains("close_notify"), "{kind}: {told}");
        }
    }
}
