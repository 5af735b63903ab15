//! Figures as people read them.

/// `499900` as `499,900`.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A rate or a count that may have a fraction: grouped, and with as many decimals as it needs, up
/// to two.
#[must_use]
pub fn rate(number: f64) -> String {
    let text = format!("{number:.2}");
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let whole = whole.parse().map_or_else(|_| whole.to_owned(), grouped);
    match fraction.trim_end_matches('0') {
        "" => whole,
        fraction => format!("{whole}.{fraction}"),
    }
}

/// A rate that was measured, to whole units.
#[must_use]
pub fn whole(number: f64) -> String {
    rate(number.round())
}

/// Milliseconds to three significant digits; `-` where nothing was measured.
#[must_use]
pub fn milliseconds(number: Option<f64>) -> String {
    match number {
        None => "-".to_owned(),
        Some(number) if number >= 100.0 => rate(number.round()),
        Some(number) if number >= 10.0 => format!("{number:.1}"),
        Some(number) if number >= 1.0 => format!("{number:.2}"),
        Some(number) => format!("{number:.3}"),
    }
}

/// Bytes as MiB.
#[must_use]
pub fn mebibytes(bytes: Option<u64>) -> String {
    bytes.map_or_else(
        || "-".to_owned(),
        |bytes| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20)),
    )
}

/// Processor cores, or `-`.
#[must_use]
pub fn cores(cores: Option<f64>) -> String {
    cores.map_or_else(|| "-".to_owned(), |cores| format!("{cores:.2}"))
}

/// `1 client`, `2 clients`.
#[must_use]
pub fn counted(number: u64, one: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {one}{plural}", grouped(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_grouped() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_000), "1,000");
        assert_eq!(grouped(1_234_567), "1,234,567");
    }

    #[test]
    fn rates_show_a_fraction_only_where_there_is_one() {
        assert_eq!(rate(499_900.0), "499,900");
        assert_eq!(rate(0.5), "0.5");
        assert_eq!(rate(1_000.25), "1,000.25");
        assert_eq!(whole(1_999.6), "2,000");
    }

    #[test]
    fn milliseconds_have_three_significant_digits() {
        let shown = [None, Some(0.0123), Some(1.234), Some(12.34), Some(1_234.5)].map(milliseconds);
        assert_eq!(shown, ["-", "0.012", "1.23", "12.3", "1,235"]);
    }

    #[test]
    fn what_is_one_has_no_plural() {
        assert_eq!(counted(1, "client"), "1 client");
        assert_eq!(counted(5_000, "client"), "5,000 clients");
    }
}
