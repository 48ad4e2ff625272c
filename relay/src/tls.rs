//! The certificate that both servers show.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// A certificate chain and its private key, in PEM; they belong together.
#[derive(Clone)]
pub struct Tls {
    certificate: Vec<u8>,
    key: Vec<u8>,
    config: ServerConfig,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
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
        let builder = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().map_err(|error| error.to_string())?;
        let config = builder.with_no_client_auth().with_single_cert(chain, private);
        let config = config.map_err(|error| format!("the certificate and the key cannot be used together: {error}"))?;
        Ok(Self { certificate, key, config })
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
}
