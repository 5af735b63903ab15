//! Attacks: slow readers together with flooders, newcomers who never read, and burst readers.

use clap::ValueEnum;

use super::Args;

/// How much is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Attacks {
    /// 16 cells: few and many, slowest and fast readers; no flood and the largest
    Quick,
    /// 180 cells: every number and rate of readers with every flood
    Full,
}

/// Slow readers, if their healthy neighbours are 200.
const READERS: [u32; 4] = [1, 10, 100, 500];

/// What each of them reads.
const RATES: [&str; 5] = ["1B/s", "1kB/s", "10kB/s", "60kB/s", "250kB/s"];

/// Flooders, and the bytes of their messages.
const FLOODS: [(u32, u32); 7] = [
    (0, 0),
    (1, 0),
    (1, 1000),
    (1, 65_000),
    (20, 0),
    (20, 1000),
    (20, 65_000),
];

/// Newcomers a second, and how many of them stay.
const NEWCOMERS: [(u32, u32); 2] = [(50, 150), (150, 300)];

const BURST_READERS: [u32; 3] = [10, 100, 200];

/// One attack: who it is, how many connections, what the load generator is told, and the flood beside it.
#[derive(Debug, Clone)]
pub(super) struct Attack {
    pub(super) name: String,
    pub(super) connections: u32,
    pub(super) flags: String,
    flood: (u32, u32),
}

impl Attack {
    fn new(name: String, connections: u32, flags: String) -> Self {
        Self {
            name,
            connections,
            flags,
            flood: FLOODS[0],
        }
    }

    /// The same beside a flood.
    fn beside(&self, flood: (u32, u32)) -> Self {
        let mut attack = self.clone();
        let (flooders, bytes) = flood;
        if flooders > 0 {
            attack.name += &format!(", {flooders} flooders of {bytes} B");
            attack.flags += &format!(" --flooders {flooders} --flood-size {bytes}");
            attack.connections += flooders;
        }
        attack.flood = flood;
        attack
    }

    /// Whether it is made on a server with history as well: slow readers beside the largest flood, and
    /// all others.
    pub(super) fn is_with_history(&self) -> bool {
        self.flood == FLOODS[6] || !self.flags.contains("--slow-clients")
    }
}

/// All attacks. Their numbers grow with the healthy clients.
pub(super) fn all(args: &Args) -> Vec<Attack> {
    let is_quick = args.attacks == Attacks::Quick;
    let (readers, rates, floods) = match args.attacks {
        Attacks::Quick => (
            vec![1, 500],
            vec![RATES[0], RATES[3]],
            vec![FLOODS[0], FLOODS[6]],
        ),
        Attacks::Full => (READERS.to_vec(), RATES.to_vec(), FLOODS.to_vec()),
    };
    let scaled = |count: u32| (count * args.clients / 1000).max(1);
    let mut all = Vec::new();
    for count in readers.into_iter().map(scaled) {
        for rate in &rates {
            let flags = format!("--slow-clients {count}:{rate}");
            let readers = Attack::new(format!("{count} slow at {rate}"), count, flags);
            all.extend(floods.iter().map(|&flood| readers.beside(flood)));
        }
    }
    let newcomers = NEWCOMERS
        .into_iter()
        .skip(usize::from(is_quick))
        .map(|(rate, stay)| {
            let (rate, stay) = (scaled(rate), scaled(stay));
            let flags = format!("--deaf-joiners {rate}/s:{stay}");
            Attack::new(format!("{rate} deaf newcomers/s"), stay, flags)
        });
    let skipped = if is_quick { BURST_READERS.len() - 1 } else { 0 };
    let bursts = BURST_READERS
        .into_iter()
        .skip(skipped)
        .map(scaled)
        .map(|count| {
            let flags = format!("--burst-readers {count}");
            Attack::new(format!("{count} burst readers"), count, flags)
        });
    for attack in newcomers.chain(bursts) {
        all.push(attack.beside(FLOODS[0]));
        if !is_quick {
            all.push(attack.beside(FLOODS[6]));
        }
    }
    all
}
