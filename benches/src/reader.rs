//! The reading process: the receivers of a broadcast, in the best simple loop there is.
//!
//! One thread, one epoll loop over all sockets, edges instead of levels, one buffer for all of them, one
//! read for each segment, and nothing is looked at. It is a process of its own, as the clients of a
//! server are: a thread would share the sender's descriptor table and memory map, and change what a
//! send costs.
//!
//! The two speak over a socket pair that is the reader's standard input: a byte for each question in one
//! direction, lines of JSON in the other. When the measuring process ends, however it does, the channel
//! closes and the reader ends.

use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use mio::net::TcpStream;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use protocol::frame;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use socket2::{Domain, Socket, Type};

use crate::error::{Error, Result};
use crate::host;

/// As the first argument, makes a program the reader. Not for users.
pub(crate) const READ: &str = "__read";

/// The buffer that all reads share; as large as the load generator's.
const READ_BUFFER_BYTES: usize = 128 * 1024;

/// How many sockets one turn of the loop looks at, as in the load generator.
const EVENTS_MAX: usize = 1024;

const CHANNEL: Token = Token(usize::MAX);

/// How long a reader may say nothing.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// What the readers have used since they were connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Used {
    /// When this was, by the monotonic clock.
    pub(crate) at_ns: u64,
    /// CPU time, user and system.
    pub(crate) cpu_ns: u64,
    /// Returns of `epoll_wait`.
    pub(crate) turns: u64,
    /// Reads that brought bytes.
    pub(crate) reads: u64,
    pub(crate) bytes: u64,
}

/// What a reader tells: at the end of a pass, or when it is asked; or why it failed.
type Told = std::result::Result<Used, String>;

/// What a reader is to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Task {
    pub(crate) target: SocketAddr,
    pub(crate) sockets: u32,
    /// With how many bytes in all a pass is over, which is told; 0 if it is told only when asked.
    pub(crate) pass_bytes: u64,
    /// Whether each socket begins with a name, as a client does.
    pub(crate) is_named: bool,
}

/// A running reader, seen from the measuring process. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Reader {
    child: Child,
    channel: BufReader<UnixStream>,
}

impl Reader {
    /// Starts a reader, which is this program once more, and connects by itself.
    pub(crate) fn start(task: &Task) -> Result<Self> {
        let (channel, childs) = UnixStream::pair()?;
        channel.set_read_timeout(Some(SILENCE_MAX))?;
        let task = serde_json::to_string(task).expect("all keys are strings");
        let mut command = Command::new(std::env::current_exe()?);
        command.args([READ, &task]);
        command.stdin(OwnedFd::from(childs)).stdout(Stdio::null());
        let (child, channel) = (command.spawn()?, BufReader::new(channel));
        Ok(Self { child, channel })
    }

    /// Starts a reader of so many clients of a server, and waits until they are connected.
    pub(crate) fn of_clients(target: SocketAddr, sockets: u32) -> Result<Self> {
        let (pass_bytes, is_named) = (0, true);
        let mut reader = Self::start(&Task {
            target,
            sockets,
            pass_bytes,
            is_named,
        })?;
        reader.used()?;
        Ok(reader)
    }

    /// Asks what was used so far. It is answered when all sockets are connected.
    pub(crate) fn used(&mut self) -> Result<Used> {
        self.channel.get_mut().write_all(b".")?;
        self.next_used()
    }

    /// Waits for the end of a pass; what was used until then.
    pub(crate) fn next_used(&mut self) -> Result<Used> {
        let failed = |why: String| Error::Run(format!("the reading process failed: {why}"));
        let mut line = String::new();
        let read = self.channel.read_line(&mut line);
        let told = read.and_then(|_| Ok(serde_json::from_str::<Told>(&line)?));
        let told = told.map_err(|error| failed(error.to_string()))?;
        told.map_err(failed)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // It ends by itself when its channel closes; a signal makes sure of it now.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs the reader that this process was started for, with its task.
pub(crate) fn run(task: &OsStr) -> ExitCode {
    let task = task.to_str().unwrap_or_default();
    let ran = serde_json::from_str::<Task>(task).map_err(io::Error::from);
    let ran = ran.and_then(|task| {
        let mut channel = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        match task.run(&mut channel) {
            Ok(()) => Ok(()),
            Err(error) => tell(&mut channel, &Err(error.to_string())),
        }
    });
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the reading process, which is not for users: {error}");
            ExitCode::FAILURE
        }
    }
}

