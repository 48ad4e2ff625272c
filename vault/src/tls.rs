//! The certificate that a listener shows. Nobody verifies it: it carries a key exchange, and identity is
//! proven inside. It looks like every other toq certificate (name `localhost`).

use std::path::Path;

use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

use crate::error::VaultError;
use crate::private_file::{read_private, write_private};

/// A certificate and its private key.
pub struct Certificate {
    /// The certificate, DER.
    pub certificate: CertificateDer<'static>,
    /// Its private key.
    pub key: PrivateKeyDer<'static>,
}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Certificate(…)")
    }
}

impl Certificate {
    pub(crate) fn open(certificate: &Path, key: &Path) -> Result<Self, VaultError> {
        if read_private(key)?.is_none() {
            Self::make(certificate, key)?;
        }
        Self::read(certificate, key)
    }

    /// Reads a certificate and its key from their texts; `None` where one of them is not PEM of its kind.
    #[must_use]
    pub fn from_pem(certificate: &[u8], key: &[u8]) -> Option<Self> {
        let certificate = CertificateDer::from_pem_slice(certificate).ok()?;
        Some(Self { certificate, key: PrivateKeyDer::from_pem_slice(key).ok()? })
    }

    fn read(certificate: &Path, key: &Path) -> Result<Self, VaultError> {
        let malformed = |path: &Path, expected| VaultError::Malformed { path: path.to_owned(), expected };
        let pem = std::fs::read(certificate).map_err(|error| VaultError::file("read", certificate, error))?;
        let certificate_der = CertificateDer::from_pem_slice(&pem).map_err(|_| malformed(certificate, "a PEM certificate"))?;
        let pem = Zeroizing::new(read_private(key)?.unwrap_or_default());
        let key_der = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| malformed(key, "a PEM private key"))?;
        Ok(Self { certificate: certificate_der, key: key_der })
    }

    /// The certificate is written first: a crash in between leaves no key, and both are made anew.
    fn make(certificate: &Path, key: &Path) -> Result<(), VaultError> {
        let failed = |error: rcgen::Error| VaultError::Certificate(error.to_string());
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed)?;
        let params = CertificateParams::new(vec!["localhost".to_owned()]).map_err(failed)?;
        let made = params.self_signed(&pair).map_err(failed)?;
        write_private(certificate, made.pem().as_bytes())?;
        write_private(key, Zeroizing::new(pair.serialize_pem()).as_bytes())
    }
}
