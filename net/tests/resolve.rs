//! Names are asked of a real server on loopback that is honest, broken, silent or lying.

#[path = "../../tests/world/names.rs"]
mod names;

use std::net::IpAddr;

use names::{Manners, NameServer, host, txt};
use toq_net::resolve::{Dns, LookupError, Resolver as _, Rigour, Settings};
use toq_protocol::address::AgentName;
use toq_protocol::dns::{Answer, AnswerError, DnsProof, Record};
use toq_protocol::{Identity, PeerKey};

const QUERY: &str = "_toq._tcp.bob.test.";

fn key(seed: u8) -> PeerKey {
    Identity::from_seed(&[seed; 32]).public()
}

fn bob() -> AgentName {
    AgentName::parse("bob").expect("a name")
}

fn record(seed: u8, port: u16) -> String {
    Record::announcing(&bob(), &key(seed), port).to_string()
}

fn settings(servers: &[&NameServer]) -> Settings {
    Settings { servers: servers.iter().map(|server| server.address).collect(), ..Settings::default() }
}

fn dns(server: &NameServer) -> Dns {
    Dns::new(settings(&[server]))
}

async fn is_refused(dns: &Dns, why: &str) {
    match dns.prove("bob.test", &bob(), &key(1)).await {
        DnsProof::NotVerified(reason) => assert!(reason.contains(why), "{reason}"),
        DnsProof::Verified => panic!("verified, although {why}"),
    }
}

#[tokio::test]
async fn the_key_that_the_domain_names_is_proven_and_no_other() {
    let server = NameServer::start(&[txt(QUERY, &record(1, 9010)), txt(QUERY, "v=spf1 -all")]);
    let dns = dns(&server);

    let found = dns.agents("Bob.Test.").await.expect("answered").find(&bob()).expect("one key").expect("announced");
    assert_eq!((found.key, found.port), (key(1), 9010));
    assert_eq!(dns.prove("bob.test", &bob(), &key(1)).await, DnsProof::Verified);
    assert!(!dns.prove("bob.test", &bob(), &key(2)).await.is_verified());
    assert!(!dns.prove("bob.test", &AgentName::parse("eve").expect("a name"), &key(1)).await.is_verified());
}

#[tokio::test]
async fn hosts_that_are_no_names_prove_nothing_and_nobody_is_asked() {
    let server = NameServer::start(&[txt("_toq._tcp.printer.local.", &record(1, 9009))]);
    let dns = dns(&server);

    for host in ["127.0.0.1", "localhost", "printer.local", "[::1]"] {
        assert!(!dns.prove(host, &bob(), &key(1)).await.is_verified(), "{host}");
    }
    assert_eq!(server.asked(), 0);
}

#[tokio::test]
async fn a_name_without_records_is_an_answer_and_is_not_asked_for_twice() {
    let server = NameServer::start(&[host("carol.test.", "192.0.2.1")]);
    let dns = dns(&server);

    for domain in ["bob.test", "carol.test"] {
        assert_eq!(dns.agents(domain).await, Ok(Answer::default()), "{domain}");
        let asked = server.asked();
        assert_eq!(dns.agents(domain).await, Ok(Answer::default()), "{domain}");
        assert_eq!(server.asked(), asked, "{domain} is remembered as missing");
    }
    is_refused(&dns, "no record").await;
}

#[tokio::test]
async fn a_lookup_that_fails_is_never_a_proof() {
    let server = NameServer::start(&[txt(QUERY, &record(1, 9010))]);
    for manners in [Manners::Failing, Manners::Silent] {
        server.behave(manners);
        let dns = dns(&server);

        assert!(matches!(dns.agents("bob.test").await, Err(LookupError::Failed { .. })), "{manners:?}");
        is_refused(&dns, "could not be asked").await;

        server.behave(Manners::Good);
        assert!(dns.prove("bob.test", &bob(), &key(1)).await.is_verified(), "a failure is not remembered");
    }
}

#[tokio::test]
async fn several_keys_for_one_name_are_a_conflict() {
    let server = NameServer::start(&[txt(QUERY, &record(1, 9010)), txt(QUERY, &record(2, 9010))]);

    is_refused(&dns(&server), "several different keys").await;
}

#[tokio::test]
async fn an_answer_beyond_the_limits_is_not_believed() {
    let long = [txt(QUERY, &record(1, 9010)), txt(QUERY, &"x".repeat(60_000))];
    is_refused(&dns(&NameServer::start(&long)), "over the limit").await;

    let many: Vec<_> = (0..17).map(|port| txt(QUERY, &record(1, 9010 + port))).collect();
    let server = NameServer::start(&many);
    assert_eq!(dns(&server).agents("bob.test").await, Err(LookupError::Answer(AnswerError::TooMany)));
    is_refused(&dns(&server), "more than 16").await;
}

