//! How a test knows that its peers have joined, although nothing answers a name: each says hello,
//! and who is heard has joined.

use std::net::SocketAddr;
use std::time::Duration;

use super::{Message, Peer, said};

/// Peers of these names, all of them joined, and with nothing left to hear.
pub(crate) fn gather<const N: usize>(address: SocketAddr, names: [&str; N]) -> [Peer; N] {
    let mut members = Vec::new();
    for name in names {
        let newcomer = Peer::connect(address).named(name);
        introduce(&newcomer, members.iter_mut());
        members.push(newcomer);
    }
    members.try_into().expect("as many peers as names")
}

/// Waits until a peer that has given its name has joined. All of `members` hear its hello.
///
/// Only the first member may not have joined itself: then it misses a hello, which is said again.
pub(crate) fn introduce<'m>(newcomer: &Peer, members: impl IntoIterator<Item = &'m mut Peer>) {
    let hello = |number: u32| said(&newcomer.name, format!("hello {number}"));
    let mut members = members.into_iter();
    let Some(first) = members.next() else {
        return;
    };
    let mut number = 0;
    newcomer.say(hello(number).text);
    while !first.hears_something_within(Duration::from_millis(200)) {
        number += 1;
        newcomer.say(hello(number).text);
    }
    let last = hello(number);
    let _missed = first.hear_until(&last);
    for member in members {
        let heard: Vec<Message> = member.hear_until(&last);
        assert_eq!(heard.len(), number as usize, "{heard:?}");
    }
}
