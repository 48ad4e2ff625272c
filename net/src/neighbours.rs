//! Agents on the local network: announced and looked for by multicast DNS (RFC 6762, RFC 6763) as `_toq._tcp.local.`.
//!
//! Anybody on the network can claim anything there, so what is listed is a hint where to look and proves nothing. Nothing
//! is kept between two questions, so a neighbour who announces without end costs no memory of ours beyond one list.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::PoisonError;
use std::time::Duration;

use mdns_sd::{IfKind, ResolvedService, ServiceDaemon, ServiceEvent, ServiceInfo};
use tokio::sync::Mutex;
use toq_protocol::PeerKey;
use toq_protocol::address::{Address, AgentName};
use toq_protocol::dns::{Announced, Record};

/// What agents are announced as.
const SERVICE: &str = "_toq._tcp.local.";

/// How long answers are waited for. Responders take up to 120 ms to avoid collisions (RFC 6762 section 6).
const PATIENCE: Duration = Duration::from_millis(1500);

/// How many agents one list has.
const LISTED: usize = 256;

/// Why the local network cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum NeighbourError {
    /// None of the interfaces that were asked for is there.
    #[error("this machine has no network interface {}, so nobody is announced or asked on the local network", .0.join(", "))]
    Absent(Vec<String>),
    /// The system gives no sockets or threads.
    #[error("agents on the local network cannot be found: {0}")]
    System(#[from] mdns_sd::Error),
}

/// What is said of this agent.
#[derive(Clone, Debug)]
pub struct Announcement {
    /// Its name.
    pub agent: AgentName,
    /// Its key.
    pub key: PeerKey,
    /// Its port.
    pub port: u16,
    /// Where it listens. An agent that listens on loopback is announced to this machine only.
    pub bind: IpAddr,
}

/// An agent that somebody on the local network announces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// Where it is said to be.
    pub address: Address,
    /// The key it is said to have.
    pub key: PeerKey,
}

/// This agent's place among its neighbours.
pub struct Neighbours {
    daemon: ServiceDaemon,
    /// The interfaces that were asked for.
    interfaces: Vec<String>,
    /// What is said of this agent now.
    said: std::sync::Mutex<Announcement>,
    /// One question at a time: a second one of the same kind would take the first one's answers.
    asking: Mutex<()>,
}

impl Neighbours {
    /// Announces an agent on these interfaces, by name or address; on all that lead to others where none is given.
    ///
    /// # Errors
    /// [`NeighbourError`] where the system gives no sockets or threads.
    pub fn join(announcement: &Announcement, interfaces: &[String]) -> Result<Self, NeighbourError> {
        let daemon = ServiceDaemon::new()?;
        daemon.disable_interface(IfKind::All)?;
        daemon.enable_interface(kinds(announcement.bind, interfaces))?;
        if announcement.bind.is_unspecified() && interfaces.is_empty() {
            daemon.disable_interface(vec![IfKind::LoopbackV4, IfKind::LoopbackV6])?;
        }
        daemon.register(service(announcement)?)?;
        let interfaces = interfaces.to_vec();
        Ok(Self { daemon, interfaces, said: std::sync::Mutex::new(announcement.clone()), asking: Mutex::new(()) })
    }

    /// Announces another key in place of the one before.
    ///
    /// # Errors
    /// [`NeighbourError`] where the new one cannot be announced; the old one is not announced any more then.
    pub fn announce(&self, key: PeerKey) -> Result<(), NeighbourError> {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        // Whether the goodbye has left is not waited for: a neighbour who misses it learns by asking.
        let _leaving = self.daemon.unregister(service(&said)?.get_fullname())?;
        said.key = key;
        self.daemon.register(service(&said)?)?;
        Ok(())
    }

