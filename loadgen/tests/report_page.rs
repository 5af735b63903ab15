//! report.html in a real browser: nothing to complain about, the figures of run.json, all plots.
//! Skipped, with a message, where no browser is installed.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on is to panic")]

mod support;

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use support::{Faults, RelayServer, measure};
use testing::{Browser, Rendered};

fn render(browser: &Browser, page: &Path) -> Rendered {
    browser.render(&format!("file://{}", page.display()), &[])
}

#[test]
fn complaints_of_a_page_are_heard() {
    let Some(browser) = Browser::find() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("page.html");
    std::fs::write(&page, "<script>console.error('so it is')</script>").unwrap();
    let page = render(&browser, &page);
    assert_eq!(page.complaints().len(), 1, "{}", page.said);
}

#[test]
fn the_page_shows_the_figures_of_the_json_and_all_plots() {
    let Some(browser) = Browser::find() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let server = RelayServer::start(Faults::default());
    let pid = std::process::id();
    let flags = format!(
        "--clients 8 --rate 200 --duration 2s --warmup 0s --server-pid {pid} --out {}",
        out.display()
    );
    let (_, report) = measure(&server, &flags);
    let page = render(&browser, &out.join("report.html"));
    assert_eq!(page.complaints(), [""; 0]);
    let document = page.document;

    let figures = figures(&document);
    assert!(figures.len() > 50, "{figures:?}");
    for (field, text) in &figures {
        let value = at(&report, field);
        assert!(
            is_shown_as(value, text),
            "{field} is {value}, shown as {text}"
        );
    }
    for field in ["delivered", "lost", "latency_ms.delivery.p99"] {
        assert!(figures.iter().any(|(name, _)| name == field), "{field}");
    }
    let plots = [
        "percentiles",
        "completion",
        "deliveries",
        "latency",
        "owed",
        "cpu",
        "memory",
        "descriptors",
        "switches",
        "turns",
    ];
    for plot in plots {
        let (_, behind) = document
            .split_once(&format!("<figure id=\"{plot}\">"))
            .unwrap();
        let (figure, _) = behind.split_once("</figure>").unwrap();
        assert!(figure.contains("class=\"line line-0\" d=\"M"), "{plot}");
        assert!(!figure.contains("not measured"), "{plot}");
    }
}

/// Of one run on each side, so that the medians are the runs' own figures.
#[test]
fn the_comparison_shows_the_figures_of_both_runs_and_all_plots() {
    let Some(browser) = Browser::find() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let server = RelayServer::start(Faults::default());
    let reports = ["a", "b"].map(|side| {
        let out = folder.path().join(side);
        let flags = "--clients 8 --rate 200 --duration 1s --warmup 0s --out";
        measure(&server, &format!("{flags} {}", out.display())).1
    });
    let page = folder.path().join("page.html");
    let compared = Command::new(env!("CARGO_BIN_EXE_loadgen"))
        .arg("compare")
        .args(["a", "b"].map(|side| folder.path().join(side)))
        .arg("--html")
        .arg(&page)
        .output()
        .unwrap();
    assert!(compared.status.success(), "{compared:?}");
    let page = render(&browser, &page);
    assert_eq!(page.complaints(), [""; 0]);
    let document = page.document;
    assert_eq!(document.matches("<svg").count(), 3);
    for (name, field) in [
        ("delivery p50, ms", "latency_ms.delivery.p50"),
        ("delivery p99, ms", "latency_ms.delivery.p99"),
        ("last receiver p99, ms", "latency_ms.completion.p99"),
        ("deliveries/s", "deliveries_per_second"),
    ] {
        let (_, row) = document.split_once(&format!("<th>{name}</th>")).unwrap();
        let cells = row.split("<td>").skip(1).take(2);
        for (cell, report) in cells.zip(&reports) {
            let (text, _) = cell.split_once('<').unwrap();
            assert!(is_shown_as(at(report, field), text), "{name}: {text}");
        }
    }
}

/// All elements that say which field they show, with their text.
fn figures(document: &str) -> Vec<(String, String)> {
    document
        .split("data-field=\"")
        .skip(1)
        .map(|part| {
            let (field, behind) = part.split_once('"').unwrap();
            let (_, text) = behind.split_once('>').unwrap();
            let (text, _) = text.split_once('<').unwrap();
            (field.to_owned(), text.to_owned())
        })
        .collect()
}

fn at<'a>(report: &'a Value, field: &str) -> &'a Value {
    field.split('.').fold(report, |value, name| &value[name])
}

/// A figure is shown rounded, in a unit that people read.
fn is_shown_as(value: &Value, text: &str) -> bool {
    let Some(value) = value.as_f64() else {
        return match value {
            Value::Bool(valid) => text == if *valid { "VALID" } else { "INVALID" },
            _ => value.is_null() && text.starts_with('-'),
        };
    };
    let (number, unit) = text.split_once(' ').unwrap_or((text, ""));
    let value = match unit {
        "" | "ms" => value,
        "%" => value * 100.0,
        "MiB" => value / 1_048_576.0,
        _ => return false,
    };
    let shown: f64 = number.replace(',', "").parse().unwrap();
    let decimals = number
        .split_once('.')
        .map_or(0, |(_, decimals)| decimals.len());
    let half_a_digit = 0.5 * 0.1_f64.powi(i32::try_from(decimals).unwrap());
    (shown - value).abs() <= half_a_digit * 1.0001
}
