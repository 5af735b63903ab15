//! Clients written for the tutorial's server get along with this one.

use crate::support::{Served, Setup, Tutorial, gather, said};

fn tutorial_clients_chat(setup: Setup) {
    let server = Served::start(setup);
    let [mut usher, porter] = gather(server.address, ["usher", "porter"]);
    let mut clients: Vec<Tutorial> = Vec::new();
    for name in ["ann", "Jörg", "日本"] {
        let mut client = Tutorial::join(server.address, name);
        client.send("hi all");
        usher.expect(name, "hi all");
        for earlier in &mut clients {
            assert_eq!(earlier.receive(), said(name, "hi all"));
        }
        clients.push(client);
    }
    for (speaker, name) in ["ann", "Jörg", "日本"].into_iter().enumerate() {
        for text in ["hello", "", "how are you? 🦀", "10         "] {
            clients[speaker].send(text);
            for (listener, client) in clients.iter_mut().enumerate() {
                if listener != speaker {
                    assert_eq!(client.receive(), said(name, text));
                }
            }
        }
    }
    drop((usher, porter, clients));
    server.end();
}

on_every_driver!(tutorial_clients_chat);
