//! The reading process: the receivers of a pass, as the load generator would be.
//!
//! One epoll loop over all sockets, one buffer for all of them, one read for each segment. It is a
//! process of its own, as the clients of a server are: a thread would share the sender's descriptor
//! table and memory map, and change what a send costs.
//!
//! The two speak over a socket pair that is the reader's standard input: reports as lines of JSON in
//! one direction, one byte for each window of connects in the other. When the measuring process
//! ends, however it does, the channel closes and the reader ends.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use mio::net::TcpStream;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use serde::{Deserialize, Serialize};
use socket2::{Domain, Protocol, Socket, Type};

use crate::floor::Plan;
use crate::{Error, clock, host};

/// As the first argument, makes a program the reader. Not for users.
const READ: &str = "__read";

/// Sockets that wait in the listen backlog at once, at most.
const WINDOW: u32 = 64;

/// The buffer that all reads share.
const READ_BUFFER_BYTES: usize = 64 * 1024;

/// How many sockets one turn of the loop looks at.
const EVENTS_MAX: usize = 1024;

const CHANNEL: Token = Token(usize::MAX);

/// How long a reader may say nothing.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// What a reader tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Report {
    /// So many more sockets are connected.
    Connected { sockets: u32 },
    /// Every socket has read one frame more.
    Pass {
        /// When the last had, by the monotonic clock.
        read_at_ns: u64,
        /// CPU time since the last pass.
        cpu_ns: u64,
        /// Reads that returned bytes.
        reads: u64,
    },
    /// No port was left for the next socket.
    NoPort { connected: u32, error: String },
    /// Reading cannot go on.
    Failed { error: String },
}

/// A running reader, seen from the measuring process. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Reader {
    child: Child,
    channel: Option<BufReader<UnixStream>>,
    sockets: u32,
}

impl Reader {
    /// Starts a reader that connects to `target` from each of `sources` in turn.
    pub(crate) fn start(
        plan: &Plan,
        target: SocketAddr,
        sources: &[Ipv4Addr],
    ) -> Result<Self, Error> {
        let cannot_start = "start the reading process";
        let (channel, childs) = UnixStream::pair().map_err(Error::system(cannot_start))?;
        channel
            .set_read_timeout(Some(SILENCE_MAX))
            .map_err(Error::system(cannot_start))?;
        let program = match &plan.reader {
            Some(program) => program.clone(),
            None => std::env::current_exe().map_err(Error::system(cannot_start))?,
        };
        let child = Command::new(program)
            .arg(READ)
            .args([target.to_string(), plan.sockets.to_string()])
            .arg(plan.bytes.to_string())
            .args(sources.iter().map(ToString::to_string))
            .stdin(Stdio::from(OwnedFd::from(childs)))
            .stdout(Stdio::null())
            .spawn()
            .map_err(Error::system(cannot_start))?;
        Ok(Self {
            child,
            channel: Some(BufReader::new(channel)),
            sockets: plan.sockets,
        })
    }

