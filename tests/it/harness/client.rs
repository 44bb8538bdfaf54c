//! A raw HTTP/1.1 client: `client.get("/a").origin("https://a.example").send().is(200).cache("hit")`.
//!
//! Every response it reads is held to the rules that no response of a node may break, whatever the
//! test is about: one `Access-Control-Allow-Origin`, one `Vary`, one `Date`, nothing hop-by-hop.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::wire::{Framing, Head, Wire, WireError, declared_framing};

const PATIENCE: Duration = Duration::from_secs(20);

/// One connection to a server.
pub(crate) struct Client {
    pub(crate) wire: Wire,
    address: SocketAddr,
    /// A field that the operator asked to be doubled; empty for none.
    doubled: &'static str,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::connect_patiently(address, PATIENCE)
    }

    /// A client that waits only so long for each answer.
    pub(crate) fn connect_patiently(address: SocketAddr, patience: Duration) -> Self {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)
            .unwrap_or_else(|error| panic!("connect to {address}: {error}"));
        Self {
            wire: Wire::new(stream, patience),
            address,
            doubled: "",
        }
    }

    /// Takes two lines of this field for right, because a rule of this test asks for them.
    pub(crate) fn expects_two(mut self, name: &'static str) -> Self {
        self.doubled = name;
        self
    }

    pub(crate) fn get(&mut self, target: &str) -> Ask<'_> {
        self.ask("GET", target)
    }

    pub(crate) fn head(&mut self, target: &str) -> Ask<'_> {
        self.ask("HEAD", target)
    }

    pub(crate) fn ask(&mut self, method: &str, target: &str) -> Ask<'_> {
        let host = self.address.to_string();
        Ask {
            client: Carrier::Borrowed(self),
            request: RequestText::new(method, target, &host),
        }
    }

    /// Sends these bytes and nothing else.
    #[track_caller]
    pub(crate) fn write(&mut self, bytes: impl AsRef<[u8]>) {
        if let Err(error) = self.wire.write(bytes.as_ref()) {
            panic!("the node did not take the request: {error}");
        }
    }

    /// The answer to a request of this method.
    #[track_caller]
    pub(crate) fn answer(&mut self, method: &str) -> Response {
        match self.try_answer(method) {
            Ok(response) => response,
            Err(error) => panic!("no whole answer to {method}: {error}"),
        }
    }

    pub(crate) fn try_answer(&mut self, method: &str) -> Result<Response, WireError> {
        let mut response = self.read_response_head(method)?;
        match self.wire.read_body(response.framing, &mut response.body) {
            Ok(()) => Ok(response),
            Err(WireError::Truncated(_)) => Err(WireError::Truncated(response.body.len())),
            Err(error) => Err(error),
        }
    }

    /// The head alone; its body stays on the wire, for [`Client::body_bytes`].
    #[track_caller]
    pub(crate) fn answer_head(&mut self, method: &str) -> Response {
        match self.read_response_head(method) {
            Ok(response) => response,
            Err(error) => panic!("no answer to {method}: {error}"),
        }
    }

    /// The next `len` bytes of a body read piecewise (of a chunked one: through `rest`).
    #[track_caller]
    pub(crate) fn body_bytes(&mut self, len: usize) -> Vec<u8> {
        let mut body = Vec::new();
        match self.wire.read_exact(len, &mut body) {
            Ok(()) => body,
            Err(error) => panic!("{len} bytes of body wanted: {error}"),
        }
    }

    fn read_response_head(&mut self, method: &str) -> Result<Response, WireError> {
        let mut interim = Vec::new();
        loop {
            let head = self.wire.read_head()?;
            let status = parse_status_line(&head.start)?;
            if (100..200).contains(&status) && status != 101 {
                interim.push(status);
                continue;
            }
            let declared = declared_framing(&head)?;
            let framing = match (method, status) {
                ("HEAD", _) | (_, 204 | 304) | (_, 101) => Framing::None,
                _ => declared.unwrap_or(Framing::UntilClose),
            };
            let response = Response {
                status,
                head,
                framing,
                interim,
                body: Vec::new(),
            };
            response.obeys_the_law(self.doubled)?;
            return Ok(response);
        }
    }

    /// Nothing more comes, and the connection is closed.
    #[track_caller]
    pub(crate) fn is_closed(&mut self) {
        let (rest, end) = self.wire.drain();
        let rest = String::from_utf8_lossy(&rest).into_owned();
        assert!(
            rest.is_empty(),
            "the connection should be closed, but this came: {rest:?}"
        );
        assert!(
            matches!(end, WireError::Closed | WireError::Reset),
            "the connection should be closed: {end}"
        );
    }
}

