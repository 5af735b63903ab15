//! Requests and responses of HTTP/1.1, as far as the metrics need them; no sockets.

use std::net::IpAddr;

use bytes::Bytes;

/// The longest head of a request, in bytes.
const HEAD_BYTES_MAX: usize = 8 * 1024;

const HEADERS_MAX: usize = 64;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) path: String,
    /// What follows the `?`; empty without one.
    pub(super) query: String,
    /// What the client calls this server, each with its port if it names one.
    pub(super) hosts: Vec<String>,
    /// Not only the head of the answer.
    pub(super) wants_body: bool,
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Response {
    pub(super) status: Status,
    pub(super) content_type: &'static str,
    pub(super) body: Bytes,
}

/// The statuses that are in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Ok,
    BadRequest,
    NotFound,
    MethodNotAllowed,
    MisdirectedRequest,
    HeadTooLarge,
    Unavailable,
}

impl Status {
    const fn line(self) -> &'static str {
        match self {
            Self::Ok => "200 OK",
            Self::BadRequest => "400 Bad Request",
            Self::NotFound => "404 Not Found",
            Self::MethodNotAllowed => "405 Method Not Allowed",
            Self::MisdirectedRequest => "421 Misdirected Request",
            Self::HeadTooLarge => "431 Request Header Fields Too Large",
            Self::Unavailable => "503 Service Unavailable",
        }
    }
}

impl Response {
    /// One line of text.
    pub(super) fn text(status: Status, line: impl Into<String>) -> Self {
        Self {
            status,
            content_type: "text/plain; charset=utf-8",
            body: (line.into() + "\n").into(),
        }
    }

    /// What goes out: the head, and the body if it is wanted.
    pub(super) fn into_parts(self, wants_body: bool) -> (Bytes, Bytes) {
        let Self {
            status,
            content_type,
            body,
        } = self;
        let allow = match status {
            Status::MethodNotAllowed => "Allow: GET, HEAD\r\n",
            _ => "",
        };
        // The page may use what it holds itself and ask this server, and nothing else.
        let head = format!(
            "HTTP/1.1 {}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n{allow}\
             Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n\
             Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; \
             script-src 'unsafe-inline'; connect-src 'self'; img-src data:; frame-ancestors 'none'\r\n\
             Connection: close\r\n\r\n",
            status.line(),
            body.len(),
        );
        let body = if wants_body { body } else { Bytes::new() };
        (head.into(), body)
    }
}

impl Request {
    /// Whether it asks how the server is: see [`super::Site`].
    pub(super) fn is_probe(&self) -> bool {
        matches!(&*self.path, "/healthz" | "/readyz")
    }
}

/// The request in `head`, or why there is none; `None` while it is not complete.
pub(super) fn parse(head: &[u8]) -> Option<Result<Request, Response>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(head) {
        Ok(httparse::Status::Partial) if head.len() < HEAD_BYTES_MAX => None,
        Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
            let line = format!(
                "the head of a request may have {HEAD_BYTES_MAX} bytes and {HEADERS_MAX} fields"
            );
            Some(Err(Response::text(Status::HeadTooLarge, line)))
        }
        Err(error) => {
            let line = format!("not an HTTP request: {error}");
            Some(Err(Response::text(Status::BadRequest, line)))
        }
        Ok(httparse::Status::Complete(_)) => Some(of(&request)),
    }
}

fn of(request: &httparse::Request<'_, '_>) -> Result<Request, Response> {
    let wants_body = match request.method {
        Some("GET") => true,
        Some("HEAD") => false,
        _ => {
            let line = "only GET and HEAD are answered here";
            return Err(Response::text(Status::MethodNotAllowed, line));
        }
    };
    let target = request.path.unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let headers = request.headers.iter();
    let hosts = headers.filter(|header| header.name.eq_ignore_ascii_case("host"));
    Ok(Request {
        path: path.into(),
        query: query.into(),
        hosts: hosts
            .map(|header| String::from_utf8_lossy(header.value).into_owned())
            .collect(),
        wants_body,
    })
}

/// The names under which this server is asked for its metrics.
///
/// A page from elsewhere can have its own name resolved to this machine, and would then read in a browser
/// what only those nearby are to see (DNS rebinding). It cannot make the browser call the server by
/// another name: so an address is always right, a name only if it is known.
#[derive(Debug)]
pub(super) struct Hosts(Vec<String>);

