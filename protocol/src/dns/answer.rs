//! All records of a domain, under limits and read strictly.

use super::record::Record;
use crate::address::{AgentName, MAX_AGENT_NAME};
use crate::key::PeerKey;

/// How many TXT records an answer may have. One record announces one agent.
pub const MAX_RECORDS: usize = 16;

/// How long the text of one record may be, in bytes. A record with all members has about 120.
pub const MAX_RECORD: usize = 1024;

/// Why an answer is not acted on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// There are several keys for one name, so none is believed.
    #[error("DNS has several different keys for agent {0}")]
    Conflict(AgentName),
    /// A record is longer than [`MAX_RECORD`].
    #[error("a DNS record of {0} bytes is over the limit of {MAX_RECORD}")]
    TooLong(usize),
    /// There are more records than [`MAX_RECORDS`].
    #[error("the DNS answer has more than {MAX_RECORDS} records")]
    TooMany,
    /// The record for this name has no usable key or port.
    #[error("the DNS record for agent {0} has no usable key or port")]
    Unusable(AgentName),
}

/// An agent as its domain announces it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announced {
    /// Its name.
    pub agent: AgentName,
    /// Its key.
    pub key: PeerKey,
    /// Its port, never 0.
    pub port: u16,
}

impl Announced {
    /// What a record announces; `None` where its name, key or port is none.
    #[must_use]
    pub fn of(record: &Record) -> Option<Self> {
        let agent = AgentName::parse(&record.agent).ok()?;
        let key = PeerKey::parse_bare(&record.key).ok()?;
        (record.port != 0 && agent.as_str().len() <= MAX_AGENT_NAME).then_some(Self { agent, key, port: record.port })
    }
}

/// The agents that a domain announces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer(Vec<Record>);

impl Answer {
    /// Reads the texts of TXT records, each with its character strings joined. Those that announce no agent are skipped.
    ///
    /// # Errors
    /// [`AnswerError::TooMany`] and [`AnswerError::TooLong`]: what lies beyond a limit might contradict what is
    /// within, so nothing of such an answer is believed.
    pub fn read<T: AsRef<[u8]>>(texts: impl IntoIterator<Item = T>) -> Result<Self, AnswerError> {
        let mut records = Vec::new();
        for (index, text) in texts.into_iter().enumerate() {
            let text = text.as_ref();
            if index >= MAX_RECORDS {
                return Err(AnswerError::TooMany);
            }
            if text.len() > MAX_RECORD {
                return Err(AnswerError::TooLong(text.len()));
            }
            records.extend(std::str::from_utf8(text).ok().and_then(|text| Record::parse(text).ok()));
        }
        Ok(Self(records))
    }

    /// The agent with this name: the first of its records, like published peers, if all of them agree on the key.
    /// `None` where the domain does not announce it.
    ///
    /// # Errors
    /// [`AnswerError::Conflict`] and [`AnswerError::Unusable`].
    pub fn find(&self, agent: &AgentName) -> Result<Option<Announced>, AnswerError> {
        let mut records = self.0.iter().filter(|record| record.agent == agent.as_str());
        let Some(first) = records.next() else { return Ok(None) };
        if records.any(|other| other.key != first.key) {
            return Err(AnswerError::Conflict(agent.clone()));
        }
        Announced::of(first).map(Some).ok_or_else(|| AnswerError::Unusable(agent.clone()))
    }

    /// Every agent about whom the answer does not contradict itself, in the order of the answer.
    #[must_use]
    pub fn agents(&self) -> Vec<Announced> {
        let mut found: Vec<Announced> = Vec::new();
        for record in &self.0 {
            let Ok(agent) = AgentName::parse(&record.agent) else { continue };
            if found.iter().all(|other| other.agent != agent)
                && let Ok(Some(announced)) = self.find(&agent)
            {
                found.push(announced);
            }
        }
        found
    }

