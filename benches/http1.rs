//! What reading a request costs: head, target, framing, and the whole of it as the hit path does it.
//!
//! Inputs are a load generator's minimal request, a browser's font request with CORS, and a head
//! close to the usual limits. Each bench asserts what it read.

use std::hint::black_box;

use corsair_http1::{
    BodyLength, ChunkStep, ChunkedDecoder, HeadLimits, KnownField, Parsed, Persistence,
    RequestHead, ResponseHead, effective_authority, parse_target, request_body_length,
    request_persistence,
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const MINIMAL: &[u8] = b"GET /a HTTP/1.1\r\nHost: cdn.example.com\r\n\r\n";

const BROWSER: &[u8] = b"GET /fonts/inter-400.woff2?v=3 HTTP/1.1\r\n\
    Host: cdn.example.com\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\
    Accept: application/font-woff2;q=1.0,application/font-woff;q=0.9,*/*;q=0.8\r\n\
    Accept-Language: en-US,en;q=0.5\r\n\
    Accept-Encoding: identity\r\n\
    Origin: https://app.example.com\r\n\
    Connection: keep-alive\r\n\
    Referer: https://app.example.com/\r\n\
    Sec-Fetch-Dest: font\r\n\
    Sec-Fetch-Mode: cors\r\n\
    Sec-Fetch-Site: same-site\r\n\
    Priority: u=2\r\n\r\n";

const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\n\
    Server: nginx/1.22.1\r\n\
    Date: Sun, 22 Nov 2026 10:00:00 GMT\r\n\
    Content-Type: font/woff2\r\n\
    Content-Length: 31234\r\n\
    Last-Modified: Tue, 01 Sep 2026 08:00:00 GMT\r\n\
    Connection: keep-alive\r\n\
    ETag: \"66d41234-7a02\"\r\n\
    Cache-Control: public, max-age=600\r\n\
    Accept-Ranges: bytes\r\n\r\n";

/// 60 lines of 300 bytes.
fn crowded() -> Vec<u8> {
    let mut text = b"GET /a HTTP/1.1\r\nHost: cdn.example.com\r\n".to_vec();
    for line in 0..60 {
        text.extend(format!("X-Field-{line}: {}\r\n", "v".repeat(285)).bytes());
    }
    text.extend(b"\r\n");
    text
}

fn heads(criterion: &mut Criterion) {
    let limits = HeadLimits::default();
    let crowded = crowded();
    let mut group = criterion.benchmark_group("http1/request_head");
    let rows: [(&str, &[u8], usize); 3] = [
        ("minimal", MINIMAL, 1),
        ("browser", BROWSER, 12),
        ("60 lines", &crowded, 61),
    ];
    for (name, bytes, fields) in rows {
        let mut head = RequestHead::new();
        assert_eq!(head.parse(bytes, &limits), Ok(Parsed::Complete));
        assert_eq!(
            (head.len(), head.view(bytes).fields().count()),
            (bytes.len(), fields)
        );
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                head.reset();
                let parsed = head.parse(black_box(bytes), &limits);
                assert_eq!(parsed, Ok(Parsed::Complete));
                head.len()
            });
        });
    }
    group.finish();

    let mut group = criterion.benchmark_group("http1/response_head");
    group.throughput(Throughput::Bytes(RESPONSE.len() as u64));
    let mut head = ResponseHead::new();
    group.bench_function("nginx", |bencher| {
        bencher.iter(|| {
            head.reset();
            let parsed = head.parse(black_box(RESPONSE), &limits);
            assert_eq!(parsed, Ok(Parsed::Complete));
            head.view(RESPONSE).status()
        });
    });
    group.finish();
}

fn whole_request(criterion: &mut Criterion) {
    let limits = HeadLimits::default();
    let mut group = criterion.benchmark_group("http1/request");
    for (name, bytes, origin) in [
        ("minimal", MINIMAL, None),
        ("browser", BROWSER, Some(&b"https://app.example.com"[..])),
    ] {
        let mut head = RequestHead::new();
        let mut scratch = Vec::new();
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                head.reset();
                let parsed = head.parse(black_box(bytes), &limits);
                assert_eq!(parsed, Ok(Parsed::Complete));
                let request = head.view(bytes);
                let target = parse_target(request.method(), request.target(), &mut scratch)
                    .expect("a canonical target");
                let authority = effective_authority(request, &target).expect("one valid Host");
                assert_eq!(authority.map(|a| a.host), Some(&b"cdn.example.com"[..]));
                assert!(matches!(request_body_length(request), Ok(BodyLength::None)));
                assert!(matches!(
                    request_persistence(request),
                    Persistence::KeepAlive
                ));
                assert_eq!(request.field(KnownField::Origin), origin);
                target.path.len()
            });
        });
    }
    group.finish();
}

fn targets(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("http1/target");
    let rows: [(&str, &[u8], &[u8]); 3] = [
        (
            "canonical",
            b"/fonts/inter-400.woff2?v=3",
            b"/fonts/inter-400.woff2",
        ),
        (
            "dot segments",
            b"/fonts/../fonts/./inter-400.woff2",
            b"/fonts/inter-400.woff2",
        ),
        (
            "percent signs",
            b"/f%6fnts/%69nter%2f400.woff2",
            b"/fonts/inter%2F400.woff2",
        ),
    ];
    for (name, target, path) in rows {
        let mut scratch = Vec::new();
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let parsed = parse_target(b"GET", black_box(target), &mut scratch)
                    .expect("a target that is fine");
                assert_eq!(parsed.path, path);
                parsed.path.len()
            });
        });
    }
    group.finish();
}

fn chunks(criterion: &mut Criterion) {
    let mut body = Vec::new();
    for _ in 0..64 {
        body.extend(b"400\r\n");
        body.extend([b'x'; 1024]);
        body.extend(b"\r\n");
    }
    body.extend(b"0\r\n\r\n");
    let mut group = criterion.benchmark_group("http1/chunked");
    group.throughput(Throughput::Bytes(body.len() as u64));
    group.bench_function("64 chunks of 1 KiB", |bencher| {
        bencher.iter(|| {
            let mut decoder = ChunkedDecoder::new();
            let mut input = black_box(&body[..]);
            let mut data = 0;
            loop {
                match decoder.step(input).expect("a body that is fine") {
                    ChunkStep::Data { skip, len } => {
                        data += len;
                        input = &input[skip + len..];
                    }
                    ChunkStep::NeedMore { .. } => unreachable!("the whole body is here"),
                    ChunkStep::Complete { consumed } => {
                        assert_eq!((data, consumed), (64 * 1024, input.len()));
                        return data;
                    }
                }
            }
        });
    });
    group.finish();
}

criterion_group!(benches, heads, whole_request, targets, chunks);
criterion_main!(benches);
