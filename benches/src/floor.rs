//! The floor: what a broadcast costs when there is nothing but the kernel.
//!
//! This process holds one end of N connected loopback sockets, a [reading process](crate::reader)
//! the other. A pass is one `send(2)` of one frame to each socket. The next pass begins when the
//! reader has read the one before, so that each send meets an empty socket: none is short, none
//! waits, and each is one segment that wakes its reader.
//!
//! The measuring process has one thread while it sends. A second one would make the kernel count
//! references to each descriptor, which a server with one thread a ring does not pay either.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{SendFlags, send};
use rustix::time::ClockId;
use socket2::{Domain, SockRef, Socket, Type};

use crate::cases::Load;
use crate::error::{Error, Result};
use crate::figure;
use crate::host;
use crate::reader::{Reader, Task, Used, now_ns};
use crate::run::{Run, Spread};

/// The longest frame that is sent, in bytes.
const BYTES_MAX: usize = 1 << 20;

/// What a message has around it when it is broadcast: its header, and the author's name with its own.
const NAME_AND_HEADERS_BYTES: usize = 28;

/// Passes that a floor needs to come to rest.
///
/// The receiver of a TCP connection acknowledges its first 16 segments as they come
/// (`TCP_MAX_QUICKACKS` in Linux' `include/net/tcp.h`), and again 16 after a silence that is longer
/// than the retransmission timeout (200 ms and more), later ones as they are read. On loopback, what
/// is acknowledged as it comes is paid for by the sender: a quarter to a half more for each send.
const WARMUP_PASSES: u32 = 20;

/// What `listen` asks for.
const BACKLOG: i32 = 1024;

/// Longer than a connect waits that found no room in the backlog.
const ACCEPT_TIMEOUT: Duration = Duration::from_secs(5);

/// A thread that sends without a pause waits for a processor for less than this of the time.
const OFF_CPU_SHARE_MAX: f64 = 0.05;

/// The length of the frame in which a message of the load generator's is broadcast; of messages that
/// are too long for a floor, the longest that it sends.
const fn frame_bytes(message_bytes: u32) -> usize {
    let bytes = message_bytes as usize + NAME_AND_HEADERS_BYTES;
    if bytes < BYTES_MAX { bytes } else { BYTES_MAX }
}

/// One frame to each socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pass {
    /// From before the first send until after the last: F.
    sending: Duration,
    /// From before the first send until the last receiver has read.
    completion: Duration,
    /// CPU time of the sending thread.
    send_cpu: Duration,
    /// CPU time of the reader since the pass before.
    read_cpu: Duration,
    /// Reads that returned bytes; as many as sockets, unless a frame came in parts.
    reads: u64,
}

/// Connected sockets, with a process that reads from them.
#[derive(Debug)]
struct Floor {
    sockets: Vec<TcpStream>,
    reader: Reader,
    /// What the reader had used after the last pass.
    used: Used,
    frame: Vec<u8>,
    interval: Duration,
    /// When the last pass began.
    began: Duration,
}

/// Measures passes that begin at least `interval` apart, over a socket for each client with the frames of
/// the load's messages, and sets the figures of the floor. Without an interval a pass begins as soon as all
/// have read the one before.
pub(crate) fn measure(load: Load, passes: u32, interval: Duration, run: &mut Run) -> Result<()> {
    let mut floor = Floor::connect(load.clients, frame_bytes(load.size), interval)?;
    for _ in 0..WARMUP_PASSES {
        floor.pass()?;
    }
    let passes: Result<Vec<Pass>> = (0..passes).map(|_| floor.pass()).collect();
    summarize(load.clients.into(), &passes?, run);
    Ok(())
}

fn summarize(sockets: f64, passes: &[Pass], run: &mut Run) {
    let median_ms = |of: fn(&Pass) -> Duration| {
        let spread = Spread::of(passes.iter().map(|pass| of(pass).as_secs_f64() * 1e3));
        spread.map(|spread| spread.median)
    };
    let seconds = |of: fn(&Pass) -> Duration| {
        let sum: Duration = passes.iter().map(of).sum();
        sum.as_secs_f64()
    };
    let pass_ms = median_ms(|pass| pass.sending);
    let sends = sockets * passes.len() as f64;
    let reads = passes.iter().map(|pass| pass.reads).sum::<u64>() as f64;
    run.set(&figure::FLOOR, pass_ms);
    run.set(&figure::FLOOR_COMPLETION, median_ms(|pass| pass.completion));
    run.set(&figure::FLOOR_WALL, pass_ms.map(|ms| ms * 1e3 / sockets));
    let (send_cpu, read_cpu) = (seconds(|pass| pass.send_cpu), seconds(|pass| pass.read_cpu));
    run.set(&figure::FLOOR_CPU, send_cpu * 1e6 / sends);
    run.set(&figure::FLOOR_READER_CPU, read_cpu * 1e6 / reads);
    run.set(&figure::FLOOR_SENDS, sends);
    run.set(&figure::FLOOR_READS, reads);
    let off_cpu = 1.0 - send_cpu / seconds(|pass| pass.sending);
    if off_cpu > OFF_CPU_SHARE_MAX {
        run.warnings.push(format!(
            "the sending thread waited for a processor for {:.0} % of its passes: see what else runs here",
            off_cpu * 100.0
        ));
    }
    if reads > sends {
        let parts = format!("frames came in parts: {reads} reads for {sends} sends");
        run.warnings.push(parts);
    }
}

