//! The comparison as text.

use std::fmt::{self, Write};

use record::figures::{counted, milliseconds};
use record::printable;

use super::comparison::{Comparison, Row, Side, change, interval};

/// A table, and what to know about it.
pub(super) fn render(comparison: &Comparison) -> String {
    let mut text = String::new();
    write(&mut text, comparison).expect("a string takes all that is written");
    printable(&text)
}

fn write(out: &mut String, comparison: &Comparison) -> fmt::Result {
    write_side(out, "A", &comparison.a)?;
    write_side(out, "B", &comparison.b)?;
    writeln!(out)?;
    writeln!(
        out,
        "{:<36}{:>9}{:>9}{:>11}{:>21}",
        "medians of the runs",
        "A",
        "B",
        "A to B",
        comparison.interval_in_words()
    )?;
    for row in &comparison.rows {
        write_row(out, row)?;
    }
    writeln!(out)?;
    for warning in &comparison.warnings {
        writeln!(out, "note: {warning}")?;
    }
    Ok(())
}

fn write_side(out: &mut String, name: &str, side: &Side) -> fmt::Result {
    let runs = counted(side.reports.len() as u64, "run");
    writeln!(out, "{name}  {} ({runs})", side.name)
}

fn write_row(out: &mut String, row: &Row) -> fmt::Result {
    writeln!(
        out,
        "{:<36}{:>9}{:>9}{:>11}{:>21}  {}",
        row.figure.name,
        milliseconds(Some(row.a)),
        milliseconds(Some(row.b)),
        row.shift
            .map_or_else(|| "-".into(), |shift| change(shift.ratio)),
        interval(row),
        row.in_words()
    )
}
