//! What the server shows of itself over HTTP, from a thread of its own.
//!
//! `/metrics` for Prometheus, `/healthz` and `/readyz` for supervisors and load balancers, `/connections`
//! to find a slow client, and a live page at `/`. The thread asks the workers only when it is asked
//! itself, and waits for none: see [`collector`].

mod clock;
mod collector;
mod connections;
mod exposition;
mod http;
mod request;

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use bytes::Bytes;
use mio::{Poll, Waker};

use crate::control::{Control, Stage};
use crate::hub::Log;
use crate::threads::spawn;
use collector::Collector;
use connections::Query;
use request::{Hosts, Request, Response, Status};

/// The page at `/`: everything it needs is in it.
const PAGE: &str = include_str!("metrics/page.html");

/// What is served, beside what the workers say.
#[derive(Debug)]
pub(crate) struct Subject {
    /// The name of the driver.
    pub(crate) driver: String,
    pub(crate) control: Arc<Control>,
    pub(crate) log: Arc<Log>,
    /// The log's bound, if it has one.
    pub(crate) log_bytes_max: Option<usize>,
    /// Names under which the server may be asked, beside its addresses and those of the loopback.
    pub(crate) hosts: Vec<String>,
}

/// The metrics thread; it ends with this value.
#[derive(Debug)]
pub(crate) struct Metrics {
    waker: Arc<Waker>,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Metrics {
    /// Starts to serve on `listener`.
    ///
    /// # Errors
    /// When the kernel refuses a thread, or what it waits on.
    pub(crate) fn start(listener: TcpListener, subject: Subject) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), http::WAKER)?);
        listener.set_nonblocking(true)?;
        // Here, for the thread may run for the first time when it is confined and may duplicate none.
        let reserve = listener.try_clone()?.into();
        let listener = mio::net::TcpListener::from_std(listener);
        let site = Site {
            hosts: Hosts::new(&subject.hosts),
            collector: Collector::new(Arc::clone(&subject.control), Arc::clone(&waker)),
            subject,
        };
        let ends = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&ends);
        let serve = move || {
            if let Err(error) = http::serve((listener, reserve), poll, site, &until) {
                tracing::error!(target: "server::metrics", %error, "metrics are not served any more");
            }
        };
        let thread = spawn("metrics", serve)?;
        Ok(Self {
            waker,
            ends,
            thread: Some(thread),
        })
    }
}

impl Drop for Metrics {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Release);
        if self.waker.wake().is_ok()
            && let Some(thread) = self.thread.take()
        {
            // A panic of it was told when it came; the server goes on without metrics.
            let _ = thread.join();
        }
    }
}

struct Site {
    subject: Subject,
    hosts: Hosts,
    collector: Collector,
}

impl http::Site for Site {
    fn answer(&mut self, request: &Request, asked_at: Instant, now: Instant) -> Option<Response> {
        if let Err(refusal) = self.hosts.check(request) {
            return Some(refusal);
        }
        match &*request.path {
            "/" => Some(Response {
                status: Status::Ok,
                content_type: "text/html; charset=utf-8",
                body: Bytes::from_static(PAGE.as_bytes()),
            }),
            "/metrics" => self.metrics(asked_at, now),
            "/healthz" => self.health(asked_at, now),
            "/readyz" => Some(self.readiness()),
            "/connections" => match Query::parse(&request.query) {
                Ok(query) => {
                    let found = self.collector.connections(query, asked_at, now)?;
                    Some(connections::answer(&found, Instant::now()))
                }
                Err(line) => Some(Response::text(Status::BadRequest, line)),
            },
            _ => Some(Response::text(
                Status::NotFound,
                "nothing is here; ask for /, /metrics, /connections, /healthz or /readyz",
            )),
        }
    }

    fn due(&self) -> Option<Instant> {
        self.collector.due()
    }
}

impl Site {
    fn metrics(&mut self, asked_at: Instant, now: Instant) -> Option<Response> {
        let (figures, unanswered) = self.collector.figures(asked_at, now)?;
        let Subject {
            driver,
            control,
            log,
            log_bytes_max,
            ..
        } = &self.subject;
        let whole = exposition::Whole {
            driver,
            threads: control.workers(),
            unanswered,
            draining: control.stage() != Stage::Serving,
            log_bytes: log.bytes(),
            log_bytes_max: *log_bytes_max,
        };
        Some(Response {
            status: Status::Ok,
            content_type: exposition::CONTENT_TYPE,
            body: exposition::write(&figures, &whole).into(),
        })
    }

    /// Whether all workers turn.
    fn health(&mut self, asked_at: Instant, now: Instant) -> Option<Response> {
        let response = match self.collector.recent_figures(asked_at, now)? {
            (_, 0) => Response::text(Status::Ok, "ok"),
            (_, unanswered) => {
                let threads = self.subject.control.workers();
                let line = format!("{unanswered} of {threads} threads do not answer");
                Response::text(Status::Unavailable, line)
            }
        };
        Some(response)
    }

    /// Whether those who come are served.
    fn readiness(&self) -> Response {
        let control = &self.subject.control;
        match control.stage() {
            Stage::Serving if control.is_ready() => Response::text(Status::Ok, "ready"),
            Stage::Serving => Response::text(Status::Unavailable, "starting"),
            _ => Response::text(Status::Unavailable, "draining"),
        }
    }
}
