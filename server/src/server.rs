//! A server: listeners, one hub and one driver a thread, one log.

use std::io;
use std::iter;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use rustix::io::Errno;
use thiserror::Error;
use tracing::info;

use crate::command::Commands;
use crate::confinement::ConfinementError;
use crate::control::{Control, Stage};
use crate::descriptors;
use crate::driver::{Driver, NoRing, RingSizes, Worker};
use crate::hub::{Counters, Hub, Limits, Log, Reason};
use crate::listener::{DeadPeers, adopt, listen_for};
use crate::metrics::{Metrics, Subject};
use crate::threads::{pin_thread, spawn};

/// What a server is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where to listen; port 0 lets the kernel pick one.
    pub listen: SocketAddr,
    /// How bytes get into and out of the kernel.
    pub driver: Driver,
    /// Threads, each with its own connections. At least one.
    pub threads: usize,
    /// Keep each thread on a processor of its own.
    pub pin: bool,
    /// When peers count as gone that say nothing.
    pub dead_peers: DeadPeers,
    /// What connections may do.
    pub limits: Limits,
    /// Most bytes of messages that are held for receivers that have not been sent them.
    pub log_bytes_max: usize,
    /// How long draining may take before undelivered messages are given up.
    pub drain_timeout: Duration,
    /// Sizes for the `uring` driver.
    pub ring: RingSizes,
    /// Where to serve metrics over HTTP, if anywhere; port 0 lets the kernel pick one.
    pub metrics_listen: Option<SocketAddr>,
    /// Names by which clients may ask for metrics, beside addresses and the names of the loopback. A
    /// browser that asks by another was sent by a page from elsewhere (DNS rebinding).
    pub metrics_hosts: Vec<String>,
}

/// [`Config::log_bytes_max`] of a log without a bound: more than any memory, and no sum of it overflows.
pub(crate) const UNBOUNDED: usize = usize::MAX / 4;

/// A log's bound, if it has one.
pub(crate) fn bound_of(log_bytes_max: usize) -> Option<usize> {
    (log_bytes_max < UNBOUNDED).then_some(log_bytes_max)
}

/// Why a server does not start, or had to end.
#[derive(Debug, Error)]
pub enum ServerError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {error}; choose another with --listen")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the kernel said.
        error: io::Error,
    },
    /// The address for metrics cannot be listened on.
    #[error("cannot serve metrics on {address}: {error}; choose another with --metrics-listen")]
    Metrics {
        /// The address.
        address: SocketAddr,
        /// What the kernel said.
        error: io::Error,
    },
    /// The log could not take a single message, beside the history.
    #[error(
        "a log of {log_bytes_max} bytes is too small for messages of the largest size: it needs \
         {log_bytes_min}; raise --log-bytes or lower --max-message-bytes"
    )]
    LogTooSmall {
        /// The bound that was asked for.
        log_bytes_max: usize,
        /// The least that would do.
        log_bytes_min: usize,
    },
    /// A limit is in the way of the driver that should run.
    #[error(transparent)]
    NoRing(#[from] NoRing),
    /// The kernel refused what the driver needs.
    #[error("the {driver} driver cannot run: {error}; {}", driver.remedy(error))]
    Driver {
        /// The driver.
        driver: Driver,
        /// What the kernel said.
        error: io::Error,
    },
    /// The process was to be confined, and cannot be.
    #[error("cannot confine the server: {0}; leave --confine out")]
    Confinement(#[from] ConfinementError),
    /// The kernel refused something that every server needs.
    #[error("cannot start: {error}{remedy}", error = .0, remedy = remedy(.0))]
    System(#[from] io::Error),
    /// What the service manager passed cannot be served on.
    #[error(
        "what the service manager passed is no listening TCP socket: {0}; mend ListenStream= of its \
         socket unit"
    )]
    NoListener(io::Error),
    /// No thread would accept from some of the sockets.
    #[error(
        "{passed} sockets were passed, more than there are threads ({threads}); raise --threads"
    )]
    TooManySockets {
        /// How many were passed.
        passed: usize,
        /// How many threads there are.
        threads: usize,
    },
}

/// A server that listens and does not serve yet.
#[derive(Debug)]
pub struct Server {
    config: Config,
    listeners: Vec<TcpListener>,
    /// The sockets are others' as well.
    adopted: bool,
    address: SocketAddr,
    metrics: Option<TcpListener>,
    descriptors: Option<u64>,
    control: Arc<Control>,
    /// The workers' ends of their command channels.
    commands: Vec<Commands>,
}

