//! A kernel that refuses io_uring, as many containers' seccomp profiles do: `auto` steps down and says
//! so, and what was demanded is not replaced in silence.

use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use crate::harness::node::{Scratch, binary, driver};
use crate::harness::{Node, NodeConfig, Upstream};

/// Lets `io_uring_setup(2)` fail with `EPERM` in this process and those it starts.
fn refuse_io_uring() -> std::io::Result<()> {
    let statement = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let number = u32::try_from(libc::SYS_io_uring_setup).expect("numbers of calls are small");
    let refusal = libc::SECCOMP_RET_ERRNO | u32::try_from(libc::EPERM).expect("a small number");
    let mut filter = [
        // The number of the call, the first word of what the filter is shown.
        statement((libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16, 0, 0, 0),
        statement(
            (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16,
            0,
            1,
            number,
        ),
        statement((libc::BPF_RET | libc::BPF_K) as u16, 0, 0, refusal),
        statement(
            (libc::BPF_RET | libc::BPF_K) as u16,
            0,
            0,
            libc::SECCOMP_RET_ALLOW,
        ),
    ];
    let program = libc::sock_fprog {
        len: 4,
        filter: filter.as_mut_ptr(),
    };
    // SAFETY: both calls concern this process only; the kernel copies the four statements.
    let results = unsafe {
        [
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
            libc::prctl(
                libc::PR_SET_SECCOMP,
                libc::SECCOMP_MODE_FILTER,
                &raw const program,
            ),
        ]
    };
    match results {
        [0, 0] => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

/// `corsair run` with `driver = "CHOICE"` where io_uring is refused.
fn without_io_uring(upstream: &Upstream, choice: &str, scratch: &Scratch) -> Command {
    let text = NodeConfig::before(upstream).text();
    let before = format!("driver = \"{}\"", driver());
    assert!(text.contains(&before), "{text}");
    let text = text.replace(&before, &format!("driver = \"{choice}\""));
    let file = scratch.write("corsair.toml", &text);
    let mut command = Command::new(binary());
    command.arg("run").arg("-c").arg(file);
    // SAFETY: between fork and exec it makes two system calls and allocates nothing.
    unsafe { command.pre_exec(refuse_io_uring) };
    command
}

#[test]
fn auto_steps_down_to_epoll_and_says_so() {
    let upstream = Upstream::start();
    let scratch = Scratch::new();
    let node = Node::spawn(without_io_uring(&upstream, "auto", &scratch));
    node.said("epoll");
    upstream
        .expect("GET /a")
        .reply(200)
        .header("Cache-Control", "max-age=60")
        .body("served");
    node.get("/a").send().is(200).body("served");
    node.get("/a").send().cache("hit").body("served");
    let metrics = node.admin("GET", "/metrics").send().is(200).text();
    assert!(
        metrics.contains("corsair_driver{driver=\"epoll\"} 1"),
        "{metrics}"
    );
}

#[test]
fn io_uring_that_was_demanded_and_is_refused_ends_the_start() {
    let upstream = Upstream::start();
    let scratch = Scratch::new();
    let output = without_io_uring(&upstream, "io_uring", &scratch)
        .stdin(Stdio::null())
        .output()
        .expect("it starts and ends");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("Operation not permitted"), "{said}");
    upstream.heard_nothing();
}
