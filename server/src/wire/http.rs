//! Requests of HTTP/1.1 as the chat takes them, and the answers; no sockets.
//!
//! A head is parsed by `httparse`, and refused where two readers could understand it differently: lines that
//! end in a bare LF, a length that is given twice or beside a transfer coding. Whoever is refused is told in
//! one line what to do, and the connection ends.

use bytes::Bytes;
use protocol::{Position, text, websocket};

use super::{End, Event, Rules, page};

/// The longest head of a request, in bytes.
pub(super) const HEAD_BYTES_MAX: usize = 8 * 1024;

const HEADERS_MAX: usize = 64;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Request {
    /// The chat page, or only its head.
    Page { wants_body: bool, fields: String },
    /// A WebSocket, with the answer to its handshake.
    WebSocket {
        name: Option<String>,
        after: Option<Position>,
        reply: Bytes,
    },
    /// An event stream, with the head of the answer.
    Events {
        name: String,
        after: Option<Position>,
        reply: Bytes,
    },
    /// To say something.
    Post(Post),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Post {
    pub(super) name: String,
    pub(super) body_bytes: usize,
    pub(super) keep_alive: bool,
    /// The client waits for a word before it sends the body.
    pub(super) expects_continue: bool,
    pub(super) cors: Cors,
}

/// What lets a page of another origin read the answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Cors(Option<String>);

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    /// What to do.
    pub(super) line: String,
    /// A header field that belongs to the status.
    pub(super) field: &'static str,
}

impl Refusal {
    fn new(status: u16, line: impl Into<String>) -> Self {
        Self {
            status,
            line: line.into(),
            field: "",
        }
    }

    pub(super) fn event(&self) -> Event<'static> {
        Event::Reply {
            bytes: answer(self.status, &self.line, self.field),
            end: End::Refused(self.status),
        }
    }
}

/// The request whose head `bytes` begin with, and how long that is; `None` while it is not whole. Looks at no
/// more than [`HEAD_BYTES_MAX`] bytes.
pub(super) fn parse(bytes: &[u8], rules: &Rules) -> Result<Option<(usize, Request)>, Refusal> {
    let bytes = &bytes[..bytes.len().min(HEAD_BYTES_MAX)];
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let too_large = || {
        let line = format!(
            "the head of a request may have {HEAD_BYTES_MAX} bytes and {HEADERS_MAX} fields; send a shorter one"
        );
        Refusal::new(431, line)
    };
    match request.parse(bytes) {
        Ok(httparse::Status::Partial) if bytes.len() < HEAD_BYTES_MAX => Ok(None),
        Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => Err(too_large()),
        Err(httparse::Error::Version) => Err(Refusal::new(
            505,
            "only HTTP/1.1 and HTTP/1.0 are spoken here; send one of them",
        )),
        Err(error) => Err(Refusal::new(
            400,
            format!("not an HTTP/1.1 request: {error}; correct it"),
        )),
        Ok(httparse::Status::Complete(end)) => {
            check_line_ends(&bytes[..end])?;
            Head::of(&request)?
                .request(rules)
                .map(|request| Some((end, request)))
        }
    }
}

/// A proxy that takes a bare CR or LF for something else would see another request.
fn check_line_ends(head: &[u8]) -> Result<(), Refusal> {
    let is_bare = |pair: &[u8]| (pair[0] == b'\r') != (pair[1] == b'\n');
    match head.starts_with(b"\n") || head.windows(2).any(is_bare) {
        true => Err(Refusal::new(
            400,
            "a line of the head does not end in CR LF; correct it",
        )),
        false => Ok(()),
    }
}

/// What a head says, as far as it matters here.
#[derive(Debug, Default)]
struct Head<'a> {
    method: &'a str,
    path: &'a str,
    query: &'a str,
    /// The minor version.
    version: u8,
    host: Option<&'a str>,
    origin: Option<&'a str>,
    content_length: Option<&'a str>,
    transfer_encoding: Option<&'a str>,
    key: Option<&'a str>,
    websocket_version: Option<&'a str>,
    last_event_id: Option<&'a str>,
    expect: Option<&'a str>,
    is_upgrade: bool,
    wants_websocket: bool,
    wants_close: bool,
    wants_keep_alive: bool,
}