/// Ends or changes a running server from any thread.
#[derive(Debug, Clone)]
pub struct Handle {
    control: Arc<Control>,
    log_bytes_max: usize,
}

/// What a server did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// The sums over all threads.
    pub counters: Counters,
}

impl Server {
    /// Raises the limit on open files, and listens.
    ///
    /// # Errors
    /// See [`ServerError`].
    pub fn bind(config: Config) -> Result<Self, ServerError> {
        let address = config.listen;
        Self::on(config, |config| {
            listen_for(address, config.threads, config.dead_peers)
                .map_err(|error| ServerError::Listen { address, error })
        })
    }

    /// As [`Self::bind`], but serves on sockets that listen already, and may be others' as well:
    /// [`Config::listen`] is not looked at. Each thread gets one, in turn; when they are fewer than
    /// threads, some share. What is not accepted when draining begins is left to the others.
    ///
    /// # Errors
    /// As [`Self::bind`].
    ///
    /// # Panics
    /// Without any socket.
    pub(crate) fn adopt(config: Config, passed: &[TcpListener]) -> Result<Self, ServerError> {
        assert!(!passed.is_empty(), "a server needs a socket");
        if passed.len() > config.threads {
            return Err(ServerError::TooManySockets {
                passed: passed.len(),
                threads: config.threads,
            });
        }
        let mut server = Self::on(config, |config| {
            Ok(adopt(passed, config.threads, config.dead_peers)?)
        })?;
        server.adopted = true;
        Ok(server)
    }

    fn on(
        config: Config,
        listeners: impl FnOnce(&Config) -> Result<Vec<TcpListener>, ServerError>,
    ) -> Result<Self, ServerError> {
        check_limits(&config.limits, config.log_bytes_max)?;
        let descriptors = descriptors::raise_limit();
        let listeners = listeners(&config)?;
        let metrics = config.metrics_listen.map(listen_for_metrics).transpose()?;
        let (control, commands) = Control::new(config.threads, config.drain_timeout)?;
        Ok(Self {
            address: listeners[0].local_addr()?,
            listeners,
            adopted: false,
            metrics,
            descriptors,
            control: Arc::new(control),
            commands,
            config,
        })
    }

    /// Where the server listens; the port is never 0.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where metrics are served; the port is never 0.
    #[must_use]
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics.as_ref()?.local_addr().ok()
    }

    /// The sockets that listen.
    pub(crate) fn listeners(&self) -> Vec<RawFd> {
        let all = self.listeners.iter().chain(&self.metrics);
        all.map(AsRawFd::as_raw_fd).collect()
    }

    /// How many descriptors the process may have open; `None` when the system does not say.
    #[must_use]
    pub(crate) fn descriptors(&self) -> Option<u64> {
        self.descriptors
    }

    /// Ends this server while another thread is in [`Self::run`].
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle {
            control: Arc::clone(&self.control),
            log_bytes_max: self.config.log_bytes_max,
        }
    }

    /// Serves until the handle says that it is over.
    ///
    /// # Errors
    /// When a driver cannot begin; then all threads end.
    pub fn run(self) -> Result<Summary, ServerError> {
        self.run_and_tell(|_| Ok(()))
    }

    /// Serves as [`Self::run`] does, and calls `ready` once every thread does.
    ///
    /// # Errors
    /// As [`Self::run`]; then `ready` may not have been called.
    pub(crate) fn run_and_tell(
        mut self,
        ready: impl FnOnce(SocketAddr) -> Result<(), ServerError>,
    ) -> Result<Summary, ServerError> {
        let (begun, begins) = mpsc::channel();
        let log = Log::new(self.config.log_bytes_max);
        let _metrics = self.serve_metrics(&log)?;
        let first = Hub::new(self.config.limits.clone(), log);
        let others: Vec<Hub> = (1..self.config.threads).map(|_| first.beside()).collect();
        let hubs = iter::once(first).chain(others);
        let driver = self.config.driver;
        let pin = self.config.pin;
        let mut threads = Vec::new();
        let mut failed = None;
        let places = self.listeners.into_iter().zip(hubs).zip(self.commands);
        for (thread, ((listener, hub), commands)) in places.enumerate() {
            let worker = Worker {
                thread,
                hub,
                listener,
                listener_is_adopted: self.adopted,
                control: Arc::clone(&self.control),
                ring: self.config.ring,
                commands,
                begun: begun.clone(),
            };
            let control = Arc::clone(&self.control);
            let run = move || {
                let all_or_none = StopsAll { control };
                if pin {
                    let processor = pin_thread(thread)?;
                    info!(target: "server::driver", thread, processor, "pinned");
                }
                let snapshot = driver.run(worker)?;
                all_or_none.control.set_last(thread, snapshot);
                Ok(snapshot.counters)
            };
            let name = format!("serve-{thread}");
            match spawn(&name, run) {
                Ok(thread) => threads.push(thread),
                Err(error) => {
                    self.control.advance(Stage::Stopped);
                    failed = Some(ServerError::System(error));
                    break;
                }
            }
        }
        // A thread that ends before it begins drops its end of the channel.
        drop(begun);
        if failed.is_none() && begins.iter().take(threads.len()).count() == threads.len() {
            self.control.set_ready();
            if let Err(error) = ready(self.address) {
                self.control.advance(Stage::Stopped);
                failed = Some(error);
            }
        }
        let mut summary = Summary::default();
        for thread in threads {
            match thread.join() {
                Ok(Ok(counters)) => summary.counters += counters,
                Ok(Err(error)) => failed = Some(ServerError::Driver { driver, error }),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        failed.map_or(Ok(summary), Err)
    }
}

/// What an operator can do about an error of the system.
fn remedy(error: &io::Error) -> &'static str {
    match Errno::from_io_error(error) {
        Some(Errno::MFILE | Errno::NFILE) => {
            "; raise the limit on open files (ulimit -n, LimitNOFILE=)"
        }
        Some(Errno::NOMEM) => "; free memory, or lower --threads",
        _ => "",
    }
}

