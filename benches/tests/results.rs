//! The figures in README.md and results/README.md, and the program that writes them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on is to panic")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use benches::citation::{faults, section};
use serde_json::Value;

/// The texts that hold figures.
const TEXTS: [&str; 3] = ["README.md", "results/README.md", "docs/tuning.md"];

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// All that is wrong with the figures in the texts under `root`.
fn faults_under(root: &Path) -> Vec<String> {
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    let part = section(&readme, "Results");
    assert!(part.contains("results/README.md"), "no section of results");
    let results = fs::read_to_string(root.join("results/README.md")).unwrap();
    let of_readme = faults(part, root);
    let of_results = faults(&results, &root.join("results"));
    let guide = fs::read_to_string(root.join("docs/tuning.md")).unwrap();
    let (_, block) = guide.split_once("<!-- coalescing -->").unwrap();
    let (block, _) = block.split_once("<!-- /coalescing -->").unwrap();
    let of_guide = faults(block, &root.join("docs"));
    let all = of_readme.iter().chain(&of_results).chain(&of_guide);
    all.map(ToString::to_string).collect()
}

fn results(root: &Path, flag: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_results"));
    command.arg(flag).arg("--root").arg(root).output().unwrap()
}

/// A folder with the texts as they are, and no report.
fn copy_of_the_texts() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for text in TEXTS {
        let to = root.path().join(text);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(repository().join(text), to).unwrap();
    }
    root
}

#[test]
fn every_figure_in_the_readmes_cites_a_report_and_agrees_with_it() {
    assert_eq!(faults_under(&repository()), [""; 0]);
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[test]
fn the_texts_are_what_the_committed_reports_make_of_them() {
    let root = copy_of_the_texts();
    copy_folder(&repository().join("results"), &root.path().join("results"));
    let output = results(root.path(), "--texts");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    for text in TEXTS {
        let committed = fs::read_to_string(repository().join(text)).unwrap();
        let renewed = fs::read_to_string(root.path().join(text)).unwrap();
        assert!(
            committed == renewed,
            "{text}: renew it by `benches/run.sh --texts`"
        );
    }
}

#[test]
fn without_a_report_no_figure_stays_behind() {
    let root = copy_of_the_texts();
    let output = results(root.path(), "--texts");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(faults_under(root.path()), [""; 0]);
    let readme = fs::read_to_string(root.path().join("README.md")).unwrap();
    assert!(readme.contains("<!-- summary -->\n<!-- /summary -->"));
}

#[test]
fn one_command_writes_every_report_and_all_texts() {
    let root = copy_of_the_texts();
    let output = results(root.path(), "--trial");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(faults_under(root.path()), [""; 0]);
    let folder = root.path().join("results");
    let index: Value =
        serde_json::from_slice(&fs::read(folder.join("index.json")).unwrap()).unwrap();
    let made = index.as_array().unwrap().iter();
    let made: Vec<_> = made.map(|one| one["folder"].as_str().unwrap()).collect();
    assert_eq!(
        made,
        [
            "job", "drivers", "limits", "peers", "curves", "hostile", "broken"
        ]
    );
    let run: Value =
        serde_json::from_slice(&fs::read(folder.join("job/run.json")).unwrap()).unwrap();
    let commit = &run["environment"]["loadgen"]["commit"];
    for one in index.as_array().unwrap() {
        assert_eq!(&one["commit"], commit, "{one}");
    }
    for report in made {
        let page = fs::read_to_string(folder.join(report).join("report.md")).unwrap();
        assert!(page.starts_with("# "), "{report}: {page}");
    }
    let text = fs::read_to_string(folder.join("README.md")).unwrap();
    for cited in [
        "](job/run.json#/latency_ms/delivery/p99)",
        "](peers/data.json#/rows/",
        "](curves/data.json#/rows/",
        "](drivers/data.json#/bounds/",
        "](limits/data.json#/bounds/",
        "](hostile/data.json#/bounds/",
        "](broken/data.json#/bounds/",
    ] {
        assert!(text.contains(cited), "{cited}\n---\n{text}");
    }
    // A figure that is changed by hand is found out.
    let forged = text.replacen(" ms](job/", "9 ms](job/", 1);
    fs::write(folder.join("README.md"), forged).unwrap();
    assert_eq!(faults_under(root.path()).len(), 1);
}

#[test]
fn a_text_without_a_place_for_its_figures_is_named() {
    let root = copy_of_the_texts();
    fs::write(root.path().join("README.md"), "# bare\n").unwrap();
    let output = results(root.path(), "--texts");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("README.md has no place"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}
