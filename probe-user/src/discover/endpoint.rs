//! Where a worker says it listens, and whether that is on this host.

use std::net::{IpAddr, UdpSocket};

/// A host and a port, as in `grpc://localhost:7001`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Name or address, without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl Endpoint {
    /// Reads `scheme://host:port` (RFC 3986, 3), also without a scheme or with a path behind it;
    /// `None` without a port.
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
        let authority = rest.split(['/', '?', '#']).next()?;
        let (host, port) = authority.rsplit_once(':')?;
        let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
        Some(Self {
            host: host.trim_matches(['[', ']']).to_owned(),
            port: port.parse().ok().filter(|port| *port != 0)?,
        })
    }

    /// Whether it is on this host; `false` when that cannot be told. A name is compared and never
    /// looked up. What is local to whoever said it is on this host where that one is.
    pub fn is_here(&self, is_local_speaker: bool) -> bool {
        let own_name = rustix::system::uname();
        let is_own_name = own_name
            .nodename()
            .to_str()
            .is_ok_and(|own| own.eq_ignore_ascii_case(&self.host));
        match self.host.parse::<IpAddr>() {
            Ok(address) if address.is_loopback() || address.is_unspecified() => is_local_speaker,
            Ok(address) => is_own_address(address),
            Err(_) if self.host.is_empty() || self.host.eq_ignore_ascii_case("localhost") => {
                is_local_speaker
            }
            Err(_) => is_own_name,
        }
    }
}

/// Whether an address is one of this host's: only to those can a socket be bound.
pub fn is_own_address(address: IpAddr) -> bool {
    !address.is_unspecified() && UdpSocket::bind((address, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(host: &str, port: u16) -> Endpoint {
        let host = host.to_owned();
        Endpoint { host, port }
    }

    #[test]
    fn endpoint_is_read_in_each_spelling() {
        let parse = |text: &str| Endpoint::parse(text).expect("an endpoint");
        assert_eq!(parse("grpc://localhost:7001"), endpoint("localhost", 7001));
        assert_eq!(parse("http://10.0.0.5:80/x"), endpoint("10.0.0.5", 80));
        assert_eq!(parse("grpc://[::1]:7001"), endpoint("::1", 7001));
        assert_eq!(parse("worker-1:7001"), endpoint("worker-1", 7001));
        assert_eq!(parse(":7001"), endpoint("", 7001));
        for text in ["", "grpc://host", "host:0", "host:70000", "host:x"] {
            assert_eq!(Endpoint::parse(text), None, "{text}");
        }
    }

    #[test]
    fn endpoint_of_another_host_is_not_here() {
        let here = |host: &str, local| endpoint(host, 1).is_here(local);
        assert!(here("localhost", true) && here("127.0.0.1", true) && here("::", true));
        assert!(!here("localhost", false) && !here("::1", false) && !here("", false));
        // Documentation addresses (RFC 5737) are nobody's.
        assert!(!here("192.0.2.1", true) && !here("192.0.2.1", false));
        assert!(!here("worker.example", true));
        let own = rustix::system::uname();
        assert!(here(own.nodename().to_str().expect("a name"), false));
    }
}
