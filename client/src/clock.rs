//! The time of day, as it is shown.

use jiff::ZonedDateTime;

/// `05:47:52`, in local time.
#[must_use]
pub fn of_day() -> String {
    ZonedDateTime::now().strftime("%H:%M:%S").to_string()
}

/// `2026-11-24T05:47:52.123+01:00`, in local time.
#[must_use]
pub fn in_full() -> String {
    ZonedDateTime::now()
        .strftime("%Y-%m-%dT%H:%M:%S.%3f%:z")
        .to_string()
}
