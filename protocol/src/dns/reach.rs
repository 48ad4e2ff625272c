//! Which addresses a name may have.
//!
//! A stranger who owns a public name can let it point into the reader's machine or network and have us
//! connect there. So a name of the public DNS must have public addresses only, unless the operator says
//! that here it may have others.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Why a name's addresses are not connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the public name has the private address {0}")]
pub struct PrivateAddress(pub IpAddr);

/// True for a name that belongs to a private network by its form: a single label, or below a domain that the public
/// DNS does not have (RFC 8375, RFC 6762 appendix G, and `internal`, which is reserved for that).
#[must_use]
pub fn is_private_name(name: &str) -> bool {
    let below = |domain: &str| name.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    !name.contains('.')
        || ["home.arpa", "internal", "intranet", "private", "corp", "home", "lan", "local", "localhost"].into_iter().any(below)
}

/// Lets the addresses of a public name through if all of them are public. One that is not spoils the others:
/// an honest domain has no reason to mix them.
///
/// # Errors
/// [`PrivateAddress`] names the first that is not public.
pub fn all_public(addresses: &[IpAddr]) -> Result<(), PrivateAddress> {
    match addresses.iter().find(|ip| !is_public(**ip)) {
        Some(ip) => Err(PrivateAddress(*ip)),
        None => Ok(()),
    }
}

/// True for an address of the public Internet. An IPv4 address in one of its IPv6 clothes is looked at itself.
#[must_use]
pub fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => match embedded(ip) {
            Some(inner) => is_public_v4(inner),
            None => is_public_v6(ip),
        },
    }
}

/// The special-purpose registry of IPv4 (RFC 6890 and successors).
const fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let is_special = ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_documentation()
        || ip.is_multicast()
        || a == 0
        || a >= 240
        // Shared between carriers and their customers.
        || (a == 100 && b & 0xc0 == 64)
        // Protocol assignments, and benchmarks.
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && b & 0xfe == 18);
    !is_special
}

/// Global unicast is 2000::/3 without what is set apart for documentation and benchmarks.
const fn is_public_v6(ip: Ipv6Addr) -> bool {
    let [a, b, c, ..] = ip.segments();
    let is_set_apart = (a == 0x2001 && b == 0xdb8) || (a == 0x3fff && b < 0x1000) || (a == 0x2001 && b == 2 && c == 0);
    a & 0xe000 == 0x2000 && !is_set_apart
}

/// The IPv4 address inside: mapped (`::ffff:0:0/96`), compatible (`::/96`), NAT64 (RFC 6052), 6to4 (RFC 3056).
fn embedded(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = ip.segments();
    let v4 = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match [a, b, c, d, e, f] {
        [0, 0, 0, 0, 0, 0 | 0xffff] if !ip.is_loopback() && !ip.is_unspecified() => Some(v4(g, h)),
        [0x64, 0xff9b, 0, 0, 0, 0] => Some(v4(g, h)),
        [0x2002, ..] => Some(v4(b, c)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn addresses_that_lead_into_the_readers_own_network_are_not_public() {
        for text in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "0.1.2.3",
            "192.0.0.8",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "fd00::1",
            "fc00::1",
            "ff02::fb",
            "2001:db8::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::1",
            "2002:c0a8:101::1",
        ] {
            assert!(!is_public(ip(text)), "{text}");
        }
    }

    #[test]
    fn addresses_of_the_internet_are_public() {
        for text in
            ["1.1.1.1", "172.32.0.1", "100.128.0.1", "192.0.1.1", "198.20.0.1", "2606:4700::1111", "64:ff9b::101:101", "::ffff:1.1.1.1"]
        {
            assert!(is_public(ip(text)), "{text}");
        }
    }

    #[test]
    fn one_private_address_spoils_the_others() {
        assert_eq!(all_public(&[ip("1.1.1.1"), ip("2606:4700::1111")]), Ok(()));
        assert_eq!(all_public(&[ip("1.1.1.1"), ip("10.0.0.1")]), Err(PrivateAddress(ip("10.0.0.1"))));
    }

    #[test]
    fn names_of_private_networks_are_told_by_their_form() {
        for name in ["db", "a.internal", "internal", "x.home.arpa", "nas.lan"] {
            assert!(is_private_name(name), "{name}");
        }
        for name in ["example.com", "bob.test", "notinternal.example", "xlan.de", "my-lan.example"] {
            assert!(!is_private_name(name), "{name}");
        }
    }
}
