//! Which channels are awake, by whose doing, and how much was asked of each.
//!
//! A channel that is awake costs memory, and a name costs nothing. What an attacker would try is to name channel after channel; so
//! there are so many at once, and an account has no more of them than are still free.

use std::collections::HashMap;
use std::sync::Arc;

use toq_channels::ChannelName;

/// The list.
#[derive(Debug)]
pub struct Awake {
    channels: HashMap<ChannelName, Asked>,
    by: HashMap<Arc<str>, usize>,
    most: usize,
}

#[derive(Debug)]
struct Asked {
    account: Arc<str>,
    orders: u64,
}

impl Awake {
    /// So many channels at once.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { channels: HashMap::new(), by: HashMap::new(), most }
    }

    /// Whether an account may wake another channel. Without accounts (an empty id) only the channels altogether are counted.
    ///
    /// # Errors
    /// A sentence about how many there are.
    pub fn may(&self, account: &Arc<str>) -> Result<(), String> {
        let (all, own) = (self.channels.len(), self.by.get(account).copied().unwrap_or(0));
        let free = self.most.saturating_sub(all);
        if free == 0 {
            return Err(format!("the relay has {all} channels in use and takes no more at once; try again later"));
        }
        if !account.is_empty() && own >= free {
            return Err(format!("the account has {own} channels in use, which are as many as it leaves to others; end a subscription"));
        }
        Ok(())
    }

    /// Notes that a channel was woken for an account, and that nothing was asked of it yet.
    pub fn woke(&mut self, channel: &ChannelName, account: Arc<str>) {
        self.slept(channel);
        *self.by.entry(account.clone()).or_default() += 1;
        self.channels.insert(channel.clone(), Asked { account, orders: 0 });
    }

    /// Notes that something is asked of a channel.
    pub fn asked(&mut self, channel: &ChannelName) {
        if let Some(asked) = self.channels.get_mut(channel) {
            asked.orders += 1;
        }
    }

    /// Whether nothing is on its way to a channel that has been asked so often.
    #[must_use]
    pub fn is_quiet(&self, channel: &ChannelName, orders: u64) -> bool {
        self.channels.get(channel).is_none_or(|asked| asked.orders == orders)
    }

    /// Notes that a channel is not awake any more.
    pub fn slept(&mut self, channel: &ChannelName) {
        let Some(Asked { account, .. }) = self.channels.remove(channel) else { return };
        if let Some(own) = self.by.get_mut(&account) {
            *own -= 1;
            if *own == 0 {
                self.by.remove(&account);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel(n: usize) -> ChannelName {
        ChannelName::parse(&format!("a/b/{n}")).expect("a name")
    }

    /// Wakes as many as may be; returns how many that were.
    fn wake(awake: &mut Awake, account: &str, from: usize) -> usize {
        let account: Arc<str> = account.into();
        let mut woken = 0;
        while awake.may(&account).is_ok() {
            awake.woke(&channel(from + woken), account.clone());
            woken += 1;
        }
        woken
    }

    #[test]
    fn an_account_leaves_as_many_to_others_as_it_has() {
        let mut awake = Awake::new(8);

        assert_eq!([wake(&mut awake, "eve", 0), wake(&mut awake, "bob", 10), wake(&mut awake, "carol", 20)], [4, 2, 1]);
        awake.slept(&channel(0));
        awake.slept(&channel(0));
        assert_eq!(wake(&mut awake, "eve", 30), 0, "it has more than are free");
        assert_eq!(wake(&mut awake, "dave", 40), 1);
    }

    #[test]
    fn without_accounts_all_are_anybodys() {
        assert_eq!(wake(&mut Awake::new(8), "", 0), 8);
    }

    #[test]
    fn a_channel_is_quiet_when_it_has_been_asked_all_that_was_sent() {
        let mut awake = Awake::new(1);
        awake.woke(&channel(0), "".into());
        awake.asked(&channel(0));
        awake.asked(&channel(0));

        assert!(!awake.is_quiet(&channel(0), 1) && awake.is_quiet(&channel(0), 2));
    }
}
