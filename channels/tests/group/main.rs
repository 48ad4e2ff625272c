//! Groups from outside: members with databases in memory and a log between them.

mod basics;
mod party;
