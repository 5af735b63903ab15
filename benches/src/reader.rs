//! The reading process: the receivers of a broadcast, in the best simple loop there is.
//!
//! One thread, one epoll loop over all sockets, edges instead of levels, one buffer for all of them, one
//! read for each segment, and nothing is looked at. It is a process of its own, as the clients of a
//! server are: a thread would share the sender's descriptor table and memory map, and change what a
//! send costs.
//!
//! The two speak over a socket pair that is the reader's standard input: reports as lines of JSON in
//! one direction, one byte for each window of connects, and for each question, in the other. When the
//! measuring process ends, however it does, the channel closes and the reader ends.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use mio::net::TcpStream;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use protocol::frame;
use serde::{Deserialize, Serialize};
use socket2::{Domain, Protocol, Socket, Type};

use crate::{Error, clock, host};

/// As the first argument, makes a program the reader. Not for users.
const READ: &str = "__read";

/// Sockets that wait in the listen backlog at once, at most.
const WINDOW: u32 = 64;

/// The buffer that all reads share; as large as the load generator's.
const READ_BUFFER_BYTES: usize = 128 * 1024;

/// How many sockets one turn of the loop looks at, as in the load generator.
const EVENTS_MAX: usize = 1024;

const CHANNEL: Token = Token(usize::MAX);

/// How long a reader may say nothing.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// What the readers have used since they were connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Used {
    /// When this was, by the monotonic clock.
    pub at_ns: u64,
    /// CPU time, user and system.
    pub cpu_ns: u64,
    /// Returns of `epoll_wait`.
    pub turns: u64,
    /// Reads that brought bytes.
    pub reads: u64,
    /// What they brought.
    pub bytes: u64,
}

/// What a reader tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Report {
    /// So many more sockets are connected.
    Connected { sockets: u32 },
    /// A pass is over, or it was asked.
    Used(Used),
    /// No port was left for the next socket.
    NoPort { connected: u32, error: String },
    /// Reading cannot go on.
    Failed { error: String },
}

/// What a reader is to do.
#[derive(Debug, Clone)]
pub struct Task {
    /// Where to connect.
    pub target: SocketAddr,
    /// How often.
    pub sockets: u32,
    /// With how many bytes in all a pass is over, which is told; 0 if it is told only when asked.
    pub pass_bytes: u64,
    /// Whether each socket begins with a name, as a client does.
    pub is_named: bool,
}

/// A running reader, seen from the measuring process. It ends when this is dropped.
#[derive(Debug)]
pub struct Reader {
    child: Child,
    channel: Option<BufReader<UnixStream>>,
    sockets: u32,
}

impl Reader {
    /// Starts a reader, which is `program` or this program once more. It is connected once
    /// `accepted` was called for every window of sockets.
    ///
    /// # Errors
    /// When it cannot be started or connect, or `accepted` fails.
    pub fn start(
        task: &Task,
        program: Option<&Path>,
        mut accepted: impl FnMut(u32) -> Result<(), Error>,
    ) -> Result<Self, Error> {
        let cannot_start = Error::system("start the reading process");
        let (channel, childs) = UnixStream::pair().map_err(&cannot_start)?;
        channel
            .set_read_timeout(Some(SILENCE_MAX))
            .map_err(&cannot_start)?;
        let this = std::env::current_exe().map_err(&cannot_start)?;
        let child = Command::new(program.unwrap_or(&this))
            .arg(READ)
            .args([task.target.to_string(), task.sockets.to_string()])
            .args([task.pass_bytes.to_string(), task.is_named.to_string()])
            .stdin(Stdio::from(OwnedFd::from(childs)))
            .stdout(Stdio::null())
            .spawn()
            .map_err(&cannot_start)?;
        let mut reader = Self {
            child,
            channel: Some(BufReader::new(channel)),
            sockets: task.sockets,
        };
        let mut connected = 0;
        while connected < task.sockets {
            let Report::Connected { sockets } = reader.report()? else {
                return Err(Error::Reader("it reads before it is connected".into()));
            };
            accepted(sockets)?;
            connected += sockets;
            reader.write_byte()?;
        }
        Ok(reader)
    }

