//! Walking over encoded MLS without keeping anything: to count, or to see what stands in the clear.

/// How many extensions a list may have. The library compares each with all before it, so a long list costs it seconds.
pub(crate) const MAX_EXTENSIONS: usize = 64;

/// What is left to walk over.
pub(crate) struct Walk<'a>(pub(crate) &'a [u8]);

impl<'a> Walk<'a> {
    pub(crate) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    pub(crate) fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    /// A vector of bytes with its length before it (RFC 9420, section 2.1.2).
    pub(crate) fn opaque(&mut self) -> Option<&'a [u8]> {
        let first = self.byte()?;
        let more = match first >> 6 {
            0 => 0,
            1 => 1,
            2 => 3,
            _ => return None,
        };
        let length = self.take(more)?.iter().fold(usize::from(first & 0x3f), |length, byte| length << 8 | usize::from(*byte));
        self.take(length)
    }

    pub(crate) fn opaques(&mut self, count: usize) -> Option<()> {
        (0..count).try_for_each(|_| self.opaque().map(drop))
    }

    /// A list of at most [`MAX_EXTENSIONS`] extensions.
    pub(crate) fn extensions(&mut self) -> Option<()> {
        let mut list = Walk(self.opaque()?);
        for _ in 0..MAX_EXTENSIONS {
            if list.0.is_empty() {
                return Some(());
            }
            list.take(2)?;
            list.opaque()?;
        }
        list.0.is_empty().then_some(())
    }

    /// A leaf (RFC 9420, section 7.2).
    pub(crate) fn leaf(&mut self) -> Option<()> {
        // Both keys, then the credential with its type.
        self.opaques(2)?;
        self.take(2)?;
        self.opaque()?;
        // Versions, suites, extensions, proposals, credentials.
        self.opaques(5)?;
        match self.byte()? {
            1 => self.take(16).map(drop),
            2 => Some(()),
            3 => self.opaque().map(drop),
            _ => None,
        }?;
        self.extensions()?;
        // The signature.
        self.opaque().map(drop)
    }
}

/// The authenticated data of a PublicMessage or PrivateMessage (RFC 9420, sections 6, 6.2 and 6.3), which everybody can read.
pub(crate) fn authenticated_data(message: &[u8]) -> Option<&[u8]> {
    to_authenticated_data(message)?.opaque()
}

/// The type of a PublicMessage's content, and the content (RFC 9420, section 6).
pub(crate) fn public_content(message: &[u8]) -> Option<(u8, Walk<'_>)> {
    let mut walk = to_authenticated_data(message).filter(|_| message.starts_with(&PUBLIC))?;
    walk.opaque()?;
    Some((walk.byte()?, walk))
}

const PUBLIC: [u8; 4] = [0, 1, 0, 1];
const PRIVATE: [u8; 4] = [0, 1, 0, 2];

fn to_authenticated_data(message: &[u8]) -> Option<Walk<'_>> {
    let mut walk = Walk(message);
    let wire_format = *walk.take(4)?.first_chunk::<4>()?;
    walk.opaque()?;
    walk.take(8)?;
    match wire_format {
        // After group and epoch the sender, with an index where it is a member or allowed from outside.
        PUBLIC => match walk.byte()? {
            1 | 2 => walk.take(4).map(drop),
            3 | 4 => Some(()),
            _ => None,
        },
        // After group and epoch the type of the content.
        PRIVATE => walk.byte().map(drop),
        _ => None,
    }?;
    Some(walk)
}
