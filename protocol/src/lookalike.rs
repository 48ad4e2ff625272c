//! Addresses that are made to look like others (Unicode Technical Standard 39).
//!
//! Addresses are compared by their A-labels, so no two of them are ever taken for one another here. People look
//! at the letters: a Cyrillic `а` in a Latin word, or a host that reads like that of an agent they know. Whoever
//! shows a stranger's address to its owner asks for a doubt first.

use std::collections::HashMap;
use std::fmt;

use unicode_security::MixedScript as _;
use unicode_security::confusable_detection::skeleton;

use crate::address::Address;

/// Why an address may not be what it looks like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// One word of the host has letters of several scripts. The host as it looks.
    MixedScripts(String),
    /// It looks like the address of an agent that is known, and is another.
    LooksLike(String),
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Doubt::MixedScripts(host) => write!(f, "the host mixes letters of several scripts: {host}"),
            Doubt::LooksLike(address) => write!(f, "it looks like {address}, which you know, and is another"),
        }
    }
}

/// The addresses of agents that are known, by how they look.
#[derive(Debug, Default)]
pub struct Known {
    by_look: HashMap<String, Vec<(String, String)>>,
}

impl Known {
    /// Remembers how these look.
    #[must_use]
    pub fn new(addresses: &[Address]) -> Self {
        let mut by_look: HashMap<String, Vec<(String, String)>> = HashMap::new();
        for address in addresses {
            by_look.entry(look(address)).or_default().push((identity(address), address.wire()));
        }
        Self { by_look }
    }

    /// Why `address` may not be what it looks like; `None` where nothing speaks against it.
    #[must_use]
    pub fn doubt(&self, address: &Address) -> Option<Doubt> {
        let (shown, own) = (displayed(address), identity(address));
        let alike = self.by_look.get(&look(address)).into_iter().flatten();
        if let Some((_, known)) = alike.into_iter().find(|(identity, _)| *identity != own) {
            return Some(Doubt::LooksLike(known.clone()));
        }
        let is_mixed = shown.split('.').any(|label| !label.is_single_script());
        is_mixed.then_some(Doubt::MixedScripts(shown))
    }
}

/// The host with its letters, not its A-labels.
fn displayed(address: &Address) -> String {
    idna::domain_to_unicode(&address.host_key()).0
}

/// The same for two addresses that people take for one another. Ports are left out: people do not look at them.
fn look(address: &Address) -> String {
    let text = format!("{}/{}", displayed(address), address.agent());
    skeleton(&text).collect()
}

fn identity(address: &Address) -> String {
    format!("{}/{}", address.host_key(), address.agent())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        Address::parse(text).expect("valid")
    }

    #[test]
    fn a_word_of_two_scripts_is_doubted() {
        let known = Known::default();

        assert!(matches!(known.doubt(&address("toq://pаrtner.example/bob")), Some(Doubt::MixedScripts(_))), "the a is Cyrillic");
        assert_eq!(known.doubt(&address("toq://partner.example/bob")), None);
        assert_eq!(known.doubt(&address("toq://büro.example/bob")), None);
        assert_eq!(known.doubt(&address("toq://пример.example/bob")), None, "one script each");
        assert_eq!(known.doubt(&address("toq://127.0.0.1:9010/bob")), None);
    }

    #[test]
    fn an_address_that_looks_like_a_known_one_is_doubted() {
        let known = Known::new(&[address("toq://scope.example/bob"), address("toq://modern.example/eve")]);

        // All Cyrillic, so one script, and yet it reads "scope".
        let all_cyrillic = address("toq://ѕсоре.example/bob");
        assert_eq!(known.doubt(&all_cyrillic), Some(Doubt::LooksLike("toq://scope.example/bob".to_owned())));
        assert!(matches!(known.doubt(&address("toq://rnodern.example/eve")), Some(Doubt::LooksLike(_))));
        assert_eq!(known.doubt(&address("toq://scope.example/bob")), None, "it is the known one");
        assert_eq!(known.doubt(&address("toq://scope.example:9010/bob")), None, "at another port");
        assert_eq!(known.doubt(&address("toq://scope.example/eve")), None);
    }
}