    /// Asks what was used so far.
    ///
    /// # Errors
    /// When the reader fails or has ended.
    pub fn used(&mut self) -> Result<Used, Error> {
        self.write_byte()?;
        self.next_used()
    }

    /// Waits for the end of a pass; what was used until then.
    ///
    /// # Errors
    /// When the reader fails or has ended.
    pub fn next_used(&mut self) -> Result<Used, Error> {
        match self.report()? {
            Report::Used(used) => Ok(used),
            report => Err(Error::Reader(format!("{report:?} while it reads"))),
        }
    }

    fn report(&mut self) -> Result<Report, Error> {
        let mut line = String::new();
        match self.channel().read_line(&mut line) {
            Ok(0) => return Err(Error::Reader("it ended".into())),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(Error::ReaderSilent {
                    waited: SILENCE_MAX,
                });
            }
            Err(error) => return Err(Error::system("hear the reading process")(error)),
        }
        match serde_json::from_str(&line) {
            Ok(Report::Failed { error }) => Err(Error::Reader(error)),
            Ok(Report::NoPort { connected, error }) => Err(Error::Ports {
                connected,
                sockets: self.sockets,
                error,
            }),
            Ok(report) => Ok(report),
            Err(_) => Err(Error::Reader(format!("it said {line:?}"))),
        }
    }

    fn write_byte(&mut self) -> Result<(), Error> {
        let written = self.channel().get_mut().write_all(b".");
        written.map_err(Error::system("write to the reading process"))
    }

    fn channel(&mut self) -> &mut BufReader<UnixStream> {
        self.channel
            .as_mut()
            .expect("the channel is open until the end")
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        drop(self.channel.take());
        // It ends by itself; a signal makes sure of it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs the reader, if that is what this process was started for; the caller then exits with what
/// is returned.
pub(crate) fn run_if_asked() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != READ {
        return None;
    }
    let Some(task) = Task::parse(arguments) else {
        eprintln!("{READ} is for the measuring program itself");
        return Some(ExitCode::FAILURE);
    };
    match task.run() {
        Ok(()) => Some(ExitCode::SUCCESS),
        Err(error) => {
            eprintln!("the reading process: {error}");
            Some(ExitCode::FAILURE)
        }
    }
}

impl Task {
    fn parse(arguments: impl Iterator<Item = OsString>) -> Option<Self> {
        let mut arguments = arguments.map(|argument| argument.into_string().ok());
        let mut next = || arguments.next().flatten();
        Some(Self {
            target: next()?.parse().ok()?,
            sockets: next()?.parse().ok()?,
            pass_bytes: next()?.parse().ok()?,
            is_named: next()?.parse().ok()?,
        })
    }

    /// Connects and reads until the channel closes. What goes wrong is reported.
    fn run(&self) -> io::Result<()> {
        let mut channel = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        if let Err(error) = host::raise_descriptors(self.sockets) {
            return failed(&mut channel, &error);
        }
        let Some(sockets) = self.connect(&mut channel)? else {
            return Ok(());
        };
        match Loop::new(sockets, self.pass_bytes, &channel)?.run(&mut channel) {
            Ok(()) => Ok(()),
            Err(error) => failed(&mut channel, &error),
        }
    }

    /// Connects window by window; `None` when the measuring process has given up or has to.
    fn connect(&self, channel: &mut UnixStream) -> io::Result<Option<Vec<TcpStream>>> {
        let sources = host::sources(self.sockets);
        let mut sources = sources.iter().cycle();
        let mut sockets = Vec::with_capacity(self.sockets as usize);
        let mut left = self.sockets;
        while left > 0 {
            let window = left.min(WINDOW);
            for source in sources.by_ref().take(window as usize) {
                match self.connect_from(*source, sockets.len()) {
                    Ok(socket) => sockets.push(socket),
                    Err(error) => {
                        refused(channel, sockets.len(), &error)?;
                        return Ok(None);
                    }
                }
            }
            tell(channel, &Report::Connected { sockets: window })?;
            left -= window;
            if channel.read(&mut [0])? == 0 {
                return Ok(None);
            }
        }
        Ok(Some(sockets))
    }

