//! The API server as members meet it: over TCP, with the client that members use.

mod flow;
mod refusals;
mod tenants;
mod world;
