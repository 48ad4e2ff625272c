#![no_main]
//! Credentials that are accepted are those that were signed.

use libfuzzer_sys::fuzz_target;
use toq_fuzz::{ALICE, BOB, local};
use toq_protocol::handshake::{Showing, hello, parse_hello, parse_reply, reply};
use toq_protocol::session::Local;

fn shown<'a>(who: &'a Local, challenge: &'a [u8; 32]) -> Showing<'a> {
    Showing { identity: &who.identity, challenge, address: &who.address, rotations: &who.rotations }
}

fuzz_target!(|data: &[u8]| {
    let _ = parse_hello(data);
    let _ = parse_reply(data);

    let (alice, bob) = (local(ALICE), local(BOB));
    let text = String::from_utf8_lossy(data);
    let challenge = std::array::from_fn(|at| data.get(at).copied().unwrap_or_default());

    let greeted = parse_hello(&hello(shown(&alice, &challenge), &text)).expect("we greet by the rules");
    assert_eq!(greeted.key, alice.identity.public());
    assert_eq!(greeted.challenge, challenge);
    assert_eq!(greeted.target_agent.as_deref(), Some(&*text));

    let answered = parse_reply(&reply(shown(&bob, &challenge), &text)).expect("we answer by the rules");
    assert_eq!(answered.address.wire(), bob.address.wire());
    assert_eq!(answered.session_id.as_deref(), Some(&*text));
    assert_ne!(answered.digest(), greeted.digest());
});
