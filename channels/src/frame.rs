//! What an MLS message shows without a key: its group, its epoch and what it is (RFC 9420, sections 6 and 6.3).
//!
//! A relay orders commits by this, so it must say nothing that a member would read otherwise. It is not proof of anything: whoever
//! may publish can write any head. An attacker would try lengths that reach beyond the message or lengths in a longer spelling than
//! needed; nothing is allocated, nothing is read past the end, and only the shortest spelling counts.

/// What kind of message it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Something that a member's program sends.
    Application,
    /// A change of the group that begins its next epoch.
    Commit,
    /// A change that somebody wants and a later commit makes.
    Proposal,
    /// The way into a group, for new members. Has neither group id nor epoch in the clear.
    Welcome,
    /// A member's offer to be added. Belongs to no group.
    KeyPackage,
    /// A group as it is shown to outsiders.
    GroupInfo,
}

/// The clear head of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The group's id; empty for [`Kind::Welcome`] and [`Kind::KeyPackage`].
    pub group_id: &'a [u8],
    /// The epoch in which it was made; 0 for [`Kind::Welcome`] and [`Kind::KeyPackage`].
    pub epoch: u64,
    /// What it is.
    pub kind: Kind,
    /// Whether content and sender are encrypted (a PrivateMessage).
    pub is_private: bool,
}

/// Why bytes are not the beginning of an MLS message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// It says to contain something that there is not, or not in this form.
    #[error("mls message has content of type {0}, which does not exist")]
    Content(u8),
    /// A length is spelled in a way that the encoding forbids.
    #[error("mls message has a length in a forbidden spelling")]
    Length,
    /// Its sender is of a kind that there is not.
    #[error("mls message has a sender of type {0}, which does not exist")]
    Sender(u8),
    /// It ends inside its head.
    #[error("mls message ends in its head")]
    Truncated,
    /// It is not of the protocol's version 1.
    #[error("mls message is of version {0}, not 1")]
    Version(u16),
    /// It is of a form that there is not.
    #[error("mls message is of wire format {0}, which does not exist")]
    WireFormat(u16),
}

const PUBLIC_MESSAGE: u16 = 1;
const PRIVATE_MESSAGE: u16 = 2;
const WELCOME: u16 = 3;
const GROUP_INFO: u16 = 4;
const KEY_PACKAGE: u16 = 5;

/// Reads the clear head of an MLS message.
///
/// # Errors
/// [`FrameError`] names what is wrong with it.
pub fn peek(bytes: &[u8]) -> Result<Frame<'_>, FrameError> {
    let mut rest = Rest(bytes);
    let version = rest.u16()?;
    if version != 1 {
        return Err(FrameError::Version(version));
    }
    let groupless = |kind| Ok(Frame { group_id: &[], epoch: 0, kind, is_private: false });
    match rest.u16()? {
        PUBLIC_MESSAGE => {
            let (group_id, epoch) = (rest.opaque()?, rest.u64()?);
            match rest.u8()? {
                // A member or an outsider that the group knows, with its index.
                1 | 2 => rest.skip(4)?,
                // Somebody who wants in.
                3 | 4 => {}
                other => return Err(FrameError::Sender(other)),
            }
            rest.opaque()?;
            let kind = match rest.u8()? {
                2 => Kind::Proposal,
                3 => Kind::Commit,
                // Application messages are never public.
                other => return Err(FrameError::Content(other)),
            };
            Ok(Frame { group_id, epoch, kind, is_private: false })
        }
        PRIVATE_MESSAGE => {
            let (group_id, epoch) = (rest.opaque()?, rest.u64()?);
            let kind = match rest.u8()? {
                1 => Kind::Application,
                2 => Kind::Proposal,
                3 => Kind::Commit,
                other => return Err(FrameError::Content(other)),
            };
            Ok(Frame { group_id, epoch, kind, is_private: true })
        }
        GROUP_INFO => {
            // Its group context begins with the version and the cipher suite again.
            rest.skip(4)?;
            Ok(Frame { group_id: rest.opaque()?, epoch: rest.u64()?, kind: Kind::GroupInfo, is_private: false })
        }
        WELCOME => groupless(Kind::Welcome),
        KEY_PACKAGE => groupless(Kind::KeyPackage),
        other => Err(FrameError::WireFormat(other)),
    }
}

