//! The agent as it appears in groups: an identity, a signature key of its own, and perhaps a proof that both belong to an agent key.
//!
//! The signature key is made here and used for MLS alone; the agent key signs it once (see the proof) and is never in this room.
//! Key packages are the agent's offers to be added. Each is for one group: its private half is deleted when a Welcome used it,
//! except for the one of last resort, which is marked as such (RFC 9750, section 5.1) and should be replaced as soon as it was used.

use minicbor::{Decode, Encode};
use mls_rs::client_builder::{
    BaseConfig, ClientBuilder, WithCryptoProvider, WithGroupStateStorage, WithIdentityProvider, WithKeyPackageRepo, WithMlsRules,
};
use mls_rs::crypto::{SignaturePublicKey, SignatureSecretKey};
use mls_rs::extension::recommended::LastResortKeyPackageExt;
use mls_rs::identity::SigningIdentity;
use mls_rs::identity::basic::BasicCredential;
use mls_rs::mls_rs_codec::{MlsDecode as _, MlsSize as _};
use mls_rs::time::MlsTime;
use mls_rs::{CipherSuite, CipherSuiteProvider as _, Client, CryptoProvider as _, ExtensionList, MlsMessage};
use mls_rs_core::key_package::KeyPackageData;
use mls_rs_crypto_rustcrypto::RustCryptoProvider;
use toq_protocol::key::{PeerKey, Signature};
use zeroize::Zeroizing;

use super::error::GroupError;
use super::proof::{Proof, ProofError, statement};
use super::rows::{Rows, Shelf, Shelves};
use super::rules::{ANNOUNCED, Names, Rules};
use super::store::Store;
use crate::frame::{self, Kind};

/// The suite of all channels: MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519 (RFC 9420, section 17.1).
pub(crate) const SUITE: CipherSuite = CipherSuite::CURVE25519_AES128;

/// How long our key packages can be used, in seconds (threat H4).
pub const PACKAGE_LIFETIME: u64 = 90 * 24 * 3600;

/// How much earlier a key package begins than it is made, in seconds, for adders whose clocks are behind. Part of its lifetime.
const BACKDATED: u64 = 3600;

/// How long the private half of a key package that has ended is kept, in seconds, for Welcomes that were made before.
const GRACE: u64 = 7 * 24 * 3600;

/// The longest identity, in bytes. Every member keeps the identity of every other.
pub const MAX_IDENTITY: usize = 1024;

/// The largest key package that is looked at, in bytes; ours have 400.
pub const MAX_PACKAGE: usize = 16 * 1024;

const KEY: &[u8] = b"agent";

pub(crate) type Config = WithMlsRules<
    Rules,
    WithIdentityProvider<
        Names,
        WithCryptoProvider<RustCryptoProvider, WithKeyPackageRepo<Store, WithGroupStateStorage<Store, BaseConfig>>>,
    >,
>;

/// Which key package is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyPackageKind {
    /// For one group.
    OneTime,
    /// For when the others are used up: may be used more than once, and says so.
    LastResort,
}

/// An offer to be added to a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPackage {
    /// The MLSMessage that an adder wants.
    pub message: Vec<u8>,
    /// Its reference (RFC 9420, section 5.2), 32 bytes, by which its private half is kept.
    pub reference: Vec<u8>,
}

/// What a stranger's key package says of itself. Nothing of it is proven but where [`PackageView::proven`] says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageView {
    /// The name in its credential.
    pub identity: Vec<u8>,
    /// The agent key that signed its signature key.
    pub proven: Option<PeerKey>,
    /// Its signature key, 32 bytes.
    pub signature_key: Vec<u8>,
    /// Its reference.
    pub reference: Vec<u8>,
    /// When it ends, in seconds since 1970.
    pub not_after: u64,
    /// Whether it is one of last resort.
    pub is_last_resort: bool,
}

/// An identity with its keys.
#[derive(Clone)]
pub struct Agent {
    identity: Vec<u8>,
    signer: SignatureSecretKey,
    public: SignaturePublicKey,
    proof: Option<Proof>,
}

#[derive(Encode, Decode)]
struct AgentRow {
    #[cbor(n(0), with = "minicbor::bytes")]
    identity: Vec<u8>,
    #[cbor(n(1), with = "minicbor::bytes")]
    signer: Vec<u8>,
    #[cbor(n(2), with = "minicbor::bytes")]
    public: Vec<u8>,
    #[cbor(n(3), with = "minicbor::bytes")]
    proof: Vec<u8>,
}

