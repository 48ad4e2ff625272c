//! TLS 1.3 with AES-256-GCM first and X25519 only.
//!
//! The client accepts any certificate, as published peers do: a certificate says nothing about a toq
//! agent. It does check that the server holds the key of the certificate that it shows, which costs
//! nothing and keeps the handshake signature meaningful.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::version::TLS13;
use rustls::{ClientConfig, ConnectionCommon, DigitallySignedStruct, Error, ServerConfig, SignatureScheme};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use toq_protocol::binding::{Exporter, LABEL};
use toq_vault::Certificate;

fn provider() -> CryptoProvider {
    CryptoProvider {
        cipher_suites: vec![
            ring::cipher_suite::TLS13_AES_256_GCM_SHA384,
            ring::cipher_suite::TLS13_AES_128_GCM_SHA256,
            ring::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
        ],
        kx_groups: vec![ring::kx_group::X25519],
        ..ring::default_provider()
    }
}

/// Makes the acceptor of a listener that shows `certificate`.
///
/// # Errors
/// Where the key does not fit the certificate.
pub fn acceptor(certificate: &Certificate) -> Result<TlsAcceptor, Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider()))
        .with_protocol_versions(&[&TLS13])?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.certificate.clone()], certificate.key.clone_key())?;
    // Nobody resumes: published peers make a fresh configuration for each connection, and a ticket costs
    // each connection two records and some memory.
    config.send_tls13_tickets = 0;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Makes the connector for dialling.
///
/// # Errors
/// Where the provider lacks what TLS 1.3 needs.
pub fn connector() -> Result<TlsConnector, Error> {
    let provider = provider();
    let verifier = AnyCertificate { algorithms: provider.signature_verification_algorithms };
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.resumption = rustls::client::Resumption::disabled();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// The value by which the two ends of a finished TLS connection recognise it (RFC 9266).
///
/// # Errors
/// Where the TLS handshake is not complete.
pub fn exporter<Role>(connection: &ConnectionCommon<Role>) -> Result<Exporter, Error> {
    connection.export_keying_material([0; 32], LABEL, None).map(Exporter::new)
}

/// The name that every toq client asks for.
#[must_use]
pub fn server_name() -> ServerName<'static> {
    ServerName::try_from("localhost").expect("localhost is a valid name")
}

#[derive(Debug)]
struct AnyCertificate {
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 is not offered".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