/// What has not been read yet.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], FrameError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(FrameError::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    fn skip(&mut self, length: usize) -> Result<(), FrameError> {
        self.take(length).map(|_| ())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], FrameError> {
        self.take(N).map(|taken| taken.try_into().expect("as many bytes as were taken"))
    }

    fn u8(&mut self) -> Result<u8, FrameError> {
        self.array().map(u8::from_be_bytes)
    }

    fn u16(&mut self) -> Result<u16, FrameError> {
        self.array().map(u16::from_be_bytes)
    }

    fn u64(&mut self) -> Result<u64, FrameError> {
        self.array().map(u64::from_be_bytes)
    }

    /// Bytes behind their length, which has 1, 2 or 4 bytes as its first two bits say (RFC 9420, section 2.1.2).
    fn opaque(&mut self) -> Result<&'a [u8], FrameError> {
        let first = self.u8()?;
        let (more, least) = match first >> 6 {
            0 => (0, 0),
            1 => (1, 1 << 6),
            2 => (3, 1 << 14),
            _ => return Err(FrameError::Length),
        };
        let length = self.take(more)?.iter().fold(usize::from(first & 0x3f), |length, byte| length << 8 | usize::from(*byte));
        if length < least {
            return Err(FrameError::Length);
        }
        self.take(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: [u8; 2] = [0xab, 0xcd];

    fn private(content: u8) -> Vec<u8> {
        [&[0, 1, 0, 2, 2][..], &GROUP, &7u64.to_be_bytes(), &[content]].concat()
    }

    #[test]
    fn an_encrypted_handshake_shows_what_it_is() {
        for (content, kind) in [(1, Kind::Application), (2, Kind::Proposal), (3, Kind::Commit)] {
            assert_eq!(peek(&private(content)), Ok(Frame { group_id: &GROUP, epoch: 7, kind, is_private: true }));
        }
        assert_eq!(peek(&private(4)), Err(FrameError::Content(4)));
    }

    #[test]
    fn a_public_message_is_never_an_application_message() {
        let public = |content| [&[0, 1, 0, 1, 2][..], &GROUP, &7u64.to_be_bytes(), &[1, 0, 0, 0, 0], &[3, 1, 2, 3], &[content]].concat();

        assert_eq!(peek(&public(3)), Ok(Frame { group_id: &GROUP, epoch: 7, kind: Kind::Commit, is_private: false }));
        assert_eq!(peek(&public(1)), Err(FrameError::Content(1)));
    }

    #[test]
    fn a_length_in_a_longer_spelling_than_needed_is_refused() {
        let spelled = |length: &[u8]| [&[0, 1, 0, 2][..], length, &[0; 80]].concat();

        assert_eq!(peek(&spelled(&[0x40, 2])), Err(FrameError::Length));
        assert_eq!(peek(&spelled(&[0x80, 0, 0, 2])), Err(FrameError::Length));
        assert_eq!(peek(&spelled(&[0xc0])), Err(FrameError::Length));
        assert_eq!(peek(&spelled(&[0xbf, 0xff, 0xff, 0xff])), Err(FrameError::Truncated));
        assert_eq!(peek(&spelled(&[0x40, 64])).map_err(|_| ()), Err(()), "64 bytes, 8 of the epoch, then content type 0");
    }

    #[test]
    fn a_head_that_ends_early_is_refused_wherever_it_ends() {
        let whole = private(1);

        for end in 0..whole.len() {
            assert_eq!(peek(&whole[..end]), Err(FrameError::Truncated));
        }
    }
}
