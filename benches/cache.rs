//! What finding a stored response costs: key, hash, lookup, and whether it may be reused.
//!
//! One key asked again and again, and 4,096 spread over 1, 1,000 and 100,000 stored responses; a key
//! that is not there; one of sixteen variants.

use std::hint::black_box;

use bytes::Bytes;
use corsair_cache::{
    Body, CachePolicy, FetchTimes, Found, HeadParts, KeySecret, RequestDirectives, Reuse,
    SetCookie, Store, Stored, StoredHead, UnixMillis, VaryOrigin, decide_reuse, decide_storable,
    hash_key, write_key,
};
use corsair_http1::{FieldSection, HeadLimits, Parsed, RequestHead};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};

const SECRET: KeySecret = KeySecret([7; 16]);
const NOW: UnixMillis = UnixMillis(1_795_000_000_000);

fn request(language: &str) -> (RequestHead, Vec<u8>) {
    let bytes =
        format!("GET /a HTTP/1.1\r\nHost: cdn.example.com\r\nAccept-Language: {language}\r\n\r\n")
            .into_bytes();
    let mut head = RequestHead::new();
    assert_eq!(
        head.parse(&bytes, &HeadLimits::default()),
        Ok(Parsed::Complete)
    );
    (head, bytes)
}

fn key(number: usize) -> Vec<u8> {
    let mut key = Vec::new();
    let path = format!("/fonts/inter-{number}.woff2");
    write_key(
        &mut key,
        "http",
        b"cdn.example.com",
        None,
        path.as_bytes(),
        None,
    );
    key
}

fn response(key: &[u8], vary: Option<&str>, request: &(RequestHead, Vec<u8>)) -> Stored {
    let request = request.0.view(&request.1);
    let mut fields = FieldSection::new();
    fields.push(b"Content-Type", b"font/woff2");
    fields.push(b"Cache-Control", b"public, max-age=600");
    fields.push(b"ETag", b"\"66d41234-7a02\"");
    if let Some(vary) = vary {
        fields.push(b"Vary", vary.as_bytes());
    }
    let times = FetchTimes {
        request_time: NOW,
        response_time: NOW,
    };
    let storable = decide_storable(request, 200, &fields, &CachePolicy::default(), times)
        .expect("a response that may be stored");
    let head = StoredHead::new(HeadParts {
        key,
        status: 200,
        fields,
        freshness: storable.freshness,
        vary_origin: VaryOrigin::Ignore,
        set_cookie: SetCookie::Bypass,
        request,
    });
    Stored::new(head, Body::from_chunks([Bytes::from(vec![b'x'; 1024])]))
}

fn fill(store: &Store, count: usize, request: &(RequestHead, Vec<u8>)) {
    for number in 0..count {
        let key = key(number);
        let hash = hash_key(&SECRET, &key);
        store.insert(
            hash,
            response(&key, None, request),
            request.0.view(&request.1),
        );
    }
    assert_eq!(store.len(), count);
}

fn lookups(criterion: &mut Criterion) {
    let request = request("en");
    let view = request.0.view(&request.1);
    let mut group = criterion.benchmark_group("cache/find");
    for count in [1, 1_000, 100_000] {
        let store = Store::new(1 << 30, SECRET);
        fill(&store, count, &request);
        let keys: Vec<Vec<u8>> = (0..4096_usize)
            .map(|at| key(at.wrapping_mul(0x9e37_79b9) % count))
            .collect();
        let mut next = 0;
        group.bench_function(BenchmarkId::new("hit, spread", count), |bencher| {
            bencher.iter(|| {
                next = (next + 1) % keys.len();
                let key = black_box(&keys[next]);
                let Found::Hit(stored) = store.find(hash_key(&SECRET, key), key, view, NOW) else {
                    panic!("it was stored");
                };
                assert_eq!(stored.body().len(), 1024);
                stored
            });
        });
        let hot = key(count / 2);
        group.bench_function(BenchmarkId::new("hit, hot", count), |bencher| {
            bencher.iter(|| {
                let key = black_box(&hot);
                let Found::Hit(stored) = store.find(hash_key(&SECRET, key), key, view, NOW) else {
                    panic!("it was stored");
                };
                stored
            });
        });
        let absent = key(count + 1);
        group.bench_function(BenchmarkId::new("miss", count), |bencher| {
            bencher.iter(|| {
                let key = black_box(&absent);
                let found = store.find(hash_key(&SECRET, key), key, view, NOW);
                assert!(matches!(found, Found::Miss { .. }));
            });
        });
    }
    group.finish();
}

fn variants(criterion: &mut Criterion) {
    let store = Store::new(64 << 20, SECRET);
    let key = key(0);
    let hash = hash_key(&SECRET, &key);
    let requests: Vec<_> = (0..16)
        .map(|number| request(&format!("x-{number}")))
        .collect();
    for request in &requests {
        let stored = response(&key, Some("Accept-Language"), request);
        store.insert(hash, stored, request.0.view(&request.1));
    }
    let view = requests[11].0.view(&requests[11].1);
    criterion.bench_function("cache/find/variant of 16", |bencher| {
        bencher.iter(|| {
            let found = store.find(hash, black_box(&key), view, NOW);
            assert!(matches!(found, Found::Hit(_)));
            found
        });
    });
}

fn decisions(criterion: &mut Criterion) {
    let request = request("en");
    let view = request.0.view(&request.1);
    let key = key(0);
    let stored = response(&key, None, &request);
    let mut group = criterion.benchmark_group("cache/decide");
    group.bench_function("reuse", |bencher| {
        bencher.iter(|| {
            let directives = RequestDirectives::parse(black_box(view));
            let reuse = decide_reuse(&stored, &directives, NOW);
            assert!(matches!(reuse, Reuse::Fresh));
        });
    });
    group.bench_function("key and hash", |bencher| {
        let mut out = Vec::with_capacity(128);
        let wanted = hash_key(&SECRET, &key);
        bencher.iter(|| {
            out.clear();
            let path = black_box(&b"/fonts/inter-0.woff2"[..]);
            write_key(&mut out, "http", b"cdn.example.com", None, path, None);
            let hash = hash_key(&SECRET, &out);
            assert_eq!(hash, wanted);
            hash
        });
    });
    group.finish();
}

criterion_group!(benches, lookups, variants, decisions);
criterion_main!(benches);
