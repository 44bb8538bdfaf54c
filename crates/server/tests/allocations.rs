//! Counters gate: a hit allocates nothing. A whole node runs in this process with a counting allocator;
//! the client's own thread is exempt.
//!
//! Alone in its binary: a global allocator counts for everybody.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use corsair_config::{FileError, FileSource, check};
use corsair_server::{Node, ResolvedUpstreams};

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static COUNTED: Cell<bool> = const { Cell::new(false) };
}

fn count() {
    // A thread that is being torn down has no flag left and is not a worker.
    if COUNTED.try_with(Cell::get).unwrap_or(false) {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
    }
}

// SAFETY: everything is passed on to the system's allocator; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        mark_worker();
        count();
        // SAFETY: the caller's promises are the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are the same.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        mark_worker();
        count();
        // SAFETY: the caller's promises are the same.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// Threads are counted when their name says that they are workers. Read from the kernel, because asking
/// the standard library could allocate.
fn mark_worker() {
    let _torn_down = COUNTED.try_with(|counted| {
        if !counted.get() {
            let mut name = [0_u8; 16];
            // SAFETY: PR_GET_NAME writes at most sixteen bytes.
            unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) };
            counted.set(name.starts_with(b"worker-"));
        }
    });
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

struct Origins;

impl FileSource for Origins {
    fn read(&self, _path: &str, _bytes_max: usize) -> Result<String, FileError> {
        Ok((0..1000)
            .map(|n| format!("https://tenant-{n}.example.com\n"))
            .collect())
    }
}

fn start(upstream: SocketAddr) -> std::sync::Arc<Node> {
    let text = format!(
        r#"
        [node]
        name = "edge-1"
        workers = 1
        [admin]
        listen = "127.0.0.1:0"
        [[listener]]
        address = "127.0.0.1:0"
        [[upstream]]
        name = "one"
        servers = ["http://{upstream}"]
        [[site]]
        hosts = ["*"]
        upstream = "one"
        [site.cors]
        origins_file = "origins.txt"
        [[site.header]]
        op = "set"
        name = "X-Frame-Options"
        value = "DENY"
        [[site.header]]
        op = "remove"
        name = "Server"
        "#
    );
    let checked = check("allocations.toml", &text, &Origins);
    let plan = checked
        .plan
        .unwrap_or_else(|| panic!("{:?}", checked.diagnostics));
    Node::start(plan, &ResolvedUpstreams::new()).expect("the node starts")
}

/// Of this size an answer depends on `Accept-Encoding`.
const VARYING: usize = 2048;

/// Answers `GET /N` with N bytes, each of which may be stored for an hour.
fn upstream() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            std::thread::spawn(move || {
                let mut buffer = [0; 4096];
                while let Ok(count) = stream.read(&mut buffer) {
                    if count == 0 {
                        return;
                    }
                    let text = String::from_utf8_lossy(&buffer[..count]).into_owned();
                    let path = text.split(' ').nth(1).expect("a target");
                    let size: usize = path.trim_start_matches('/').parse().expect("a size");
                    let vary = match size {
                        VARYING => "Vary: Accept-Encoding\r\n",
                        _ => "",
                    };
                    let head = format!(
                        "HTTP/1.1 200 OK\r\nContent-Type: font/woff2\r\nETag: \"{size}\"\r\n{vary}\
                         Server: mock\r\nCache-Control: max-age=3600\r\nContent-Length: {size}\r\n\r\n"
                    );
                    stream.write_all(head.as_bytes()).expect("the node reads");
                    stream.write_all(&vec![b'x'; size]).expect("the node reads");
                }
            });
        }
    });
    address
}

/// Sends `request` `times` times, `depth` at once, and reads `answer_len` bytes for each.
fn drive(stream: &mut TcpStream, request: &[u8], answer_len: usize, times: usize, depth: usize) {
    let batch = request.repeat(depth);
    let mut answers = vec![0; answer_len * depth];
    for _ in 0..times / depth {
        stream.write_all(&batch).expect("the node reads");
        stream.read_exact(&mut answers).expect("the node answers");
    }
}

