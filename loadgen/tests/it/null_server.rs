//! The null servers over real sockets: both drivers give the same bytes, pipelined, small and
//! large, and close on what they do not understand.

#![expect(
    clippy::unwrap_used,
    reason = "a step of a test that fails is a failed test"
)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use loadgen::null_server::ask_count;

struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(flags: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_loadgen"))
            .arg("serve-null")
            .args(flags)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut address = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut address)
            .unwrap();
        Self {
            child,
            address: address.trim().to_owned(),
        }
    }

    /// Sends `request`, ends the sending side and reads everything until the server closes.
    fn exchange(&self, request: &[u8]) -> Vec<u8> {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        stream.write_all(request).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        answer
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

fn check(driver: &str, body_bytes: usize, requests: usize) {
    let size = body_bytes.to_string();
    let server = Server::start(&[
        "--driver",
        driver,
        "--size",
        &size,
        "--headers",
        "2",
        "--header",
        "A: b",
    ]);
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: {size}\r\n\
         X-Null-1: 1\r\nX-Null-2: 2\r\nA: b\r\n\r\n"
    );
    let body: Vec<u8> = (b'a'..=b'z').cycle().take(body_bytes).collect();
    let expected = [head.as_bytes(), &body].concat().repeat(requests);
    let got = server.exchange(GET.repeat(requests).as_bytes());
    assert_eq!(
        got.len(),
        expected.len(),
        "{driver}, {body_bytes} bytes, {requests} requests"
    );
    assert!(
        got == expected,
        "{driver}, {body_bytes} bytes, {requests} requests"
    );
    assert_eq!(server.exchange(b"BREW / HTTP/1.1\r\n\r\n"), b"", "{driver}");
    assert_eq!(server.exchange(b"\0"), b"", "{driver}");
    let count = ask_count(server.address.parse().unwrap());
    assert_eq!(count.unwrap(), requests as u64, "{driver}");
}

#[test]
fn every_request_is_answered_whole_and_in_order() {
    for driver in ["epoll", "monoio"] {
        check(driver, 0, 1);
        check(driver, 1024, 1);
        check(driver, 1024, 100);
        check(driver, 4096, 16);
        check(driver, 4097, 16);
        check(driver, 3_000_000, 1);
        check(driver, 3_000_000, 4);
    }
}

#[test]
fn an_address_in_use_by_another_kind_of_socket_is_refused_with_exit_code_2() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = Command::new(env!("CARGO_BIN_EXE_loadgen"))
        .args(["serve-null", "--driver", "epoll", "--listen", &address])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot listen on"));
    assert_eq!(output.stdout, b"");
}
