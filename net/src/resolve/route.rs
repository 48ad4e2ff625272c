//! From an agent's address to the sockets to try, and what the agent's domain says of its key.
//!
//! A name without a written port is asked for its TXT record, as published peers do. What was found last is kept for
//! when DNS is down: a route proves nothing, since whoever answers there must show the right key. Where nothing was found and
//! no key is known, a name that cannot be asked about has no route: an attacker who only silences DNS would otherwise choose
//! who is met first.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::join;
use toq_protocol::PeerKey;
use toq_protocol::address::{Address, DEFAULT_PORT};

use super::{LookupError, Resolver};

/// How many routes are kept: as many as a workspace keeps outboxes.
const KEPT: usize = 4096;

/// Where an agent is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The sockets to try, in this order.
    pub sockets: Vec<SocketAddr>,
    /// The key that the agent's domain names. Whoever shows another one is not the agent that is meant.
    pub announced: Option<PeerKey>,
}

/// Whether it is known which key the agent at an address must show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pinned {
    /// One is pinned to it: wherever it is dialled, nobody else is taken for it.
    Yes,
    /// Only its domain can say.
    No,
}

/// Finds routes.
pub struct Routes {
    resolver: Arc<dyn Resolver>,
    found: Mutex<HashMap<String, Route>>,
}

/// What a domain says of an agent.
#[derive(Clone, Copy)]
struct Announcement {
    port: u16,
    key: Option<PeerKey>,
}

impl Routes {
    /// Makes routes from what this resolver knows.
    #[must_use]
    pub fn new(resolver: Arc<dyn Resolver>) -> Self {
        Self { resolver, found: Mutex::default() }
    }

    /// Finds the way to an agent.
    ///
    /// # Errors
    /// [`LookupError`], above all for several keys, disagreeing resolvers, and a public name that leads into a private
    /// network. That DNS cannot be asked is an error only where nothing was found before, and either the host has no address or
    /// nothing says which key is right.
    pub async fn find(&self, target: &Address, pinned: Pinned) -> Result<Route, LookupError> {
        let name = target.written();
        let kept = self.found.lock().unwrap_or_else(PoisonError::into_inner).get(&name).cloned();
        let (announcement, addresses) = join(self.announcement(target), self.resolver.addresses(target.host())).await;
        let is_down = [announcement.as_ref().err(), addresses.as_ref().err()].into_iter().flatten().any(is_failure);
        if let Some(kept) = kept.filter(|_| is_down) {
            tracing::debug!(target = %name, "DNS cannot be asked; the route that was found last is used");
            return Ok(kept);
        }
        let announcement = match announcement {
            Err(error) if is_failure(&error) && pinned == Pinned::Yes => Announcement { port: DEFAULT_PORT, key: None },
            Err(LookupError::Failed { name, why }) => return Err(LookupError::Unasked { name, why }),
            other => other?,
        };
        let sockets = addresses?.into_iter().map(|ip: IpAddr| SocketAddr::new(ip, announcement.port)).collect();
        let route = Route { sockets, announced: announcement.key };
        if !is_down {
            self.keep(name, route.clone());
        }
        Ok(route)
    }

    async fn announcement(&self, target: &Address) -> Result<Announcement, LookupError> {
        if !target.wants_dns_port() {
            return Ok(Announcement { port: target.port(), key: None });
        }
        let (answer, is_believed) = match self.resolver.agents(target.host()).await {
            Ok(answer) => (answer, true),
            Err(LookupError::Unsigned(_, answer)) => (*answer, false),
            Err(LookupError::NoName(_)) => return Ok(Announcement { port: DEFAULT_PORT, key: None }),
            Err(error) => return Err(error),
        };
        Ok(match answer.find(target.agent())? {
            Some(found) => Announcement { port: found.port, key: Some(found.key).filter(|_| is_believed) },
            None => Announcement { port: DEFAULT_PORT, key: None },
        })
    }

    fn keep(&self, name: String, route: Route) {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if found.len() >= KEPT && !found.contains_key(&name) {
            // Which one goes does not matter: it is found again when DNS is up.
            let other = found.keys().next().cloned();
            other.and_then(|other| found.remove(&other));
        }
        found.insert(name, route);
    }
}

/// True where nobody could be asked, as against an answer that is not acceptable.
const fn is_failure(error: &LookupError) -> bool {
    matches!(error, LookupError::Failed { .. })
}

#[cfg(test)]
mod tests {
    use toq_protocol::Identity;
    use toq_protocol::address::AgentName;
    use toq_protocol::dns::{Answer, Record};

    use super::super::Asked;
    use super::*;

    /// Says what it is told to say.
    #[derive(Default)]
    struct Parrot {
        texts: Mutex<Vec<String>>,
        is_down: Mutex<bool>,
        /// Only the records cannot be asked for; the host has its address.
        is_mute: bool,
        is_unsigned: bool,
    }

    impl Parrot {
        fn failure(name: &str) -> LookupError {
            LookupError::Failed { name: name.to_owned(), why: "it is down".to_owned() }
        }
    }

