//! What happened so far, for `/stats`.

use std::time::{Duration, Instant};

#[derive(Debug, Default)]
pub(crate) struct Stats {
    /// Messages that were handed to the kernel whole.
    pub(crate) sent: u64,
    pub(crate) received: u64,
    /// Messages that were stepped over because they are over the limit.
    pub(crate) too_long: u64,
    /// Whether the server said that it closes the connection, and so refused something.
    pub(crate) closed_by_server: bool,
    pub(crate) connections: u64,
    /// Since when the present connection stands, also as it is shown.
    pub(crate) connected: Option<(Instant, String)>,
}

impl Stats {
    /// The lines that `/stats` shows; `waiting` messages are not sent yet, and `skipped` did not
    /// reach the screen.
    pub(crate) fn lines(&self, address: &str, waiting: usize, skipped: u64) -> Vec<String> {
        let mut lines = vec![
            format!("sent {}, received {}", self.sent, self.received),
            match &self.connected {
                Some((since, shown)) => {
                    let lived = seconds(since.elapsed());
                    format!("connected to {address} since {shown} ({lived})")
                }
                None => format!("not connected to {address}"),
            },
        ];
        if self.connections > 1 {
            lines.push(format!("connected {} times", self.connections));
        }
        let exceptions = [
            (waiting as u64, "not sent yet"),
            (skipped, "skipped: the screen could not keep up"),
            (self.too_long, "skipped: over the limit"),
        ];
        for (count, what) in exceptions.iter().filter(|(count, _)| *count > 0) {
            lines.push(format!("{count} {what}"));
        }
        lines
    }
}

/// `75 s` as `1 min 15 s`.
pub(crate) fn seconds(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds @ 60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        seconds => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exceptions_are_shown_only_when_there_are_any() {
        let mut stats = Stats::default();
        assert_eq!(
            stats.lines("h:1", 0, 0),
            ["sent 0, received 0", "not connected to h:1"]
        );
        stats.connected = Some((Instant::now(), "12:00:00".to_owned()));
        stats.too_long = 3;
        let lines = stats.lines("h:1", 2, 0);
        assert!(lines[1].starts_with("connected to h:1 since "), "{lines:?}");
        assert_eq!(lines[2..], ["2 not sent yet", "3 skipped: over the limit"]);
    }

    #[test]
    fn long_times_stay_readable() {
        let shown = |s| seconds(Duration::from_secs(s));
        assert_eq!(
            [shown(59), shown(75), shown(7320)],
            ["59 s", "1 min 15 s", "2 h 2 min"]
        );
    }
}
