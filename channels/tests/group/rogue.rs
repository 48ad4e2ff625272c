//! A member that keeps to MLS and to none of the channel's rules.

use mls_rs::client_builder::{BaseConfig, ClientBuilder, PaddingMode, WithCryptoProvider, WithIdentityProvider, WithMlsRules};
use mls_rs::extension::ExtensionType;
use mls_rs::group::{GroupContext, Roster};
use mls_rs::identity::basic::BasicCredential;
use mls_rs::identity::{CredentialType, SigningIdentity};
use mls_rs::mls_rules::{CommitDirection, CommitOptions, CommitSource, DefaultMlsRules, EncryptionOptions, ProposalBundle};
use mls_rs::psk::{ExternalPskId, PreSharedKey};
use mls_rs::time::MlsTime;
use mls_rs::{
    CipherSuite, CipherSuiteProvider as _, Client, CryptoProvider as _, ExtensionList, Group, IdentityProvider, MlsMessage, MlsRules,
};
use mls_rs_core::extension::Extension;
use mls_rs_core::identity::MemberValidationContext;
use mls_rs_crypto_rustcrypto::RustCryptoProvider;
use toq_channels::group::Intent;
use toq_protocol::key::Identity;

use crate::party::{NOW, Party, name};

const SUITE: CipherSuite = CipherSuite::CURVE25519_AES128;
/// The extensions of the protocol, as docs/decisions/0032 has them.
pub const PROOF: ExtensionType = ExtensionType::new(0xF70A);
pub const ROLES: ExtensionType = ExtensionType::new(0xF70B);

type Config = WithMlsRules<Lawless, WithIdentityProvider<Gullible, WithCryptoProvider<RustCryptoProvider, BaseConfig>>>;

/// Everything that MLS allows.
#[derive(Clone, Debug)]
pub struct Lawless {
    pub encrypts: bool,
}

impl MlsRules for Lawless {
    type Error = std::convert::Infallible;

    fn filter_proposals(
        &self,
        _: CommitDirection,
        _: CommitSource,
        _: &Roster<'_>,
        _: &GroupContext,
        bundle: ProposalBundle,
    ) -> Result<ProposalBundle, Self::Error> {
        Ok(bundle)
    }

    fn commit_options(&self, roster: &Roster<'_>, context: &GroupContext, bundle: &ProposalBundle) -> Result<CommitOptions, Self::Error> {
        DefaultMlsRules::new().commit_options(roster, context, bundle)
    }

    fn encryption_options(&self, _: &Roster<'_>, _: &GroupContext) -> Result<EncryptionOptions, Self::Error> {
        Ok(EncryptionOptions::new(self.encrypts, PaddingMode::StepFunction))
    }
}

/// Believes whatever a credential says.
#[derive(Clone, Debug)]
pub struct Gullible;

impl IdentityProvider for Gullible {
    type Error = std::convert::Infallible;

    fn validate_member(&self, _: &SigningIdentity, _: Option<MlsTime>, _: MemberValidationContext<'_>) -> Result<(), Self::Error> {
        Ok(())
    }

    fn validate_external_sender(&self, _: &SigningIdentity, _: Option<MlsTime>, _: Option<&ExtensionList>) -> Result<(), Self::Error> {
        Ok(())
    }

    fn identity(&self, identity: &SigningIdentity, _: &ExtensionList) -> Result<Vec<u8>, Self::Error> {
        Ok(identity.signature_key.to_vec())
    }

    fn valid_successor(&self, _: &SigningIdentity, _: &SigningIdentity, _: &ExtensionList) -> Result<bool, Self::Error> {
        Ok(true)
    }

    fn supported_types(&self) -> Vec<CredentialType> {
        vec![CredentialType::BASIC]
    }
}

pub fn psk_id() -> ExternalPskId {
    ExternalPskId::new(b"psk".to_vec())
}

/// A signature key under a name, and a proof by the agent key of `seed` that belongs to it.
pub struct Face {
    pub identity: SigningIdentity,
    pub signer: mls_rs::crypto::SignatureSecretKey,
    pub proof: ExtensionList,
}

pub fn face(name: &str, seed: Option<u8>) -> Face {
    let suite = RustCryptoProvider::new().cipher_suite_provider(SUITE).expect("a suite");
    let (signer, public) = suite.signature_key_generate().expect("a key");
    let proof = seed.map(|seed| {
        let key = Identity::from_seed(&[seed; 32]);
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).expect("short").to_be_bytes();
        let statement =
            [b"toq channel member v1".as_slice(), &length(name.as_bytes()), name.as_bytes(), &length(&public), &public].concat();
        Extension::new(PROOF, [key.public().as_bytes().as_slice(), key.sign(&statement).as_bytes()].concat())
    });
    let identity = SigningIdentity::new(BasicCredential::new(name.into()).into_credential(), public);
    Face { identity, signer, proof: proof.into_iter().collect() }
}

pub fn client(face: &Face, encrypts: bool) -> Client<Config> {
    ClientBuilder::new()
        .crypto_provider(RustCryptoProvider::new())
        .identity_provider(Gullible)
        .mls_rules(Lawless { encrypts })
        .extension_types([PROOF, ROLES])
        .psk(psk_id(), PreSharedKey::new(vec![7; 32]))
        .signing_identity(face.identity.clone(), face.signer.clone(), SUITE)
        .build()
}

pub struct Rogue {
    pub group: Group<Config>,
}

impl Rogue {
    /// Is added by `parties[0]`, and all of them read it.
    pub fn join(parties: &mut [Party], seed: Option<u8>, encrypts: bool) -> Self {
        let face = face("rogue", seed);
        let client = client(&face, encrypts);
        let package =
            client.generate_key_package_message(ExtensionList::new(), face.proof.clone(), Some(MlsTime::from(NOW))).expect("a key package");
        let staged = parties[0].stage(&Intent::Add(vec![package.to_bytes().expect("bytes")]));
        parties.iter_mut().for_each(|party| drop(party.read(&staged.commit)));
        let welcome = MlsMessage::from_bytes(&staged.welcome.expect("a welcome")).expect("a welcome");
        let (group, _) = client.join_group(None, &welcome, None).expect("a group");
        assert_eq!(group.group_id(), name().id());
        Self { group }
    }

    /// A commit, which the rogue itself then forgets.
    pub fn commit(
        &mut self,
        build: impl FnOnce(mls_rs::group::CommitBuilder<'_, Config>) -> mls_rs::group::CommitBuilder<'_, Config>,
    ) -> Vec<u8> {
        let output = build(self.group.commit_builder()).build().expect("MLS allows it");
        self.group.clear_pending_commit();
        output.commit_message.to_bytes().expect("bytes")
    }

    pub fn read(&mut self, blob: &[u8]) {
        self.group.process_incoming_message(MlsMessage::from_bytes(blob).expect("a message")).expect("MLS allows it");
    }
}

/// A key package of somebody new, without a proof or with one.
pub fn package(name: &str, seed: Option<u8>) -> MlsMessage {
    let face = face(name, seed);
    client(&face, true)
        .generate_key_package_message(ExtensionList::new(), face.proof.clone(), Some(MlsTime::from(NOW)))
        .expect("a key package")
}
