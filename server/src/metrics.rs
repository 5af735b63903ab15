//! What the server shows of itself over HTTP, from a thread of its own.
//!
//! `/metrics` for Prometheus, `/healthz` and `/readyz` for whoever restarts or routes, `/connections`
//! for whoever looks for the slow one, and a page at `/`. The thread asks the serving threads only
//! when it is asked itself, and cannot hold them up: see [`desk`].

mod connections;
mod desk;
mod exposition;
mod http;

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use mio::{Poll, Waker};

use crate::Driver;
use crate::control::{Control, Stage};
use crate::hub::Log;
use connections::Query;
use desk::Inquirer;
use http::{Request, Response, Status};

pub(crate) use desk::Reporter;

/// The page at `/`: everything it needs is in it.
const PAGE: &str = include_str!("metrics/page.html");

/// What is served, beside what the serving threads say.
#[derive(Debug)]
pub(crate) struct Subject {
    pub(crate) driver: Driver,
    pub(crate) threads: usize,
    pub(crate) control: Arc<Control>,
    pub(crate) log: Arc<Log>,
}

/// The metrics thread; it ends with this value.
#[derive(Debug)]
pub(crate) struct Metrics {
    waker: Waker,
    thread: Option<JoinHandle<()>>,
}

impl Metrics {
    /// Starts to serve on `listener`; returns what each serving thread answers with.
    ///
    /// # Errors
    /// When the kernel refuses a thread, or what it waits on.
    pub(crate) fn start(
        listener: TcpListener,
        subject: Subject,
    ) -> io::Result<(Self, Vec<Reporter>)> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), http::END)?;
        listener.set_nonblocking(true)?;
        let listener = mio::net::TcpListener::from_std(listener);
        let (inquirer, reporters) = desk::desk(&subject.control, subject.threads);
        let mut site = Site { subject, inquirer };
        let serve = move || {
            if let Err(error) = http::serve(listener, poll, |request| site.answer(request)) {
                tracing::error!(%error, "metrics are not served any more");
            }
        };
        let thread = thread::Builder::new().name("metrics".into()).spawn(serve)?;
        let metrics = Self {
            waker,
            thread: Some(thread),
        };
        Ok((metrics, reporters))
    }
}

impl Drop for Metrics {
    fn drop(&mut self) {
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
    inquirer: Inquirer,
}

impl Site {
    fn answer(&mut self, request: &Request<'_>) -> Response {
        match request.path {
            "/" => Response {
                status: Status::Ok,
                content_type: "text/html; charset=utf-8",
                body: PAGE.into(),
            },
            "/metrics" => self.metrics(),
            "/healthz" => self.health(),
            "/readyz" => self.readiness(),
            "/connections" => match Query::parse(request.query) {
                Ok(Query { sort, limit }) => {
                    connections::answer(&self.inquirer.roll(sort, limit), Instant::now())
                }
                Err(line) => Response::text(Status::BadRequest, line),
            },
            _ => Response::text(
                Status::NotFound,
                "nothing is here; ask for /, /metrics, /connections, /healthz or /readyz",
            ),
        }
    }

    fn metrics(&mut self) -> Response {
        let (figures, unanswered) = self.inquirer.figures();
        let Subject {
            driver,
            threads,
            control,
            log,
        } = &self.subject;
        let whole = exposition::Whole {
            driver: *driver,
            threads: *threads,
            unanswered,
            draining: control.stage() != Stage::Serving,
            log_bytes: log.bytes(),
            log_bytes_max: log.bytes_max(),
        };
        Response {
            status: Status::Ok,
            content_type: exposition::CONTENT_TYPE,
            body: exposition::write(&figures, &whole),
        }
    }

    /// Whether all threads turn.
    fn health(&mut self) -> Response {
        match self.inquirer.figures() {
            (_, 0) => Response::text(Status::Ok, "ok"),
            (_, unanswered) => {
                let line = format!(
                    "{unanswered} of {} threads do not answer",
                    self.subject.threads
                );
                Response::text(Status::Unavailable, line)
            }
        }
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
