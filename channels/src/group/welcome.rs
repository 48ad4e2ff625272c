//! How large a tree is, before the library builds it (threat H10).
//!
//! A blank node is one byte on the wire and a few hundred in memory, so a Welcome within its limit could still take gigabytes. Here
//! the tree in a GroupInfo is walked without keeping anything.

use mls_rs::MlsMessage;

use super::error::GroupError;
use super::rules::MAX_MEMBERS;
use super::walk::Walk;

/// The largest Welcome that is looked at, in bytes.
pub const MAX_WELCOME: usize = 4 * 1024 * 1024;

/// The references of the key packages that a Welcome is for (RFC 9420, section 12.4.3.1), by which its maker finds it again.
///
/// # Errors
/// [`GroupError::Malformed`] where it is no MLSMessage. One that is no Welcome has no references.
pub fn welcome_references(welcome: &[u8]) -> Result<Vec<Vec<u8>>, GroupError> {
    let message = MlsMessage::from_bytes(welcome)?;
    Ok(message.welcome_key_package_references().into_iter().map(|reference| reference.to_vec()).collect())
}

/// Counts the nodes of an encoded tree (RFC 9420, sections 7.1, 7.2 and 12.4.3.3).
///
/// # Errors
/// [`GroupError::TooLarge`] above [`MAX_MEMBERS`] leaves, blank ones included; [`GroupError::Malformed`] for what is no tree.
pub(crate) fn bound_tree(encoded: &[u8]) -> Result<(), GroupError> {
    // A tree of n leaves has 2n - 1 nodes, blank ones at the end left out.
    let limit = 2 * MAX_MEMBERS - 1;
    let mut rest = Walk(encoded);
    let malformed = || GroupError::Malformed("the tree of members is none".into());
    let mut nodes = Walk(rest.opaque().ok_or_else(malformed)?);
    let mut count = 0_usize;
    while !nodes.0.is_empty() {
        count += 1;
        if count > limit {
            return Err(GroupError::TooLarge { what: "tree of members", size: count.div_ceil(2), limit: MAX_MEMBERS });
        }
        node(&mut nodes).ok_or_else(malformed)?;
    }
    Ok(())
}

fn node(walk: &mut Walk<'_>) -> Option<()> {
    match (walk.byte()?, walk.0.first()) {
        (0, _) => Some(()),
        (1, Some(1)) => walk.take(1).and_then(|_| walk.leaf()),
        // Public key, parent hash, unmerged leaves.
        (1, Some(2)) => walk.take(1).and_then(|_| walk.opaques(3)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blank(count: usize) -> Vec<u8> {
        let length = u32::try_from(count).expect("small") | 0x8000_0000;
        [length.to_be_bytes().as_slice(), &vec![0; count]].concat()
    }

    #[test]
    fn ten_thousand_leaves_are_a_tree_and_one_more_is_too_large() {
        assert!(bound_tree(&blank(2 * MAX_MEMBERS - 1)).is_ok());
        assert!(matches!(bound_tree(&blank(2 * MAX_MEMBERS)), Err(GroupError::TooLarge { limit: MAX_MEMBERS, .. })));
        assert!(matches!(bound_tree(&blank(MAX_WELCOME - 4)), Err(GroupError::TooLarge { .. })));
    }

    #[test]
    fn what_is_no_tree_is_malformed() {
        for bytes in [&[][..], &[5, 0], &[1, 2], &[2, 1, 3], &[2, 1, 1], &[0xc0]] {
            assert!(matches!(bound_tree(bytes), Err(GroupError::Malformed(_))), "{bytes:?}");
        }
    }
}