impl Agent {
    /// Makes an agent with a new signature key. `identity` may be empty and is taken as it is.
    ///
    /// # Errors
    /// [`GroupError::TooLarge`] above [`MAX_IDENTITY`]; [`GroupError::Mls`] where the system has no randomness.
    pub fn create(identity: &[u8]) -> Result<(Self, Rows), GroupError> {
        if identity.len() > MAX_IDENTITY {
            return Err(GroupError::TooLarge { what: "identity", size: identity.len(), limit: MAX_IDENTITY });
        }
        let suite = suite()?;
        let (signer, public) = suite.signature_key_generate().map_err(|error| GroupError::Mls(format!("{error:?}")))?;
        let agent = Self { identity: identity.to_vec(), signer, public, proof: None };
        let rows = agent.rows();
        Ok((agent, rows))
    }

    /// The agent that was made and kept; `None` where there was none.
    ///
    /// # Errors
    /// [`GroupError::Storage`] where the row is damaged or cannot be read.
    pub fn load(shelves: &dyn Shelves) -> Result<Option<Self>, GroupError> {
        let Some(bytes) = shelves.get(Shelf::Identity, KEY)? else { return Ok(None) };
        let row: AgentRow = minicbor::decode(&bytes).map_err(|_| GroupError::Storage("the agent's row is damaged".into()))?;
        let proof = Proof::from_bytes(&row.proof);
        Ok(Some(Self { identity: row.identity, signer: row.signer.into(), public: row.public.into(), proof }))
    }

    /// What the agent key has to sign, so that [`Agent::prove`] takes it.
    #[must_use]
    pub fn statement(&self) -> Vec<u8> {
        statement(&self.identity, &self.public)
    }

    /// Adds the proof that this agent belongs to `key`. Groups and key packages made before do not have it.
    ///
    /// # Errors
    /// [`GroupError::Proof`] where `signature` is not `key`'s over [`Agent::statement`].
    pub fn prove(&mut self, key: PeerKey, signature: Signature) -> Result<Rows, GroupError> {
        let proof = Proof { key, signature };
        if !proof.proves(&self.signing_identity()) {
            return Err(ProofError::Signature.into());
        }
        self.proof = Some(proof);
        Ok(self.rows())
    }

    /// The identity's bytes.
    #[must_use]
    pub fn identity(&self) -> &[u8] {
        &self.identity
    }

    /// The agent key that it proves to have.
    #[must_use]
    pub fn proven(&self) -> Option<PeerKey> {
        self.proof.map(|proof| proof.key)
    }

    /// Makes a key package. `now` is in seconds since 1970.
    ///
    /// # Errors
    /// [`GroupError::Mls`] where the system has no randomness.
    pub fn key_package(&self, now: u64, kind: KeyPackageKind) -> Result<(KeyPackage, Rows), GroupError> {
        let store = Store::default();
        let mut extensions = ExtensionList::new();
        if kind == KeyPackageKind::LastResort {
            extensions.set_from(LastResortKeyPackageExt).map_err(|error| GroupError::Mls(error.to_string()))?;
        }
        let begin = MlsTime::from(now.saturating_sub(BACKDATED));
        let message =
            self.client(&store, &Rules::default()).generate_key_package_message(extensions, self.leaf_extensions(), Some(begin))?;
        let reference =
            message.key_package_reference(&suite()?)?.ok_or_else(|| GroupError::Mls("a key package has no reference".into()))?;
        let mut rows = Rows::default();
        store.take_changes(&[0; 32], &mut rows)?;
        Ok((KeyPackage { message: message.to_bytes()?, reference: reference.to_vec() }, rows))
    }

    /// Forgets the private half of a key package: the one of last resort after its use, or one that expired.
    pub fn forget_key_package(reference: &[u8]) -> Rows {
        let mut rows = Rows::default();
        rows.delete(Shelf::KeyPackage, reference.to_vec());
        rows
    }

    /// Forgets the private halves of key packages that ended a week ago: nobody can be added by them any more, and no Welcome is on its way.
    /// `references` are the keys of [`Shelf::KeyPackage`]; `now` is in seconds since 1970.
    ///
    /// # Errors
    /// [`GroupError::Storage`] where a row cannot be read.
    pub fn forget_ended(references: &[Vec<u8>], shelves: &dyn Shelves, now: u64) -> Result<Rows, GroupError> {
        let mut rows = Rows::default();
        for reference in references {
            let Some(row) = shelves.get(Shelf::KeyPackage, reference)? else { continue };
            let ended = |package: KeyPackageData| package.expiration.saturating_add(GRACE) < now;
            if KeyPackageData::mls_decode(&mut row.as_slice()).is_ok_and(ended) {
                rows.delete(Shelf::KeyPackage, reference.clone());
            }
        }
        Ok(rows)
    }