/// The parameters of a query that matter here, decoded.
#[derive(Debug, Default)]
struct Query {
    name: Option<String>,
    after: Option<String>,
}

impl<'a> Head<'a> {
    fn of(request: &httparse::Request<'_, 'a>) -> Result<Self, Refusal> {
        let target = request.path.unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut head = Self {
            method: request.method.unwrap_or_default(),
            path,
            query,
            version: request.version.unwrap_or_default(),
            ..Self::default()
        };
        for header in request.headers.iter() {
            head.add(header)?;
        }
        if head.host.is_none() && head.version == 1 {
            return Err(Refusal::new(400, "the Host field is missing; send it"));
        }
        match (head.transfer_encoding, head.content_length) {
            (Some(_), Some(_)) => {
                let line =
                    "Content-Length and Transfer-Encoding together; send Content-Length alone";
                Err(Refusal::new(400, line))
            }
            _ => Ok(head),
        }
    }

    fn add(&mut self, header: &httparse::Header<'a>) -> Result<(), Refusal> {
        let name = header.name.to_ascii_lowercase();
        let once = match &*name {
            "host" => &mut self.host,
            "origin" => &mut self.origin,
            "content-length" => &mut self.content_length,
            "transfer-encoding" => &mut self.transfer_encoding,
            "sec-websocket-key" => &mut self.key,
            "sec-websocket-version" => &mut self.websocket_version,
            "last-event-id" => &mut self.last_event_id,
            "expect" => &mut self.expect,
            "connection" | "upgrade" => {
                let value = str::from_utf8(header.value).unwrap_or_default();
                for token in value
                    .split(',')
                    .map(|token| token.trim_matches([' ', '\t']).to_ascii_lowercase())
                {
                    match (&*name, &*token) {
                        ("connection", "upgrade") => self.is_upgrade = true,
                        ("connection", "close") => self.wants_close = true,
                        ("connection", "keep-alive") => self.wants_keep_alive = true,
                        ("upgrade", "websocket") => self.wants_websocket = true,
                        _ => {}
                    }
                }
                return Ok(());
            }
            _ => return Ok(()),
        };
        let value = str::from_utf8(header.value);
        let value = value.map_err(|_| {
            Refusal::new(
                400,
                format!("the field {} is not UTF-8; correct it", header.name),
            )
        })?;
        match once.replace(value.trim_matches([' ', '\t'])) {
            None => Ok(()),
            Some(_) => {
                let line = format!("the field {} comes twice; send it once", header.name);
                Err(Refusal::new(400, line))
            }
        }
    }

    fn request(&self, rules: &Rules) -> Result<Request, Refusal> {
        match self.path {
            "/" if rules.has_page => {
                self.check_method("GET, HEAD")?;
                self.check_no_body()?;
                let wants_body = self.method == "GET";
                let fields = page::fields(self.host);
                Ok(Request::Page { wants_body, fields })
            }
            "/ws" => self.websocket(rules),
            "/events" => self.events(rules),
            "/messages" => self.post(rules),
            path if !path.starts_with('/') => Err(Refusal::new(
                400,
                "the target of a request is a path such as /ws; ask for one",
            )),
            _ => {
                let page = if rules.has_page { "/, " } else { "" };
                let line = format!("nothing is here; ask for {page}/ws, /events or /messages");
                Err(Refusal::new(404, line))
            }
        }
    }

