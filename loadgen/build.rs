//! Tells the program which commit it was built from, where that is known: reports name it.

use std::path::Path;
use std::process::Command;

fn main() {
    let git_folder = git(&["rev-parse", "--absolute-git-dir"]);
    println!("cargo::rerun-if-changed=build.rs");
    // A file that is not there would rebuild the crate each time.
    for name in ["HEAD", "index", "packed-refs"] {
        if let Some(folder) = &git_folder
            && Path::new(folder).join(name).exists()
        {
            println!("cargo::rerun-if-changed={folder}/{name}");
        }
    }
    let commit = git(&["rev-parse", "--short=12", "HEAD"]);
    // What reports renew is no change of the program.
    let of_program = [":(top)", ":(top,exclude)results", ":(top,exclude)*.md"];
    let status = ["status", "--porcelain", "--untracked-files=no", "--"];
    let changed = git(&[&status[..], &of_program].concat()).is_some_and(|it| !it.is_empty());
    let commit = match commit {
        Some(commit) if changed => format!("{commit} with changes"),
        Some(commit) => commit,
        None => String::new(),
    };
    println!("cargo::rustc-env=LOADGEN_COMMIT={commit}");
}

/// What git answers; `None` without git, or outside a repository.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
