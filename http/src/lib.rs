//! The HTTP and SSE facade: routes that turn requests into commands for the actor tree, and rows of the
//! log into answers.
//!
//! - [`serve`]: connections in, whichever listener accepted them, into one HTTP service, for loopback sources alone.
//! - [`guard`]: who may call at all: host, origin, proxies, user, token.
//! - [`Facade`]: what the handlers share. Commands go through mailboxes and are seen through even if the
//!   client hangs up; reading is done on `store::Reader` and holds nothing.
//! - [`error`]: the one place where a domain error becomes a code and a status.
//!
//! What this room is not: it writes no row itself and decides nothing about delivery, order or admission.

pub mod audit;
mod body;
mod consumers;
pub mod custody;
mod daemon;
mod discover;
pub mod error;
mod facade;
mod feed;
mod files;
pub mod guard;
pub mod handlers;
mod happenings;
mod history;
mod later;
pub mod listing;
pub mod logs;
mod messages;
pub mod openapi;
mod peers;
mod query;
pub mod refusal;
mod routes;
pub mod rules;
mod runs;
pub mod serve;
mod sse;
mod streams;
mod view;

pub use error::ApiError;
pub use facade::{Facade, Shutdown};
pub use view::event;