fn parse_status_line(line: &str) -> Result<u16, WireError> {
    let wrong = || WireError::Malformed(format!("status line {line:?}"));
    let rest = line.strip_prefix("HTTP/1.1 ").ok_or_else(wrong)?;
    // The space stays even before an empty reason (RFC 9112 §4).
    let (status, _reason) = rest.split_once(' ').ok_or_else(wrong)?;
    status.parse().map_err(|_| wrong())
}

/// The text of a request in the making.
pub(crate) struct RequestText {
    method: String,
    target: String,
    version: &'static str,
    host: Option<String>,
    fields: Vec<(String, String)>,
    body: BodyText,
}

enum BodyText {
    None,
    Length(Vec<u8>),
    Chunked(Vec<Vec<u8>>),
}

impl RequestText {
    fn new(method: &str, target: &str, host: &str) -> Self {
        Self {
            method: method.to_owned(),
            target: target.to_owned(),
            version: "HTTP/1.1",
            host: Some(host.to_owned()),
            fields: Vec::new(),
            body: BodyText::None,
        }
    }

    pub(crate) fn render(&self) -> Vec<u8> {
        let mut text = format!("{} {} {}\r\n", self.method, self.target, self.version);
        if let Some(host) = &self.host {
            text += &format!("Host: {host}\r\n");
        }
        for (name, value) in &self.fields {
            text += &format!("{name}: {value}\r\n");
        }
        let mut bytes = text.into_bytes();
        match &self.body {
            BodyText::None => bytes.extend(b"\r\n"),
            BodyText::Length(body) => {
                bytes.extend(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
                bytes.extend(body);
            }
            BodyText::Chunked(chunks) => {
                bytes.extend(b"Transfer-Encoding: chunked\r\n\r\n");
                for chunk in chunks {
                    bytes.extend(format!("{:x}\r\n", chunk.len()).as_bytes());
                    bytes.extend(chunk);
                    bytes.extend(b"\r\n");
                }
                bytes.extend(b"0\r\n\r\n");
            }
        }
        bytes
    }
}

enum Carrier<'c> {
    Borrowed(&'c mut Client),
    Owned(Box<Client>),
}

/// A request being put together.
pub(crate) struct Ask<'c> {
    client: Carrier<'c>,
    request: RequestText,
}

impl Ask<'_> {
    /// A request on a connection of its own.
    pub(crate) fn alone(address: SocketAddr, method: &str, target: &str) -> Ask<'static> {
        Ask {
            client: Carrier::Owned(Box::new(Client::connect(address))),
            request: RequestText::new(method, target, &address.to_string()),
        }
    }

    pub(crate) fn origin(self, origin: &str) -> Self {
        self.header("Origin", origin)
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.request
            .fields
            .push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn host(mut self, host: &str) -> Self {
        self.request.host = Some(host.to_owned());
        self
    }

    /// As an HTTP/1.0 client without a Host field.
    pub(crate) fn http10(mut self) -> Self {
        self.request.version = "HTTP/1.0";
        self.request.host = None;
        self
    }

    pub(crate) fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.request.body = BodyText::Length(body.as_ref().to_vec());
        self
    }

    pub(crate) fn chunks(mut self, chunks: &[&[u8]]) -> Self {
        self.request.body = BodyText::Chunked(chunks.iter().map(|c| c.to_vec()).collect());
        self
    }

    fn client(&mut self) -> &mut Client {
        match &mut self.client {
            Carrier::Borrowed(client) => client,
            Carrier::Owned(client) => client,
        }
    }

    /// Sends and reads the whole answer.
    #[track_caller]
    pub(crate) fn send(mut self) -> Response {
        let bytes = self.request.render();
        let method = self.request.method.clone();
        let client = self.client();
        client.write(&bytes);
        match client.try_answer(&method) {
            Ok(response) => response,
            Err(error) => panic!("no whole answer to {:?}: {error}", self.request.target),
        }
    }

    /// Sends and reads the whole answer, or says how it failed.
    pub(crate) fn try_send(mut self) -> Result<Response, WireError> {
        let bytes = self.request.render();
        let method = self.request.method.clone();
        self.client().wire.write(&bytes)?;
        self.client().try_answer(&method)
    }

    /// Sends the request only; the answer is read from the client later.
    #[track_caller]
    pub(crate) fn begin(mut self) {
        let bytes = self.request.render();
        self.client().write(&bytes);
    }
}

