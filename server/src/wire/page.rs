//! The chat page: one document that loads nothing else.
//!
//! Its script and its style are allowed by their hashes and nothing else is, so that no text of a message
//! can become either. A test holds the hashes equal to the document.

/// The document.
pub(super) const HTML: &str = include_str!("page.html");

const SCRIPT_SHA256: &str = "8W3sy1bxAWIpSUaty09JG05mIwMfV9fVt112qRA1qZw=";
const STYLE_SHA256: &str = "5iRAMlJowIgu4ha6DHGGgRADJtT12hxNxImxBEPdYU8=";

/// The header fields that go with it, to a client that calls this server `host`. That has to be said, because
/// not every browser takes `'self'` for `ws://` and `wss://`, too.
pub(super) fn fields(host: Option<&str>) -> String {
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
    let host = host.filter(|host| host.bytes().all(is_host));
    let sockets = host.map_or(String::new(), |host| format!(" ws://{host} wss://{host}"));
    format!(
        "Content-Security-Policy: default-src 'none'; script-src 'sha256-{SCRIPT_SHA256}'; \
         style-src 'sha256-{STYLE_SHA256}'; connect-src 'self'{sockets}; img-src data:; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types\r\n\
         Referrer-Policy: no-referrer\r\nCross-Origin-Opener-Policy: same-origin\r\n\
         Cross-Origin-Resource-Policy: same-origin\r\n"
    )
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    /// The hash of what stands between `begin` and `end`, once.
    fn sha256(begin: &str, end: &str) -> String {
        let (_, rest) = HTML.split_once(begin).unwrap();
        let (text, rest) = rest.split_once(end).unwrap();
        assert!(!rest.contains(begin), "only one is allowed");
        let mut coreutils = Command::new("sha256sum")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = coreutils.stdin.take().unwrap();
        stdin.write_all(text.as_bytes()).unwrap();
        drop(stdin);
        let said = String::from_utf8(coreutils.wait_with_output().unwrap().stdout).unwrap();
        let digits = &said.as_bytes()[..64];
        let digits = digits.chunks(2).map(|pair| str::from_utf8(pair).unwrap());
        let digest = digits.map(|pair| u8::from_str_radix(pair, 16).unwrap());
        STANDARD.encode(digest.collect::<Vec<u8>>())
    }

    #[test]
    fn the_hashes_are_those_of_the_document() {
        assert_eq!(SCRIPT_SHA256, sha256("<script>", "</script>"));
        assert_eq!(STYLE_SHA256, sha256("<style>", "</style>"));
    }

    #[test]
    fn a_host_cannot_add_to_the_policy() {
        let of = |host| fields(Some(host));
        assert!(of("here:9989").contains("connect-src 'self' ws://here:9989 wss://here:9989;"));
        assert!(of("[::1]:9989").contains(" ws://[::1]:9989 "));
        for wrong in ["a; script-src *", "a b", "a'", "a\r\nX: y"] {
            assert_eq!(of(wrong), fields(None), "{wrong}");
        }
    }
}
