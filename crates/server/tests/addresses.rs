//! An upstream with several addresses: one that refuses connections costs no request.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use corsair_config::{FileError, FileSource, check};
use corsair_server::{Node, ResolvedUpstreams};

struct NoFiles;

impl FileSource for NoFiles {
    fn read(&self, _path: &str, _bytes_max: usize) -> Result<String, FileError> {
        unreachable!("the configuration names no file")
    }
}

const CONFIGURATION: &str = r#"
    [node]
    workers = 1
    [admin]
    listen = "127.0.0.1:0"
    [[listener]]
    address = "127.0.0.1:0"
    [[upstream]]
    name = "named"
    servers = ["http://upstream.invalid:80"]
    [[site]]
    hosts = ["*"]
    upstream = "named"
"#;

/// Answers one request a connection.
fn upstream() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let _request = stream.read(&mut [0; 4096]);
            let _gone = stream.write_all(
                b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nfound",
            );
        }
    });
    address
}

fn get(node: SocketAddr) -> String {
    let mut stream = TcpStream::connect(node).expect("the node listens");
    let patience = Some(Duration::from_secs(20));
    stream.set_read_timeout(patience).expect("a timeout");
    let request = b"GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    stream.write_all(request).expect("sent");
    let mut response = String::new();
    stream.read_to_string(&mut response).expect("a response");
    response
}

#[test]
fn an_address_that_refuses_is_passed_over() {
    let good = upstream();
    // Bound and let go: nobody listens there.
    let deaf = TcpListener::bind("127.0.0.2:0").expect("a port");
    let refuses = deaf.local_addr().expect("bound");
    drop(deaf);
    let start = |addresses: Vec<SocketAddr>| {
        let plan = check("addresses.toml", CONFIGURATION, &NoFiles).plan;
        let resolved = ResolvedUpstreams::from([("named".to_owned(), addresses)]);
        Node::start(plan.expect("a plan"), &resolved).expect("the node starts")
    };
    let node = start(vec![refuses, good]);
    for _ in 0..6 {
        let response = get(node.addresses()[0]);
        assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
    }
    let node = start(vec![refuses, refuses]);
    let response = get(node.addresses()[0]);
    assert!(response.starts_with("HTTP/1.1 502 "), "{response}");
}