    /// Waits for the next report.
    pub(crate) fn report(&mut self) -> Result<Report, Error> {
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

    /// Lets it connect the next window.
    pub(crate) fn go_on(&mut self) -> Result<(), Error> {
        let written = self.channel().get_mut().write_all(b".");
        written.map_err(Error::system("tell the reading process to go on"))
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
/// is returned. To be called before anything else.
#[must_use]
pub fn run_if_asked() -> Option<ExitCode> {
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

/// What a reader is to do.
struct Task {
    target: SocketAddr,
    sockets: u32,
    bytes: u64,
    /// Taken in turn.
    sources: Vec<Ipv4Addr>,
}

impl Task {
    fn parse(arguments: impl Iterator<Item = OsString>) -> Option<Self> {
        let mut arguments = arguments.map(|argument| argument.into_string().ok());
        let mut next = || arguments.next().flatten();
        Some(Self {
            target: next()?.parse().ok()?,
            sockets: next()?.parse().ok()?,
            bytes: next()?.parse().ok()?,
            sources: std::iter::from_fn(next)
                .map(|source| source.parse().ok())
                .collect::<Option<Vec<_>>>()
                .filter(|sources| !sources.is_empty())?,
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
        match Loop::new(sockets, self.bytes, &channel)?.run(&mut channel) {
            Ok(()) => Ok(()),
            Err(error) => failed(&mut channel, &error),
        }
    }

    /// Connects window by window; `None` when the measuring process has given up or has to.
    fn connect(&self, channel: &mut UnixStream) -> io::Result<Option<Vec<TcpStream>>> {
        let mut sockets = Vec::with_capacity(self.sockets as usize);
        let mut left = self.sockets;
        while left > 0 {
            let window = left.min(WINDOW);
            for source in self.sources.iter().cycle().take(window as usize) {
                match connect_from(*source, self.target) {
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
}

/// A connected socket. The call blocks until it is: on loopback, at once.
fn connect_from(source: Ipv4Addr, target: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    if source != Ipv4Addr::LOCALHOST {
        socket.set_reuse_address(true)?;
        socket.bind(&SocketAddr::new(IpAddr::V4(source), 0).into())?;
    }
    socket.connect(&target.into())?;
    socket.set_nonblocking(true)?;
    Ok(TcpStream::from_std(socket.into()))
}

/// Reads from all sockets and reports each pass.
struct Loop {
    poll: Poll,
    sockets: Vec<Receiver>,
    buffer: Vec<u8>,
    /// Length of the frame that each socket gets in each pass.
    bytes: u64,
    progress: Progress,
}

struct Receiver {
    socket: TcpStream,
    received_bytes: u64,
}

/// How far the present pass has come.
struct Progress {
    passes: u64,
    left_bytes: u64,
    reads: u64,
    cpu_before: Duration,
}

impl Loop {
    fn new(sockets: Vec<TcpStream>, bytes: u64, channel: &UnixStream) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut receivers = Vec::with_capacity(sockets.len());
        for (at, mut socket) in sockets.into_iter().enumerate() {
            poll.registry()
                .register(&mut socket, Token(at), Interest::READABLE)?;
            receivers.push(Receiver {
                socket,
                received_bytes: 0,
            });
        }
        let channel = channel.as_raw_fd();
        poll.registry()
            .register(&mut SourceFd(&channel), CHANNEL, Interest::READABLE)?;
        let progress = Progress {
            passes: 0,
            left_bytes: receivers.len() as u64 * bytes,
            reads: 0,
            cpu_before: clock::thread_cpu(),
        };
        Ok(Self {
            poll,
            sockets: receivers,
            buffer: vec![0; READ_BUFFER_BYTES],
            bytes,
            progress,
        })
    }

    /// Runs until the channel closes.
    fn run(mut self, channel: &mut UnixStream) -> Result<(), Fault> {
        let mut events = Events::with_capacity(EVENTS_MAX);
        loop {
            match self.poll.poll(&mut events, None) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                polled => polled?,
            }
            for event in &events {
                // The measuring process says nothing more until it ends.
                if event.token() == CHANNEL {
                    return Ok(());
                }
                self.read(event.token().0)?;
                if self.progress.left_bytes == 0 {
                    tell(channel, &self.end_of_pass())?;
                }
            }
        }
    }

    /// Reads all that has come to a socket. A read that does not fill the buffer has emptied it
    /// (see epoll(7)). Hot: once per segment.
    fn read(&mut self, at: usize) -> Result<(), Fault> {
        let receiver = &mut self.sockets[at];
        loop {
            let bytes = match receiver.socket.read(&mut self.buffer) {
                Ok(0) => return Err(Fault::Closed),
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            receiver.received_bytes += bytes as u64;
            // As all together got what they should, nobody can have got less.
            if receiver.received_bytes > (self.progress.passes + 1) * self.bytes {
                return Err(Fault::TooMuch);
            }
            self.progress.left_bytes -= bytes as u64;
            self.progress.reads += 1;
            if bytes < self.buffer.len() {
                return Ok(());
            }
        }
    }

    fn end_of_pass(&mut self) -> Report {
        let read_at = clock::monotonic();
        let cpu = clock::thread_cpu();
        let progress = &mut self.progress;
        let report = Report::Pass {
            read_at_ns: nanoseconds(read_at),
            cpu_ns: nanoseconds(cpu - progress.cpu_before),
            reads: progress.reads,
        };
        *progress = Progress {
            passes: progress.passes + 1,
            left_bytes: self.sockets.len() as u64 * self.bytes,
            reads: 0,
            cpu_before: cpu,
        };
        report
    }
}

/// Why a reader stops.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("a socket was closed before the end")]
    Closed,
    #[error("a socket got more than one frame in a pass")]
    TooMuch,
    #[error(transparent)]
    Io(#[from] io::Error),
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
        // Whoever has ended needs no report, and the next turn of the loop notices.
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

    fn parse(arguments: &[&str]) -> Option<Task> {
        Task::parse(arguments.iter().map(OsString::from))
    }

    #[test]
    fn a_task_is_read_as_it_is_written() {
        let task = parse(&["127.0.0.1:7", "50", "92", "127.0.0.1", "127.0.0.2"]).unwrap();
        assert_eq!((task.sockets, task.bytes), (50, 92));
        assert_eq!(task.sources.len(), 2);
        assert!(parse(&["127.0.0.1:7", "50", "92"]).is_none());
        assert!(parse(&["127.0.0.1:7", "50", "x", "127.0.0.1"]).is_none());
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