    fn own(&self) -> PeerKey {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).key
    }

    /// Asks who is there and waits a moment for answers.
    ///
    /// # Errors
    /// [`NeighbourError`] where the question cannot be asked, also because no interface that was asked for is there. One that comes
    /// later is used from then on.
    pub async fn list(&self) -> Result<Vec<Neighbour>, NeighbourError> {
        if !self.interfaces.is_empty() {
            let absent = absent(&self.interfaces);
            if absent.len() == self.interfaces.len() {
                return Err(NeighbourError::Absent(absent));
            }
        }
        let _one_at_a_time = self.asking.lock().await;
        let events = self.daemon.browse(SERVICE)?;
        let (own, mut found): (_, HashMap<String, Neighbour>) = (self.own(), HashMap::new());
        let collecting = async {
            while let Ok(event) = events.recv_async().await {
                match event {
                    ServiceEvent::ServiceResolved(service) if found.len() < LISTED => {
                        let neighbour = neighbour(&service).filter(|neighbour| neighbour.key != own);
                        found.extend(neighbour.map(|neighbour| (service.fullname.clone(), neighbour)));
                    }
                    ServiceEvent::ServiceRemoved(_, name) => drop(found.remove(&name)),
                    _ => {}
                }
            }
        };
        // The time always runs out: the question has no last answer.
        let _silence = tokio::time::timeout(PATIENCE, collecting).await;
        self.daemon.stop_browse(SERVICE)?;
        let mut found: Vec<Neighbour> = found.into_values().collect();
        found.sort_by_key(|neighbour| neighbour.address.key());
        Ok(found)
    }

    /// Says goodbye, so that neighbours need not find out. Nothing can be asked afterwards.
    pub async fn leave(&self) {
        let Ok(left) = self.daemon.shutdown() else { return };
        if tokio::time::timeout(PATIENCE, left.recv_async()).await.is_err() {
            tracing::debug!("the local network was left without a word");
        }
    }
}

/// Which of these interfaces, by name or address, this machine does not have now; none where it cannot be found out.
#[must_use]
pub fn absent(interfaces: &[String]) -> Vec<String> {
    let Ok(here) = if_addrs::get_if_addrs() else { return Vec::new() };
    let is_here = |wanted: &String| {
        let address: Option<IpAddr> = wanted.parse().ok();
        here.iter().any(|interface| address.map_or(interface.name == *wanted, |address| interface.ip() == address))
    };
    interfaces.iter().filter(|wanted| !is_here(wanted)).cloned().collect()
}

fn kinds(bind: IpAddr, interfaces: &[String]) -> Vec<IfKind> {
    if !interfaces.is_empty() {
        let kind = |name: &String| name.parse().map_or_else(|_| IfKind::Name(name.clone()), IfKind::Addr);
        return interfaces.iter().map(kind).collect();
    }
    match bind {
        ip if ip.is_loopback() => vec![IfKind::LoopbackV4],
        ip if ip.is_unspecified() => vec![IfKind::All],
        ip => vec![IfKind::Addr(ip)],
    }
}

/// The name of an instance must be unique on the network, so it has a piece of the key.
fn service(announcement: &Announcement) -> Result<ServiceInfo, mdns_sd::Error> {
    let piece: String = announcement.key.as_bytes().iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    let record = Record::announcing(&announcement.agent, &announcement.key, announcement.port);
    let said = [("v", "toq1"), ("key", record.key.as_str()), ("agent", record.agent.as_str())];
    let (instance, host) = (format!("{} {piece}", announcement.agent), format!("toq-{piece}.local."));
    if announcement.bind.is_unspecified() {
        return Ok(ServiceInfo::new(SERVICE, &instance, &host, "", announcement.port, &said[..])?.enable_addr_auto());
    }
    ServiceInfo::new(SERVICE, &instance, &host, announcement.bind, announcement.port, &said[..])
}

/// Reads an announcement as strictly as a record in DNS. Its IPv4 address is taken, the one that peers can have.
fn neighbour(service: &ResolvedService) -> Option<Neighbour> {
    let said = |name| service.get_property_val_str(name);
    if said("v") != Some("toq1") {
        return None;
    }
    let record = Record { agent: said("agent")?.to_owned(), key: said("key")?.to_owned(), port: service.get_port() };
    let found = Announced::of(&record)?;
    let ip = service.get_addresses_v4().into_iter().min()?;
    Some(Neighbour { address: Address::new(ip.to_string(), found.port, found.agent), key: found.key })
}

