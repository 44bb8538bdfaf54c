//! The world of the simulation: time, choices, tasks, and who is woken.

use std::sync::{Arc, Mutex};

use corsair_cache::{
    CachePolicy, FillLimits, FillTable, KeyHash, KeySecret, Store, UnixMillis, WakeWorkers,
    hash_key,
};

use crate::client::Client;
use crate::leader::Leader;
use crate::message::T0;
use crate::upstream::{BODY_BYTES_MAX, KINDS, Kind, Resource};

pub(crate) const SECRET: KeySecret = KeySecret([9; 16]);
const STEPS_MAX: usize = 20_000;

/// Splitmix64: every choice of a run.
pub(crate) struct Choices(u64);

impl Choices {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// True once in `n` times.
    pub(crate) fn once_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// Collects wakes.
#[derive(Default)]
struct Sink(Mutex<Vec<(KeyHash, u64)>>);

impl WakeWorkers for Sink {
    fn wake(&self, key: KeyHash, workers: u64) {
        assert_ne!(workers, 0);
        self.0.lock().unwrap().push((key, workers));
    }
}

/// What a task waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Wait {
    Nothing,
    Until(u64),
    Wake { key: KeyHash, worker: usize },
    Over,
}

/// What became of a run, and how often the interesting things happened.
#[derive(Default, Clone, Copy)]
pub(crate) struct Outline {
    pub(crate) finished: u64,
    pub(crate) failed: u64,
    pub(crate) hits: u64,
    pub(crate) collapsed: u64,
    pub(crate) rejoined: u64,
    pub(crate) released: u64,
    pub(crate) outgrown: u64,
    pub(crate) refreshed: u64,
}

impl Outline {
    pub(crate) fn add(&mut self, other: Self) {
        self.finished += other.finished;
        self.failed += other.failed;
        self.hits += other.hits;
        self.collapsed += other.collapsed;
        self.rejoined += other.rejoined;
        self.released += other.released;
        self.outgrown += other.outgrown;
        self.refreshed += other.refreshed;
    }
}

/// What clients and leaders share.
pub(crate) struct Shared {
    pub(crate) choices: Choices,
    pub(crate) now: u64,
    pub(crate) store: Store,
    pub(crate) fills: FillTable,
    pub(crate) resources: Vec<Resource>,
    pub(crate) policy: CachePolicy,
    pub(crate) outline: Outline,
    pub(crate) fetches: u64,
    /// No deaths, no writes, no trouble.
    pub(crate) calm: bool,
}

impl Shared {
    /// Virtual time as the code under test sees it.
    pub(crate) fn unix(&self) -> UnixMillis {
        UnixMillis(T0 * 1_000 + self.now)
    }

    pub(crate) fn soon(&mut self, within_ms: u64) -> Wait {
        Wait::Until(self.now + self.choices.below(within_ms))
    }
}

pub(crate) fn key_of(resource: usize) -> String {
    format!("http://a/{resource}")
}

pub(crate) fn hash_of(resource: usize) -> KeyHash {
    hash_key(&SECRET, key_of(resource).as_bytes())
}