    fn websocket(&self, rules: &Rules) -> Result<Request, Refusal> {
        self.check_method("GET")?;
        self.check_no_body()?;
        let cors = self.check_origin(rules)?;
        let upgrade = |line: &str| Refusal {
            status: 426,
            line: line.into(),
            field: "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n",
        };
        if !self.is_upgrade || !self.wants_websocket || self.version != 1 {
            return Err(upgrade("here is a WebSocket; connect to it with ws://"));
        }
        if self.websocket_version != Some("13") {
            return Err(upgrade(
                "only version 13 of WebSocket is spoken here; ask for it",
            ));
        }
        let accept = self.key.and_then(websocket::accept_key);
        let accept = accept.ok_or_else(|| {
            Refusal::new(
                400,
                "Sec-WebSocket-Key is not 16 bytes in base64; send such a key",
            )
        })?;
        let query = self.query(rules)?;
        let reply = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n{}\r\n",
            cors.fields(),
        );
        Ok(Request::WebSocket {
            name: query.name,
            after: position(query.after.as_deref()),
            reply: reply.into(),
        })
    }

    fn events(&self, rules: &Rules) -> Result<Request, Refusal> {
        self.check_method("GET")?;
        self.check_no_body()?;
        let cors = self.check_origin(rules)?;
        let query = self.query(rules)?;
        // A browser that reconnects knows better than the address that it was given.
        let after = self.last_event_id.or(query.after.as_deref());
        let reply = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n\
             X-Accel-Buffering: no\r\nX-Content-Type-Options: nosniff\r\n{}Connection: close\r\n\r\n",
            cors.fields(),
        );
        Ok(Request::Events {
            name: query.name.unwrap_or_default(),
            after: position(after),
            reply: reply.into(),
        })
    }

    fn post(&self, rules: &Rules) -> Result<Request, Refusal> {
        self.check_method("POST")?;
        let cors = self.check_origin(rules)?;
        let Some(name) = self.query(rules)?.name else {
            return Err(Refusal::new(
                400,
                "say who you are: POST /messages?name=YOU",
            ));
        };
        let Some(length) = self.content_length else {
            let line =
                "the length of the message is missing; send it as Content-Length, not chunked";
            return Err(Refusal::new(411, line));
        };
        let body_bytes = number(length).ok_or_else(|| {
            Refusal::new(
                400,
                "Content-Length is not a number; send the bytes of the body",
            )
        })?;
        let body_bytes = usize::try_from(body_bytes).ok();
        let body_bytes = body_bytes.filter(|&bytes| bytes <= rules.message_bytes_max);
        let body_bytes = body_bytes.ok_or_else(|| {
            let most = rules.message_bytes_max;
            let line = format!("message of {length} bytes is over the limit of {most}; send less");
            Refusal::new(413, line)
        })?;
        let expects = |it: &str| it.eq_ignore_ascii_case("100-continue");
        // Clients of HTTP/1.0 would take it for the answer.
        let expects_continue = self.version == 1 && self.expect.is_some_and(expects);
        let keep_alive = !self.wants_close && (self.version == 1 || self.wants_keep_alive);
        Ok(Request::Post(Post {
            name,
            body_bytes,
            keep_alive,
            expects_continue,
            cors,
        }))
    }

    fn check_method(&self, allowed: &str) -> Result<(), Refusal> {
        if allowed.split(", ").any(|method| method == self.method) {
            return Ok(());
        }
        let field = match allowed {
            "GET" => "Allow: GET\r\n",
            "POST" => "Allow: POST\r\n",
            _ => "Allow: GET, HEAD\r\n",
        };
        Err(Refusal {
            status: 405,
            line: format!("{} takes {allowed}; use that", self.path),
            field,
        })
    }

    /// A body that is not read would be taken for the next request.
    fn check_no_body(&self) -> Result<(), Refusal> {
        let is_empty = self
            .content_length
            .is_none_or(|length| number(length) == Some(0));
        match is_empty && self.transfer_encoding.is_none() {
            true => Ok(()),
            false => Err(Refusal::new(400, "no body is taken here; send none")),
        }
    }

    /// Browsers say which page connects: one of the server's own, or of an origin that is allowed.
    fn check_origin(&self, rules: &Rules) -> Result<Cors, Refusal> {
        let Some(origin) = self.origin else {
            return Ok(Cors::default());
        };
        let host = self.host.map(str::to_ascii_lowercase);
        let is_own = authority(origin).is_some_and(|it| {
            host.as_deref()
                .is_some_and(|host| without_port(host, it.0) == without_port(&it.1, it.0))
        });
        let is_allowed = |allowed: &String| allowed == "*" || allowed.eq_ignore_ascii_case(origin);
        match is_own || rules.origins.iter().any(is_allowed) {
            true if is_own => Ok(Cors::default()),
            true => Ok(Cors(Some(origin.into()))),
            false => {
                let line = format!(
                    "pages of {} may not connect; start the server with --allow-origin and this origin",
                    origin.escape_debug()
                );
                Err(Refusal::new(403, line))
            }
        }
    }

    fn query(&self, rules: &Rules) -> Result<Query, Refusal> {
        let mut query = Query::default();
        for pair in self.query.split('&') {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let place = match key {
                "name" => &mut query.name,
                "after" => &mut query.after,
                _ => continue,
            };
            let value = decoded(value).ok_or_else(|| {
                let line = format!("?{key}= is not percent-encoded UTF-8; correct it");
                Refusal::new(400, line)
            })?;
            if place.replace(value).is_some() {
                let line = format!("?{key}= comes twice; send it once");
                return Err(Refusal::new(400, line));
            }
        }
        if let Some(name) = &query.name {
            let checked = text::name(name.as_bytes(), rules.name_bytes_max);
            checked.map_err(|error| Refusal::new(400, format!("{error}; choose another")))?;
        }
        Ok(query)
    }
}

