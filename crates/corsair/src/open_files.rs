//! The limit on open files: raised as far as we may, and compared with what the configuration asks
//! for.

use corsair_server::{connections_within, open_files_for};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit to the hard one and returns what holds now; `None` is no limit.
pub(crate) fn raise_limit() -> Option<u64> {
    let before = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: before.maximum,
        maximum: before.maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => before.maximum,
        Err(_) => before.current,
    }
}

/// What to say when the limit does not carry the configured connections.
pub(crate) fn shortage(limit: Option<u64>, connections: usize) -> Option<String> {
    let limit = limit?;
    let fitting = connections_within(limit);
    let connections = connections as u64;
    let needed = open_files_for(connections);
    (fitting < connections).then(|| {
        format!(
            "warning: the limit on open files is {limit}, which leaves {fitting} for client connections \
             (limits.connections = {connections}): raise it to {needed} (`ulimit -Hn`, LimitNOFILE=) \
             or lower limits.connections to {fitting}"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shortage_begins_one_below_the_need() {
        let table = [
            (None, 1_000_000, None),
            (Some(1256), 1000, None),
            (Some(1255), 1000, Some("lower limits.connections to 999")),
            (Some(100), 1000, Some("lower limits.connections to 50")),
        ];
        for (limit, connections, expected) in table {
            let said = shortage(limit, connections);
            match expected {
                None => assert_eq!(said, None, "{limit:?} {connections}"),
                Some(part) => assert!(said.unwrap().ends_with(part), "{limit:?} {connections}"),
            }
        }
    }

    #[test]
    fn the_soft_limit_reaches_the_hard_one() {
        let limit = raise_limit();
        assert_eq!(getrlimit(Resource::Nofile).current, limit);
        assert_eq!(getrlimit(Resource::Nofile).maximum, limit);
    }
}
