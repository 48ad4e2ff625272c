//! Where programs and handlers are in the log.

use minicbor::{Decode, Encode};

/// A consumer's place in the log: everything up to `low_water` is done and so is what is confirmed above it, but for what is
/// `retried`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct ConsumerRow {
    /// Everything up to here is confirmed.
    #[n(0)]
    pub low_water: u64,
    /// Single places that are confirmed above that, ascending. Rows of earlier versions have them; they become stretches
    /// when the row is written.
    #[n(1)]
    pub confirmed: Vec<u64>,
    /// What was set aside and is open again, wherever it is, ascending.
    #[n(2)]
    pub retried: Option<Vec<u64>>,
    /// First and last places between which every incoming message is confirmed, ascending and apart. So a message that is
    /// never confirmed costs one of these, however many are confirmed behind it.
    #[n(3)]
    pub stretches: Option<Vec<(u64, u64)>>,
    /// The end of the log when it began to rest: what came since is not for it. None while it does not rest.
    #[n(4)]
    pub rests_from: Option<u64>,
}

impl ConsumerRow {
    /// A consumer that has confirmed everything up to a place.
    #[must_use]
    pub const fn new(place: u64) -> Self {
        Self { low_water: place, confirmed: Vec::new(), retried: None, stretches: None, rests_from: None }
    }

    /// What was set aside and is open again.
    #[must_use]
    pub fn retried(&self) -> &[u64] {
        self.retried.as_deref().unwrap_or_default()
    }

    /// First and last places of what is confirmed above the low water.
    #[must_use]
    pub fn stretches(&self) -> &[(u64, u64)] {
        self.stretches.as_deref().unwrap_or_default()
    }

    /// True for what was confirmed, even if it is open again, and for what came while it rests.
    #[must_use]
    pub fn is_confirmed(&self, seq: u64) -> bool {
        let stretches = self.stretches();
        let stretch = stretches.get(stretches.partition_point(|(_, last)| *last < seq));
        seq <= self.low_water
            || self.rests_from.is_some_and(|from| seq > from)
            || stretch.is_some_and(|(first, _)| *first <= seq)
            || self.confirmed.binary_search(&seq).is_ok()
    }

    /// True for what is not confirmed.
    #[must_use]
    pub fn is_open(&self, seq: u64) -> bool {
        !self.is_confirmed(seq) || self.retried().binary_search(&seq).is_ok()
    }

    /// Closes what is open again, where it is confirmed.
    pub(crate) fn close_retried(&mut self, is_confirmed: impl Fn(u64) -> bool) {
        if let Some(retried) = &mut self.retried {
            retried.retain(|seq| !is_confirmed(*seq));
        }
        self.retried.take_if(|retried| retried.is_empty());
    }

    /// Sets what is confirmed above the low water.
    pub(crate) fn put_stretches(&mut self, stretches: Vec<(u64, u64)>) {
        self.stretches = (!stretches.is_empty()).then_some(stretches);
    }
}

/// A message that a consumer was offered too often.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct SetAsideRow {
    /// Why it was given up.
    #[n(0)]
    pub reason: String,
    /// How often it was offered.
    #[n(1)]
    pub attempts: u32,
    /// When, in nanoseconds of Unix time.
    #[n(2)]
    pub at: i64,
}
