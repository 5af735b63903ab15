//! A client that reads as the Python tutorial's does: one `recv(10)` for a header, one `recv(n)` for
//! a payload, and no second try for what did not come with the first.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::{DEADLINE, Message};

/// The tutorial's client.
#[derive(Debug)]
pub(crate) struct Tutorial {
    stream: TcpStream,
}

impl Tutorial {
    pub(crate) fn join(address: SocketAddr, name: &str) -> Self {
        let stream = TcpStream::connect(address).expect("the server listens");
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut client = Self { stream };
        client.send(name);
        client
    }

    pub(crate) fn send(&mut self, text: &str) {
        let frame = format!("{:<10}{text}", text.len());
        self.stream.write_all(frame.as_bytes()).unwrap();
    }

    pub(crate) fn receive(&mut self) -> Message {
        Message {
            name: String::from_utf8(self.receive_frame()).unwrap(),
            text: self.receive_frame(),
        }
    }

    fn receive_frame(&mut self) -> Vec<u8> {
        let header = self.recv(10);
        assert_eq!(
            header.len(),
            10,
            "the tutorial takes a short header for a whole"
        );
        let payload_bytes = str::from_utf8(&header).unwrap().trim().parse().unwrap();
        let payload = self.recv(payload_bytes);
        assert_eq!(payload.len(), payload_bytes, "and so with a payload");
        payload
    }

    fn recv(&mut self, bytes: usize) -> Vec<u8> {
        let mut buffer = vec![0; bytes];
        if bytes == 0 {
            // Python asks the kernel nothing then; the kernel would wait for the next byte.
            return buffer;
        }
        let came = self.stream.read(&mut buffer).unwrap();
        buffer.truncate(came);
        buffer
    }
}