#[cfg(test)]
mod tests {
    use toq_protocol::Identity;

    use super::*;

    fn announcement(port: u16) -> Announcement {
        let agent = AgentName::parse("bob").expect("a name");
        Announcement { agent, key: Identity::from_seed(&[1; 32]).public(), port, bind: IpAddr::from([192, 168, 1, 9]) }
    }

    #[test]
    fn what_is_announced_is_what_is_read() {
        let said = announcement(9010);

        let heard = neighbour(&service(&said).expect("valid").as_resolved_service()).expect("an agent");

        assert_eq!((heard.address.wire().as_str(), heard.key), ("toq://192.168.1.9:9010/bob", said.key));
    }

    #[test]
    fn announcements_that_are_no_agents_are_not_listed() {
        let key = announcement(1).key.bare();
        let heard = |port: u16, said: &[(&str, &str)]| {
            let service = ServiceInfo::new(SERVICE, "x", "x.local.", "192.168.1.9", port, said).expect("valid");
            neighbour(&service.as_resolved_service())
        };

        assert!(heard(9010, &[("v", "toq1"), ("key", &key), ("agent", "bob")]).is_some());
        assert!(heard(0, &[("v", "toq1"), ("key", &key), ("agent", "bob")]).is_none());
        assert!(heard(9010, &[("v", "toq2"), ("key", &key), ("agent", "bob")]).is_none());
        assert!(heard(9010, &[("v", "toq1"), ("key", "AAAA"), ("agent", "bob")]).is_none());
        assert!(heard(9010, &[("v", "toq1"), ("key", &key), ("agent", "Bob\u{1b}[2J")]).is_none());
        assert!(heard(9010, &[]).is_none());
    }

    #[test]
    fn an_agent_on_loopback_is_not_announced_to_the_network() {
        let loopback = kinds(IpAddr::from([127, 0, 0, 1]), &[]);

        assert!(matches!(loopback[..], [IfKind::LoopbackV4]));
        assert!(matches!(
            kinds(IpAddr::from([0, 0, 0, 0]), &["eth0".to_owned(), "10.0.0.1".to_owned()])[..],
            [IfKind::Name(_), IfKind::Addr(_)]
        ));
    }

    #[tokio::test]
    async fn interfaces_that_the_machine_does_not_have_are_named_instead_of_asked_in_vain() {
        let named = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(absent(&named(&["nosuch0", "lo", "127.0.0.1", "192.0.2.77"])), named(&["nosuch0", "192.0.2.77"]));

        let here = Announcement { bind: IpAddr::from([127, 0, 0, 1]), ..announcement(9_079) };
        let lost = Neighbours::join(&here, &named(&["nosuch0"])).expect("joins");
        let told = lost.list().await.expect_err("nobody can be asked").to_string();
        lost.leave().await;

        assert!(told.contains("no network interface nosuch0"), "{told}");
    }

    /// Multicast stays on loopback here. Neighbours are looked for again and again, since datagrams may be lost.
    #[tokio::test]
    async fn agents_of_one_machine_find_each_other_until_they_leave() {
        let join = |seed| {
            let key = Identity::from_seed(&[seed; 32]).public();
            let here = Announcement { key, bind: IpAddr::from([127, 0, 0, 1]), ..announcement(9000 + u16::from(seed)) };
            (key, Neighbours::join(&here, &[]).expect("joins"))
        };
        let ((ours, we), (theirs, they)) = (join(77), join(78));
        let sees = async |who: &Neighbours, key: PeerKey| {
            let found = who.list().await.expect("asked").into_iter().find(|found| found.key == key);
            found.map(|found| found.address.wire())
        };

        let mut seen = (None, None);
        while seen != (Some("toq://127.0.0.1:9078/bob".to_owned()), Some("toq://127.0.0.1:9077/bob".to_owned())) {
            seen = (sees(&we, theirs).await, sees(&they, ours).await);
        }
        they.leave().await;
        while sees(&we, theirs).await.is_some() {}
        we.leave().await;
    }
}
