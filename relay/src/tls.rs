//! The certificate that both servers show, and what members would say to it.
//!
//! A server shows whatever it is given; it is the members who refuse. So whoever starts a relay is told at once what they will refuse.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::ring::default_provider;
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, Error, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, DnsName, PrivateKeyDer, ServerName, UnixTime};
use toq_protocol::Timestamp;

/// A name that no certificate has (RFC 6761, section 6.4).
const NOBODY: &str = "nobody.invalid";

/// A certificate chain and its private key, in PEM; they belong together.
#[derive(Clone)]
pub struct Tls {
    certificate: Vec<u8>,
    key: Vec<u8>,
    chain: Vec<CertificateDer<'static>>,
    config: ServerConfig,
}

/// Why members will refuse a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Its time is over.
    Expired,
    /// Its time has not begun.
    NotYet,
    /// It says that it is an authority's own (RFC 5280, section 4.2.1.9), and is shown as a server's.
    Authority,
    /// It names nobody (RFC 9525, section 6.3: its subject does not count).
    Nameless,
    /// Something else.
    Other(String),
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expired => f.write_str("it has expired"),
            Self::NotYet => f.write_str("it is not valid yet"),
            Self::Authority => {
                f.write_str("it says of itself that it is an authority's (CA:TRUE, as `openssl req -x509` makes it), not a server's")
            }
            Self::Nameless => f.write_str("it has no subjectAltName, and what its subject says does not count"),
            Self::Other(why) => f.write_str(why),
        }
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls(…)")
    }
}

impl Tls {
    /// Reads a chain, the server's own certificate first, and its key.
    ///
    /// # Errors
    /// Says which of the two is wrong and how.
    pub fn from_pem(certificate: Vec<u8>, key: Vec<u8>) -> Result<Self, String> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&certificate).collect();
        let chain = chain.map_err(|error| format!("the certificate is no PEM: {error}"))?;
        if chain.is_empty() {
            return Err("there is no certificate in the file of the certificate; it is to have a chain in PEM".to_owned());
        }
        let private = PrivateKeyDer::from_pem_slice(&key).map_err(|error| format!("the key is no private key in PEM: {error}"))?;
        // The provider is named, because the process has none by default.
        let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()));
        let builder = builder.with_safe_default_protocol_versions().map_err(|error| error.to_string())?;
        let config = builder.with_no_client_auth().with_single_cert(chain.clone(), private);
        let config = config.map_err(|error| format!("the certificate and the key cannot be used together: {error}"))?;
        Ok(Self { certificate, key, chain, config })
    }

    /// For the API server.
    #[must_use]
    pub fn config(&self) -> ServerConfig {
        self.config.clone()
    }

    /// For the data plane: the chain and the key, in PEM.
    #[must_use]
    pub fn pem(&self) -> (&[u8], &[u8]) {
        (&self.certificate, &self.key)
    }

    /// Why members will refuse this, whomever they trust; empty where they will not.
    #[must_use]
    pub fn flaws(&self, now: Timestamp) -> Vec<Flaw> {
        let Some((own, others)) = self.chain.split_first() else { return Vec::new() };
        let own = match ParsedCertificate::try_from(own) {
            Ok(own) => own,
            Err(error) => return vec![Flaw::Other(format!("it cannot be read: {error}"))],
        };
        // As if the member trusted whoever stands last in the chain: that is for the member to decide.
        let mut trusted = RootCertStore::empty();
        if let Some(Err(error)) = self.chain.last().map(|last| trusted.add(last.clone())) {
            return vec![Flaw::Other(format!("its chain cannot be read: {error}"))];
        }
        let now = UnixTime::since_unix_epoch(Duration::from_secs(now.as_secs().try_into().unwrap_or(0)));
        let provider = default_provider();
        let algorithms = provider.signature_verification_algorithms.all;
        let mut flaws = Vec::new();
        match verify_server_cert_signed_by_trust_anchor(&own, &trusted, others, now, algorithms) {
            Ok(()) | Err(Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {}
            Err(Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. })) => {
                flaws.push(Flaw::Expired)
            }
            Err(Error::InvalidCertificate(CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. })) => {
                flaws.push(Flaw::NotYet);
            }
            // Alone, it may be of an authority that is called as it is.
            Err(Error::InvalidCertificate(CertificateError::BadSignature)) if others.is_empty() => {}
            // The library has no name of its own for this one.
            Err(error) if format!("{error:?}").contains("CaUsedAsEndEntity") => flaws.push(Flaw::Authority),
            Err(error) => flaws.push(Flaw::Other(error.to_string())),
        }
        if names(&own).is_empty() {
            flaws.push(Flaw::Nameless);
        }
        flaws
    }

    /// The command that makes a certificate for the same names that members do not refuse, and its key, in files of `dir`.
    #[must_use]
    pub fn remedy(&self, dir: &Path) -> String {
        let own = self.chain.first().and_then(|own| ParsedCertificate::try_from(own).ok());
        let mut names = own.map(|own| names(&own)).unwrap_or_default();
        if names.is_empty() {
            names.push("DNS:localhost".to_owned());
        }
        let (names, dir) = (names.join(","), dir.display());
        format!(
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 365 -subj /CN=relay \
             -addext 'subjectAltName={names}' -addext basicConstraints=critical,CA:FALSE -keyout '{dir}/tls.key' -out '{dir}/tls.crt'"
        )
    }
}

/// Whom a certificate names, as openssl writes it.
fn names(own: &ParsedCertificate<'_>) -> Vec<String> {
    let Ok(nobody) = DnsName::try_from(NOBODY) else { return Vec::new() };
    let asked = verify_server_name(own, &ServerName::DnsName(nobody));
    // Who asks for a name that is not there is told those that are, as `DnsName("a.b")` and `IpAddress(::1)`.
    let Err(Error::InvalidCertificate(CertificateError::NotValidForNameContext { presented, .. })) = asked else { return Vec::new() };
    let name = |presented: &String| {
        let dns = presented.strip_prefix("DnsName(\"").and_then(|rest| rest.strip_suffix("\")")).map(|name| format!("DNS:{name}"));
        dns.or_else(|| presented.strip_prefix("IpAddress(").and_then(|rest| rest.strip_suffix(')')).map(|ip| format!("IP:{ip}")))
    };
    // They go into a command.
    let is_plain = |name: &String| name.chars().all(|c| c.is_ascii_alphanumeric() || ".:-*_".contains(c));
    presented.iter().filter_map(name).filter(is_plain).collect()
}
