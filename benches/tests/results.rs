//! The figures in README.md and results/README.md, and the program that writes them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on is to panic")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// The texts that hold figures.
const TEXTS: [&str; 3] = ["README.md", "results/README.md", "docs/tuning.md"];

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Figures in the texts under `root` that were typed by hand: words that begin with a digit, outside of
/// the generated blocks, of code and of links.
fn typed_figures(root: &Path) -> Vec<String> {
    let read = |name| fs::read_to_string(root.join(name)).unwrap();
    let readme = read("README.md");
    let (_, section) = readme.split_once("\n## Results\n").unwrap();
    let section = section.split("\n## ").next().unwrap().to_owned();
    let mut typed = Vec::new();
    for text in [section, read("results/README.md")] {
        let mut text = text;
        for (opening, closing) in [("<!-- ", "<!-- /"), ("```", "```"), ("`", "`"), ("](", ")")] {
            while let Some((before, inner)) = text.split_once(opening) {
                let (_, after) = inner.split_once(closing).unwrap_or_default();
                text = format!("{before} {after}");
            }
        }
        let words = text
            .split_whitespace()
            .map(|word| word.trim_matches(['(', '*', '|']));
        let typed_here =
            words.filter(|word| word.starts_with(|letter: char| letter.is_ascii_digit()));
        typed.extend(typed_here.map(str::to_owned));
    }
    typed
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
fn no_figure_in_the_readmes_is_typed_by_hand() {
    assert_eq!(typed_figures(&repository()), [""; 0]);
    let root = copy_of_the_texts();
    let path = root.path().join("results/README.md");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text + "\nIt takes 67 ms.\n").unwrap();
    assert_eq!(typed_figures(root.path()), ["67"]);
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
fn texts_pages_and_plots_are_what_the_committed_data_makes_of_them() {
    let root = copy_of_the_texts();
    copy_folder(&repository().join("results"), &root.path().join("results"));
    let output = results(root.path(), "--texts");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let pages = [
        "drivers",
        "limits",
        "coalescing",
        "peers",
        "curves",
        "hostile",
        "broken",
    ];
    let pages = pages.map(|folder| format!("results/{folder}/report.md"));
    let plots = ["results/peers/p99.svg", "results/curves/stalled-cpu.svg"];
    let texts = TEXTS.into_iter().chain(plots).map(str::to_owned);
    for text in texts.chain(pages) {
        let committed = fs::read_to_string(repository().join(&text)).unwrap();
        let renewed = fs::read_to_string(root.path().join(&text)).unwrap();
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
    let readme = fs::read_to_string(root.path().join("README.md")).unwrap();
    assert!(readme.contains("<!-- summary -->\n<!-- /summary -->"));
}

#[test]
fn one_command_writes_every_report_and_all_texts() {
    let root = copy_of_the_texts();
    let output = results(root.path(), "--trial");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let folder = root.path().join("results");
    let index: Value =
        serde_json::from_slice(&fs::read(folder.join("index.json")).unwrap()).unwrap();
    let made = index.as_array().unwrap().iter();
    let made: Vec<_> = made.map(|one| one["folder"].as_str().unwrap()).collect();
    assert_eq!(
        made,
        [
            "job", "drivers", "limits", "peers", "curves", "hostile", "broken", "attacks"
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
    for block in [
        "job", "drivers", "limits", "curves", "peers", "hostile", "broken", "attacks",
    ] {
        let data = if block == "job" {
            "run.json"
        } else {
            "data.json"
        };
        assert!(
            text.contains(&format!("[Data]({block}/{data})")),
            "{block}\n---\n{text}"
        );
    }
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
