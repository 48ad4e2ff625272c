//! What a commit or proposal in the clear may hold before it is decoded (threat H10).
//!
//! Whoever may publish can write one; only decoding it tells whether a member did. The library takes time with the square of a
//! list of extensions' length, so lists are counted first. A proposal of a kind that nobody may make here ends the walk: it is
//! refused whoever made it.

use super::rules::Refusal;
use super::walk::{Walk, public_content};

/// Why a message is not decoded.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Screened {
    /// It is not a message, or has a list that is too long.
    Malformed,
    /// Nobody may do that.
    Refused(Refusal),
}

/// Walks over a PublicMessage.
pub(crate) fn screen(message: &[u8]) -> Result<(), Screened> {
    let (kind, mut walk) = public_content(message).ok_or(Screened::Malformed)?;
    match kind {
        2 => proposal(&mut walk),
        3 => commit(&mut walk),
        _ => Err(Screened::Malformed),
    }
}

/// RFC 9420, section 12.4.
fn commit(walk: &mut Walk<'_>) -> Result<(), Screened> {
    let mut proposals = Walk(walk.opaque().ok_or(Screened::Malformed)?);
    while !proposals.0.is_empty() {
        match proposals.byte() {
            Some(1) => proposal(&mut proposals)?,
            Some(2) => proposals.opaque().map(drop).ok_or(Screened::Malformed)?,
            _ => return Err(Screened::Malformed),
        }
    }
    match walk.byte() {
        Some(0) => Some(()),
        Some(1) => walk.leaf(),
        _ => None,
    }
    .ok_or(Screened::Malformed)
}

/// RFC 9420, section 12.1.
fn proposal(walk: &mut Walk<'_>) -> Result<(), Screened> {
    let kind = walk.take(2).and_then(|kind| kind.first_chunk::<2>()).map(|kind| u16::from_be_bytes(*kind));
    let walked = match kind.ok_or(Screened::Malformed)? {
        1 => key_package(walk),
        2 => walk.leaf(),
        3 => walk.take(4).map(drop),
        7 => walk.extensions(),
        4 => return Err(Screened::Refused(Refusal::Never("mix in a pre-shared key"))),
        5 => return Err(Screened::Refused(Refusal::Never("begin the group anew"))),
        6 => return Err(Screened::Refused(Refusal::Never("join from outside"))),
        _ => return Err(Screened::Refused(Refusal::Never("make a proposal of an unknown kind"))),
    };
    walked.ok_or(Screened::Malformed)
}

/// Version, suite and init key, then the leaf, extensions and signature (RFC 9420, section 10).
fn key_package(walk: &mut Walk<'_>) -> Option<()> {
    walk.take(4)?;
    walk.opaque()?;
    walk.leaf()?;
    walk.extensions()?;
    walk.opaque().map(drop)
}

#[cfg(test)]
mod tests {
    use super::super::walk::MAX_EXTENSIONS;
    use super::*;

    /// A proposal of new settings with so many extensions, by member 0 of a group without a name.
    fn settings(count: usize) -> Vec<u8> {
        let list: Vec<u8> = (0..count).flat_map(|kind| [[0xf0, kind.to_le_bytes()[0]].as_slice(), &[0]].concat()).collect();
        let length = (u16::try_from(list.len()).expect("short") | 0x4000).to_be_bytes();
        [[0, 1, 0, 1, 0].as_slice(), &[0; 8], &[1, 0, 0, 0, 0], &[0], &[2], &[0, 7], &length, &list].concat()
    }

    #[test]
    fn a_list_of_extensions_is_read_up_to_its_limit() {
        assert_eq!(screen(&settings(MAX_EXTENSIONS)), Ok(()));
        assert_eq!(screen(&settings(MAX_EXTENSIONS + 1)), Err(Screened::Malformed));
    }

    #[test]
    fn what_nobody_may_do_is_refused_unread() {
        let mut message = settings(1);
        let at = 5 + 8 + 5 + 1 + 1;
        for kind in [4, 5, 6, 9] {
            message[at + 1] = kind;
            assert!(matches!(screen(&message), Err(Screened::Refused(Refusal::Never(_)))));
        }
        assert_eq!(screen(&message[..at]), Err(Screened::Malformed));
    }
}