    /// The library's view of this agent, reading and writing `store`.
    pub(crate) fn client(&self, store: &Store, rules: &Rules) -> Client<Config> {
        ClientBuilder::new()
            .group_state_storage(store.clone())
            .key_package_repo(store.clone())
            .crypto_provider(RustCryptoProvider::new())
            .identity_provider(Names)
            .mls_rules(rules.clone())
            .extension_types(ANNOUNCED)
            .key_package_lifetime(std::time::Duration::from_secs(PACKAGE_LIFETIME))
            .signing_identity(self.signing_identity(), self.signer.clone(), SUITE)
            .build()
    }

    pub(crate) fn signing_identity(&self) -> SigningIdentity {
        SigningIdentity::new(BasicCredential::new(self.identity.clone()).into_credential(), self.public.clone())
    }

    pub(crate) fn leaf_extensions(&self) -> ExtensionList {
        self.proof.map(Proof::extension).into_iter().collect()
    }

    fn rows(&self) -> Rows {
        let row = AgentRow {
            identity: self.identity.clone(),
            signer: self.signer.as_bytes().to_vec(),
            public: self.public.to_vec(),
            proof: self.proof.map(Proof::to_bytes).unwrap_or_default(),
        };
        let row = Zeroizing::new(row);
        let mut bytes = Zeroizing::new(Vec::with_capacity(512 + self.identity.len()));
        minicbor::encode(&*row, &mut *bytes).expect("writing to memory cannot fail");
        let mut rows = Rows::default();
        rows.put(Shelf::Identity, KEY.to_vec(), bytes);
        rows
    }
}

impl zeroize::Zeroize for AgentRow {
    fn zeroize(&mut self) {
        self.signer.zeroize();
    }
}

impl std::fmt::Debug for Agent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Agent({}, {:?})", String::from_utf8_lossy(&self.identity).escape_debug(), self.proven())
    }
}

/// Looks at a stranger's key package, whose signatures and lifetime are checked when it is added.
///
/// # Errors
/// [`GroupError::TooLarge`] above [`MAX_PACKAGE`], [`GroupError::Malformed`] and [`GroupError::Mls`] where it is none.
pub fn view_key_package(bytes: &[u8]) -> Result<PackageView, GroupError> {
    let message = read_key_package(bytes)?;
    let reference = message.key_package_reference(&suite()?)?.map(|reference| reference.to_vec()).unwrap_or_default();
    let add = mls_rs::group::proposal::AddProposal::try_from(message)?;
    let identity = add.signing_identity();
    let basic = identity.credential.as_basic().ok_or_else(|| GroupError::Mls("the key package has no basic credential".into()))?;
    Ok(PackageView {
        identity: basic.identifier.clone(),
        proven: super::proof::proven(identity, &add.leaf_node_extensions()),
        signature_key: identity.signature_key.to_vec(),
        reference,
        not_after: add.key_package().expiration()?.seconds_since_epoch(),
        is_last_resort: add.key_package_extensions().get_as::<LastResortKeyPackageExt>().ok().flatten().is_some(),
    })
}

pub(crate) fn read_key_package(bytes: &[u8]) -> Result<MlsMessage, GroupError> {
    if bytes.len() > MAX_PACKAGE {
        return Err(GroupError::TooLarge { what: "key package", size: bytes.len(), limit: MAX_PACKAGE });
    }
    let message = MlsMessage::from_bytes(bytes)?;
    // The library looks neither at the message's version nor behind its end.
    let is_head_right = frame::peek(bytes).is_ok_and(|frame| frame.kind == Kind::KeyPackage);
    if is_head_right && message.mls_encoded_len() == bytes.len() {
        Ok(message)
    } else {
        Err(GroupError::Malformed("the message is no key package, or more than one".into()))
    }
}

pub(crate) fn suite() -> Result<<RustCryptoProvider as mls_rs::CryptoProvider>::CipherSuiteProvider, GroupError> {
    RustCryptoProvider::new().cipher_suite_provider(SUITE).ok_or_else(|| GroupError::Mls("UnsupportedCipherSuite(1)".into()))
}
