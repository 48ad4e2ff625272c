//! The post office of encrypted channels.
//!
//! It appends what members publish to one durable log per channel, in one total order, and hands that order to every
//! subscriber. It never sees a plaintext or an invite's secret, and members do not trust it for either.
//!
//! - [`up`] puts a relay together. [`plane`] lets streams in; each becomes a `Subscriber`, each channel that is awake a `Topic`, and one
//!   `Scribe` writes. A `Registry` is their parent.
//! - [`log`] and [`bus`] are what stands behind them: where publications are kept, and how those who wait learn of more.
//! - [`office`] is the API server: accounts, keys, invites. The data plane asks [`guests`] who may
//!   take part in a channel, and whose key was [`revoked`].
//! - [`token`] is what an account shows, [`tls`] what the servers show, [`home`] what everybody in the relay knows.

mod arrival;
mod asked;
mod awake;
pub mod begun;
pub mod bus;
#[cfg(feature = "faults")]
pub mod drill;
mod ends;
mod frame;
pub mod guests;
mod holders;
pub mod home;
mod keep;
mod lobby;
pub mod log;
pub mod office;
pub mod plane;
mod registry;
pub mod revoked;
mod scribe;
mod seats;
mod socket;
mod subscriber;
mod sweeper;
pub mod tls;
pub mod token;
mod topic;
mod up;

pub use keep::{MEND, prepare};
pub use toq_dataplane::extension::MAX_MESSAGE;
pub use up::{Config, Relay, UpError, up};
