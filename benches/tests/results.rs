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
        let words = text.split_whitespace();
        let words = words.map(|word| word.trim_matches(['(', '*', '|']));
        let is_figure = |word: &&str| word.starts_with(|letter: char| letter.is_ascii_digit());
        typed.extend(words.filter(is_figure).map(str::to_owned));
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

#[test]
fn texts_pages_and_plots_are_what_the_committed_data_makes_of_them() {
    let root = copy_of_the_texts();
    let from_to = [repository().join("results"), root.path().into()];
    let copied = Command::new("cp").arg("-r").args(from_to).status();
    assert!(copied.unwrap().success());
    let output = results(root.path(), "--texts");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let pages = "drivers limits coalescing peers curves hostile broken".split(' ');
    let pages = pages.map(|folder| format!("results/{folder}/report.md"));
    let plots = ["results/peers/p99.svg", "results/curves/stalled-cpu.svg"];
    let texts = TEXTS.into_iter().chain(plots).map(str::to_owned);
    for text in texts.chain(pages) {
        let committed = fs::read_to_string(repository().join(&text)).unwrap();
        let renewed = fs::read_to_string(root.path().join(&text)).unwrap();
        let is_same = committed == renewed;
        assert!(is_same, "{text}: renew it by `benches/run.sh --texts`");
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
    let read = |file: &str| fs::read_to_string(folder.join(file)).unwrap();
    let json = |file: &str| serde_json::from_str::<Value>(&read(file)).unwrap();
    let commit = &json("job/run.json")["environment"]["loadgen"]["commit"];
    let text = read("README.md");
    for report in "job drivers limits peers web wires curves hostile broken attacks".split(' ') {
        let page = read(&format!("{report}/report.md"));
        assert!(page.starts_with("# "), "{report}: {page}");
        let mut data = format!("{report}/run.json");
        if report != "job" {
            data = format!("{report}/data.json");
            assert_eq!(&json(&data)["commit"], commit, "{report}");
        }
        assert!(
            text.contains(&format!("[Data]({data})")),
            "{report}\n---\n{text}"
        );
    }
    assert!(!folder.join("coalescing").exists(), "it has no small load");
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
