//! What the clients need to know of TLS.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

/// TLS that trusts these certificate authorities (PEM), or the machine's where none are given.
///
/// # Errors
/// Says what is wrong with the certificates.
pub(crate) fn trusting(authorities: Option<&[u8]>) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    match authorities {
        None => {
            // A certificate that the machine has and rustls cannot read leaves the others usable.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        Some(pem) => {
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let certificate = certificate.map_err(|error| format!("the certificate authorities are no PEM: {error}"))?;
                roots.add(certificate).map_err(|error| format!("a certificate authority cannot be used: {error}"))?;
            }
            if roots.is_empty() {
                return Err("there is no certificate in the PEM of certificate authorities".to_owned());
            }
        }
    }
    with(roots)
}

/// TLS that trusts nobody, for clients that never speak it: the HTTP library wants one all the same.
pub(crate) fn none() -> Result<ClientConfig, String> {
    with(RootCertStore::empty())
}

fn with(roots: RootCertStore) -> Result<ClientConfig, String> {
    // The provider is named, because the process has none by default and making a client would panic.
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| format!("TLS cannot be set up: {error}"))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
