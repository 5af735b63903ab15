//! Presence: who joins and leaves is told in the order of everything else, where that is wanted.

use crate::support::{Peer, Served, Setup, gather, said};

const SERVER: &str = "*server*";

fn server(setup: Setup) -> Served {
    let mut config = setup.config();
    config.limits.announce_presence = true;
    Served::configured(config)
}

fn joins_and_leaves_are_told_in_the_order_of_everything_else(setup: Setup) {
    let server = server(setup);
    let mut ann = Peer::connect(server.address).named("ann");
    ann.expect(SERVER, "* 1 here:\nann");
    let mut bob = Peer::connect(server.address).named("bob joined");
    bob.expect(SERVER, "* 2 here:\nann\nbob joined");
    bob.say("hi");
    ann.expect(SERVER, "bob joined joined");
    ann.expect("bob joined", "hi");
    let mut ann_too = Peer::connect(server.address).named("ann");
    ann_too.expect(SERVER, "* 3 here:\nann\nann\nbob joined");
    bob.expect(SERVER, "ann joined");
    bob.say("bye");
    drop(bob);
    for listener in [&mut ann, &mut ann_too] {
        let first = listener.hear();
        if first == said(SERVER, "ann joined") {
            listener.expect("bob joined", "bye");
        } else {
            assert_eq!(first, said("bob joined", "bye"));
        }
        listener.expect(SERVER, "bob joined left");
    }
    drop((ann, ann_too));
    server.end();
}

fn nothing_is_told_unless_it_is_wanted(setup: Setup) {
    let server = Served::start(setup);
    let [ann, mut bob] = gather(server.address, ["ann", "bob"]);
    drop(Peer::connect(server.address).named("carl"));
    ann.say("first");
    bob.expect("ann", "first");
    drop((ann, bob));
    server.end();
}

on_every_driver!(
    joins_and_leaves_are_told_in_the_order_of_everything_else,
    nothing_is_told_unless_it_is_wanted,
);