impl Server {
    /// Begins to serve metrics, if that is wanted.
    fn serve_metrics(&mut self, log: &Arc<Log>) -> Result<Option<Metrics>, ServerError> {
        let Some(listener) = self.metrics.take() else {
            return Ok(None);
        };
        let subject = Subject {
            driver: self.config.driver.to_string(),
            control: Arc::clone(&self.control),
            log: Arc::clone(log),
            log_bytes_max: bound_of(self.config.log_bytes_max),
            hosts: self.config.metrics_hosts.clone(),
        };
        Ok(Some(Metrics::start(listener, subject)?))
    }
}

fn listen_for_metrics(address: SocketAddr) -> Result<TcpListener, ServerError> {
    TcpListener::bind(address).map_err(|error| ServerError::Metrics { address, error })
}

/// Whether a log of `log_bytes_max` can work under `limits`.
///
/// # Errors
/// [`ServerError::LogTooSmall`] when not.
pub(crate) fn check_limits(limits: &Limits, log_bytes_max: usize) -> Result<(), ServerError> {
    let log_bytes_min = limits.log_bytes_min();
    if log_bytes_max < log_bytes_min {
        return Err(ServerError::LogTooSmall {
            log_bytes_max,
            log_bytes_min,
        });
    }
    Ok(())
}

impl Handle {
    /// Begins the orderly end: nothing more is accepted, everyone is sent what it is owed.
    pub fn drain(&self) {
        self.control.advance(Stage::Draining);
    }

    /// Ends at once.
    pub fn stop(&self) {
        self.control.advance(Stage::Stopped);
    }

    /// Whether every serving thread answers `within` that time; those that have ended in good order
    /// count as well.
    #[must_use]
    pub(crate) fn is_alive(&self, within: Duration) -> bool {
        self.control.is_alive(within)
    }

    /// Gives the server other limits, which hold from then on: see [`Hub::set_limits`]. Returns once
    /// every thread has them, or after a second; says which. A thread that is stuck takes them later.
    ///
    /// # Errors
    /// [`ServerError::LogTooSmall`] when the log cannot work under them; then the old ones stay.
    pub(crate) fn set_limits(&self, limits: &Limits) -> Result<bool, ServerError> {
        check_limits(limits, self.log_bytes_max)?;
        Ok(self.control.set_limits(limits, Duration::from_secs(1)))
    }
}

impl Summary {
    /// Deliveries that were owed when the server ended and were not made.
    #[must_use]
    pub fn undelivered(&self) -> u64 {
        self.counters.discarded[Reason::Shutdown] + self.counters.pending()
    }
}

/// A thread that ends by an error or a panic takes the others with it; one that is drained leaves
/// them their time.
struct StopsAll {
    control: Arc<Control>,
}

impl Drop for StopsAll {
    fn drop(&mut self) {
        if self.control.stage() == Stage::Serving || thread::panicking() {
            self.control.advance(Stage::Stopped);
        }
    }
}
