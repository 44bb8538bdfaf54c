//! What deciding about a Web origin costs, against the number of patterns.
//!
//! Rows: 1, 10, 1,000 and 100,000 patterns; exact ones and `*.` ones; origins that match and origins
//! that do not, one asked again and again (hot) and 4,096 drawn over the whole set (spread: the
//! table does not fit a cache then). A refusal must not cost more than a grant. The naive scan over
//! the list stands beside the small sets, as the price of having no table.

use std::hint::black_box;

use corsair_rules::{Dialect, OriginPattern, OriginSet};
use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};

const SIZES: [usize; 4] = [1, 10, 1_000, 100_000];

#[derive(Clone, Copy)]
enum Shape {
    Exact,
    Suffix,
}

impl Shape {
    const ALL: [Self; 2] = [Self::Exact, Self::Suffix];

    fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Suffix => "suffix",
        }
    }

    fn pattern(self, number: usize) -> String {
        match self {
            Self::Exact => format!("https://app-{number}.tenants.example.com"),
            Self::Suffix => format!("https://*.tenant-{number}.example.com"),
        }
    }

    /// An origin that pattern `number` covers.
    fn member(self, number: usize) -> Vec<u8> {
        match self {
            Self::Exact => self.pattern(number).into_bytes(),
            Self::Suffix => format!("https://eu-1.tenant-{number}.example.com").into_bytes(),
        }
    }

    /// As long as a member, the same end, and covered by none.
    fn stranger(self, number: usize) -> Vec<u8> {
        match self {
            Self::Exact => format!("https://apq-{number}.tenants.example.com").into_bytes(),
            Self::Suffix => format!("https://eu-1.tenanq-{number}.example.com").into_bytes(),
        }
    }
}

fn compile(shape: Shape, size: usize) -> OriginSet {
    OriginSet::compile(&patterns(shape, size))
}

fn patterns(shape: Shape, size: usize) -> Vec<OriginPattern> {
    (0..size)
        .map(|number| {
            let text = shape.pattern(number);
            let (pattern, _) = OriginPattern::parse(&text, Dialect::Native).expect("a pattern");
            pattern
        })
        .collect()
}

/// Numbers spread over `0..size` by a fixed multiplication, so that each run asks the same.
fn spread(size: usize) -> impl Iterator<Item = usize> {
    (0..4096_usize).map(move |at| at.wrapping_mul(0x9e37_79b9) % size)
}

fn find(criterion: &mut Criterion) {
    for shape in Shape::ALL {
        let mut group = criterion.benchmark_group(format!("rules/origin/{}", shape.name()));
        for size in SIZES {
            let set = compile(shape, size);
            assert_eq!(set.len(), size);
            let middle = size / 2;
            let member = shape.member(middle);
            let stranger = shape.stranger(middle);
            let expected = u32::try_from(middle).expect("100,000 fits");
            assert_eq!(set.find(&member), Some(expected));
            assert_eq!(set.find(&stranger), None);
            group.bench_function(BenchmarkId::new("hit, hot", size), |bencher| {
                bencher.iter(|| {
                    let found = set.find(black_box(&member));
                    assert_eq!(found, Some(expected));
                    found
                });
            });
            group.bench_function(BenchmarkId::new("miss, hot", size), |bencher| {
                bencher.iter(|| {
                    let found = set.find(black_box(&stranger));
                    assert_eq!(found, None);
                    found
                });
            });
            for (name, make) in [
                ("hit, spread", Shape::member as fn(Shape, usize) -> Vec<u8>),
                ("miss, spread", Shape::stranger),
            ] {
                let origins: Vec<Vec<u8>> = spread(size).map(|at| make(shape, at)).collect();
                let wanted = name.starts_with("hit");
                assert!(
                    origins
                        .iter()
                        .all(|origin| set.find(origin).is_some() == wanted)
                );
                let mut next = 0;
                group.bench_function(BenchmarkId::new(name, size), |bencher| {
                    bencher.iter(|| {
                        next = (next + 1) % origins.len();
                        let found = set.find(black_box(&origins[next]));
                        assert_eq!(found.is_some(), wanted);
                        found
                    });
                });
            }
        }
        group.finish();
    }
}

fn naive(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("rules/origin/naive scan");
    for size in [1, 10, 1_000] {
        let list: Vec<Vec<u8>> = (0..size).map(|at| Shape::Exact.member(at)).collect();
        let member = Shape::Exact.member(size / 2);
        group.bench_function(BenchmarkId::new("hit", size), |bencher| {
            bencher.iter(|| {
                let found = list.iter().position(|entry| entry == black_box(&member));
                assert_eq!(found, Some(size / 2));
                found
            });
        });
    }
    group.finish();
}

/// Origins that are none must be thrown out at once.
fn hostile(criterion: &mut Criterion) {
    let set = compile(Shape::Suffix, 1_000);
    let mut group = criterion.benchmark_group("rules/origin/hostile");
    let long = format!("https://{}.tenant-1.example.com", "a.".repeat(4_000));
    let rows: [(&str, &[u8]); 4] = [
        ("null", b"null"),
        (
            "a list",
            b"https://eu.tenant-1.example.com, https://evil.net",
        ),
        ("upper case", b"https://EU.tenant-1.example.com"),
        ("8 KB", long.as_bytes()),
    ];
    for (name, origin) in rows {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let found = set.find(black_box(origin));
                assert_eq!(found, None);
                found
            });
        });
    }
    group.finish();
}

fn compilation(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("rules/compile");
    group.sample_size(10);
    for size in [1_000, 100_000] {
        let mut both = patterns(Shape::Exact, size / 2);
        both.extend(patterns(Shape::Suffix, size / 2));
        group.bench_function(
            BenchmarkId::new("half exact, half suffix", size),
            |bencher| {
                bencher.iter_batched(
                    || &both,
                    |both| {
                        let set = OriginSet::compile(both);
                        assert_eq!(set.len(), size);
                        set
                    },
                    BatchSize::LargeInput,
                );
            },
        );
    }
    group.finish();
}

criterion_group!(benches, find, naive, hostile, compilation);
criterion_main!(benches);
