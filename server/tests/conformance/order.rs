//! One total order for all, each message exactly once, never to its author, nothing to the nameless.

use std::thread;

use crate::support::{Message, Peer, Served, Setup, gather, introduce, said};

fn all_receivers_see_one_order(setup: Setup) {
    const MESSAGES: usize = 150;
    let names = ["ann", "bob", "cat", "dan", "eve", "fay"];
    let server = Served::start(setup);
    let [mut witness, last] = gather(server.address, ["witness", "last"]);
    let mut members: Vec<Peer> = Vec::new();
    for name in names {
        let newcomer = Peer::connect(server.address).named(name);
        introduce(&newcomer, [&mut witness].into_iter().chain(&mut members));
        members.push(newcomer);
    }
    thread::scope(|scope| {
        for member in &members {
            scope.spawn(|| {
                for number in 0..MESSAGES {
                    member.say(format!("{number}"));
                }
            });
        }
    });
    let mut order = hear_many(&mut witness, names.len() * MESSAGES);
    last.say("the end");
    order.push(said("last", "the end"));
    witness.expect("last", "the end");
    for name in names {
        let own = order.iter().filter(|message| message.name == name);
        let texts: Vec<_> = own.map(|message| message.text.clone()).collect();
        let said: Vec<_> = (0..MESSAGES).map(|n| n.to_string().into_bytes()).collect();
        assert_eq!(texts, said, "each message of {name} once, as it was said");
    }
    for member in &mut members {
        let heard = hear_many(member, (names.len() - 1) * MESSAGES + 1);
        let others = order.iter().filter(|message| message.name != member.name);
        assert!(heard.iter().eq(others), "{} heard {heard:?}", member.name);
    }
    drop((witness, last, members));
    server.end();
}

fn an_author_never_hears_itself(setup: Setup) {
    let server = Served::start(setup);
    let [mut ann, mut bob] = gather(server.address, ["ann", "bob"]);
    for number in 0..200 {
        ann.say(format!("{number}"));
        bob.expect("ann", format!("{number}"));
        bob.say(format!("{number}"));
        ann.expect("bob", format!("{number}"));
    }
    drop((ann, bob));
    server.end();
}

fn the_nameless_hear_nothing(setup: Setup) {
    let server = Served::start(setup);
    let [mut ann, mut bob] = gather(server.address, ["ann", "bob"]);
    let nameless = Peer::connect(server.address);
    // Half a name is no name.
    nameless.write(b"3         c");
    for number in 0..20 {
        ann.say(format!("{number}"));
        bob.expect("ann", format!("{number}"));
    }
    nameless.write(b"at");
    let mut cat = nameless;
    cat.name = "cat".into();
    introduce(&cat, [&mut ann, &mut bob]);
    ann.say("now");
    bob.expect("ann", "now");
    cat.expect("ann", "now");
    drop((ann, bob, cat));
    server.end();
}

fn a_name_may_be_taken_twice_or_be_empty(setup: Setup) {
    let server = Served::start(setup);
    let [mut one, mut two, mut nobody] = gather(server.address, ["ann", "ann", ""]);
    one.say("I am the first");
    two.expect("ann", "I am the first");
    nobody.expect("ann", "I am the first");
    nobody.say("and I?");
    one.expect("", "and I?");
    two.expect("", "and I?");
    drop(one);
    nobody.say("still there?");
    two.expect("", "still there?");
    two.say("yes");
    nobody.expect("ann", "yes");
    drop((two, nobody));
    server.end();
}

fn hear_many(peer: &mut Peer, messages: usize) -> Vec<Message> {
    (0..messages).map(|_| peer.hear()).collect()
}

on_every_driver!(
    all_receivers_see_one_order,
    an_author_never_hears_itself,
    the_nameless_hear_nothing,
    a_name_may_be_taken_twice_or_be_empty,
);
