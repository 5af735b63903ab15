//! A chat server as the tutorial has it: one loop over all sockets, which are blocking; a header of
//! ten bytes and a payload are read with one read each, and relayed as the author's name frame and
//! the message frame. Its faults are kept: it is what our client must get along with.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, poll};

/// What the server saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    Joined(String),
    Said(String, String),
    Left(String),
}

struct Client {
    socket: TcpStream,
    name_frame: Vec<u8>,
}

/// Serves `listener` until `stop` becomes readable, and reports to `saw`.
pub(crate) fn serve(listener: &TcpListener, stop: &impl AsFd, mut saw: impl FnMut(Seen)) {
    let mut clients: Vec<Client> = Vec::new();
    loop {
        let mut fds = vec![
            PollFd::new(stop, PollFlags::IN),
            PollFd::new(listener, PollFlags::IN),
        ];
        fds.extend(
            clients
                .iter()
                .map(|client| PollFd::new(&client.socket, PollFlags::IN)),
        );
        if poll(&mut fds, None).is_err() {
            continue;
        }
        let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        if ready[0] {
            return;
        }
        let mut gone = Vec::new();
        for index in (0..clients.len()).filter(|index| ready[2 + index]) {
            let Some(message_frame) = read_frame(&clients[index].socket) else {
                gone.push(index);
                continue;
            };
            saw(Seen::Said(
                text(&clients[index].name_frame),
                text(&message_frame),
            ));
            let relayed = [&clients[index].name_frame[..], &message_frame].concat();
            for (_, other) in clients
                .iter()
                .enumerate()
                .filter(|(other, _)| *other != index)
            {
                // The tutorial does not look at the result either.
                let _ = (&other.socket).write(&relayed);
            }
        }
        for index in gone.into_iter().rev() {
            saw(Seen::Left(text(&clients.remove(index).name_frame)));
        }
        if ready[1] {
            let (socket, _) = listener.accept().expect("the listener is ours");
            if let Some(name_frame) = read_frame(&socket) {
                saw(Seen::Joined(text(&name_frame)));
                clients.push(Client { socket, name_frame });
            }
        }
    }
}

/// One read for the header and one for the payload; `None` when the peer is gone or talks nonsense.
fn read_frame(mut socket: &TcpStream) -> Option<Vec<u8>> {
    let mut frame = vec![0; 10];
    if socket.read(&mut frame).ok()? != 10 {
        return None;
    }
    let length: usize = str::from_utf8(&frame).ok()?.trim().parse().ok()?;
    frame.resize(10 + length, 0);
    let read = if length > 0 {
        socket.read(&mut frame[10..]).ok()?
    } else {
        0
    };
    frame.truncate(10 + read);
    Some(frame)
}

fn text(frame: &[u8]) -> String {
    String::from_utf8_lossy(&frame[10..]).into_owned()
}

/// Binds a free port on the loopback.
#[allow(dead_code, reason = "not every user of this file needs it")]
pub(crate) fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port on the loopback");
    let address = listener.local_addr().expect("it is bound");
    (listener, address)
}
