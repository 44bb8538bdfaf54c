//! Ports for the servers of a suite.
//!
//! A port is looked at before the server takes it, which lasts seconds where it reads 100,000
//! rules, and the null servers share theirs with whoever asks (`SO_REUSEPORT`): two suites on one
//! machine that choose the same port measure each other's servers. Therefore each suite has a part
//! of the ports to itself, claimed by a name that only one process can have.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, Ordering};

/// Ports of servers: below those the kernel gives away by itself (from 32,768 on), so that no other
/// program is given one meanwhile, and no attempt to connect meets itself there.
const PORTS: Range<u16> = 20_000..32_000;

/// How many suites have ports of their own. One has more ports than are taken in a minute, so that
/// what is left of connections to one server does not stand in the way of those to the next.
const PARTS: u16 = 12;

/// Ports that are ours as long as this process lives, and the name they are claimed by: a socket in
/// the abstract namespace, none when all parts are others'.
type Claim = (Range<u16>, Option<UnixListener>);

static CLAIM: OnceLock<Claim> = OnceLock::new();

/// How many ports were looked at.
static NEXT_PORT: AtomicU16 = AtomicU16::new(0);

fn claim() -> Claim {
    let first = u16::try_from(std::process::id() % u32::from(PARTS)).unwrap_or(0);
    let mut parts = (first..PARTS).chain(0..first);
    let named = parts.find_map(|part| Some((part, take_name(part).ok()?)));
    let (part, name) = named.map_or((first, None), |(part, name)| (part, Some(name)));
    let size = (PORTS.end - PORTS.start) / PARTS;
    let begin = PORTS.start + part * size;
    (begin..begin + size, name)
}

/// Takes the name of `part`, which like the ports belongs to the network namespace.
fn take_name(part: u16) -> io::Result<UnixListener> {
    let name = format!("corsair-loadgen-suite-ports-{part}");
    UnixListener::bind_addr(&SocketAddr::from_abstract_name(name)?)
}

/// A port nobody listens on now, another one each time as long as there are any.
///
/// # Errors
/// Why the last of them cannot be had.
pub(super) fn free_port() -> io::Result<u16> {
    let ports = CLAIM.get_or_init(claim).0.clone();
    let count = ports.end - ports.start;
    let mut refusal = io::ErrorKind::AddrInUse.into();
    for _ in 0..count {
        let port = ports.start + NEXT_PORT.fetch_add(1, Ordering::Relaxed) % count;
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            Ok(_) => return Ok(port),
            Err(error) => refusal = error,
        }
    }
    Err(refusal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_claim_has_its_own_ports() {
        let claims = [claim(), claim(), claim()];
        // With twelve suites on this machine there is no name left.
        let named = || claims.iter().filter(|(_, name)| name.is_some());
        let begins: std::collections::BTreeSet<u16> =
            named().map(|(ports, _)| ports.start).collect();
        assert_eq!(begins.len(), named().count());
        for (ports, _) in &claims {
            assert!(ports.start >= PORTS.start && ports.end <= PORTS.end && !ports.is_empty());
        }
    }

    #[test]
    fn ports_are_free_and_others_each_time() {
        let ports = [free_port(), free_port(), free_port()].map(Result::unwrap);
        assert!(ports[0] != ports[1] && ports[1] != ports[2], "{ports:?}");
        assert!(ports.iter().all(|port| PORTS.contains(port)), "{ports:?}");
    }
}
