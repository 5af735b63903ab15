//! Bare readers: clients that only read, the best simple loop there is.
//!
//! One thread, one epoll loop over all sockets, edges instead of levels, one buffer for all of them,
//! one `recv` for each segment, and nothing is looked at: what a read costs here is the least that any
//! load generator can spend. They
//! are a process of their own, which tells what it used whenever it is asked (a byte on its standard
//! input), and ends when that is closed.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use benches::{Error, raise_descriptors};
use mio::net::TcpStream;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use protocol::frame;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// As the first argument, makes this program the readers. Not for users.
const READ: &str = "__readers";

/// As large as the load generator's.
const READ_BUFFER_BYTES: usize = 128 * 1024;

/// How many sockets one turn of the loop looks at, as in the load generator.
const EVENTS_MAX: usize = 1024;

const CHANNEL: Token = Token(usize::MAX);

/// What the readers have used so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Used {
    /// CPU time, user and system.
    pub(crate) cpu_ns: u64,
    /// Returns of `epoll_wait`.
    pub(crate) turns: u64,
    /// Reads that brought bytes.
    pub(crate) reads: u64,
    pub(crate) bytes: u64,
}

/// The readers' process.
#[derive(Debug)]
pub(crate) struct Readers {
    child: Child,
    said: BufReader<std::process::ChildStdout>,
}

impl Readers {
    /// Starts `clients` readers of `server`, and waits until all are connected.
    ///
    /// # Errors
    /// When they cannot connect.
    pub(crate) fn start(server: SocketAddr, clients: u32) -> Result<Self, Error> {
        let mut child = std::env::current_exe()
            .and_then(|program| {
                let mut command = Command::new(program);
                command.args([READ, &server.to_string(), &clients.to_string()]);
                command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()
            })
            .map_err(Error::system("start this program once more"))?;
        let said = child.stdout.take().map(BufReader::new);
        let said = said.ok_or_else(|| Error::Reader("it has no standard output".into()))?;
        let mut readers = Self { child, said };
        readers.used()?;
        Ok(readers)
    }

    /// What they have used so far; asked for once at the start, it says that all are connected.
    ///
    /// # Errors
    /// When the readers have ended.
    pub(crate) fn used(&mut self) -> Result<Used, Error> {
        let ask = |child: &mut Child| child.stdin.as_mut().map(|pipe| pipe.write_all(b"?"));
        let mut line = String::new();
        let asked = ask(&mut self.child).is_some_and(|asked| asked.is_ok());
        let answered = asked && self.said.read_line(&mut line).is_ok_and(|bytes| bytes > 0);
        if !answered {
            return Err(Error::Reader("it ended".into()));
        }
        serde_json::from_str(&line).map_err(|error| Error::Reader(error.to_string()))
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Runs the readers, if that is what this process was started for.
pub(crate) fn run_if_asked() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != READ {
        return None;
    }
    let text = |argument: Option<OsString>| argument?.into_string().ok();
    let target = text(arguments.next()).and_then(|text| text.parse().ok());
    let clients = text(arguments.next()).and_then(|text| text.parse().ok());
    let done = match (target, clients) {
        (Some(target), Some(clients)) => read_all(target, clients),
        _ => Err(io::ErrorKind::InvalidInput.into()),
    };
    Some(match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the readers: {error}");
            ExitCode::FAILURE
        }
    })
}

fn read_all(target: SocketAddr, clients: u32) -> io::Result<()> {
    raise_descriptors(clients).map_err(io::Error::other)?;
    let mut poll = Poll::new()?;
    let mut sockets = Vec::new();
    for client in 0..clients {
        sockets.push(joined(target, client, &poll)?);
    }
    let channel = io::stdin().as_raw_fd();
    poll.registry()
        .register(&mut SourceFd(&channel), CHANNEL, Interest::READABLE)?;
    let mut events = Events::with_capacity(EVENTS_MAX);
    let mut buffer = vec![0; READ_BUFFER_BYTES];
    let mut used = Used::default();
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            polled => polled?,
        }
        used.turns += 1;
        for event in &events {
            if event.token() != CHANNEL {
                drain(&mut sockets[event.token().0], &mut buffer, &mut used)?;
            } else if !answer(&mut used)? {
                return Ok(());
            }
        }
    }
}

/// A client that has said its name; the call blocks until it is connected.
fn joined(target: SocketAddr, client: u32, poll: &Poll) -> io::Result<TcpStream> {
    let mut socket = std::net::TcpStream::connect(target)?;
    socket.write_all(&frame::encode(format!("reader-{client:05}").as_bytes()))?;
    socket.set_nonblocking(true)?;
    let mut socket = TcpStream::from_std(socket);
    let token = Token(client as usize);
    poll.registry()
        .register(&mut socket, token, Interest::READABLE)?;
    Ok(socket)
}

/// Reads all that has come to a socket. A read that does not fill the buffer has emptied it (see
/// epoll(7)). Hot: once per segment.
fn drain(socket: &mut TcpStream, buffer: &mut [u8], used: &mut Used) -> io::Result<()> {
    loop {
        match socket.read(buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(bytes) => {
                used.reads += 1;
                used.bytes += bytes as u64;
                if bytes < buffer.len() {
                    return Ok(());
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Says what was used, if it is asked for; false if nobody will ask any more.
fn answer(used: &mut Used) -> io::Result<bool> {
    let mut asked = [0; 1];
    if io::stdin().read(&mut asked)? == 0 {
        return Ok(false);
    }
    let cpu: Duration = clock_gettime(ClockId::ProcessCPUTime)
        .try_into()
        .map_err(io::Error::other)?;
    used.cpu_ns = u64::try_from(cpu.as_nanos()).unwrap_or(u64::MAX);
    let mut line = serde_json::to_vec(used)?;
    line.push(b'\n');
    let mut stdout = io::stdout();
    stdout.write_all(&line)?;
    stdout.flush()?;
    Ok(true)
}
