//! A scripted HTTP server on a free port, and the `loadgen run` command against it.
//!
//! One thread per connection; what it answers is a function of the request and its number. It is
//! no model of a good server: it can be told to be wrong in any way.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::Value;

/// A request as the server saw it.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// Position among all requests of the server, from 0.
    pub(crate) number: u64,
    /// Which connection it came on, from 0.
    pub(crate) connection: u64,
    pub(crate) method: String,
    pub(crate) target: String,
    /// Field lines as they came.
    pub(crate) lines: Vec<String>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.lines.iter().find_map(|line| {
            let (field, value) = line.split_once(':')?;
            field.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// What the server does next.
pub(crate) enum Reply {
    /// Sends these bytes.
    Bytes(Vec<u8>),
    /// Sends these bytes and closes the connection.
    BytesThenClose(Vec<u8>),
    /// Says nothing more and keeps the connection open.
    Silence,
}

/// `200 OK` with `fields` (each `Name: value`) and `body`.
pub(crate) fn ok(fields: &[&str], body: &str) -> Reply {
    Reply::Bytes(ok_bytes(fields, body))
}

pub(crate) fn ok_bytes(fields: &[&str], body: &str) -> Vec<u8> {
    let lines: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\n{lines}Content-Length: {length}\r\n\r\n{body}").into_bytes()
}

type Script = dyn Fn(&Request) -> Reply + Send + Sync;

/// The server; its threads end with the test process.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    pub(crate) fn start(script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (script, requests): (Arc<Script>, _) = (Arc::new(script), Arc::clone(&seen));
        std::thread::spawn(move || {
            let number = Arc::new(AtomicU64::new(0));
            for (connection, stream) in listener.incoming().enumerate() {
                let (script, number) = (Arc::clone(&script), Arc::clone(&number));
                let (stream, requests) = (stream.unwrap(), Arc::clone(&requests));
                std::thread::spawn(move || {
                    // A client that goes away ends its connection, which is all there is to do.
                    drop(serve(
                        stream,
                        connection as u64,
                        &*script,
                        &number,
                        &requests,
                    ));
                });
            }
        });
        Self { address, seen }
    }

    /// `http://ADDRESS` and `path`.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The first 10,000 requests so far.
    pub(crate) fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }
}

fn serve(
    mut stream: TcpStream,
    connection: u64,
    script: &Script,
    number: &AtomicU64,
    requests: &Mutex<Vec<Request>>,
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    while let Some(mut request) = read_request(&mut reader)? {
        request.connection = connection;
        request.number = number.fetch_add(1, Ordering::Relaxed);
        let reply = script(&request);
        {
            let mut requests = requests.lock().unwrap();
            if requests.len() < 10_000 {
                requests.push(request);
            }
        }
        match reply {
            Reply::Bytes(bytes) => stream.write_all(&bytes)?,
            Reply::BytesThenClose(bytes) => {
                stream.write_all(&bytes)?;
                return stream.shutdown(std::net::Shutdown::Both);
            }
            Reply::Silence => {
                // Until the client closes.
                drop(reader.read(&mut [0]));
                return Ok(());
            }
        }
    }
    Ok(())
}

fn read_request(reader: &mut BufReader<TcpStream>) -> std::io::Result<Option<Request>> {
    let mut line = || {
        let mut line = String::new();
        reader
            .read_line(&mut line)
            .map(|_| line.trim_end().to_owned())
    };
    let first = line()?;
    let mut words = first.split(' ').map(str::to_owned);
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        return Ok(None);
    };
    let mut lines = Vec::new();
    loop {
        let field = line()?;
        if field.is_empty() {
            break;
        }
        lines.push(field);
    }
    let mut request = Request {
        number: 0,
        connection: 0,
        method,
        target,
        lines,
        body: Vec::new(),
    };
    let length = request
        .field("Content-Length")
        .map_or(0, |length| length.parse().unwrap());
    request.body.resize(length, 0);
    reader.read_exact(&mut request.body)?;
    Ok(Some(request))
}

/// What `loadgen run` came to.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) json: Value,
    pub(crate) stderr: String,
}

impl Ran {
    /// A number at the top level of the JSON document.
    pub(crate) fn number(&self, name: &str) -> f64 {
        self.json[name]
            .as_f64()
            .unwrap_or_else(|| panic!("{name} in {}", self.json))
    }
}

/// `loadgen run URL FLAGS… --quiet --json -`.
pub(crate) fn loadgen(url: &str, flags: &[&str]) -> Ran {
    finish(&command(url, flags).output().unwrap())
}

pub(crate) fn command(url: &str, flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
    command
        // What neighbours of this machine take is no fault of what is tested.
        .args(["run", url, "--quiet", "--max-steal", "100", "--json", "-"])
        .args(flags);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

pub(crate) fn finish(output: &Output) -> Ran {
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    let json = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    Ran {
        code: output.status.code().unwrap_or(-1),
        json,
        stderr,
    }
}