impl Floor {
    /// Starts the reader and connects all sockets.
    fn connect(sockets: u32, bytes: usize, interval: Duration) -> Result<Self> {
        host::raise_descriptors(sockets)?;
        let listener = listen()?;
        let task = Task {
            target: listener.local_addr()?,
            sockets,
            pass_bytes: u64::from(sockets) * bytes as u64,
            is_named: false,
        };
        let mut reader = Reader::start(&task)?;
        let sockets: io::Result<_> = (0..sockets).map(|_| accept(&listener)).collect();
        // The reader knows why it does not connect.
        let why = |error| reader.next_used().err().unwrap_or(Error::Io(error));
        let sockets = sockets.map_err(why)?;
        Ok(Self {
            sockets,
            reader,
            used: Used::default(),
            frame: vec![b'x'; bytes],
            interval,
            began: Duration::ZERO,
        })
    }

    /// Waits until it is time, sends one frame to each socket, and waits until all are read.
    fn pass(&mut self) -> Result<Pass> {
        let now = |clock| Duration::from_nanos(now_ns(clock));
        let early = (self.began + self.interval).saturating_sub(now(ClockId::Monotonic));
        std::thread::sleep(early);
        let cpu_before = now(ClockId::ThreadCPUTime);
        let begin = now(ClockId::Monotonic);
        self.began = begin;
        for socket in &self.sockets {
            send_frame(socket, &self.frame)?;
        }
        let end = now(ClockId::Monotonic);
        let send_cpu = now(ClockId::ThreadCPUTime) - cpu_before;
        let before = self.used;
        self.used = self.reader.next_used()?;
        Ok(Pass {
            sending: end - begin,
            completion: Duration::from_nanos(self.used.at_ns).saturating_sub(begin),
            send_cpu,
            read_cpu: Duration::from_nanos(self.used.cpu_ns - before.cpu_ns),
            reads: self.used.reads - before.reads,
        })
    }
}

impl Drop for Floor {
    /// Resets the connections instead of closing them in good order, so that thousands of source
    /// ports are free at once and not in a minute. The reader ends as its channel closes.
    fn drop(&mut self) {
        for socket in &self.sockets {
            // What could not be set costs a port for a minute, no more.
            let _ = SockRef::from(socket).set_linger(Some(Duration::ZERO));
        }
    }
}

/// Hot: this is all that is measured.
fn send_frame(socket: &TcpStream, frame: &[u8]) -> Result<()> {
    let sent = match send(socket, frame, SendFlags::NOSIGNAL) {
        Ok(sent) if sent == frame.len() => return Ok(()),
        Ok(sent) => sent,
        Err(Errno::AGAIN) => 0,
        Err(errno) => return Err(Error::Io(errno.into())),
    };
    Err(Error::Run(format!(
        "the kernel took {sent} of {} bytes from an empty socket: lower --sizes, or raise net.ipv4.tcp_wmem",
        frame.len()
    )))
}

fn listen() -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    socket.listen(BACKLOG)?;
    // Of each accept.
    socket.set_read_timeout(Some(ACCEPT_TIMEOUT))?;
    Ok(socket.into())
}

/// A socket as the servers have it.
fn accept(listener: &TcpListener) -> io::Result<TcpStream> {
    let (socket, _) = listener.accept()?;
    socket.set_nonblocking(true)?;
    socket.set_nodelay(true)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::Figure;

    fn pass(milliseconds: u64, cpu_share: f64) -> Pass {
        let sending = Duration::from_millis(milliseconds);
        Pass {
            sending,
            completion: sending * 2,
            send_cpu: sending.mul_f64(cpu_share),
            read_cpu: sending,
            reads: 1000,
        }
    }

    fn summary(passes: &[Pass]) -> Run {
        let mut run = Run::new(0, "floor", "bare send");
        summarize(1000.0, passes, &mut run);
        run
    }

    #[test]
    fn a_floor_is_its_median_pass_and_its_whole_cpu_time() {
        let run = summary(&[pass(1, 1.0), pass(2, 1.0), pass(9, 1.0)]);
        let value = |figure: Figure| run.get(&figure).unwrap();
        let medians = [figure::FLOOR, figure::FLOOR_COMPLETION, figure::FLOOR_WALL];
        assert_eq!(medians.map(value), [2.0, 4.0, 2.0]);
        let sums = [figure::FLOOR_SENDS, figure::FLOOR_READS];
        assert_eq!(sums.map(value), [3000.0; 2]);
        assert!((value(figure::FLOOR_CPU) - 4.0).abs() < 1e-9);
        assert!(run.warnings.is_empty(), "{:?}", run.warnings);
        assert_eq!((frame_bytes(64), frame_bytes(1 << 20)), (92, BYTES_MAX));
    }

    #[test]
    fn a_busy_processor_and_frames_in_parts_are_warned_of() {
        let mut passes = [pass(10, 0.8)];
        passes[0].reads = 1500;
        let text = summary(&passes).warnings.join("\n");
        assert!(text.contains("waited for a processor for 20 %"), "{text}");
        assert!(text.contains("1500 reads for 1000 sends"), "{text}");
    }
}