impl Task {
    /// Connects and reads until the channel closes.
    fn run(&self, channel: &mut UnixStream) -> io::Result<()> {
        host::raise_descriptors(self.sockets).map_err(io::Error::other)?;
        let sources = host::sources(self.sockets);
        let sources = sources.iter().cycle().take(self.sockets as usize);
        let connect = |(number, source): (usize, &Ipv4Addr)| self.connect_from(*source, number);
        let sockets: io::Result<Vec<TcpStream>> = sources.enumerate().map(connect).collect();
        let sockets = sockets.map_err(|error| match error.kind() {
            ErrorKind::AddrNotAvailable | ErrorKind::AddrInUse => io::Error::other(format!(
                "no free source port is left ({error}): wait a minute for old connections to expire, widen net.ipv4.ip_local_port_range, or lower --clients"
            )),
            _ => error,
        });
        Loop::new(sockets?, self.pass_bytes, channel)?.run(channel)
    }

    /// A connected socket. The call blocks until the listener has room for it: on loopback, at once.
    fn connect_from(&self, source: Ipv4Addr, number: usize) -> io::Result<TcpStream> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        if source != Ipv4Addr::LOCALHOST {
            socket.set_reuse_address(true)?;
            socket.bind(&SocketAddr::new(IpAddr::V4(source), 0).into())?;
        }
        socket.connect(&self.target.into())?;
        let mut socket = std::net::TcpStream::from(socket);
        if self.is_named {
            socket.write_all(&frame::encode(format!("reader-{number:05}").as_bytes()))?;
        }
        socket.set_nonblocking(true)?;
        Ok(TcpStream::from_std(socket))
    }
}

/// Reads from all sockets.
struct Loop {
    poll: Poll,
    sockets: Vec<TcpStream>,
    buffer: Vec<u8>,
    pass_bytes: u64,
    used: Used,
}

impl Loop {
    fn new(mut sockets: Vec<TcpStream>, pass_bytes: u64, channel: &UnixStream) -> io::Result<Self> {
        let poll = Poll::new()?;
        let registry = poll.registry();
        for (at, socket) in sockets.iter_mut().enumerate() {
            registry.register(socket, Token(at), Interest::READABLE)?;
        }
        let channel = channel.as_raw_fd();
        registry.register(&mut SourceFd(&channel), CHANNEL, Interest::READABLE)?;
        Ok(Self {
            poll,
            sockets,
            buffer: vec![0; READ_BUFFER_BYTES],
            pass_bytes,
            used: Used::default(),
        })
    }

    /// Runs until the channel closes.
    fn run(mut self, channel: &mut UnixStream) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS_MAX);
        let mut pass_ends = self.pass_bytes;
        loop {
            match self.poll.poll(&mut events, None) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                polled => polled?,
            }
            self.used.turns += 1;
            for event in &events {
                let is_asked = event.token() == CHANNEL;
                if !is_asked {
                    self.read(event.token().0)?;
                } else if channel.read(&mut [0])? == 0 {
                    return Ok(());
                }
                let is_over = self.pass_bytes > 0 && self.used.bytes >= pass_ends;
                if is_over {
                    pass_ends += self.pass_bytes;
                }
                if is_asked || is_over {
                    self.used.at_ns = now_ns(ClockId::Monotonic);
                    self.used.cpu_ns = now_ns(ClockId::ProcessCPUTime);
                    tell(channel, &Ok(self.used))?;
                }
            }
        }
    }

    /// Reads all that has come to a socket. A read that does not fill the buffer has emptied it
    /// (see epoll(7)). Hot: once per segment.
    fn read(&mut self, at: usize) -> io::Result<()> {
        loop {
            let bytes = match self.sockets[at].read(&mut self.buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                read => read?,
            };
            if bytes == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            self.used.reads += 1;
            self.used.bytes += bytes as u64;
            if bytes < self.buffer.len() {
                return Ok(());
            }
        }
    }
}

fn tell(channel: &mut UnixStream, told: &Told) -> io::Result<()> {
    let line = serde_json::to_string(told)? + "\n";
    match channel.write_all(line.as_bytes()) {
        // The measuring process has ended; the next turn of the loop notices.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// A clock, in nanoseconds. Monotonic time is the same in all processes of a host, so that one process can
/// say when something began and another when it ended.
pub(crate) fn now_ns(clock: ClockId) -> u64 {
    let time = Duration::try_from(clock_gettime(clock)).expect("these clocks begin at zero");
    u64::try_from(time.as_nanos()).expect("584 years of nanoseconds fit")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_reader_tells_is_a_line() {
        let (mut here, mut there) = UnixStream::pair().unwrap();
        let told = Err("two\nlines".into());
        tell(&mut there, &told).unwrap();
        drop(there);
        let mut text = String::new();
        here.read_to_string(&mut text).unwrap();
        assert_eq!(text.lines().count(), 1);
        assert_eq!(serde_json::from_str::<Told>(&text).unwrap(), told);
    }
}
