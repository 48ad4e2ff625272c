//! How large a tree is, before the library builds it (threat H10).
//!
//! A blank node is one byte on the wire and a few hundred in memory, so a Welcome within its limit could still take gigabytes. Here
//! the tree in a GroupInfo is walked without keeping anything; what is not a tree is left to the library to refuse.

use super::error::GroupError;
use super::rules::MAX_MEMBERS;
use super::walk::Walk;

/// The largest Welcome that is looked at, in bytes.
pub const MAX_WELCOME: usize = 4 * 1024 * 1024;

/// Counts the nodes of an encoded tree (RFC 9420, sections 7.1, 7.2 and 12.4.3.3).
///
/// # Errors
/// [`GroupError::TooLarge`] above [`MAX_MEMBERS`] leaves, blank ones included.
pub(crate) fn bound_tree(encoded: &[u8]) -> Result<(), GroupError> {
    // A tree of n leaves has 2n - 1 nodes, blank ones at the end left out.
    let limit = 2 * MAX_MEMBERS - 1;
    let mut rest = Walk(encoded);
    let Some(mut nodes) = rest.opaque().map(Walk) else { return Ok(()) };
    let mut count = 0_usize;
    while !nodes.0.is_empty() {
        count += 1;
        if count > limit {
            return Err(GroupError::TooLarge { what: "tree of members", size: count.div_ceil(2), limit: MAX_MEMBERS });
        }
        if node(&mut nodes).is_none() {
            return Ok(());
        }
    }
    Ok(())
}

fn node(walk: &mut Walk<'_>) -> Option<()> {
    match (walk.byte()?, walk.0.first()) {
        (0, _) => Some(()),
        (1, Some(1)) => walk.take(1).and_then(|_| leaf(walk)),
        // Public key, parent hash, unmerged leaves.
        (1, Some(2)) => walk.take(1).and_then(|_| walk.opaques(3)),
        _ => None,
    }
}

fn leaf(walk: &mut Walk<'_>) -> Option<()> {
    // Both keys, then the credential with its type.
    walk.opaques(2)?;
    walk.take(2)?;
    walk.opaque()?;
    // Versions, suites, extensions, proposals, credentials.
    walk.opaques(5)?;
    match walk.byte()? {
        1 => walk.take(16).map(drop),
        2 => Some(()),
        3 => walk.opaque().map(drop),
        _ => None,
    }?;
    // Extensions and signature.
    walk.opaques(2)
}
