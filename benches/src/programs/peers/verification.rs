//! Verification: whether a server runs with the settings it was given, in its own words. A server
//! that was misunderstood is not quoted.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// A setting's name and value, as the server's manual writes them.
pub(super) type Setting = (&'static str, String);

const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// An anonymous MQTT 3.1.1 CONNECT with the client identifier `ask` and a clean session.
const MQTT_CONNECT: &[u8] = b"\x10\x0f\x00\x04MQTT\x04\x02\x00\x3c\x00\x03ask";

/// The answer that grants it.
const MQTT_GRANTED: [u8; 4] = [0x20, 2, 0, 0];

/// Ours, by the line in which it says that it listens.
pub(super) fn ready_line(log: &str) -> Result<String, String> {
    let (_, after) = log
        .split_once("(driver ")
        .ok_or_else(|| "it does not say which driver it runs".to_owned())?;
    let said = after.split(')').next().unwrap_or_default();
    if said.starts_with("uring") {
        Ok(format!("its ready line: driver {said}"))
    } else {
        Err(format!("it was to run driver uring and runs {said}"))
    }
}

pub(super) fn redis(settings: &[Setting], addr: SocketAddr) -> Result<String, String> {
    let stream = connect(addr)?;
    let mut reader = BufReader::new(&stream);
    for (name, value) in settings {
        write!(&stream, "CONFIG GET {name}\r\n").map_err(unanswered)?;
        let said = redis_setting(&mut reader)?;
        // The limits of other kinds of client come before that of subscribers.
        if said != *value && !(name.ends_with("limit") && said.ends_with(value)) {
            return Err(format!("{name} was to be `{value}` and is `{said}`"));
        }
    }
    Ok("CONFIG GET says so of each".into())
}

/// The value in an array of a name and a value.
fn redis_setting(reader: &mut impl BufRead) -> Result<String, String> {
    let mut lines = [const { String::new() }; 5];
    for line in &mut lines {
        reader.read_line(line).map_err(unanswered)?;
        if line.starts_with('-') || lines_end_early(line) {
            return Err(format!("CONFIG GET is answered by {:?}", line.trim_end()));
        }
    }
    Ok(lines[4].trim_end().to_owned())
}

/// An empty array, or the end of the connection.
fn lines_end_early(line: &str) -> bool {
    line.is_empty() || line.starts_with("*0")
}

pub(super) fn nats(settings: &[Setting], monitoring: SocketAddr) -> Result<String, String> {
    let mut stream = connect(monitoring)?;
    stream
        .write_all(b"GET /varz HTTP/1.0\r\n\r\n")
        .map_err(unanswered)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(unanswered)?;
    let (_, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    let said: Value =
        serde_json::from_str(body).map_err(|error| format!("/varz is not understood: {error}"))?;
    compare_with_varz(settings, &said)?;
    Ok("/varz says so of each".into())
}

/// Numbers are as they were given; durations are nanoseconds there.
fn compare_with_varz(settings: &[Setting], said: &Value) -> Result<(), String> {
    for (name, value) in settings {
        let wanted = match cli::duration(value.trim_matches('"')) {
            Ok(duration) if value.starts_with('"') => duration.as_nanos().to_string(),
            _ => value.clone(),
        };
        let found = said[*name].to_string();
        if found != wanted {
            return Err(format!("{name} was to be {wanted} and is {found}"));
        }
    }
    match said.get("auth_required") {
        None | Some(Value::Bool(false)) => Ok(()),
        Some(_) => Err("it demands authorization".into()),
    }
}

pub(super) fn mosquitto(addr: SocketAddr) -> Result<String, String> {
    let mut stream = connect(addr)?;
    stream.write_all(MQTT_CONNECT).map_err(unanswered)?;
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).map_err(unanswered)?;
    if answer == MQTT_GRANTED {
        Ok("it cannot be asked; it ends at an option it does not know, so it has read all, and it lets an anonymous client in".into())
    } else {
        Err(format!("an anonymous client is answered by {answer:02x?}"))
    }
}

fn connect(addr: SocketAddr) -> Result<TcpStream, String> {
    let stream = TcpStream::connect_timeout(&addr, ANSWER_TIMEOUT).map_err(unanswered)?;
    stream
        .set_read_timeout(Some(ANSWER_TIMEOUT))
        .map_err(unanswered)?;
    Ok(stream)
}

#[allow(clippy::needless_pass_by_value, reason = "as `map_err` gives it")]
fn unanswered(error: std::io::Error) -> String {
    format!("it does not tell its settings: {error}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::server::Candidate;
    use super::*;

    #[test]
    fn a_server_with_another_driver_is_not_quoted() {
        let line = |driver| format!("listening on 127.0.0.1:1 (driver {driver}, 1 thread)\n");
        assert!(ready_line(&line("uring")).is_ok());
        assert!(ready_line(&line("epoll")).unwrap_err().contains("epoll"));
        assert!(ready_line("").is_err());
    }

    #[test]
    fn a_redis_setting_is_the_second_of_two() {
        let mut answer = &b"*2\r\n$4\r\nsave\r\n$0\r\n\r\n"[..];
        assert_eq!(redis_setting(&mut answer).unwrap(), "");
        let mut answer = &b"*2\r\n$10\r\nmaxclients\r\n$4\r\n4000\r\n"[..];
        assert_eq!(redis_setting(&mut answer).unwrap(), "4000");
        for bad in [&b"*0\r\n"[..], b"-ERR no\r\n", b""] {
            assert!(redis_setting(&mut { bad }).is_err());
        }
    }

    #[test]
    fn nats_is_quoted_only_with_the_limits_it_was_given() {
        let settings = Candidate::Nats.settings(5000);
        let good = json!({"max_connections": 6000, "max_pending": 1_073_741_824_u64,
            "write_deadline": 60_000_000_000_u64});
        assert_eq!(compare_with_varz(&settings, &good), Ok(()));
        let mut bad = good.clone();
        bad["max_pending"] = json!(67_108_864);
        let reason = compare_with_varz(&settings, &bad).unwrap_err();
        assert!(
            reason.contains("max_pending was to be 1073741824"),
            "{reason}"
        );
        let mut bad = good;
        bad["auth_required"] = json!(true);
        assert!(compare_with_varz(&settings, &bad).is_err());
    }
}
