//! Which channels are awake, by whose doing, and how much was asked of each.
//!
//! A channel that is awake costs memory, and a name costs nothing. What an attacker would try is to name channel after channel; so
//! there are so many at once, and an account has no more of them than are still free. Where there are no accounts it is the address
//! that they come from, and this machine itself, where a proxy may stand, has up to three quarters.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use toq_channels::ChannelName;

use crate::seats::HERE;

/// The list.
#[derive(Debug)]
pub struct Awake {
    channels: HashMap<ChannelName, Asked>,
    by: HashMap<Payer, usize>,
    most: usize,
}

/// By whose doing a channel is awake.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Payer {
    /// An account's.
    Account(Arc<str>),
    /// Somebody's without an account at this address, or in this network.
    Source(IpAddr),
}

impl Payer {
    /// Who pays for what an account (an empty id where there are none) does from an address.
    #[must_use]
    pub fn new(account: &Arc<str>, source: IpAddr) -> Self {
        if account.is_empty() { Self::Source(source) } else { Self::Account(account.clone()) }
    }

    /// What `own` channels of this one count.
    const fn weight(&self, own: usize) -> usize {
        match self {
            Self::Source(source) if source.is_loopback() => own / HERE,
            _ => own,
        }
    }
}

#[derive(Debug)]
struct Asked {
    payer: Payer,
    orders: u64,
}

impl Awake {
    /// So many channels at once.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { channels: HashMap::new(), by: HashMap::new(), most }
    }

    /// Whether somebody may wake another channel.
    ///
    /// # Errors
    /// A sentence about how many there are.
    pub fn may(&self, payer: &Payer) -> Result<(), String> {
        let (all, own) = (self.channels.len(), self.by.get(payer).copied().unwrap_or(0));
        let free = self.most.saturating_sub(all);
        if free == 0 {
            return Err(format!("the relay has {all} channels in use and takes no more at once; try again later"));
        }
        if payer.weight(own) >= free {
            let whose = match payer {
                Payer::Account(_) => "the account has",
                Payer::Source(_) => "from your address there are",
            };
            return Err(format!("{whose} {own} channels in use, and few are left for others; end a subscription"));
        }
        Ok(())
    }

    /// Notes that a channel was woken for somebody, and that nothing was asked of it yet.
    pub fn woke(&mut self, channel: &ChannelName, payer: Payer) {
        self.slept(channel);
        *self.by.entry(payer.clone()).or_default() += 1;
        self.channels.insert(channel.clone(), Asked { payer, orders: 0 });
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
        let Some(Asked { payer, .. }) = self.channels.remove(channel) else { return };
        if let Some(own) = self.by.get_mut(&payer) {
            *own -= 1;
            if *own == 0 {
                self.by.remove(&payer);
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

    fn account(name: &str) -> Payer {
        Payer::new(&name.into(), IpAddr::from([192, 0, 2, 1]))
    }

    fn stranger(source: impl Into<IpAddr>) -> Payer {
        Payer::new(&"".into(), source.into())
    }

    /// Wakes as many as may be; returns how many that were.
    fn wake(awake: &mut Awake, payer: &Payer, from: usize) -> usize {
        let mut woken = 0;
        while awake.may(payer).is_ok() {
            awake.woke(&channel(from + woken), payer.clone());
            woken += 1;
        }
        woken
    }

    #[test]
    fn an_account_leaves_as_many_to_others_as_it_has() {
        let mut awake = Awake::new(8);
        let woken = |awake: &mut Awake, name, from| wake(awake, &account(name), from);

        assert_eq!([woken(&mut awake, "eve", 0), woken(&mut awake, "bob", 10), woken(&mut awake, "carol", 20)], [4, 2, 1]);
        awake.slept(&channel(0));
        awake.slept(&channel(0));
        assert_eq!(woken(&mut awake, "eve", 30), 0, "it has more than are free");
        assert_eq!(woken(&mut awake, "dave", 40), 1);
    }

    #[test]
    fn without_accounts_an_address_leaves_as_many_to_others_as_it_has() {
        let mut awake = Awake::new(8);
        let mut woken = |last, from| wake(&mut awake, &stranger([192, 0, 2, last]), from);

        assert_eq!([woken(1, 0), woken(2, 10), woken(3, 20)], [4, 2, 1]);
    }

    #[test]
    fn this_machine_has_three_quarters_and_leaves_the_rest() {
        let mut awake = Awake::new(64);

        assert_eq!(wake(&mut awake, &stranger([127, 0, 0, 1]), 0), 48);
        assert_eq!(wake(&mut awake, &stranger([192, 0, 2, 1]), 100), 8);
    }

    #[test]
    fn a_channel_is_quiet_when_it_has_been_asked_all_that_was_sent() {
        let mut awake = Awake::new(1);
        awake.woke(&channel(0), account("eve"));
        awake.asked(&channel(0));
        awake.asked(&channel(0));

        assert!(!awake.is_quiet(&channel(0), 1) && awake.is_quiet(&channel(0), 2));
    }
}
