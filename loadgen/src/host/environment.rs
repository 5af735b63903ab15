//! Reads the environment of a run: what else a figure depends on. What cannot be read is left out, never
//! guessed.

use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::path::Path;

use record::{Environment, Limits, Program};
use rustix::process::{Resource, getrlimit};

/// The settings of the kernel that matter to thousands of connections.
const SYSCTLS: [&str; 11] = [
    "net.core.somaxconn",
    "net.core.rmem_max",
    "net.core.wmem_max",
    "net.ipv4.tcp_mem",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
    "net.ipv4.tcp_max_syn_backlog",
    "net.ipv4.tcp_congestion_control",
    "net.ipv4.ip_local_port_range",
    "kernel.io_uring_disabled",
    "fs.nr_open",
];

const GOVERNOR_FILE: &str = "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor";
const VULNERABILITIES: &str = "/sys/devices/system/cpu/vulnerabilities";

/// Looks around. `ready_line` is what a server of this same build said, if that is the one.
#[must_use]
pub fn look(target: IpAddr, ready_line: Option<&str>) -> Environment {
    let loadgen = this_program();
    let server = ready_line.map_or_else(Program::default, |_| loadgen.clone());
    Environment {
        server,
        loadgen,
        driver: ready_line.and_then(driver).map(str::to_owned),
        server_ready_line: ready_line.map(str::to_owned),
        loopback: target.to_canonical().is_loopback(),
        cpu: field("/proc/cpuinfo", "model name"),
        cores: std::thread::available_parallelism().ok().map(usize::from),
        memory_bytes: field("/proc/meminfo", "MemTotal").as_deref().and_then(kib),
        kernel: line("/proc/sys/kernel/osrelease"),
        governor: line(GOVERNOR_FILE),
        mitigations: mitigations(Path::new(VULNERABILITIES)),
        limits: limits(),
        sysctls: sysctls(),
    }
}

/// The commit of this build, with a word more if its sources had changed since; `None` without git.
#[doc(hidden)]
#[must_use]
pub fn commit() -> Option<&'static str> {
    Some(env!("LOADGEN_COMMIT")).filter(|commit| !commit.is_empty())
}

/// This build.
fn this_program() -> Program {
    Program {
        version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        commit: commit().map(str::to_owned),
    }
}

fn limits() -> Limits {
    let files = getrlimit(Resource::Nofile);
    Limits {
        open_files: files.current,
        open_files_hard: files.maximum,
        locked_memory_bytes: getrlimit(Resource::Memlock).current,
    }
}

/// The driver that a server names in `listening on ADDR (driver NAME, ...)`.
fn driver(ready_line: &str) -> Option<&str> {
    let (_, rest) = ready_line.split_once("(driver ")?;
    rest.split([',', ')', ' ']).next()
}

fn sysctls() -> BTreeMap<String, String> {
    let read = |name: &&str| {
        let path = format!("/proc/sys/{}", name.replace('.', "/"));
        Some(((*name).to_owned(), line(&path)?))
    };
    SYSCTLS.iter().filter_map(read).collect()
}

fn mitigations(folder: &Path) -> BTreeMap<String, String> {
    let Ok(entries) = fs::read_dir(folder) else {
        return BTreeMap::new();
    };
    entries
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let flaw = path.file_name()?.to_str()?.to_owned();
            let said = line(path.to_str()?)?;
            (said != "Not affected").then_some((flaw, said))
        })
        .collect()
}

/// The content of a file of one line, its blanks made single.
fn line(path: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let words: Vec<_> = text.split_ascii_whitespace().collect();
    (!words.is_empty()).then(|| words.join(" "))
}

/// What stands behind `name:` in a file of such lines.
fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim().to_owned())
    })
}

/// `16 kB` in bytes.
fn kib(text: &str) -> Option<u64> {
    let number: u64 = text.strip_suffix("kB")?.trim().parse().ok()?;
    Some(number * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    const READY: &str = "listening on 127.0.0.1:4711 (driver tokio-uring, 1 thread)";

    #[test]
    fn the_driver_is_found_in_the_ready_line() {
        assert_eq!(driver(READY), Some("tokio-uring"));
        assert_eq!(driver("listening on [::1]:1 (driver epoll)"), Some("epoll"));
        assert_eq!(driver("listening on [::1]:1"), None);
    }

    #[test]
    fn a_server_of_unknown_build_stays_unknown() {
        let elsewhere = look("10.0.0.1".parse().unwrap(), None);
        assert_eq!(elsewhere.server.in_words(), "unknown");
        assert!(!elsewhere.loopback);
        let own = look("::1".parse().unwrap(), Some(READY));
        assert_eq!(own.server, own.loadgen);
        assert!(own.loopback && own.kernel.is_some() && own.cores > Some(0));
    }

    #[test]
    fn only_flaws_that_affect_the_processor_are_listed() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("spectre_v2"), "Mitigation: IBRS\n").unwrap();
        fs::write(folder.path().join("mds"), "Not affected\n").unwrap();
        let listed = mitigations(folder.path());
        assert_eq!(listed.len(), 1);
        assert_eq!(listed["spectre_v2"], "Mitigation: IBRS");
    }
}
