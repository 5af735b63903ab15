//! Attacks: slow readers together with flooders, newcomers who never read, and burst readers.

use crate::Args;
use crate::case::{Attacks, Hostile};

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

/// One attack: who it is, how many connections, and what the load generator is told.
#[derive(Debug, Clone)]
pub(crate) struct Attack {
    name: String,
    connections: u32,
    flags: String,
    flood: (u32, u32),
}

impl Attack {
    pub(crate) fn hostile(self) -> (String, u32, Hostile) {
        (self.name, self.connections, Hostile::Flags(self.flags))
    }

    /// The same beside a flood.
    fn beside(self, (flooders, bytes): (u32, u32)) -> Self {
        if flooders == 0 {
            return self;
        }
        Self {
            name: format!("{}, {flooders} flooders of {bytes} B", self.name),
            connections: self.connections + flooders,
            flags: format!("{} --flooders {flooders} --flood-size {bytes}", self.flags),
            flood: (flooders, bytes),
        }
    }
}

/// Whether an attack is made on a server with history as well: slow readers beside the largest flood, and
/// all others.
pub(crate) fn is_with_history(attack: &Attack) -> bool {
    attack.flood == FLOODS[6] || !attack.flags.contains("--slow-clients")
}

/// All attacks. Their numbers grow with the healthy clients.
pub(crate) fn all(args: &Args) -> Vec<Attack> {
    let is_quick = args.attacks == Attacks::Quick;
    let scaled = |count: u32| (count * args.clients / 1000).max(1);
    let attack = |name: String, connections, flags| Attack {
        name,
        connections,
        flags,
        flood: FLOODS[0],
    };
    let mut all = Vec::new();
    for count in READERS
        .into_iter()
        .filter(|count| !is_quick || [1, 500].contains(count))
    {
        for rate in RATES
            .into_iter()
            .filter(|rate| !is_quick || ["1B/s", "60kB/s"].contains(rate))
        {
            let count = scaled(count);
            let readers = attack(
                format!("{count} slow at {rate}"),
                count,
                format!("--slow-clients {count}:{rate}"),
            );
            let floods = FLOODS.into_iter();
            let floods = floods.filter(|flood| !is_quick || [FLOODS[0], FLOODS[6]].contains(flood));
            all.extend(floods.map(|flood| readers.clone().beside(flood)));
        }
    }
    let newcomers = NEWCOMERS.map(|(rate, stay)| {
        let (rate, stay) = (scaled(rate), scaled(stay));
        let name = format!("{rate} deaf newcomers/s");
        attack(name, stay, format!("--deaf-joiners {rate}/s:{stay}"))
    });
    let bursts = BURST_READERS.map(|count| {
        let count = scaled(count);
        let name = format!("{count} burst readers");
        attack(name, count, format!("--burst-readers {count}"))
    });
    let others = newcomers.into_iter().chain(bursts);
    if is_quick {
        all.extend(others.skip(1).step_by(3));
        return all;
    }
    for attack in others {
        all.extend([FLOODS[0], FLOODS[6]].map(|flood| attack.clone().beside(flood)));
    }
    all
}