impl Hosts {
    /// Beside the names of the loopback, these.
    pub(super) fn new(names: &[String]) -> Self {
        Self(names.iter().map(|name| plain(name)).collect())
    }

    /// Whether `request` is for this server.
    ///
    /// # Errors
    /// The answer that says what to do when it is not.
    pub(super) fn check(&self, request: &Request) -> Result<(), Response> {
        // Without a host it does not come from a browser.
        let mut hosts = request.hosts.iter();
        let Some(host) = hosts.find(|host| !self.knows(host)) else {
            return Ok(());
        };
        let line = format!(
            "{host:?} is no name of this server; ask for its address, or start it with \
             --metrics-allow-host and the name"
        );
        Err(Response::text(Status::MisdirectedRequest, line))
    }

    fn knows(&self, host: &str) -> bool {
        let name = plain(without_port(host));
        name.parse::<IpAddr>().is_ok()
            || name == "localhost"
            || name.ends_with(".localhost")
            || self.0.contains(&name)
    }
}

/// Without the brackets of an IPv6 address, the dot at the end, and capitals.
fn plain(name: &str) -> String {
    let address = name.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    let name = address.unwrap_or(name);
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(head: &str) -> String {
        let (head, _) = parse(head.as_bytes())
            .unwrap()
            .unwrap_err()
            .into_parts(true);
        String::from_utf8_lossy(&head[9..12]).into_owned()
    }

    #[test]
    fn a_request_is_known_once_its_head_is_complete() {
        let head = "GET /connections?limit=3 HTTP/1.1\r\nHost: here\r\n\r\n";
        for end in 0..head.len() {
            assert_eq!(parse(&head.as_bytes()[..end]), None, "{end}");
        }
        let request = Request {
            path: "/connections".into(),
            query: "limit=3".into(),
            hosts: vec!["here".into()],
            wants_body: true,
        };
        assert_eq!(parse(head.as_bytes()), Some(Ok(request)));
    }

    #[test]
    fn what_is_no_request_is_refused_as_what_it_is() {
        assert_eq!(refusal("5         ann\r\n\r\n"), "400");
        assert_eq!(refusal("\u{0}\u{1}\u{2}"), "400");
        assert_eq!(refusal("GET / HTTP/4.2\r\n\r\n"), "400");
        assert_eq!(
            refusal("POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\n"),
            "405"
        );
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(65));
        assert_eq!(refusal(&many), "431");
        let long = format!("GET /{} HTTP/1.1\r\n", "x".repeat(HEAD_BYTES_MAX));
        assert_eq!(refusal(&long), "431");
    }

    #[test]
    fn a_head_is_answered_without_the_body() {
        let request = parse(b"HEAD /x HTTP/1.1\r\n\r\n").unwrap().unwrap();
        let (head, body) = Response::text(Status::Ok, "ok").into_parts(request.wants_body);
        let head = String::from_utf8_lossy(&head).into_owned();
        assert!(head.contains("Content-Length: 3\r\n") && head.ends_with("\r\n\r\n"));
        assert!(body.is_empty());
    }

    #[test]
    fn only_known_names_and_addresses_are_answered() {
        let hosts = Hosts::new(&["Metrics.example".into()]);
        let check = |host: &str| {
            let head = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
            hosts.check(&parse(head.as_bytes()).unwrap().unwrap())
        };
        for host in [
            "127.0.0.1:9990",
            "[::1]:9990",
            "[::1]",
            "192.0.2.7",
            "localhost:9990",
            "LOCALHOST.",
            "server.localhost",
            "metrics.example:9990",
            "metrics.EXAMPLE.",
        ] {
            assert_eq!(check(host), Ok(()), "{host}");
        }
        for host in [
            "evil.example",
            "127.0.0.1.evil.example:9990",
            "localhost.evil.example",
            "metrics.example.evil.example",
            "evil.example#127.0.0.1",
            "",
            ":80",
        ] {
            let refusal = check(host).unwrap_err();
            assert_eq!(refusal.status, Status::MisdirectedRequest, "{host}");
            let line = String::from_utf8_lossy(&refusal.body).into_owned();
            assert!(line.contains("--metrics-allow-host"), "{line}");
        }
        let two = b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n";
        assert!(hosts.check(&parse(two).unwrap().unwrap()).is_err());
        let none = parse(b"GET / HTTP/1.0\r\n\r\n").unwrap().unwrap();
        assert_eq!(hosts.check(&none), Ok(()));
    }
}
