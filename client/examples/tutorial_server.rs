//! A chat server as the tutorial has it, to try the client on by hand:
//! `cargo run -p client --example tutorial_server -- 127.0.0.1:9989`

use std::net::TcpListener;
use std::os::unix::net::UnixStream;

#[path = "../tests/support/tutorial.rs"]
mod tutorial;

fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1);
    let listener = TcpListener::bind(address.as_deref().unwrap_or("127.0.0.1:9989"))?;
    println!("listening on {}", listener.local_addr()?);
    let (_never, stop) = UnixStream::pair()?;
    tutorial::serve(&listener, &stop, |event| println!("{event:?}"));
    Ok(())
}