    /// A connected socket. The call blocks until it is: on loopback, at once.
    fn connect_from(&self, source: Ipv4Addr, number: usize) -> io::Result<TcpStream> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
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
        for (at, socket) in sockets.iter_mut().enumerate() {
            poll.registry()
                .register(socket, Token(at), Interest::READABLE)?;
        }
        let channel = channel.as_raw_fd();
        poll.registry()
            .register(&mut SourceFd(&channel), CHANNEL, Interest::READABLE)?;
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
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                polled => polled?,
            }
            self.used.turns += 1;
            for event in &events {
                if event.token() == CHANNEL {
                    if channel.read(&mut [0])? == 0 {
                        return Ok(());
                    }
                    self.tell_used(channel)?;
                    continue;
                }
                self.read(event.token().0)?;
                if self.pass_bytes > 0 && self.used.bytes >= pass_ends {
                    pass_ends += self.pass_bytes;
                    self.tell_used(channel)?;
                }
            }
        }
    }

    /// Reads all that has come to a socket. A read that does not fill the buffer has emptied it
    /// (see epoll(7)). Hot: once per segment.
    fn read(&mut self, at: usize) -> io::Result<()> {
        loop {
            let bytes = match self.sockets[at].read(&mut self.buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.used.reads += 1;
            self.used.bytes += bytes as u64;
            if bytes < self.buffer.len() {
                return Ok(());
            }
        }
    }

    fn tell_used(&mut self, channel: &mut UnixStream) -> io::Result<()> {
        self.used.at_ns = nanoseconds(clock::monotonic());
        self.used.cpu_ns = nanoseconds(clock::process_cpu());
        tell(channel, &Report::Used(self.used))
    }
}

fn refused(channel: &mut UnixStream, connected: usize, error: &io::Error) -> io::Result<()> {
    match error.kind() {
        io::ErrorKind::AddrNotAvailable | io::ErrorKind::AddrInUse => {
            let report = Report::NoPort {
                connected: u32::try_from(connected).unwrap_or(u32::MAX),
                error: error.to_string(),
            };
            tell(channel, &report)
        }
        _ => failed(channel, error),
    }
}

fn failed(channel: &mut UnixStream, error: &impl ToString) -> io::Result<()> {
    let error = error.to_string();
    tell(channel, &Report::Failed { error })
}

fn tell(channel: &mut UnixStream, report: &Report) -> io::Result<()> {
    let mut line = serde_json::to_vec(report)?;
    line.push(b'\n');
    match channel.write_all(&line) {
        // The measuring process has ended; the next turn of the loop notices.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).expect("584 years of nanoseconds fit")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_read_as_it_is_written() {
        let parse = |text: &str| Task::parse(text.split(' ').map(OsString::from));
        let task = parse("127.0.0.1:7 50 92 true").unwrap();
        assert_eq!(
            (task.sockets, task.pass_bytes, task.is_named),
            (50, 92, true)
        );
        assert!(parse("127.0.0.1:7 50 92").is_none());
        assert!(parse("127.0.0.1:7 50 x true").is_none());
    }

    #[test]
    fn reports_are_single_lines() {
        let (mut here, mut there) = UnixStream::pair().unwrap();
        let report = Report::Failed {
            error: "two\nlines".into(),
        };
        tell(&mut there, &report).unwrap();
        drop(there);
        let mut text = String::new();
        here.read_to_string(&mut text).unwrap();
        assert_eq!(text.lines().count(), 1);
        assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report);
    }
}
