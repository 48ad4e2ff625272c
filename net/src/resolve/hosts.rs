//! The hosts file, read again when it has changed.
//!
//! What stands there was written by this machine's operator, so it is no lie of the DNS whatever it is.

use std::net::IpAddr;
use std::str::FromStr as _;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use hickory_resolver::Hosts;
use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::{Name, RecordType};

/// Where the hosts file is.
const PATH: &str = "/etc/hosts";

/// When a file was last written, if it is there.
pub(super) fn written(path: &str) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|meta| meta.modified()).ok()
}

/// The hosts file as it was read last.
#[derive(Default)]
pub(super) struct HostsFile {
    read: Mutex<(Option<SystemTime>, Hosts)>,
}

impl HostsFile {
    /// The addresses that the operator wrote down for a name.
    pub(super) fn find(&self, name: &str) -> Vec<IpAddr> {
        let Ok(name) = Name::from_str(name) else { return Vec::new() };
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let written = written(PATH);
        if read.0 != written {
            *read = (written, Hosts::from_system().unwrap_or_default());
        }
        let look = |kind| read.1.lookup_static_host(&Query::query(name.clone(), kind));
        let found = [look(RecordType::A), look(RecordType::AAAA)];
        found.iter().flatten().flat_map(|lookup| lookup.answers()).filter_map(|record| record.data.ip_addr()).collect()
    }
}
