//! The reports of results/: which program writes each, with which arguments, and how it is run.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use benches::process::{self, Running};
use serde::{Deserialize, Serialize};

/// How much is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    Whole,
    Quick,
    /// So little that figures mean nothing.
    Trial,
}

/// A folder of results/.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Report {
    pub(crate) folder: &'static str,
    /// What is measured, in the words of the index.
    pub(crate) what: &'static str,
    /// The program that writes it.
    program: &'static str,
    /// The file that figures cite.
    pub(crate) data: &'static str,
    /// The file for people.
    pub(crate) page: &'static str,
    whole: &'static str,
    quick: &'static str,
    /// Nothing where there is no small load.
    trial: Option<&'static str>,
}

/// A report as it was made; an entry of results/index.json.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Made {
    pub(crate) folder: String,
    pub(crate) command: String,
    pub(crate) took_seconds: f64,
    /// Of its program: 0, or 3 when a bound is missed or a run is invalid.
    pub(crate) exit_status: i32,
    /// What was measured: the commit of the build, and whether it had changes. `None` without git.
    pub(crate) commit: Option<String>,
}

/// Exit statuses of a report that was made.
const MADE: [i32; 2] = [0, 3];

/// No report takes longer.
const TIME_MAX: Duration = Duration::from_secs(20 * 60);

pub(crate) const ALL: [Report; 8] = [
    Report {
        folder: "job",
        what: "the main job: one run of the load generator, in full",
        program: "loadgen",
        data: "run.json",
        page: "report.md",
        whole: "--quiet --spawn-server --clients 5000 --rate 100 --duration 10s --out results/job",
        quick: "--quiet --spawn-server --clients 5000 --rate 100 --duration 5s --out results/job",
        trial: Some(
            "--quiet --spawn-server --clients 20 --rate 50 --duration 1s --warmup 200ms --out results/job",
        ),
    },
    Report {
        folder: "drivers",
        what: "io_uring, tokio-uring and epoll beside a bare send loop",
        program: "drivers",
        data: "data.json",
        page: "report.md",
        whole: "--scenarios cpu,p99,flood --repeats 5 --duration 3s --json results/drivers/data.json",
        quick: "--scenarios cpu,p99 --repeats 1 --duration 2s --json results/drivers/data.json",
        trial: Some(
            "--scenarios low --repeats 1 --duration 500ms --warmup 100ms --passes 2 --json results/drivers/data.json",
        ),
    },
    Report {
        folder: "limits",
        what: "large messages, few clients, very many, a herd of newcomers, idle clients",
        program: "drivers",
        data: "data.json",
        page: "report.md",
        whole: "--scenarios large,low,many,join,idle --drivers uring --repeats 5 --duration 3s --json results/limits/data.json",
        quick: "--scenarios large,low,idle --drivers uring --repeats 1 --duration 2s --idle-duration 2s --json results/limits/data.json",
        trial: Some(
            "--scenarios idle --drivers uring --repeats 1 --idle-clients 20 --idle-duration 200ms --passes 2 --json results/limits/data.json",
        ),
    },
    Report {
        folder: "coalescing",
        what: "what `--coalesce` does",
        program: "drivers",
        data: "data.json",
        page: "report.md",
        whole: "--scenarios coalesce --drivers uring --repeats 3 --duration 3s --json results/coalescing/data.json",
        quick: "--scenarios coalesce --drivers uring --repeats 1 --duration 2s --json results/coalescing/data.json",
        trial: None,
    },
    Report {
        folder: "peers",
        what: "the server beside Redis, NATS and Mosquitto",
        program: "peers",
        data: "data.json",
        page: "report.md",
        whole: "--out results/peers",
        quick: "--quick --out results/peers",
        trial: Some(
            "--clients 20 --rates 20,100 --repeats 1 --duration 500ms --no-find-max --out results/peers",
        ),
    },
    Report {
        folder: "curves",
        what: "how cost and latency grow with clients, rate, size, stalled clients, by driver and threads",
        program: "curves",
        data: "data.json",
        page: "report.md",
        whole: "--out results/curves",
        quick: "--quick --out results/curves",
        trial: Some(
            "--curves connections,rate --connections 5,20 --rates 20,100 --clients 20 --repeats 1 --duration 500ms --out results/curves",
        ),
    },
    Report {
        folder: "hostile",
        what: "what healthy clients feel beside hostile ones, and beside a flooder",
        program: "hostile",
        data: "data.json",
        page: "report.md",
        whole: "--scenarios kinds,stalled,flood --repeats 5 --duration 3s --json results/hostile/data.json",
        quick: "--scenarios kinds,stalled,flood --repeats 1 --duration 2s --json results/hostile/data.json",
        trial: Some(
            "--scenarios kinds,stalled --kinds churn --clients 20 --repeats 1 --duration 500ms --json results/hostile/data.json",
        ),
    },
    Report {
        folder: "broken",
        what: "what healthy clients feel beside peers that are no clients, or clients gone wrong",
        program: "hostile",
        data: "data.json",
        page: "report.md",
        whole: "--scenarios broken --repeats 5 --duration 1500ms --json results/broken/data.json",
        quick: "--scenarios broken --repeats 1 --duration 1s --json results/broken/data.json",
        trial: Some(
            "--scenarios broken --broken tls,port-scan --clients 20 --repeats 1 --duration 500ms --json results/broken/data.json",
        ),
    },
];

