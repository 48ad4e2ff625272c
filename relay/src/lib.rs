//! The post office of encrypted channels.
//!
//! It appends what members publish to one durable log per channel, in one total order, and hands that order to every
//! subscriber. It never sees a plaintext or an invite's secret, and members do not trust it for either.

pub mod bus;
pub mod log;
pub mod token;