#[tokio::test]
async fn a_public_name_with_a_private_address_is_refused_unless_that_is_meant() {
    let lies = [host("bob.test.", "127.0.0.1"), host("eve.test.", "8.8.8.8"), host("eve.test.", "10.0.0.1"), host("v6.test.", "fd00::1")];
    let server = NameServer::start(&lies);
    let strict = dns(&server);
    let lab = Dns::new(Settings { allow_private: true, ..settings(&[&server]) });

    for name in ["bob.test", "eve.test", "v6.test"] {
        assert!(matches!(strict.addresses(name).await, Err(LookupError::Private(..))), "{name}");
        assert!(lab.addresses(name).await.is_ok(), "{name}");
    }
    assert_eq!(strict.addresses("nobody.test").await, Err(LookupError::NoAddress("nobody.test".to_owned())));
}

#[tokio::test]
async fn a_domain_that_changes_its_mind_is_judged_anew_each_time() {
    let server = NameServer::start(&[host("bob.test.", "8.8.8.8"), txt(QUERY, &record(1, 9010))]);
    let dns = dns(&server);
    assert!(dns.addresses("bob.test").await.is_ok());
    assert!(dns.prove("bob.test", &bob(), &key(1)).await.is_verified());

    server.now_says(&[host("bob.test.", "127.0.0.1"), txt(QUERY, &record(2, 9010))]);
    assert!(matches!(dns.addresses("bob.test").await, Err(LookupError::Private(..))));
    assert!(!dns.prove("bob.test", &bob(), &key(1)).await.is_verified());

    server.now_says(&[host("bob.test.", "8.8.8.8"), txt(QUERY, &record(1, 9010))]);
    assert!(dns.addresses("bob.test").await.is_ok());
    assert!(dns.prove("bob.test", &bob(), &key(1)).await.is_verified());
}

#[tokio::test]
async fn public_addresses_and_names_of_private_networks_are_let_through() {
    let server = NameServer::start(&[host("bob.test.", "8.8.8.8"), host("nas.lan.", "192.168.1.9")]);
    let dns = dns(&server);
    let ips = |text: &str| Ok(vec![text.parse::<IpAddr>().expect("an address")]);

    assert_eq!(dns.addresses("bob.test").await, ips("8.8.8.8"));
    assert_eq!(dns.addresses("nas.lan").await, ips("192.168.1.9"));
    assert_eq!(dns.addresses("10.0.0.1").await, ips("10.0.0.1"));
    assert!(dns.addresses("localhost").await.expect("the system knows it").iter().all(IpAddr::is_loopback));
}

#[tokio::test]
async fn resolvers_that_must_agree_prove_nothing_when_they_do_not() {
    let one = NameServer::start(&[txt(QUERY, &record(1, 9010))]);
    let other = NameServer::start(&[txt(QUERY, &record(1, 9010))]);
    let agreeing = || Dns::new(Settings { rigour: Rigour::Agreement, ..settings(&[&one, &other]) });

    assert!(agreeing().prove("bob.test", &bob(), &key(1)).await.is_verified());

    other.now_says(&[txt(QUERY, &record(2, 9010))]);
    is_refused(&agreeing(), "disagree").await;

    other.now_says(&[]);
    is_refused(&agreeing(), "disagree").await;

    other.behave(Manners::Failing);
    is_refused(&agreeing(), "could not be asked").await;
}

#[tokio::test]
async fn where_signatures_are_demanded_only_a_signed_answer_is_a_proof() {
    let records = [txt(QUERY, &record(1, 9010))];
    let (signed, anchor) = NameServer::signed(&records);
    let unsigned = NameServer::start(&records);
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("root.key");
    std::fs::write(&path, anchor).expect("writes");
    let demanding = |server: &NameServer, trust_anchor| Dns::new(Settings { rigour: Rigour::Dnssec, trust_anchor, ..settings(&[server]) });

    assert_eq!(demanding(&signed, Some(path.clone())).prove("bob.test", &bob(), &key(1)).await, DnsProof::Verified);
    assert!(!demanding(&signed, None).prove("bob.test", &bob(), &key(1)).await.is_verified(), "signed by a stranger");
    assert!(!demanding(&unsigned, Some(path)).prove("bob.test", &bob(), &key(1)).await.is_verified(), "not signed");
}
