//! Echoes WebSocket messages, so that conformance suites can try the frame layer of this crate over a
//! socket: `cargo run -p protocol --example websocket_echo [ADDRESS]`. One thread a connection; no limits
//! but that of a message, 32 MiB.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};

use protocol::websocket::{
    Decoder, Error, Message, Opcode, Sender, accept_key, encode, encode_close,
};

const MESSAGE_BYTES_MAX: usize = 32 << 20;

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1);
    let listener = TcpListener::bind(address.as_deref().unwrap_or("127.0.0.1:9001"))?;
    println!("listening on {}", listener.local_addr()?);
    for stream in listener.incoming() {
        let stream = stream?;
        std::thread::spawn(move || {
            if let Err(error) = serve(stream) {
                eprintln!("{error}");
            }
        });
    }
    Ok(())
}

fn serve(mut stream: TcpStream) -> io::Result<()> {
    let rest = shake_hands(&mut stream)?;
    let mut decoder = Decoder::new(Sender::Client, MESSAGE_BYTES_MAX);
    if echo(&mut decoder, &rest, &mut stream)? {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let bytes = stream.read(&mut buffer)?;
            if bytes == 0 || !echo(&mut decoder, &buffer[..bytes], &mut stream)? {
                break;
            }
        }
    }
    // What the peer still sends is read, so that no reset destroys the last words.
    stream.shutdown(Shutdown::Write)?;
    io::copy(&mut stream, &mut io::sink()).map(drop)
}

/// Answers the handshake; returns what came behind it.
fn shake_hands(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    let end = loop {
        let mut buffer = [0; 4096];
        let bytes = stream.read(&mut buffer)?;
        head.extend_from_slice(&buffer[..bytes]);
        if let Some(end) = head.windows(4).position(|it| it == b"\r\n\r\n") {
            break end + 4;
        }
        if bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    };
    let text = String::from_utf8_lossy(&head[..end]).into_owned();
    let mut fields = text.lines().filter_map(|line| line.split_once(':'));
    let key = fields.find(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-key"));
    let accept = key.and_then(|(_, key)| accept_key(key.trim()));
    let accept = accept.ok_or(io::ErrorKind::InvalidData)?;
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    stream.write_all(answer.as_bytes())?;
    Ok(head.split_off(end))
}

/// Answers all that came whole; says whether the connection goes on.
fn echo(decoder: &mut Decoder, mut input: &[u8], stream: &mut TcpStream) -> io::Result<bool> {
    loop {
        let (reply, goes_on) = match decoder.next(&mut input) {
            Ok(None) => return Ok(true),
            Ok(Some(Message::Text(text))) => (encode(Opcode::Text, text.as_bytes(), None), true),
            Ok(Some(Message::Binary(bytes))) => (encode(Opcode::Binary, bytes, None), true),
            Ok(Some(Message::Ping(payload))) => (encode(Opcode::Pong, payload, None), true),
            Ok(Some(Message::Pong(_))) => continue,
            Ok(Some(Message::Close(None))) => (encode(Opcode::Close, b"", None), false),
            Ok(Some(Message::Close(Some((code, _))))) => (encode_close(code, "", None), false),
            Err(error) => (refuse(error), false),
        };
        stream.write_all(&reply)?;
        if !goes_on {
            return Ok(false);
        }
    }
}

fn refuse(error: Error) -> bytes::Bytes {
    encode_close(error.close_code(), &error.to_string(), None)
}
