//! The tree as it lives, for status pages.

use actix::Message;
use serde::Serialize;

/// Say what you are and what you own.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Description")]
pub struct Describe;

/// One living actor and its children.
#[derive(Clone, Debug, Serialize, actix::MessageResponse)]
pub struct Description {
    /// Its name among its siblings.
    pub name: String,
    /// What it is.
    pub kind: &'static str,
    /// What it owns, in a few words each.
    pub detail: Vec<(&'static str, String)>,
    /// Its children.
    pub children: Vec<Description>,
}

impl Description {
    /// An actor without children.
    #[must_use]
    pub fn leaf(kind: &'static str, name: impl Into<String>, detail: Vec<(&'static str, String)>) -> Self {
        Self { name: name.into(), kind, detail, children: Vec::new() }
    }

    /// How many actors this tree has.
    #[must_use]
    pub fn count(&self) -> usize {
        1 + self.children.iter().map(Description::count).sum::<usize>()
    }
}
