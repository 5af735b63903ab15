//! Who may come in: limits on clients and names hold over all threads, whoever is refused is told why,
//! and a place that was left is free again.

use crate::support::{Peer, Reason, Served, Setup, gather, introduce};

fn a_full_server_refuses_until_somebody_leaves(setup: Setup) {
    let mut config = setup.config();
    config.limits.clients_max = Some(3);
    let server = Served::configured(config);
    let [ann, mut bob, mut cleo] = gather(server.address, ["ann", "bob", "cleo"]);
    let why = "server is full (3 clients); try again later";
    for _ in 0..3 {
        Peer::connect(server.address)
            .named("dan")
            .expect_goodbye(why);
    }
    ann.say("all is well");
    bob.expect("ann", "all is well");
    cleo.expect("ann", "all is well");
    leave(cleo);
    let dan = comes_in(&server, "dan", &mut bob);
    drop((ann, bob, dan));
    let counters = server.end();
    assert!(counters.closed[Reason::Full] >= 3, "{counters:?}");
}

fn one_address_has_only_so_many_clients(setup: Setup) {
    let mut config = setup.config();
    config.limits.clients_per_address_max = Some(2);
    let server = Served::configured(config);
    let [ann, mut bob] = gather(server.address, ["ann", "bob"]);
    let why = "too many clients from your address (limit 2); close one first";
    Peer::connect(server.address)
        .named("cleo")
        .expect_goodbye(why);
    let elsewhere = Peer::connect_from([127, 0, 0, 2].into(), server.address).named("dan");
    introduce(&elsewhere, [&mut bob]);
    leave(ann);
    let cleo = comes_in(&server, "cleo", &mut bob);
    drop((bob, elsewhere, cleo));
    let counters = server.end();
    assert!(counters.closed[Reason::AddressFull] >= 1, "{counters:?}");
}

fn a_name_is_taken_until_its_owner_leaves(setup: Setup) {
    let mut config = setup.config();
    config.limits.unique_names = true;
    let server = Served::configured(config);
    let [ann, mut bob] = gather(server.address, ["ann", "bob"]);
    let why = "name is taken; choose another";
    for taken in ["ann", "ann ", "ANN", "a\u{200b}nn", "\u{430}nn"] {
        Peer::connect(server.address)
            .named(taken)
            .expect_goodbye(why);
    }
    leave(ann);
    let ann = comes_in(&server, "ann", &mut bob);
    drop((ann, bob));
    let counters = server.end();
    assert!(counters.closed[Reason::NameTaken] >= 1, "{counters:?}");
}

/// Leaves and waits until the server has heard of it.
fn leave(mut peer: Peer) {
    peer.close_half();
    let _ = peer.hear_to_the_end();
}

/// A client of this name that is not refused any more, which shows when it is heard.
fn comes_in(server: &Served, name: &str, hears: &mut Peer) -> Peer {
    let newcomer = Peer::connect(server.address).named(name);
    introduce(&newcomer, [hears]);
    newcomer
}

on_every_driver!(
    a_full_server_refuses_until_somebody_leaves,
    one_address_has_only_so_many_clients,
    a_name_is_taken_until_its_owner_leaves,
);
