// Writes independent.json: what a passive member needs and should come to, by an implementation of RFC 9420 that shares no code with
// ours (ts-mls, MIT). The fields are those of the MLS working group's passive-client vectors; `messages` is added.
//
//     npm install ts-mls@1.6.4 @noble/hashes @noble/curves && node independent.mjs > independent.json
import { createHash } from "node:crypto"
import {
  createApplicationMessage, createCommit, createGroup, createProposal, decodeMlsMessage, defaultLifetime, emptyPskIndex, encodeMlsMessage,
  generateKeyPackage, getCiphersuiteFromName, getCiphersuiteImpl, joinGroup, processMessage, acceptAll,
} from "ts-mls"

const channel = "acme/team/general"
const suite = "MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519"
const impl = await getCiphersuiteImpl(getCiphersuiteFromName(suite))
const hex = (bytes) => Buffer.from(bytes).toString("hex")
const bytes = (text) => new TextEncoder().encode(text)
const capabilities = { versions: ["mls10"], ciphersuites: [suite], extensions: [], proposals: [], credentials: ["basic"] }
const lifetime = { ...defaultLifetime, notAfter: 1800000000n }
const agent = (name) => generateKeyPackage({ credentialType: "basic", identity: bytes(name) }, capabilities, lifetime, [], impl)
const framed = (message) => hex(encodeMlsMessage(message))
const epochOf = (state) => hex(state.keySchedule.epochAuthenticator)
const read = async (state, message) => {
  const [decoded] = decodeMlsMessage(Buffer.from(message, "hex"), 0)
  return (await processMessage(decoded, state, emptyPskIndex, acceptAll, impl)).newState
}
const join = (welcome, who) => joinGroup(welcome, who.publicPackage, who.privatePackage, emptyPskIndex, impl)
const add = (who) => ({ proposalType: "add", add: { keyPackage: who.publicPackage } })

const [alice, bob, carol, dave] = await Promise.all(["alice", "bob", "carol", "dave"].map(agent))
let hers = await createGroup(new Uint8Array(createHash("sha256").update(channel).digest()), alice.publicPackage, alice.privatePackage, [], impl)

const commit = async (state, extraProposals, wireAsPublicMessage = true) => {
  const made = await createCommit({ state, cipherSuite: impl }, { wireAsPublicMessage, extraProposals, ratchetTreeExtension: true })
  return [made.newState, made.commit, made.welcome]
}
const say = async (state, text) => {
  const made = await createApplicationMessage(state, bytes(text), impl)
  return [made.newState, framed({ wireformat: "mls_private_message", version: "mls10", privateMessage: made.privateMessage })]
}

let first, welcome
;[hers, first, welcome] = await commit(hers, [add(bob), add(dave)])
const file = {
  cipher_suite: 1,
  channel,
  key_package: framed({ wireformat: "mls_key_package", version: "mls10", keyPackage: bob.publicPackage }),
  // The seed stands at the end of what PKCS #8 has around it.
  signature_priv: hex(bob.privatePackage.signaturePrivateKey.slice(-32)),
  encryption_priv: hex(bob.privatePackage.hpkePrivateKey),
  init_priv: hex(bob.privatePackage.initPrivateKey),
  welcome: framed({ wireformat: "mls_welcome", version: "mls10", welcome }),
  initial_epoch_authenticator: epochOf(hers),
  epochs: [],
}
let his = await join(welcome, dave)
let text

// An update of her own keys, with a path; then one of another member; then an addition, a removal, and one more update, encrypted.
const epoch = async (proposals, made, speaker) => {
  const messages = []
  for (const text of ["one", "two", "x".repeat(1000)]) {
    const [state, message] = await say(speaker(), text)
    speaker(state)
    messages.push({ text, message })
  }
  file.epochs.push({ proposals, commit: framed(made), epoch_authenticator: epochOf(hers), messages })
}
const alices = (state) => (state ? (hers = state) : hers)
const daves = (state) => (state ? (his = state) : his)

let made
;[hers, made] = await commit(hers, [])
his = await read(his, framed(made))
await epoch([], made, alices)
;[his, made] = await commit(his, [])
hers = await read(hers, framed(made))
await epoch([], made, daves)
;[hers, made] = await commit(hers, [add(carol)])
his = await read(his, framed(made))
await epoch([], made, alices)
;[hers, made] = await commit(hers, [{ proposalType: "remove", remove: { removed: 2 } }])
await epoch([], made, alices)
;[hers, made] = await commit(hers, [], false)
await epoch([], made, alices)
console.log(JSON.stringify(file, null, 1))
