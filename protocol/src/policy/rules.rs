//! Address rules, indexed so that a verdict does not walk through all of them.

use std::collections::{HashMap, HashSet};

use super::pattern::{Parts, Pattern};

/// A set of patterns.
///
/// Whole addresses are looked up. The others are kept by the end of their host that has no wildcard, so that
/// only those are compared whose host ends as the address's does.
#[derive(Clone, Debug, Default)]
pub(super) struct AddressRules {
    all: HashSet<Pattern>,
    whole: HashSet<(String, String, Option<u16>)>,
    by_name: HashMap<String, Vec<Pattern>>,
    by_suffix: HashMap<String, Vec<Pattern>>,
    /// Neither host nor name is known without a wildcard.
    rest: Vec<Pattern>,
}

/// Where a pattern is kept.
enum Place {
    Whole(String, String, Option<u16>),
    Name(String),
    Suffix(String),
    Rest,
}

impl AddressRules {
    pub(super) fn add(&mut self, pattern: &Pattern) {
        if !self.all.insert(pattern.clone()) {
            return;
        }
        match place(pattern) {
            Place::Whole(host, name, port) => drop(self.whole.insert((host, name, port))),
            Place::Name(name) => self.by_name.entry(name).or_default().push(pattern.clone()),
            Place::Suffix(suffix) => self.by_suffix.entry(suffix).or_default().push(pattern.clone()),
            Place::Rest => self.rest.push(pattern.clone()),
        }
    }

    pub(super) fn remove(&mut self, pattern: &Pattern) {
        if !self.all.remove(pattern) {
            return;
        }
        let without = |patterns: Option<&mut Vec<Pattern>>| patterns.into_iter().for_each(|kept| kept.retain(|other| other != pattern));
        match place(pattern) {
            // Two spellings of one address are two rules.
            Place::Whole(host, name, port) => {
                let twin = self.all.iter().any(|other| match place(other) {
                    Place::Whole(other_host, other_name, other_port) => {
                        (other_host, other_name, other_port) == (host.clone(), name.clone(), port)
                    }
                    _ => false,
                });
                if !twin {
                    self.whole.remove(&(host, name, port));
                }
            }
            Place::Name(name) => without(self.by_name.get_mut(&name)),
            Place::Suffix(suffix) => without(self.by_suffix.get_mut(&suffix)),
            Place::Rest => self.rest.retain(|other| other != pattern),
        }
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Pattern> {
        self.all.iter()
    }

    /// The patterns that are this one, however they are written.
    pub(super) fn same_as(&self, pattern: &Pattern) -> impl Iterator<Item = &Pattern> {
        self.all.iter().filter(move |other| other.is_same(pattern))
    }

    /// The patterns that `wide` includes, and those that name the one agent that it names.
    pub(super) fn covered_by(&self, wide: &Pattern) -> Vec<Pattern> {
        self.all.iter().filter(|pattern| wide.includes(pattern) || wide.names_whom(pattern)).cloned().collect()
    }

    pub(super) fn cover(&self, parts: &Parts<'_>) -> bool {
        if self.all.is_empty() {
            return false;
        }
        let covers = |patterns: &Vec<Pattern>| patterns.iter().any(|pattern| pattern.matches_parts(parts));
        let name = parts.name.unwrap_or_default().to_owned();
        let any_port = (parts.host.clone(), name, None);
        if self.whole.contains(&any_port) || self.whole.contains(&(any_port.0, any_port.1, Some(parts.port))) {
            return true;
        }
        let mut suffix = parts.host.as_str();
        loop {
            if self.by_suffix.get(suffix).is_some_and(covers) {
                return true;
            }
            match suffix.split_once('.') {
                Some((_, rest)) => suffix = rest,
                None => break,
            }
        }
        parts.name.and_then(|name| self.by_name.get(name)).is_some_and(covers) || covers(&self.rest)
    }
}

fn place(pattern: &Pattern) -> Place {
    let literal = |part: Option<&str>| part.filter(|part| !part.contains('*')).map(str::to_owned);
    match (literal(pattern.host()), literal(pattern.name())) {
        (Some(host), Some(name)) => Place::Whole(host, name, pattern.port()),
        (Some(host), None) => Place::Suffix(host),
        (None, name) => {
            let suffix = pattern.host().and_then(|host| host.rsplit_once('*')).and_then(|(_, end)| end.split_once('.'));
            match (suffix, name) {
                (Some((_, suffix)), _) => Place::Suffix(suffix.to_owned()),
                (None, Some(name)) => Place::Name(name),
                (None, None) => Place::Rest,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::address::Address;

    fn part() -> impl Strategy<Value = String> {
        prop::sample::select(vec!["*", "a", "b", "a*", "*b", "ab"]).prop_map(str::to_owned)
    }

    fn pattern() -> impl Strategy<Value = Pattern> {
        let host = prop::collection::vec(part(), 1..4).prop_map(|labels| labels.join("."));
        let port = prop::sample::select(vec!["", ":9010"]);
        (host, port, part()).prop_map(|(host, port, name)| Pattern::new(&format!("toq://{host}{port}/{name}")))
    }

    fn address() -> impl Strategy<Value = Address> {
        let label = prop::sample::select(vec!["a", "b", "ab", "aab"]);
        let host = prop::collection::vec(label.clone(), 1..4).prop_map(|labels| labels.join("."));
        let port = prop::sample::select(vec![9009, 9010]);
        (host, port, label).prop_map(|(host, port, name)| Address::new(host, port, crate::address::AgentName::parse(name).expect("valid")))
    }

    proptest! {
        #[test]
        fn the_index_says_what_a_walk_through_all_rules_says(
            patterns in prop::collection::vec(pattern(), 0..20),
            removed in prop::collection::vec(any::<bool>(), 20),
            address in address(),
        ) {
            let mut rules = AddressRules::default();
            patterns.iter().for_each(|pattern| rules.add(pattern));
            let gone: Vec<_> = patterns.iter().zip(&removed).filter(|(_, gone)| **gone).map(|(pattern, _)| pattern.clone()).collect();
            gone.iter().for_each(|pattern| rules.remove(pattern));
            let kept = patterns.iter().filter(|pattern| !gone.contains(pattern));

            prop_assert_eq!(rules.cover(&Parts::of(&address)), kept.into_iter().any(|pattern| pattern.matches(&address)));
        }
    }
}
