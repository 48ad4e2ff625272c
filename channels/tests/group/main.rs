//! Groups from outside: members with databases in memory and a log between them.

mod basics;
mod convergence;
mod independent;
mod lifecycle;
mod party;
mod profile;
mod rights;
mod rogue;
mod secrecy;
mod size;
