//! `--addr`: where a server is, and which protocol is spoken there. A scheme that asks for TLS is known,
//! and refused.

use std::fmt;

use tungstenite::client::IntoClientRequest as _;

/// What an address looks like.
const FORMS: &str = "give HOST:PORT or ws://HOST:PORT/PATH, for example 127.0.0.1:9989 or \
                     ws://[::1]:9989/ws";
/// Where a server has its WebSocket.
const DEFAULT_PATH: &str = "/ws";

/// Where a server is, and what is spoken there.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    /// As it was given.
    text: String,
    host_and_port: String,
    url: Option<String>,
}

impl Address {
    /// `HOST:PORT` or `ws://HOST[:PORT][/PATH]`, or what is wrong with `text` and what to give.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let plain = |host_and_port: &str, url| Self {
            text: text.to_owned(),
            host_and_port: host_and_port.to_owned(),
            url,
        };
        let Some((scheme, rest)) = text.split_once("://") else {
            return check_host_and_port(text).map(|()| plain(text, None));
        };
        match scheme {
            "ws" => {}
            "wss" | "tls" => return Err("it asks for TLS, which this client does not speak".into()),
            _ => return Err(format!("'{scheme}' is none of its kinds; {FORMS}")),
        }
        let path_at = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(path_at);
        let has_port = authority
            .rsplit(']')
            .next()
            .is_some_and(|end| end.contains(':'));
        let host_and_port = match has_port {
            true => authority.to_owned(),
            false => format!("{authority}:80"),
        };
        check_host_and_port(&host_and_port)?;
        let path = if path.is_empty() { DEFAULT_PATH } else { path };
        let url = format!("ws://{authority}{path}");
        match url.as_str().into_client_request() {
            Ok(_) => Ok(plain(&host_and_port, Some(url))),
            Err(error) => Err(format!("it is no URL ({error}); {FORMS}")),
        }
    }

    pub(crate) fn host_and_port(&self) -> &str {
        &self.host_and_port
    }

    /// What a WebSocket is asked for; without it, frames are spoken.
    pub(crate) fn url(&self) -> Option<&str> {
        self.url.as_deref()
    }

    /// Whether the server says which lines it has.
    pub(crate) const fn is_websocket(&self) -> bool {
        self.url.is_some()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn check_host_and_port(text: &str) -> Result<(), String> {
    let problem = match text.rsplit_once(':') {
        None => "it has no port",
        Some(("", _)) => "it has no host",
        Some((host, _)) if host.contains(':') && !host.starts_with('[') => {
            "an IPv6 address needs brackets"
        }
        Some((_, port)) if port.parse::<u16>().is_ok_and(|port| port > 0) => return Ok(()),
        Some(_) => "its port is not a number from 1 to 65535",
    };
    Err(format!("{problem}; {FORMS}"))
}