pub(crate) struct World {
    shared: Shared,
    sink: Arc<Sink>,
    clients: Vec<Client>,
    leaders: Vec<Leader>,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut world = Self::empty(seed, KINDS.to_vec(), false);
        for number in 0..8 {
            let choices = &mut world.shared.choices;
            let resource = choices.below(KINDS.len() as u64) as usize;
            let (variant, start) = (choices.below(2), choices.below(4_000));
            let worker = choices.below(3) as usize;
            world
                .clients
                .push(Client::new(number, resource, variant, worker, start));
        }
        world
    }

    /// Everybody wants the same at about the same time.
    pub(crate) fn herd(seed: u64) -> Self {
        let mut world = Self::empty(seed, vec![Kind::Plain], true);
        for number in 0..12 {
            let start = world.shared.choices.below(300);
            world
                .clients
                .push(Client::new(number, 0, 0, number % 3, start));
        }
        world
    }

    fn empty(seed: u64, kinds: Vec<Kind>, calm: bool) -> Self {
        let sink = Arc::new(Sink::default());
        let limits = FillLimits {
            leader_age_ms_max: 1_000,
            window_bytes: 700,
        };
        let mut choices = Choices(seed);
        // Room for a few responses only, most of the time.
        let capacity_bytes = 24_000 + choices.below(3) * 30_000;
        Self {
            shared: Shared {
                choices,
                now: 0,
                store: Store::with_object_max(capacity_bytes, BODY_BYTES_MAX, SECRET),
                fills: FillTable::with_limits(Arc::clone(&sink) as _, limits),
                resources: kinds.into_iter().map(Resource::new).collect(),
                policy: CachePolicy {
                    max_object: BODY_BYTES_MAX,
                    ..CachePolicy::default()
                },
                outline: Outline::default(),
                fetches: 0,
                calm,
            },
            sink,
            clients: Vec::new(),
            leaders: Vec::new(),
        }
    }

    pub(crate) fn run(mut self) -> Outline {
        self.run_to_the_end();
        self.shared.outline
    }

    pub(crate) fn run_counting_fetches(mut self) -> u64 {
        self.run_to_the_end();
        self.shared.fetches
    }

    fn run_to_the_end(&mut self) {
        for step in 0..STEPS_MAX {
            if !self.step() {
                self.check_end();
                return;
            }
            self.check(step);
        }
        panic!("no end after {STEPS_MAX} steps");
    }

    /// Moves one task that can move, or time. False when nothing ever will.
    fn step(&mut self) -> bool {
        let now = self.shared.now;
        let is_ready = |wait: Wait| match wait {
            Wait::Nothing => true,
            Wait::Until(time) => time <= now,
            Wait::Wake { .. } | Wait::Over => false,
        };
        let clients = self.clients.len();
        let waits = self.clients.iter().map(|client| client.wait);
        let waits: Vec<Wait> = waits
            .chain(self.leaders.iter().map(|leader| leader.wait))
            .collect();
        let ready: Vec<usize> = (0..waits.len())
            .filter(|&task| is_ready(waits[task]))
            .collect();
        if ready.is_empty() {
            let next = waits.iter().filter_map(|wait| match wait {
                Wait::Until(time) => Some(*time),
                Wait::Nothing | Wait::Wake { .. } | Wait::Over => None,
            });
            return match next.min() {
                Some(time) => {
                    self.shared.now = time;
                    true
                }
                None => false,
            };
        }
        if !self.shared.calm && self.shared.choices.once_in(40) {
            self.disturb();
        }
        let task = ready[self.shared.choices.below(ready.len() as u64) as usize];
        if task < clients {
            if let Some(leader) = self.clients[task].step(&mut self.shared) {
                self.leaders.push(leader);
            }
        } else {
            self.leaders[task - clients].step(&mut self.shared);
        }
        self.deliver_wakes();
        true
    }

    /// Something happens from outside.
    fn disturb(&mut self) {
        let shared = &mut self.shared;
        let resource = shared.choices.below(shared.resources.len() as u64) as usize;
        match shared.choices.below(4) {
            0 => shared.resources[resource].write(shared.now),
            1 => {
                shared.resources[resource].write(shared.now);
                shared.store.invalidate(hash_of(resource));
                shared.fills.invalidate(hash_of(resource));
                shared.resources[resource].invalidated();
            }
            2 => {
                let client = shared.choices.below(self.clients.len() as u64) as usize;
                self.clients[client].leave();
            }
            _ if !self.leaders.is_empty() => {
                let leader = shared.choices.below(self.leaders.len() as u64) as usize;
                self.leaders[leader].die(shared);
            }
            _ => {}
        }
    }

    fn deliver_wakes(&mut self) {
        let wakes = std::mem::take(&mut *self.sink.0.lock().unwrap());
        let clients = self.clients.iter_mut().map(|client| &mut client.wait);
        for wait in clients.chain(self.leaders.iter_mut().map(|leader| &mut leader.wait)) {
            if let Wait::Wake { key, worker } = *wait
                && wakes
                    .iter()
                    .any(|(woken, bits)| *woken == key && bits & (1 << worker) != 0)
            {
                *wait = Wait::Nothing;
            }
        }
    }

    fn check(&self, step: usize) {
        for leader in &self.leaders {
            leader.check();
        }
        // What breaks these stays broken, and looking costs more than all the rest.
        if step.is_multiple_of(8) {
            self.shared.store.check_invariants().unwrap();
            self.shared.fills.check_invariants().unwrap();
        }
    }

    fn check_end(&mut self) {
        for client in &self.clients {
            assert_eq!(
                client.wait,
                Wait::Over,
                "client {} never finishes",
                client.number
            );
        }
        for leader in &self.leaders {
            assert_eq!(leader.wait, Wait::Over, "a leader never finishes");
        }
        self.clients.clear();
        self.leaders.clear();
        assert_eq!(self.shared.store.reserved(), 0);
        assert!(self.shared.fills.is_empty());
    }
}