/// The length of the answer to `request`, once it is a hit (or `status`), and stays the same.
fn settled_answer_len(stream: &mut TcpStream, request: &[u8], status: &str) -> usize {
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        stream.write_all(request).expect("the node reads");
        std::thread::park_timeout(Duration::from_millis(50));
        let mut answer = vec![0; 1 << 20];
        let count = stream.read(&mut answer).expect("the node answers");
        let text = String::from_utf8_lossy(&answer[..count]);
        assert!(text.starts_with(&format!("HTTP/1.1 {status}")), "{text}");
        let settled = text.contains("; hit;") || text.contains("preflight");
        let length: usize = text
            .split("Content-Length: ")
            .nth(1)
            .filter(|_| status != "304" && !request.starts_with(b"HEAD"))
            .and_then(|rest| rest.split("\r\n").next())
            .map_or(0, |digits| digits.parse().expect("digits"));
        let head_len = text.find("\r\n\r\n").expect("a whole head") + 4;
        let mut read = count;
        let mut rest = vec![0; 1 << 16];
        while read < head_len + length {
            read += stream.read(&mut rest).expect("the node answers");
        }
        // The age is one digit for the ten seconds that this takes at most.
        if settled {
            return head_len + length;
        }
        assert!(Instant::now() < until, "no hit: {text}");
    }
}

fn check_case(address: SocketAddr, what: &str, request: &str, status: &str, depth: usize) {
    let mut stream = TcpStream::connect(address).expect("the node accepts");
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .expect("a socket option");
    let answer_len = settled_answer_len(&mut stream, request.as_bytes(), status);
    drive(&mut stream, request.as_bytes(), answer_len, 64, depth);
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    drive(&mut stream, request.as_bytes(), answer_len, 640, depth);
    let counted = ALLOCATIONS.load(Ordering::Relaxed) - before;
    // The deadline wheel, which runs by the clock, may allocate a few times in that time.
    assert!(
        counted <= 16,
        "{what}, depth {depth}: {counted} allocations in 640 requests"
    );
}

#[test]
fn a_hit_allocates_nothing() {
    let node = start(upstream());
    let address = node.addresses()[0];
    let get = |path: &str, lines: &str| {
        format!("GET {path} HTTP/1.1\r\nHost: cdn.example.com\r\n{lines}\r\n")
    };
    let allowed = "Origin: https://tenant-77.example.com\r\n";
    for depth in [1, 16] {
        check_case(address, "granted", &get("/1024", allowed), "200", depth);
        check_case(address, "no origin", &get("/1024", ""), "200", depth);
        let refused = "Origin: https://evil.example\r\n";
        check_case(address, "refused", &get("/1024", refused), "200", depth);
        check_case(
            address,
            "by reference",
            &get("/9000", allowed),
            "200",
            depth,
        );
        check_case(
            address,
            "not in the front cache",
            &get("/60000", allowed),
            "200",
            depth,
        );
        let part = format!("{allowed}Range: bytes=100-299\r\n");
        check_case(address, "part", &get("/1024", &part), "206", depth);
        let known = format!("{allowed}If-None-Match: \"1024\"\r\n");
        check_case(address, "not modified", &get("/1024", &known), "304", depth);
        let head = get("/1024", allowed).replacen("GET", "HEAD", 1);
        check_case(address, "head", &head, "200", depth);
        let zipped = format!("{allowed}Accept-Encoding: gzip\r\n");
        check_case(address, "variant", &get("/2048", &zipped), "200", depth);
        let loud = |request: String| request.replacen("cdn.example.com", "CDN.Example.COM", 1);
        check_case(address, "loud", &loud(get("/1024", allowed)), "200", depth);
        check_case(
            address,
            "loud part",
            &loud(get("/1024", &part)),
            "206",
            depth,
        );
    }
    assert!(
        ALLOCATIONS.load(Ordering::Relaxed) > 0,
        "the counter counts"
    );
    node.begin_drain();
    node.wait_drained(Duration::from_secs(5));
}