    /// The same records in an order of their own, for comparing what different resolvers say.
    #[must_use]
    pub fn sorted(mut self) -> Self {
        self.0.sort_by(|a, b| (&a.agent, &a.key, a.port).cmp(&(&b.agent, &b.key, b.port)));
        self.0.dedup();
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Identity;

    fn key(seed: u8) -> PeerKey {
        Identity::from_seed(&[seed; 32]).public()
    }

    fn text(agent: &str, seed: u8, port: u16) -> String {
        Record::announcing(&name(agent), &key(seed), port).to_string()
    }

    fn name(agent: &str) -> AgentName {
        AgentName::parse(agent).expect("a name")
    }

    #[test]
    fn several_keys_for_one_name_are_refused_and_others_are_not_harmed() {
        let answer = Answer::read([text("bob", 1, 9010), text("carol", 2, 9011), text("bob", 3, 9010)]).expect("small");

        assert_eq!(answer.find(&name("bob")), Err(AnswerError::Conflict(name("bob"))));
        assert_eq!(answer.find(&name("carol")), Ok(Some(Announced { agent: name("carol"), key: key(2), port: 9011 })));
        assert_eq!(answer.find(&name("dave")), Ok(None));
        assert_eq!(answer.agents().iter().map(|found| found.agent.as_str()).collect::<Vec<_>>(), ["carol"]);
    }

    #[test]
    fn a_second_record_conflicts_even_if_its_key_is_no_key() {
        let answer = Answer::read([text("bob", 1, 9010), "v=toq1; key=AAAA; agent=bob".to_owned()]).expect("small");

        assert_eq!(answer.find(&name("bob")), Err(AnswerError::Conflict(name("bob"))));
    }

    #[test]
    fn several_records_with_one_key_are_one_agent_and_the_first_port_counts() {
        let answer = Answer::read([text("bob", 1, 9010), text("bob", 1, 9020)]).expect("small");

        assert_eq!(answer.find(&name("bob")).expect("no conflict").map(|found| found.port), Some(9010));
        assert_eq!(answer.agents().len(), 1);
    }

    #[test]
    fn records_that_cannot_be_used_are_no_agents() {
        let prefixed = format!("v=toq1; key={}; agent=bob", key(1));
        let portless = format!("v=toq1; key={}; agent=carol; port=0", key(1).bare());
        let answer = Answer::read([prefixed, portless, "v=spf1 -all".to_owned()]).expect("small");

        assert_eq!(answer.find(&name("bob")), Err(AnswerError::Unusable(name("bob"))));
        assert_eq!(answer.find(&name("carol")), Err(AnswerError::Unusable(name("carol"))));
        assert!(answer.agents().is_empty());
    }

    #[test]
    fn an_answer_beyond_a_limit_is_not_believed_at_all() {
        let many = |count: usize| Answer::read((0..count).map(|index| text(&format!("a{index}"), 1, 9009)));
        let long = |length: usize| Answer::read([text("bob", 1, 9009), "x".repeat(length)]);

        assert_eq!(many(MAX_RECORDS).expect("within").agents().len(), MAX_RECORDS);
        assert_eq!(many(MAX_RECORDS + 1), Err(AnswerError::TooMany));
        assert!(long(MAX_RECORD).is_ok());
        assert_eq!(long(MAX_RECORD + 1), Err(AnswerError::TooLong(MAX_RECORD + 1)));
    }

    #[test]
    fn answers_are_compared_without_regard_to_order_and_repetition() {
        let one = Answer::read([text("bob", 1, 9010), text("carol", 2, 9009)]).expect("small");
        let other = Answer::read([text("carol", 2, 9009), text("bob", 1, 9010), text("bob", 1, 9010)]).expect("small");
        let third = Answer::read([text("carol", 2, 9009), text("bob", 3, 9010)]).expect("small");

        assert_eq!(one.clone().sorted(), other.sorted());
        assert_ne!(one.sorted(), third.sorted());
    }
}
