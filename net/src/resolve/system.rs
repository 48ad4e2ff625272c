//! The resolver of the operating system: for names that only this machine or its network knows, and for addresses
//! where no name servers are configured.

use std::net::IpAddr;
use std::time::Duration;

use super::LookupError;

/// How long the system may take. Its own patience with one dead name server is 5 s.
const LIMIT: Duration = Duration::from_secs(5);

/// The addresses that the system has for a host.
pub(super) async fn addresses(host: &str) -> Result<Vec<IpAddr>, LookupError> {
    let failed = |why: String| LookupError::Failed { name: host.to_owned(), why };
    let asked = tokio::time::timeout(LIMIT, tokio::net::lookup_host((host, 0))).await;
    let found = asked.map_err(|_| failed("the system's resolver did not answer in time".to_owned()))?;
    let found: Vec<IpAddr> = found.map_err(|error| failed(error.to_string()))?.map(|address| address.ip()).collect();
    if found.is_empty() { Err(LookupError::NoAddress(host.to_owned())) } else { Ok(found) }
}
