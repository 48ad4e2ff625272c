//! Walking over encoded MLS without keeping anything: to count, or to see what stands in the clear.

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
}

/// The authenticated data of a PublicMessage or PrivateMessage (RFC 9420, sections 6, 6.2 and 6.3), which everybody can read.
pub(crate) fn authenticated_data(message: &[u8]) -> Option<&[u8]> {
    let mut walk = Walk(message);
    let wire_format = walk.take(4)?;
    walk.opaque()?;
    walk.take(8)?;
    match wire_format {
        // After group and epoch the sender, with an index where it is a member or allowed from outside.
        [0, 1, 0, 1] => match walk.byte()? {
            1 | 2 => walk.take(4).map(drop),
            3 | 4 => Some(()),
            _ => None,
        },
        // After group and epoch the type of the content.
        [0, 1, 0, 2] => walk.byte().map(drop),
        _ => None,
    }?;
    walk.opaque()
}
