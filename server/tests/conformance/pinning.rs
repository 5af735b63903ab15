//! `--pin`: each thread keeps to a processor of its own, and serves as ever.

use std::collections::BTreeMap;

use crate::support::{Program, Setup, gather};

fn each_thread_keeps_to_one_processor(setup: Setup) {
    let server = Program::start(setup, &["--pin"]);
    let [ann, mut bob] = gather(server.address, ["ann", "bob"]);
    ann.say("hello");
    bob.expect("ann", "hello");
    let allowed = server.processors_of_threads();
    let mut pinned: BTreeMap<&str, usize> = BTreeMap::new();
    for thread in 0..setup.threads {
        let processors = &allowed[&format!("serve-{thread}")];
        assert!(
            processors.parse::<u32>().is_ok(),
            "more than one: {processors}"
        );
        *pinned.entry(processors).or_default() += 1;
    }
    // Threads share a processor only when all others have as many.
    let processors = std::thread::available_parallelism().unwrap().get();
    let most = setup.threads.div_ceil(processors);
    assert!(
        pinned.values().all(|threads| *threads <= most),
        "{pinned:?}"
    );
    drop((ann, bob));
    server.terminate();
    assert_eq!(server.exit_code(), 0);
}

on_every_driver!(each_thread_keeps_to_one_processor);
