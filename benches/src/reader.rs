//! The reading process: the receivers of a broadcast, in the best simple loop there is.
//!
//! One thread, one epoll loop over all sockets, edges instead of levels, one buffer for all of them, one
//! read for each segment, and nothing is looked at. It is a process of its own, as the clients of a
//! server are: a thread would share the sender's descriptor table and memory map, and change what a
//! send costs.
//!
//! The two speak over a socket pair that is the reader's standard input: lines of JSON in one direction,
//! one byte for each window of connects, and for each question, in the other. When the measuring process
//! ends, however it does, the channel closes and the reader ends.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
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
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use socket2::{Domain, Socket, Type};

use crate::error::{Error, Result};
use crate::host;

/// As the first argument, makes a program the reader. Not for users.
pub(crate) const READ: &str = "__read";

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

/// What a reader tells.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Report {
    /// This number of further sockets is connected.
    Connected(u32),
    /// A pass is over, or it was asked.
    Used(Used),
    Failed(String),
}

/// What a reader is to do.
#[derive(Debug, Clone)]
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
    /// Starts a reader, which is `program` or this program once more. It is connected once
    /// `accepted` was called for every window of sockets.
    pub(crate) fn start(
        task: &Task,
        program: Option<&Path>,
        mut accepted: impl FnMut(u32) -> Result<()>,
    ) -> Result<Self> {
        let failed = Error::system("start the reading process");
        let (channel, childs) = UnixStream::pair().map_err(&failed)?;
        channel
            .set_read_timeout(Some(SILENCE_MAX))
            .map_err(&failed)?;
        let this = std::env::current_exe().map_err(&failed)?;
        let mut command = Command::new(program.unwrap_or(&this));
        command.args([READ, &task.target.to_string(), &task.sockets.to_string()]);
        command.args([task.pass_bytes.to_string(), task.is_named.to_string()]);
        command.stdin(OwnedFd::from(childs)).stdout(Stdio::null());
        let mut reader = Self {
            child: command.spawn().map_err(&failed)?,
            channel: BufReader::new(channel),
        };
        // Its end of the channel is to be closed when it ends.
        drop(command);
        let mut connected = 0;
        while connected < task.sockets {
            let Report::Connected(sockets) = reader.report()? else {
                return Err(Error::Run("the reader reads before it is connected".into()));
            };
            accepted(sockets)?;
            connected += sockets;
            reader.write_byte()?;
        }
        Ok(reader)
    }

    /// Asks what was used so far.
    pub(crate) fn used(&mut self) -> Result<Used> {
        self.write_byte()?;
        self.next_used()
    }

    /// Waits for the end of a pass; what was used until then.
    pub(crate) fn next_used(&mut self) -> Result<Used> {
        match self.report()? {
            Report::Used(used) => Ok(used),
            report => Err(Error::Run(format!("the reader said {report:?}"))),
        }
    }

    fn report(&mut self) -> Result<Report> {
        let failed = |why: String| Error::Run(format!("the reading process failed: {why}"));
        let mut line = String::new();
        match self.channel.read_line(&mut line) {
            Ok(0) => return Err(failed("it ended".into())),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                let silence =
                    format!("it said nothing for {SILENCE_MAX:?}: see what else runs here");
                return Err(failed(silence));
            }
            Err(error) => return Err(failed(error.to_string())),
        }
        match serde_json::from_str(&line) {
            Ok(Report::Failed(why)) => Err(failed(why)),
            Ok(report) => Ok(report),
            Err(_) => Err(failed(format!("it said {line:?}"))),
        }
    }

    fn write_byte(&mut self) -> Result<()> {
        let written = self.channel.get_mut().write_all(b".");
        written.map_err(Error::system("write to the reading process"))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // It ends by itself when its channel closes; a signal makes sure of it now.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs the reader that this process was started for with `arguments`.
pub(crate) fn run(arguments: &[OsString]) -> ExitCode {
    let Some(task) = Task::parse(arguments) else {
        eprintln!("{READ} is for the measuring program itself");
        return ExitCode::FAILURE;
    };
    let channel = io::stdin()
        .as_fd()
        .try_clone_to_owned()
        .map(UnixStream::from);
    let ran = channel.and_then(|mut channel| match task.run(&mut channel) {
        Ok(()) => Ok(()),
        Err(why) => tell(&mut channel, &Report::Failed(why)),
    });
    if let Err(error) = ran {
        eprintln!("the reading process: {error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

impl Task {
    fn parse(arguments: &[OsString]) -> Option<Self> {
        let arguments: Option<Vec<&str>> = arguments.iter().map(|word| word.to_str()).collect();
        let [target, sockets, pass_bytes, is_named] = arguments?[..] else {
            return None;
        };
        Some(Self {
            target: target.parse().ok()?,
            sockets: sockets.parse().ok()?,
            pass_bytes: pass_bytes.parse().ok()?,
            is_named: is_named.parse().ok()?,
        })
    }

    /// Connects and reads until the channel closes.
    fn run(&self, channel: &mut UnixStream) -> std::result::Result<(), String> {
        host::raise_descriptors(self.sockets).map_err(|error| error.to_string())?;
        let sources = host::sources(self.sockets);
        let mut sources = sources.iter().cycle();
        let mut sockets = Vec::with_capacity(self.sockets as usize);
        while sockets.len() < self.sockets as usize {
            let connected = sockets.len();
            let window = WINDOW.min(self.sockets - u32::try_from(connected).unwrap_or(u32::MAX));
            for source in sources.by_ref().take(window as usize) {
                let socket = self.connect_from(*source, sockets.len());
                sockets.push(socket.map_err(|error| self.refused(sockets.len(), &error))?);
            }
            let told = tell(channel, &Report::Connected(window));
            if told
                .and_then(|()| channel.read(&mut [0]))
                .is_ok_and(|bytes| bytes == 0)
            {
                return Ok(());
            }
        }
        let ran = Loop::new(sockets, self.pass_bytes, channel).and_then(|it| it.run(channel));
        ran.map_err(|error| error.to_string())
    }

    /// A connected socket. The call blocks until it is: on loopback, at once.
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

    fn refused(&self, connected: usize, error: &io::Error) -> String {
        match error.kind() {
            ErrorKind::AddrNotAvailable | ErrorKind::AddrInUse => format!(
                "no free source port is left after {connected} of {} sockets ({error}): wait a minute for old connections to expire, widen net.ipv4.ip_local_port_range, or lower --sockets",
                self.sockets
            ),
            _ => error.to_string(),
        }
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
                    tell(channel, &Report::Used(self.used))?;
                }
            }
        }
    }

    /// Reads all that has come to a socket. A read that does not fill the buffer has emptied it
    /// (see epoll(7)). Hot: once per segment.
    fn read(&mut self, at: usize) -> io::Result<()> {
        loop {
            let bytes = match self.sockets[at].read(&mut self.buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(bytes) => bytes,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.used.reads += 1;
            self.used.bytes += bytes as u64;
            if bytes < self.buffer.len() {
                return Ok(());
            }
        }
    }
}

fn tell(channel: &mut UnixStream, report: &Report) -> io::Result<()> {
    let line = serde_json::to_string(report)? + "\n";
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
    fn a_task_is_read_as_it_is_written() {
        let parse =
            |text: &str| Task::parse(&text.split(' ').map(OsString::from).collect::<Vec<_>>());
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
        let report = Report::Failed("two\nlines".into());
        tell(&mut there, &report).unwrap();
        drop(there);
        let mut text = String::new();
        here.read_to_string(&mut text).unwrap();
        assert_eq!(text.lines().count(), 1);
        assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report);
    }
}
