//! Folders of runs: what --out writes, and what show, compare and merge make of it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on is to panic")]

mod support;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use support::{Faults, RelayServer, measure, only_line};

fn loadgen(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
    command.args(arguments).output().unwrap()
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Measures into `folder`.
fn run_into(folder: &Path, flags: &str) -> Value {
    let server = RelayServer::start(Faults::default());
    let flags = format!(
        "--clients 6 --rate 200 --duration 500ms --warmup 0s --out {} {flags}",
        folder.display()
    );
    measure(&server, &flags).1
}

fn json(folder: &Path) -> Value {
    serde_json::from_slice(&fs::read(folder.join("run.json")).unwrap()).unwrap()
}

#[test]
fn a_run_leaves_a_file_of_each_format() {
    let place = tempfile::tempdir().unwrap();
    run_into(place.path(), "");
    for (name, begins) in [
        ("run.json", "{"),
        ("summary.txt", ""),
        ("report.md", "# "),
        ("report.html", "<!doctype html>"),
        ("latency.hgrm", "       Value     Percentile TotalCount"),
        ("completion.hgrm", "       Value     Percentile TotalCount"),
        ("latency.hlog", "#[Histogram log format version"),
        ("timeseries.csv", "from_seconds,"),
        ("percentiles.svg", "<svg"),
        ("completion.svg", "<svg"),
        ("deliveries.svg", "<svg"),
    ] {
        let content = fs::read_to_string(place.path().join(name)).unwrap();
        assert!(content.starts_with(begins), "{name}: {content}");
    }
}

#[test]
fn the_series_adds_up_to_the_whole_run() {
    let place = tempfile::tempdir().unwrap();
    let report = run_into(place.path(), "");
    let series = report["series"].as_array().unwrap();
    let sum = |field: &str| -> u64 { series.iter().map(|one| one[field].as_u64().unwrap()).sum() };
    assert_eq!(sum("deliveries"), report["latency_ms"]["delivery"]["count"]);
    assert_eq!(sum("messages"), report["messages"]);
}

#[test]
fn a_folder_shows_what_the_run_had_printed() {
    let place = tempfile::tempdir().unwrap();
    run_into(place.path(), "");
    let shown = text(&loadgen(&["show", place.path().to_str().unwrap()]));
    let printed = fs::read_to_string(place.path().join("summary.txt")).unwrap();
    assert_eq!(shown, printed);
}

#[test]
fn merged_runs_hold_every_sample_of_each() {
    let place = tempfile::tempdir().unwrap();
    let (one, two, sum) = (
        place.path().join("runs/one"),
        place.path().join("runs/two"),
        place.path().join("sum"),
    );
    run_into(&one, "");
    run_into(&two, "");
    let runs = place.path().join("runs");
    let merged = loadgen(&[
        "merge",
        runs.to_str().unwrap(),
        "--out",
        sum.to_str().unwrap(),
    ]);
    assert!(text(&merged).contains("delivery"));
    let count = |folder: &Path| {
        json(folder)["latency_ms"]["delivery"]["count"]
            .as_u64()
            .unwrap()
    };
    assert_eq!(count(&sum), count(&one) + count(&two));
    // The sum is a run like any other.
    text(&loadgen(&["show", sum.to_str().unwrap()]));
    // It takes the place of none of those it is the sum of.
    let one = one.to_str().unwrap();
    let refused = loadgen(&["merge", runs.to_str().unwrap(), "--out", one]);
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    assert!(only_line(&refused).contains("choose another folder"));
}

#[test]
fn repeats_are_compared_with_repeats() {
    let place = tempfile::tempdir().unwrap();
    let (a, b) = (place.path().join("a"), place.path().join("b"));
    run_into(&a, "--repeat 2");
    run_into(&b, "--repeat 2");
    let page = place.path().join("page.html");
    let compared = loadgen(&[
        "compare",
        a.to_str().unwrap(),
        b.to_str().unwrap(),
        "--html",
        page.to_str().unwrap(),
    ]);
    let compared = text(&compared);
    assert_eq!(compared.matches("(2 runs)").count(), 2, "{compared}");
    assert!(compared.contains("67 % interval"), "{compared}");
    assert!(compared.contains("2 and 2 runs cannot show"), "{compared}");
    assert!(fs::read_to_string(page).unwrap().contains("delivery p99"));
}

#[test]
fn a_folder_without_a_run_is_one_line_that_says_what_to_give() {
    let place = tempfile::tempdir().unwrap();
    let empty = place.path().to_str().unwrap();
    let nowhere = place.path().join("nowhere");
    let nowhere = nowhere.to_str().unwrap();
    for arguments in [
        &["show", empty][..],
        &["show", nowhere],
        &["compare", empty, empty],
        &["merge", empty, "--out", nowhere],
    ] {
        let output = loadgen(arguments);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(only_line(&output).contains("give a folder"), "{output:?}");
    }
}

#[test]
fn a_folder_that_cannot_be_written_is_refused_before_the_run() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("file");
    fs::write(&file, "").unwrap();
    let out = file.join("run");
    let output = loadgen(&["--addr", "127.0.0.1:1", "--out", out.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(only_line(&output).contains("choose a place that can be written"));
}

#[test]
fn shells_and_man_are_served() {
    for shell in ["bash", "zsh", "fish"] {
        assert!(text(&loadgen(&["completions", shell])).contains("spawn-server"));
    }
    assert!(text(&loadgen(&["man"])).starts_with(".ie"));
}

#[test]
fn a_merge_counts_no_run_again_that_an_earlier_one_has_counted() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name).display().to_string();
    for name in ["a", "b", "c"] {
        run_into(&place.path().join(name), "");
    }
    text(&loadgen(&["merge", &at("a"), &at("b"), "--out", &at("ab")]));
    for twice in [["ab", "a"], ["b", "ab"]] {
        let [one, other] = twice.map(at);
        let output = loadgen(&["merge", &one, &other, "--out", &at("sum")]);
        assert_eq!(output.status.code(), Some(2));
        assert!(only_line(&output).contains("within an earlier sum"));
    }
    text(&loadgen(&[
        "merge",
        &at("ab"),
        &at("c"),
        "--out",
        &at("abc"),
    ]));
    let sum = json(&place.path().join("abc"));
    assert_eq!(sum["merged_from"].as_array().unwrap().len(), 3);
    let output = loadgen(&["merge", &at("abc"), &at("a"), "--out", &at("sum")]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_comparison_names_the_step_that_stands_for_a_sweep() {
    let place = tempfile::tempdir().unwrap();
    let [sweep, one] = ["sweep", "one"].map(|name| place.path().join(name));
    let server = RelayServer::start(Faults::default());
    let flags = format!(
        "--clients 6 --duration 300ms --warmup 0s --sweep 100,200 --out {}",
        sweep.display()
    );
    assert_eq!(measure(&server, &flags).0, 0);
    run_into(&one, "");
    let [sweep, one] = [sweep, one].map(|path| path.display().to_string());
    let said = text(&loadgen(&["compare", &one, &sweep]));
    let line = "B: of the sweep over 2 rates, the one at 200 messages/s is compared (the fastest that held)";
    assert!(said.contains(line), "{said}");
}
