//! Which addresses may be connected to.
//!
//! It deliberately knows no names: a name is whatever it resolves to at this moment, so only
//! addresses are judged, and the judged address is the one that is connected to.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// Public addresses, and those that somebody allowed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddressRule {
    allowed: Vec<Network>,
}

impl AddressRule {
    /// The public internet only.
    #[must_use]
    pub fn public() -> Self {
        Self::default()
    }

    /// As well what lies in one of these networks.
    #[must_use]
    pub fn and(mut self, networks: impl IntoIterator<Item = Network>) -> Self {
        self.allowed.extend(networks);
        self
    }

    /// Why this address must not be connected to; none if it may.
    #[must_use]
    pub fn refusal(&self, address: IpAddr) -> Option<&'static str> {
        let meant = meant(address);
        if self.allowed.iter().any(|network| network.contains(meant)) {
            return None;
        }
        match meant {
            IpAddr::V4(v4) => special_v4(v4),
            IpAddr::V6(v6) => special_v6(v6),
        }
    }
}

/// An address with how many of its first bits count: `10.0.0.0/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u32,
}

impl Network {
    const fn v4(a: u8, b: u8, c: u8, bits: u32) -> Self {
        Self {
            address: IpAddr::V4(Ipv4Addr::new(a, b, c, 0)),
            bits,
        }
    }

    const fn v6(a: u16, b: u16, c: u16, bits: u32) -> Self {
        Self {
            address: IpAddr::V6(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0)),
            bits,
        }
    }

    fn contains(self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let differ = u32::from(network) ^ u32::from(address);
                differ.leading_zeros() >= self.bits
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let differ = u128::from(network) ^ u128::from(address);
                differ.leading_zeros() >= self.bits
            }
            _ => false,
        }
    }
}

/// A text that is no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no network: give an address, or one with its prefix length, such as 10.1.0.0/16")]
pub struct BadNetwork(String);

impl FromStr for Network {
    type Err = BadNetwork;

    fn from_str(text: &str) -> Result<Self, BadNetwork> {
        let bad = || BadNetwork(text.to_owned());
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| bad())?;
        let all = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(all), str::parse).map_err(|_| bad())?;
        if bits > all {
            return Err(bad());
        }
        Ok(Self { address, bits })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

/// IPv4 inside IPv6, as mapped addresses and NAT64 have it, is judged as what it leads to.
fn meant(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address.to_canonical() else {
        return address.to_canonical();
    };
    if !NAT64.contains(address) {
        return address;
    }
    let [.., a, b, c, d] = v6.octets();
    IpAddr::V4(Ipv4Addr::new(a, b, c, d))
}

/// The well-known prefix of RFC 6052.
const NAT64: Network = Network::v6(0x64, 0xff9b, 0, 96);

/// All but the public ones, by the IANA registry of special addresses.
const SPECIAL_V4: [(Network, &str); 14] = [
    (Network::v4(0, 0, 0, 8), "this host itself"),
    (Network::v4(10, 0, 0, 8), "a private address"),
    (
        Network::v4(100, 64, 0, 10),
        "an address shared behind a carrier's NAT",
    ),
    (Network::v4(127, 0, 0, 8), "a loopback address"),
    (Network::v4(169, 254, 0, 16), "a link-local address"),
    (Network::v4(172, 16, 0, 12), "a private address"),
    (Network::v4(192, 0, 0, 24), "a reserved address"),
    (Network::v4(192, 0, 2, 24), "an address of documentation"),
    (Network::v4(192, 88, 99, 24), "a reserved address"),
    (Network::v4(192, 168, 0, 16), "a private address"),
    (Network::v4(198, 18, 0, 15), "an address of test networks"),
    (Network::v4(198, 51, 100, 24), "an address of documentation"),
    (Network::v4(203, 0, 113, 24), "an address of documentation"),
    (Network::v4(224, 0, 0, 3), "a multicast or reserved address"),
];

fn special_v4(address: Ipv4Addr) -> Option<&'static str> {
    named(&SPECIAL_V4, IpAddr::V4(address))
}

const NAMED_V6: [(Network, &str); 4] = [
    (Network::v6(0xfc00, 0, 0, 7), "a private address"),
    (Network::v6(0xfe80, 0, 0, 10), "a link-local address"),
    (Network::v6(0xff00, 0, 0, 8), "a multicast address"),
    (
        Network::v6(0, 0, 0, 96),
        "a loopback or unspecified address",
    ),
];