/// One of another kind of server is as good as none: the client is told that it does not go on.
pub(super) fn position(text: Option<&str>) -> Option<Position> {
    text.and_then(|text| text.parse().ok())
}

/// Digits alone: no sign, no list.
fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

/// The scheme, and host and port in small letters.
fn authority(origin: &str) -> Option<(&'static str, String)> {
    let schemes = [("http://", ":80"), ("https://", ":443")];
    schemes.into_iter().find_map(|(scheme, port)| {
        let rest = origin.strip_prefix(scheme)?;
        Some((port, rest.to_ascii_lowercase()))
    })
}

/// Without the port that everybody knows.
fn without_port<'a>(host: &'a str, port: &str) -> &'a str {
    host.strip_suffix(port).unwrap_or(host)
}

/// As forms encode it: `%20` or `+` is a space.
fn decoded(text: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                let (high, low) = (digit()?, digit()?);
                u8::try_from(high << 4 | low).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(decoded).ok()
}

impl Cors {
    fn fields(&self) -> String {
        self.0.as_ref().map_or(String::new(), |origin| {
            format!("Access-Control-Allow-Origin: {origin}\r\nVary: Origin\r\n")
        })
    }
}

const PLAIN: &str = "text/plain; charset=utf-8";

/// The page, behind which the connection ends.
pub(super) fn page_answer(wants_body: bool, fields: &str) -> Event<'static> {
    let body = if wants_body { page::HTML } else { "" };
    let head = head(
        200,
        "text/html; charset=utf-8",
        page::HTML.len(),
        fields,
        false,
    );
    Event::Reply {
        bytes: (head + body).into(),
        end: End::Served,
    }
}

/// One line of text, behind which the connection ends.
pub(super) fn answer(status: u16, line: &str, fields: &str) -> Bytes {
    let head = head(status, PLAIN, line.len() + 1, fields, false);
    (head + line + "\n").into()
}

/// A message has its place.
pub(super) fn posted(position: Position, post: &Post) -> Bytes {
    let body = format!("{{\"position\":\"{position}\"}}\n");
    let fields = post.cors.fields();
    let head = head(
        202,
        "application/json",
        body.len(),
        &fields,
        post.keep_alive,
    );
    (head + &body).into()
}

pub(super) const CONTINUE: &str = "HTTP/1.1 100 Continue\r\n\r\n";

fn head(status: u16, content_type: &str, bytes: usize, fields: &str, keep_alive: bool) -> String {
    let connection = if keep_alive { "keep-alive" } else { "close" };
    format!(
        "HTTP/1.1 {status} {}\r\nContent-Type: {content_type}\r\nContent-Length: {bytes}\r\n{fields}\
         Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: {connection}\r\n\r\n",
        phrase(status)
    )
}

const fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        202 => "Accepted",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        411 => "Length Required",
        413 => "Content Too Large",
        426 => "Upgrade Required",
        431 => "Request Header Fields Too Large",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => unreachable!(),
    }
}
