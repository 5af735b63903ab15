//! `/connections`: who is there, and who left last and why, as JSON.

use serde::Serialize;
use std::time::Instant;

use super::request::{Response, Status};
use crate::command::Connections;
use crate::hub::{ConnectionInfo, Ended, SortBy};

/// Connections that are listed when nobody says how many.
const LIMIT: u16 = 20;

/// Connections that the workers are asked for on behalf of all who want no more.
const LIMIT_FEW: u16 = 100;

/// The most that are listed.
const LIMIT_MAX: u16 = 10_000;

/// What is asked for in the query of the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Query {
    pub(super) sort: SortBy,
    pub(super) limit: u16,
}

#[derive(Debug, Serialize)]
struct Document<'a> {
    connections: Vec<Connection<'a>>,
    closed: Vec<Closed<'a>>,
}

#[derive(Debug, Serialize)]
struct Connection<'a> {
    id: String,
    name: &'a str,
    address: String,
    state: &'static str,
    wire: &'static str,
    age_seconds: f64,
    backlog_bytes: u64,
    backlog_messages: u64,
    sent_messages: u64,
    sent_bytes: u64,
    last_progress_seconds: Option<f64>,
}

#[derive(Debug, Serialize)]
struct Closed<'a> {
    name: &'a str,
    address: String,
    reason: &'static str,
    why: &'a str,
    seconds_ago: f64,
    lasted_seconds: f64,
    sent_messages: u64,
}

impl Query {
    /// From what follows the `?`.
    ///
    /// # Errors
    /// The line that says what is wrong and what to write.
    pub(super) fn parse(query: &str) -> Result<Self, String> {
        let mut wanted = Self {
            sort: SortBy::Backlog,
            limit: LIMIT,
        };
        for part in query.split('&').filter(|part| !part.is_empty()) {
            match part.split_once('=').unwrap_or((part, "")) {
                ("sort", name) => wanted.sort = sort_by(name)?,
                ("limit", number) => match number.parse() {
                    Ok(limit) if limit <= LIMIT_MAX => wanted.limit = limit,
                    _ => {
                        return Err(format!(
                            "limit is {number:?}; write a number to {LIMIT_MAX}"
                        ));
                    }
                },
                (name, _) => return Err(format!("{name:?} is unknown; write sort= or limit=")),
            }
        }
        Ok(wanted)
    }

    /// What the workers are asked for, so that others who want as much or less are served by it.
    pub(super) fn rounded(self) -> Self {
        let limit = if self.limit <= LIMIT_FEW {
            LIMIT_FEW
        } else {
            LIMIT_MAX
        };
        Self { limit, ..self }
    }

    /// Whether the answer to this has the answer to `other` in it.
    pub(super) fn covers(self, other: Self) -> bool {
        self.sort == other.sort && self.limit >= other.limit
    }
}

fn sort_by(name: &str) -> Result<SortBy, String> {
    match name {
        "backlog" => Ok(SortBy::Backlog),
        "age" => Ok(SortBy::Age),
        "sent" => Ok(SortBy::Sent),
        "stalled" => Ok(SortBy::Stalled),
        _ => Err(format!(
            "sort is {name:?}; write backlog, age, sent or stalled"
        )),
    }
}

/// The answer with what the threads told.
pub(super) fn answer(list: &Connections, now: Instant) -> Response {
    let document = Document {
        connections: list.first.iter().map(connection).collect(),
        closed: list.ended.iter().map(|it| closed(it, now)).collect(),
    };
    let text = serde_json::to_string_pretty(&document).expect("text and numbers are JSON");
    Response {
        status: Status::Ok,
        content_type: "application/json",
        body: (text + "\n").into(),
    }
}

fn connection(info: &ConnectionInfo) -> Connection<'_> {
    Connection {
        id: format!("{}.{}", info.id.slot, info.id.generation),
        name: &info.name,
        address: info.peer.to_string(),
        state: info.state,
        wire: info.wire.name(),
        age_seconds: info.age.as_secs_f64(),
        backlog_bytes: info.backlog_bytes,
        backlog_messages: info.backlog_messages,
        sent_messages: info.sent_messages,
        sent_bytes: info.sent_bytes,
        last_progress_seconds: info.last_progress.map(|time| time.as_secs_f64()),
    }
}

fn closed(ended: &Ended, now: Instant) -> Closed<'_> {
    Closed {
        name: &ended.name,
        address: ended.peer.to_string(),
        reason: ended.reason.name(),
        why: &ended.why,
        seconds_ago: now.saturating_duration_since(ended.at).as_secs_f64(),
        lasted_seconds: ended.lasted.as_secs_f64(),
        sent_messages: ended.sent_messages,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_understood_or_refused_with_a_remedy() {
        let sort_and_limit = |query| Query::parse(query).map(|it| (it.sort, it.limit));
        assert_eq!(sort_and_limit(""), Ok((SortBy::Backlog, LIMIT)));
        assert_eq!(sort_and_limit("limit=3&sort=age"), Ok((SortBy::Age, 3)));
        for (query, remedy) in [
            ("sort=name", "write backlog"),
            ("limit=-1", "write a number"),
            ("limit=10001", "write a number"),
            ("order=up", "write sort="),
        ] {
            let refusal = Query::parse(query).unwrap_err();
            assert!(refusal.contains(remedy), "{refusal}");
        }
    }
}