    impl Resolver for Parrot {
        fn agents<'a>(&'a self, domain: &'a str) -> Asked<'a, Result<Answer, LookupError>> {
            Box::pin(async move {
                if self.is_mute || *self.is_down.lock().expect("not poisoned") {
                    return Err(Self::failure(domain));
                }
                let answer = Answer::read(self.texts.lock().expect("not poisoned").iter())?;
                if self.is_unsigned { Err(LookupError::Unsigned(domain.to_owned(), Box::new(answer))) } else { Ok(answer) }
            })
        }

        fn addresses<'a>(&'a self, host: &'a str) -> Asked<'a, Result<Vec<IpAddr>, LookupError>> {
            let is_down = *self.is_down.lock().expect("not poisoned");
            Box::pin(async move { if is_down { Err(Self::failure(host)) } else { Ok(vec![IpAddr::from([8, 8, 8, 8])]) } })
        }
    }

    fn key(seed: u8) -> PeerKey {
        Identity::from_seed(&[seed; 32]).public()
    }

    fn text(seed: u8, port: u16) -> String {
        Record::announcing(&AgentName::parse("bob").expect("a name"), &key(seed), port).to_string()
    }

    fn routes(texts: &[String]) -> (Arc<Parrot>, Routes) {
        let parrot = Arc::new(Parrot { texts: Mutex::new(texts.to_vec()), ..Parrot::default() });
        (parrot.clone(), Routes::new(parrot))
    }

    fn bob(text: &str) -> Address {
        Address::parse(text).expect("an address")
    }

    fn to(port: u16, announced: Option<PeerKey>) -> Route {
        Route { sockets: vec![SocketAddr::from(([8, 8, 8, 8], port))], announced }
    }

    #[tokio::test]
    async fn a_name_without_a_port_goes_where_its_record_says_and_other_addresses_do_not_ask() {
        let (_, routes) = routes(&[text(1, 9010)]);

        assert_eq!(routes.find(&bob("toq://bob.test/bob"), Pinned::No).await, Ok(to(9010, Some(key(1)))));
        assert_eq!(routes.find(&bob("toq://bob.test:9020/bob"), Pinned::No).await, Ok(to(9020, None)));
        assert_eq!(routes.find(&bob("toq://bob.test/carol"), Pinned::No).await, Ok(to(DEFAULT_PORT, None)));
        assert_eq!(routes.find(&bob("toq://127.0.0.1/bob"), Pinned::No).await, Ok(to(DEFAULT_PORT, None)));
    }

    #[tokio::test]
    async fn a_conflict_is_no_route() {
        let (_, routes) = routes(&[text(1, 9010), text(2, 9010)]);

        assert!(matches!(routes.find(&bob("toq://bob.test/bob"), Pinned::No).await, Err(LookupError::Answer(_))));
    }

    #[tokio::test]
    async fn while_dns_is_down_the_route_that_was_found_last_is_used_and_a_conflict_is_still_refused_afterwards() {
        let (parrot, routes) = routes(&[text(1, 9010)]);
        let target = bob("toq://bob.test/bob");
        let found = routes.find(&target, Pinned::No).await;

        *parrot.is_down.lock().expect("not poisoned") = true;
        assert_eq!(routes.find(&target, Pinned::No).await, found);
        assert!(
            matches!(routes.find(&bob("toq://eve.test/bob"), Pinned::No).await, Err(LookupError::Unasked { .. })),
            "never found before"
        );

        *parrot.is_down.lock().expect("not poisoned") = false;
        *parrot.texts.lock().expect("not poisoned") = vec![text(1, 9010), text(2, 9010)];
        assert!(routes.find(&target, Pinned::No).await.is_err());
    }

    #[tokio::test]
    async fn an_unsigned_record_gives_the_port_and_no_key() {
        let parrot = Parrot { texts: Mutex::new(vec![text(1, 9010)]), is_unsigned: true, ..Parrot::default() };

        assert_eq!(Routes::new(Arc::new(parrot)).find(&bob("toq://bob.test/bob"), Pinned::No).await, Ok(to(9010, None)));
    }

    #[tokio::test]
    async fn a_lookup_that_failed_is_no_absence_unless_a_key_is_pinned_or_a_port_is_written() {
        let parrot = Parrot { texts: Mutex::new(vec![text(1, 9010)]), is_mute: true, ..Parrot::default() };
        let routes = Routes::new(Arc::new(parrot));
        let target = bob("toq://bob.test/bob");

        let refused = routes.find(&target, Pinned::No).await.expect_err("whoever is at 9009 would be taken for bob");

        assert!(matches!(refused, LookupError::Unasked { .. }));
        assert!(refused.to_string().contains("write the address with its port"), "{refused}");
        assert_eq!(routes.find(&target, Pinned::Yes).await, Ok(to(DEFAULT_PORT, None)), "the pinned key decides");
        assert_eq!(routes.find(&bob("toq://bob.test:9020/bob"), Pinned::No).await, Ok(to(9020, None)));
        assert_eq!(routes.find(&bob("toq://127.0.0.1/bob"), Pinned::No).await, Ok(to(DEFAULT_PORT, None)), "DNS is not asked");
        assert!(routes.find(&target, Pinned::No).await.is_err(), "what was dialled for its pin is not kept as found");
    }
}
