//! What the tests of several crates share: saying that a test cannot run here, and a browser. The
//! tests of this crate check the sources of the whole workspace.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Says why a test cannot run here. Where `URINGCAST_NO_SKIP` is set, as in `.ci/run`, that fails the
/// test: there everything it needs has to be installed.
///
/// # Panics
/// When `URINGCAST_NO_SKIP` is set.
#[track_caller]
pub fn skip(why: impl Display) {
    let may_skip = std::env::var_os("URINGCAST_NO_SKIP").is_none();
    assert!(
        may_skip,
        "this test cannot run here and may not be skipped (URINGCAST_NO_SKIP): {why}"
    );
    eprintln!("skipped: {why}");
}

const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// A browser that hangs is ended.
const TIMEOUT_SECONDS: &str = "120";

const FLAGS: [&str; 12] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
    "--window-size=400,900",
    "--dump-dom",
];

/// A browser without a window.
#[derive(Debug)]
pub struct Browser(PathBuf);

/// A page as a browser shows it.
#[derive(Debug)]
pub struct Rendered {
    /// The document after its scripts have run.
    pub document: String,
    /// What the browser wrote to stderr.
    pub said: String,
}

impl Browser {
    /// The first browser in the path; skips the test without one.
    #[must_use]
    pub fn find() -> Option<Self> {
        let path = std::env::var_os("PATH")?;
        let found = std::env::split_paths(&path)
            .flat_map(|folder| BROWSERS.map(|name| folder.join(name)))
            .find(|file| file.is_file());
        if found.is_none() {
            skip(format!("no browser is installed ({})", BROWSERS.join(", ")));
        }
        found.map(Self)
    }

    /// Its program.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Renders what is at `url`, with `flags` besides those that every test needs.
    ///
    /// # Panics
    /// When the browser fails.
    #[must_use]
    pub fn render(&self, url: &str, flags: &[&str]) -> Rendered {
        let profile = tempfile::tempdir().expect("a folder for the profile can be made");
        let output = Command::new("timeout")
            .arg(TIMEOUT_SECONDS)
            .arg(&self.0)
            .args(FLAGS)
            .args(flags)
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg(url)
            .output()
            .expect("timeout(1) is there");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{}: {said}", output.status);
        let document = String::from_utf8_lossy(&output.stdout).into_owned();
        Rendered { document, said }
    }
}

impl Rendered {
    /// What the page itself had the browser complain about.
    #[must_use]
    pub fn complaints(&self) -> Vec<&str> {
        let of_the_page = |line: &&str| line.contains("CONSOLE");
        self.said.lines().filter(of_the_page).collect()
    }
}