impl Report {
    /// Its arguments; `None` if it has none to that extent.
    const fn arguments(&self, extent: Extent) -> Option<&'static str> {
        match extent {
            Extent::Whole => Some(self.whole),
            Extent::Quick => Some(self.quick),
            Extent::Trial => self.trial,
        }
    }

    /// Renews the report's folder under `root`; `None` if it is not made to that extent.
    ///
    /// # Errors
    /// In one line: what kept it from being made. The folder then holds what was made of it.
    pub(crate) fn make(&self, root: &Path, extent: Extent) -> Result<Option<Made>, String> {
        let folder = root.join("results").join(self.folder);
        let failed = |error: io::Error| format!("{}: {error}", self.program);
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let Some(arguments) = self.arguments(extent) else {
            return Ok(None);
        };
        fs::create_dir_all(&folder).map_err(failed)?;
        eprintln!("\n== {}: {} {arguments}", self.what, self.program);
        let began = Instant::now();
        let said = folder.join("said.txt");
        let mut running = Running::start(
            self.program()
                .map_err(failed)?
                .args(arguments.split(' '))
                .current_dir(root)
                .stdout(File::create(&said).map_err(failed)?),
        )
        .map_err(failed)?;
        let status = running.wait(TIME_MAX).map_err(failed)?;
        let command = format!("{} {arguments}", self.program);
        let exit_status = match status.map(|status| (status, status.code())) {
            Some((_, Some(code))) if MADE.contains(&code) => code,
            Some((status, _)) => return Err(format!("{command}: {status}")),
            None => return Err(format!("{command}: not over after {TIME_MAX:?}")),
        };
        self.keep(&folder, &said, &command).map_err(failed)?;
        Ok(Some(Made {
            folder: self.folder.into(),
            command,
            took_seconds: began.elapsed().as_secs_f64(),
            exit_status,
            commit: loadgen::commit().map(str::to_owned),
        }))
    }

    /// A program of this build: it lies beside this one, or is a part of it.
    fn program(&self) -> io::Result<Command> {
        let this = std::env::current_exe()?;
        if self.program == "loadgen" {
            let mut command = Command::new(this);
            command.arg(process::LOADGEN);
            return Ok(command);
        }
        Ok(Command::new(this.with_file_name(self.program)))
    }

    /// Makes the page of what the program said, if it has not written one itself.
    fn keep(&self, folder: &Path, said: &Path, command: &str) -> io::Result<()> {
        let page = folder.join(self.page);
        if !page.exists() {
            let tables = fs::read_to_string(said)?;
            let text = format!(
                "# {}\n\nRepeat it: `cargo run --release -p benches --bin {command}`\n\n```text\n{}\n```\n",
                self.what,
                tables.trim_end()
            );
            fs::write(page, text)?;
        }
        fs::remove_file(said)
    }
}
