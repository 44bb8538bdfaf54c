//! The process's open files: how many of them clients may take.
//!
//! Every connection to an upstream needs a descriptor too, and so do the admin API and every file that
//! is read anew: were clients let in until none is left, nobody could be served what is not stored. Never
//! opens or changes anything.

/// Descriptors kept for everything but client connections, where there are enough of them.
const KEPT: u64 = 256;

/// How many client connections a limit of `open_files` leaves room for: all but 256, or half of a limit
/// below 512.
///
/// ```
/// use corsair_server::connections_within;
/// assert_eq!(connections_within(20_000), 19_744);
/// assert_eq!(connections_within(100), 50);
/// ```
#[must_use]
pub const fn connections_within(open_files: u64) -> u64 {
    let half = open_files / 2;
    open_files - if half < KEPT { half } else { KEPT }
}

/// The limit of open files that leaves room for so many client connections: the inverse of
/// [`connections_within`].
#[must_use]
pub const fn open_files_for(connections: u64) -> u64 {
    connections.saturating_add(if connections < KEPT {
        connections
    } else {
        KEPT
    })
}

/// How many client connections this process has room for.
pub(crate) fn room_for_connections() -> usize {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the kernel writes the one struct that it is given, which is ours.
    let read = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    match (read, limit.rlim_cur) {
        (0, open_files) if open_files != libc::RLIM_INFINITY => {
            usize::try_from(connections_within(open_files)).unwrap_or(usize::MAX)
        }
        (_, _) => usize::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::{connections_within, open_files_for};

    #[test]
    fn something_is_always_kept() {
        for (open_files, connections) in [
            (0, 0),
            (1, 1),
            (2, 1),
            (511, 256),
            (512, 256),
            (513, 257),
            (1_024, 768),
            (u64::MAX, u64::MAX - 256),
        ] {
            assert_eq!(connections_within(open_files), connections, "{open_files}");
        }
    }

    #[test]
    fn the_limit_asked_for_is_enough_and_two_less_are_not() {
        for connections in (2..600).chain([20_000, 1_000_000]) {
            let open_files = open_files_for(connections);
            assert_eq!(connections_within(open_files), connections);
            assert!(
                connections_within(open_files - 2) < connections,
                "{connections}"
            );
        }
    }
}