/// Parts of the public range that lead elsewhere: tunnels to any IPv4 address, and documentation.
const SPECIAL_PUBLIC_V6: [(Network, &str); 4] = [
    (
        Network::v6(0x2001, 0, 0, 23),
        "an address of tunnels and protocols",
    ),
    (
        Network::v6(0x2001, 0xdb8, 0, 32),
        "an address of documentation",
    ),
    (Network::v6(0x2002, 0, 0, 16), "a tunnel to an IPv4 address"),
    (Network::v6(0x3fff, 0, 0, 20), "an address of documentation"),
];

/// What IANA gives out to the public internet.
const PUBLIC_V6: Network = Network::v6(0x2000, 0, 0, 3);

fn special_v6(address: Ipv6Addr) -> Option<&'static str> {
    let address = IpAddr::V6(address);
    if PUBLIC_V6.contains(address) {
        return named(&SPECIAL_PUBLIC_V6, address);
    }
    Some(named(&NAMED_V6, address).unwrap_or("a reserved address"))
}

fn named(networks: &[(Network, &'static str)], address: IpAddr) -> Option<&'static str> {
    let found = networks
        .iter()
        .find(|(network, _)| network.contains(address));
    found.map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(rule: &AddressRule, address: &str) -> Option<&'static str> {
        rule.refusal(address.parse().unwrap())
    }

    #[test]
    fn only_public_addresses_are_allowed_unless_said() {
        let refused = [
            ("127.0.0.1", "loopback"),
            ("127.255.0.9", "loopback"),
            ("0.0.0.0", "this host"),
            ("10.1.2.3", "private"),
            ("172.31.255.255", "private"),
            ("192.168.0.1", "private"),
            ("169.254.169.254", "link-local"),
            ("100.64.0.1", "carrier"),
            ("100.127.255.255", "carrier"),
            ("192.0.0.8", "reserved"),
            ("198.19.0.1", "test networks"),
            ("203.0.113.7", "documentation"),
            ("224.0.0.1", "multicast"),
            ("240.0.0.1", "reserved"),
            ("255.255.255.255", "reserved"),
            ("::1", "loopback"),
            ("::", "loopback or unspecified"),
            ("::7f00:1", "loopback or unspecified"),
            ("::ffff:127.0.0.1", "loopback"),
            ("::ffff:10.0.0.1", "private"),
            ("64:ff9b::a00:1", "private"),
            ("64:ff9b::7f00:1", "loopback"),
            ("64:ff9b:1::1", "reserved"),
            ("fc00::1", "private"),
            ("fd12:3456::1", "private"),
            ("fe80::1", "link-local"),
            ("fec0::1", "reserved"),
            ("ff02::1", "multicast"),
            ("100::1", "reserved"),
            ("2001::1", "tunnels"),
            ("2001:db8::1", "documentation"),
            ("2002:7f00:1::", "tunnel"),
            ("3fff::1", "documentation"),
            ("5f00::1", "reserved"),
        ];
        let rule = AddressRule::public();
        for (address, words) in refused {
            let said = refusal(&rule, address).unwrap_or_else(|| panic!("{address} passes"));
            assert!(said.contains(words), "{address}: {said}");
        }
        for address in [
            "1.1.1.1",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2001:4860:4860::8888",
            "64:ff9b::101:101",
            "::ffff:1.1.1.1",
        ] {
            assert_eq!(refusal(&rule, address), None, "{address}");
        }
    }

    #[test]
    fn what_is_allowed_is_allowed_however_it_is_written() {
        let networks = ["127.0.0.1", "10.1.0.0/16", "fd00::/8"].map(|text| text.parse().unwrap());
        let rule = AddressRule::public().and(networks);
        for address in ["127.0.0.1", "::ffff:127.0.0.1", "10.1.255.1", "fd99::1"] {
            assert_eq!(refusal(&rule, address), None, "{address}");
        }
        for address in ["127.0.0.2", "10.2.0.1", "fc00::1", "::1"] {
            assert!(refusal(&rule, address).is_some(), "{address}");
        }
    }

    #[test]
    fn networks_are_read_and_shown() {
        let all: Network = "0.0.0.0/0".parse().unwrap();
        assert!(all.contains("9.9.9.9".parse().unwrap()));
        assert!(!all.contains("::1".parse().unwrap()));
        assert_eq!("::1".parse::<Network>().unwrap().to_string(), "::1/128");
        for bad in [
            "",
            "localhost",
            "10.0.0.0/33",
            "10.0.0.0/",
            "::/129",
            "10/8",
            "1.1.1.1/-1",
        ] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_mapped_address_is_judged_as_the_address_it_maps(bits in proptest::num::u32::ANY) {
            let v4 = Ipv4Addr::from(bits);
            let rule = AddressRule::public();
            proptest::prop_assert_eq!(
                rule.refusal(v4.to_ipv6_mapped().into()),
                rule.refusal(v4.into())
            );
        }
    }
}
