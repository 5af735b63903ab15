//! The program of the scaling curves, from outside, at small loads. Never how fast anything is.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on is to panic")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

fn curves(flags: &str, out: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_curves"));
    command.args(flags.split_whitespace()).arg("--out").arg(out);
    command.output().unwrap()
}

#[test]
fn every_point_has_a_row_beside_its_floor_and_every_curve_two_plots() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("curves");
    let flags = "--curves connections,threads,size --connections 5,20 --rates 40 --sizes 56,70000 --clients 20 --repeats 1 --duration 500ms";
    let output = curves(flags, &out);
    // 3: whether a busy machine makes a run invalid is not asked here.
    assert!(matches!(output.status.code(), Some(0 | 3)), "{output:?}");
    let data: Value = serde_json::from_slice(&fs::read(out.join("data.json")).unwrap()).unwrap();
    let rows = data["rows"].as_array().unwrap();
    let xs: Vec<_> = rows.iter().map(|row| row["x"].as_f64().unwrap()).collect();
    assert_eq!(xs, [5.0, 20.0, 40.0, 40.0, 56.0, 70_000.0]);
    for row in rows {
        assert_eq!(row["runs"], json!(1), "{row}");
        assert!(row["floor_ms"]["median"].as_f64().unwrap() > 0.0, "{row}");
        assert!(row["p99_ms"]["median"].as_f64().unwrap() > 0.0, "{row}");
    }
    for run in data["runs"].as_array().unwrap() {
        assert_eq!(run["report"]["lost"], json!(0), "{run}");
    }
    let report = fs::read_to_string(out.join("report.md")).unwrap();
    for name in ["connections", "threads", "size"] {
        for kind in ["p99", "cpu"] {
            let plot = format!("{name}-{kind}.svg");
            assert!(report.contains(&format!("({plot})")), "{report}");
            let svg = fs::read_to_string(out.join(plot)).unwrap();
            assert!(svg.starts_with("<svg xmlns="), "{svg}");
        }
    }
    assert!(report.contains("| 2 threads |"), "{report}");
}

#[test]
fn stalled_clients_join_beside_those_who_are_measured() {
    let folder = tempfile::tempdir().unwrap();
    let flags = "--quick --curves stalled --clients 4 --repeats 1 --duration 300ms";
    let output = curves(flags, folder.path());
    assert!(matches!(output.status.code(), Some(0 | 3)), "{output:?}");
    let data = fs::read(folder.path().join("data.json")).unwrap();
    let data: Value = serde_json::from_slice(&data).unwrap();
    let rows = data["rows"].as_array().unwrap().iter();
    let stalled: Vec<_> = rows.map(|row| row["stalled"].as_u64().unwrap()).collect();
    assert_eq!(stalled, [0, 2, 4]);
}

#[test]
fn a_message_too_short_to_prove_a_delivery_is_refused_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let output = curves("--sizes 16", folder.path());
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        text.lines()
            .next()
            .unwrap()
            .contains("16 is not in 56..=1048576"),
        "{text}"
    );
}