/// A response, and what can be said about it.
#[derive(Debug, Clone)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) head: Head,
    pub(crate) framing: Framing,
    /// The status codes of the interim responses before it.
    pub(crate) interim: Vec<u16>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// What no response of a node may break.
    fn obeys_the_law(&self, doubled: &str) -> Result<(), WireError> {
        let once = [
            "Access-Control-Allow-Origin",
            "Access-Control-Allow-Credentials",
            "Age",
            "Content-Type",
            "Cross-Origin-Resource-Policy",
            "Date",
            "ETag",
            "Vary",
        ];
        let crowded = once
            .iter()
            .find(|name| **name != doubled && self.head.all(name).count() > 1);
        let never = [
            "Keep-Alive",
            "Proxy-Connection",
            "TE",
            "Trailer",
            "Proxy-Authorization",
        ];
        let leaked = never.iter().find(|name| self.head.all(name).count() > 0);
        let connection = self.head.all("Connection").find(|value| {
            let value = value.to_ascii_lowercase();
            value != "close" && value != "keep-alive" && !(self.status == 101 && value == "upgrade")
        });
        let broken = if let Some(name) = crowded {
            format!("two {name} lines")
        } else if let Some(name) = leaked {
            format!("a hop-by-hop {name}")
        } else if let Some(value) = connection {
            format!("Connection: {value}")
        } else if self.status < 500 && self.head.all("Date").count() == 0 {
            "no Date (RFC 9110 §6.6.1)".to_owned()
        } else if matches!(self.status, 204 | 304) && self.head.field("Transfer-Encoding").is_some()
        {
            format!("Transfer-Encoding on {}", self.status)
        } else {
            return Ok(());
        };
        Err(WireError::Malformed(format!("{broken}: {:?}", self.head)))
    }

    #[track_caller]
    pub(crate) fn is(&self, status: u16) -> &Self {
        assert_eq!(self.status, status, "status of {self:?}");
        self
    }

    /// What `Cache-Status` says of this node's cache: see [`Response::cache_word`].
    #[track_caller]
    pub(crate) fn cache(&self, word: &str) -> &Self {
        assert_eq!(self.cache_word(), word, "Cache-Status of {:?}", self.head);
        self
    }

    /// `hit`, or `fwd=miss` reduced to `miss` (RFC 9211 §2.2: `uri-miss`, `vary-miss` and `miss`
    /// are told apart only where a test reads the field itself); `none` without the field.
    pub(crate) fn cache_word(&self) -> String {
        let Some(status) = self.head.field("Cache-Status") else {
            return "none".to_owned();
        };
        let last = status.rsplit(',').next().unwrap_or_default().to_owned();
        let parameters: Vec<&str> = last.split(';').skip(1).map(str::trim).collect();
        if parameters.contains(&"hit") {
            return "hit".to_owned();
        }
        match parameters.iter().find_map(|p| p.strip_prefix("fwd=")) {
            Some("uri-miss" | "vary-miss" | "miss") => "miss".to_owned(),
            Some(other) => other.to_owned(),
            None => format!("neither: {status}"),
        }
    }

    /// A parameter of this node's `Cache-Status` member: `Some("")` for a bare one.
    pub(crate) fn cache_parameter(&self, name: &str) -> Option<String> {
        let status = self.head.field("Cache-Status")?;
        let last = status.rsplit(',').next().unwrap_or_default().to_owned();
        last.split(';')
            .skip(1)
            .map(str::trim)
            .find_map(|parameter| {
                let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
                (key == name).then(|| value.to_owned())
            })
    }

    #[track_caller]
    pub(crate) fn header(&self, name: &str, value: &str) -> &Self {
        let found = self.head.field(name);
        assert_eq!(found.as_deref(), Some(value), "{name} of {:?}", self.head);
        self
    }

    #[track_caller]
    pub(crate) fn has(&self, name: &str) -> &Self {
        assert!(
            self.head.field(name).is_some(),
            "{name} is missing: {:?}",
            self.head
        );
        self
    }

    #[track_caller]
    pub(crate) fn lacks(&self, name: &str) -> &Self {
        let found = self.head.field(name);
        assert_eq!(found, None, "{name} should be absent: {:?}", self.head);
        self
    }

    /// A list-valued field holds this member, once.
    #[track_caller]
    pub(crate) fn lists(&self, name: &str, member: &str) -> &Self {
        let value = self.head.field(name).unwrap_or_default();
        let count = value
            .split(',')
            .filter(|m| m.trim().eq_ignore_ascii_case(member))
            .count();
        assert_eq!(
            count, 1,
            "{name} should list {member} once: {:?}",
            self.head
        );
        self
    }

    #[track_caller]
    pub(crate) fn body(&self, body: impl AsRef<[u8]>) -> &Self {
        let (found, wanted) = (&self.body, body.as_ref());
        if found != wanted {
            let at = found.iter().zip(wanted).take_while(|(a, b)| a == b).count();
            let seen = String::from_utf8_lossy(&found[..found.len().min(200)]).into_owned();
            panic!(
                "body of {} bytes, wanted {}; first difference at {at}: {seen:?}…",
                found.len(),
                wanted.len(),
            );
        }
        self
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn age(&self) -> Option<u64> {
        self.head
            .field("Age")
            .map(|age| age.parse().expect("Age is a number of seconds"))
    }

    /// The node says that it will close, or must (its body ends with the connection).
    pub(crate) fn closes(&self) -> bool {
        self.head.lists("Connection", "close") || self.framing == Framing::UntilClose
    }
}
