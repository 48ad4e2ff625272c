//! Both servers with a certificate: who trusts its authority is served, who does not is told why.

mod world;

use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, date_time_ymd};
use toq_api::relay::{Credential, NewAccount, RelayApi, Target};
use toq_dataplane::{Link, LinkError, Options};
use toq_protocol::Timestamp;
use toq_relay::Relay;
use toq_relay::tls::{Flaw, Tls};
use world::{Member, general, tag, with_config};

/// An authority, and a certificate of it for this machine.
struct Issued {
    authority: String,
    certificate: String,
    key: String,
}

fn issued() -> Issued {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = params.self_signed(&key).expect("signed").pem();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().expect("a key");
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let certificate = CertificateParams::new(names).expect("names").signed_by(&key, &issuer).expect("signed").pem();
    Issued { authority, certificate, key: key.serialize_pem() }
}

fn tls(issued: &Issued) -> Tls {
    Tls::from_pem(issued.certificate.clone().into_bytes(), issued.key.clone().into_bytes()).expect("they belong together")
}

fn options(relay: &Relay, authority: Option<&str>) -> Options {
    Options { ca: authority.map(|pem| pem.as_bytes().to_vec()), ..Options::new(format!("https://{}", relay.grpc)) }
}

fn api(relay: &Relay, scheme: &str, authority: &str) -> RelayApi {
    let target = Target { authorities: Some(authority.as_bytes().to_vec()), ..Target::at(format!("{scheme}://{}", relay.api)) };
    RelayApi::new(&target, Credential::None).expect("a client")
}

#[test]
fn who_trusts_the_authority_gets_a_token_and_uses_it_over_tls() {
    let issued = issued();
    with_config(
        |config| {
            config.anonymous = false;
            config.tls = Some(tls(&issued));
        },
        async |relay| {
            let api = api(&relay, "https", &issued.authority);
            let new = NewAccount { email: "owner@example.org".to_owned(), name: None };
            let key = api.create_account(&new).await.expect("opened, as somebody on this machine").api_key;
            let token = api.with(Credential::Bearer(key)).token().await.expect("exchanged").token;

            let options = Options { token: Some(token), ..options(&relay, Some(&issued.authority)) };
            let (link, incoming) = Link::open(options).await.expect("let in");
            let mut alice = Member { link, incoming };
            alice.send(&general(), 1, "hello").await;

            assert_eq!(alice.accepted().await, (tag(1), 1));
            relay
        },
    );
}

#[test]
fn who_trusts_another_authority_or_speaks_clear_text_is_not_served() {
    let (right, wrong) = (issued(), issued());
    with_config(
        |config| config.tls = Some(tls(&right)),
        async |relay| {
            for authority in [Some(wrong.authority.as_str()), None] {
                let refused = Link::open(options(&relay, authority)).await.err();
                let Some(LinkError::Unreachable { endpoint, detail }) = refused else { panic!("{refused:?}") };
                assert!(
                    endpoint.starts_with("https://") && detail.contains("invalid peer certificate") && detail.contains("ca_file"),
                    "{detail}"
                );
            }
            let clear = Link::open(Options::new(format!("http://{}", relay.grpc))).await.err();
            assert!(matches!(&clear, Some(LinkError::Unreachable { detail, .. }) if detail.contains("write https://")), "{clear:?}");

            let new = NewAccount { email: "owner@example.org".to_owned(), name: None };
            let said = api(&relay, "https", &wrong.authority).create_account(&new).await.err().expect("refused").to_string();
            assert!(said.contains("invalid peer certificate") && said.contains("ca_file"), "{said}");
            let said = api(&relay, "http", &right.authority).create_account(&new).await.err().expect("refused").to_string();
            assert!(said.contains("write https://"), "{said}");
            let alice = Link::open(options(&relay, Some(&right.authority))).await;
            assert!(alice.is_ok(), "others are served: {:?}", alice.err());
            relay
        },
    );
}

#[test]
fn a_key_of_another_certificate_and_what_is_none_at_all_are_named() {
    let (one, other) = (issued(), issued());
    let read = |certificate: &str, key: &str| Tls::from_pem(certificate.as_bytes().to_vec(), key.as_bytes().to_vec()).err();

    assert!(read(&one.certificate, &one.key).is_none());
    for (certificate, key, named) in [
        (&one.certificate, &other.key, "together"),
        (&one.key, &one.key, "no certificate"),
        (&one.certificate, &one.certificate, "private key"),
    ] {
        let error = read(certificate, key).expect("it is refused");
        assert!(error.contains(named), "{error}");
    }
}

#[test]
fn who_expects_tls_of_a_relay_without_is_told_so() {
    with_config(
        |_| {},
        async |relay| {
            let refused = Link::open(options(&relay, None)).await.err();

            assert!(matches!(&refused, Some(LinkError::Unreachable { detail, .. }) if detail.contains("write http://")), "{refused:?}");
            let said = api(&relay, "https", &issued().authority).health().await.expect_err("refused").to_string();
            assert!(said.contains("write http://"), "{said}");
            relay
        },
    );
}

#[test]
fn a_certificate_that_members_will_refuse_is_known_before_they_do() {
    let day = date_time_ymd;
    let flaws = |names: &[&str], change: fn(&mut CertificateParams)| {
        let key = KeyPair::generate().expect("a key");
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names");
        (params.not_before, params.not_after) = (day(2026, 1, 1), day(2028, 1, 1));
        change(&mut params);
        let own = params.self_signed(&key).expect("signed").pem();
        let tls = Tls::from_pem(own.into_bytes(), key.serialize_pem().into_bytes()).expect("they belong together");
        // In 2027.
        (tls.flaws(Timestamp::from_nanos(1_800_000_000_000_000_000)), tls.remedy(Path::new("/srv/relay")))
    };
    let named = &["relay.example.org", "127.0.0.1"][..];

    let (none, remedy) = flaws(named, |_| {});
    let (expired, _) = flaws(named, |params| params.not_after = date_time_ymd(2026, 6, 1));
    let (not_yet, _) = flaws(named, |params| params.not_before = date_time_ymd(2027, 6, 1));
    let (authority, _) = flaws(named, |params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    let (nameless, other) = flaws(&[], |_| {});
    let (client, _) = flaws(named, |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]);

    assert_eq!((none, expired, not_yet), (Vec::new(), vec![Flaw::Expired], vec![Flaw::NotYet]));
    assert_eq!((authority, nameless), (vec![Flaw::Authority], vec![Flaw::Nameless]));
    assert!(matches!(client.as_slice(), [Flaw::Other(_)]), "{client:?}");
    assert_eq!(tls(&issued()).flaws(Timestamp::from_nanos(1_800_000_000_000_000_000)), [], "who its authority is, members decide");
    assert!(remedy.contains("'subjectAltName=DNS:relay.example.org,IP:127.0.0.1'") && other.contains("DNS:localhost"), "{remedy}, {other}");
}
