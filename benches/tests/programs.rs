//! The programs that measure, from outside, at the smallest loads they have. Never how fast anything is:
//! exit status 3 says that a bound is missed or a busy machine made a run invalid, which is not asked here.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on is to panic")]

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

/// What a program said: its exit status, its standard output if that is JSON, and its errors.
fn run(program: &str, flags: &str) -> (i32, Value, String) {
    let program = match program {
        "floor" => env!("CARGO_BIN_EXE_floor"),
        "drivers" => env!("CARGO_BIN_EXE_drivers"),
        "curves" => env!("CARGO_BIN_EXE_curves"),
        "hostile" => env!("CARGO_BIN_EXE_hostile"),
        _ => env!("CARGO_BIN_EXE_own-cost"),
    };
    let mut command = Command::new(program);
    let output = command.args(flags.split_whitespace()).output().unwrap();
    let data = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let errors = String::from_utf8(output.stderr).unwrap();
    (output.status.code().unwrap(), data, errors)
}

/// What a program measured.
fn measured(program: &str, flags: &str) -> Value {
    let (status, data, errors) = run(program, &format!("{flags} --json -"));
    assert!(matches!(status, 0 | 3), "{errors}");
    data
}

/// The one line in which a program refused, with this status.
fn refused(program: &str, flags: &str, status: i32) -> String {
    let (found, _, errors) = run(program, flags);
    assert_eq!(found, status, "{errors}");
    let mut lines = errors.lines().filter(|line| line.starts_with("error:"));
    let line = lines.next().unwrap_or_default().to_owned();
    assert_eq!(lines.count(), 0, "{errors}");
    line
}

fn list<'a>(data: &'a Value, name: &str) -> &'a Vec<Value> {
    data[name].as_array().unwrap()
}

fn runs(data: &Value) -> &Vec<Value> {
    list(data, "runs")
}

fn figures<const N: usize>(run: &Value, names: [&str; N]) -> [f64; N] {
    names.map(|name| figure(run, name))
}

fn figure(run: &Value, name: &str) -> f64 {
    let figure = run["figures"][name].as_f64();
    figure.unwrap_or_else(|| panic!("no {name} in {run}"))
}

/// Where each run belongs.
fn names(data: &Value) -> Vec<(&str, &str)> {
    let name = |name: &'_ Value| name.as_str().unwrap_or_default().to_owned().leak();
    let pair = |run: &Value| (&*name(&run["scenario"]), &*name(&run["candidate"]));
    runs(data).iter().map(pair).collect()
}

#[test]
fn every_send_of_a_floor_is_read_once() {
    let floor = measured("floor", "--sockets 50 --repeats 2 --passes 3");
    assert_eq!(runs(&floor).len(), 2);
    for run in runs(&floor) {
        assert_eq!(figures(run, ["floor_sends", "floor_reads"]), [150.0; 2]);
        let names = "floor_ms floor_completion_ms floor_cpu_us floor_reader_cpu_us";
        for name in names.split(' ') {
            assert!(figure(run, name) > 0.0, "{name}: {run}");
        }
    }
    // Long frames are no exception.
    let flags = "--sockets 65 --sizes 200000 --repeats 1 --passes 2";
    let floor = measured("floor", flags);
    let run = &runs(&floor)[0];
    assert_eq!(figure(run, "floor_sends"), 130.0);
    assert!(figure(run, "floor_reads") >= 260.0, "128 KiB a read");
}

#[test]
fn passes_are_no_closer_than_their_interval() {
    let flags = "--scenarios spaced --rates 25 --sockets 3 --repeats 1 --passes 5";
    let floor = measured("floor", flags);
    // 20 passes more warm up; the first of all waits for nobody.
    assert!(floor["took_seconds"].as_f64().unwrap() >= 24.0 * 0.040);
}

#[test]
fn a_driver_is_measured_beside_its_floor() {
    let flags = "--drivers tokio-uring --scenarios low --repeats 1 --duration 500ms --warmup 100ms --passes 2";
    let drivers = measured("drivers", flags);
    assert_eq!(names(&drivers), [("low", "tokio-uring")]);
    let run = &runs(&drivers)[0];
    assert_eq!(figure(run, "delivered"), 5.0 * 99.0);
    assert!(figure(run, "floor_ms") > 0.0 && figure(run, "p99_by_allowance") > 0.0);
}

#[test]
fn idle_clients_have_all_joined_before_they_are_watched() {
    let flags = "--drivers uring --scenarios idle --clients 20 --duration 100ms --repeats 1";
    let drivers = measured("drivers", flags);
    let run = &runs(&drivers)[0];
    assert_eq!(figure(run, "idle_clients"), 20.0);
    assert!(figure(run, "idle_rss_mib") > 0.0);
    assert_eq!(list(&drivers, "bounds").len(), 4);
}

#[test]
fn what_cannot_be_measured_is_one_line_with_the_remedy() {
    let descriptors = refused("floor", "--sockets 4000000000", 1);
    let remedy = "`ulimit -n 4000000064`";
    assert!(descriptors.contains(remedy), "{descriptors}");
    let json = refused("floor", "--json /nowhere/floor.json", 1);
    assert!(json.contains("cannot write /nowhere/floor.json"), "{json}");
    let duration = refused("drivers", "--scenarios low --duration soon", 2);
    assert!(duration.contains("--duration"), "{duration}");
    let none = refused("own-cost", "--clients 12 --duration 0s --repeats 1", 1);
    assert!(none.contains("--duration"), "{none}");
    let size = refused("curves", "--sizes 16", 2);
    assert!(size.contains("16 is not in 56..=1048576"), "{size}");
    for scenario in ["stalled", "flood"] {
        let flags = "--clients 20 --repeats 1 --server-arg=--no-such-option --scenarios";
        let option = refused("hostile", &format!("{flags} {scenario}"), 1);
        assert!(option.contains("no-such-option"), "{option}");
    }
}

#[test]
fn every_point_of_a_curve_is_beside_its_floor_and_every_curve_has_two_plots() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("curves");
    let flags = format!(
        "--curves connections,threads,size --connections 5,20 --rates 40 --sizes 56,70000 --clients 20 --repeats 1 --duration 500ms --out {}",
        out.display()
    );
    let curves = measured("curves", &flags);
    let written = fs::read(out.join("data.json")).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&written).unwrap(), curves);
    let sections = list(&curves, "sections").iter();
    let scenarios = sections.flat_map(|section| list(section, "scenarios"));
    let xs = scenarios.map(|scenario| scenario["x"].as_f64().unwrap());
    assert_eq!(xs.collect::<Vec<_>>(), [5.0, 20.0, 56.0, 70_000.0, 40.0]);
    assert_eq!(runs(&curves).len(), 6);
    for run in runs(&curves) {
        assert!(figure(run, "floor_ms") > 0.0 && figure(run, "p99_ms") > 0.0);
        assert_eq!(figure(run, "lost_percent"), 0.0);
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
    assert!(report.contains("2 threads |"), "{report}");
}

#[test]
fn stalled_clients_join_beside_those_that_are_measured() {
    let flags = "--quick --curves stalled --clients 200 --repeats 1 --duration 300ms";
    let curves = measured("curves", flags);
    let expected = [
        "4 clients and 0 stalled x",
        "4 clients and 2 stalled x",
        "4 clients and 4 stalled x",
    ];
    for ((scenario, _), who) in names(&curves).into_iter().zip(expected) {
        assert!(scenario.contains(who), "{scenario}");
    }
}

#[test]
fn every_hostile_case_is_measured_and_the_healthy_get_all_of_it_once() {
    let kinds = "stalled slow churn garbage half-open herd";
    let chosen = kinds.replace(' ', ",") + ",tls,port-scan,flooder";
    let flags = format!(
        "--scenarios kinds,stalled,broken,flood,memory --clients 20 --candidates {chosen} --repeats 1 --duration 500ms"
    );
    let hostile = measured("hostile", &flags);
    let candidates: Vec<_> = names(&hostile).into_iter().map(|(_, who)| who).collect();
    let expected =
        format!("nobody {kinds} nobody stalled nobody tls port-scan nobody flooder nobody stalled");
    assert_eq!(candidates.join(" "), expected);
    for run in runs(&hostile) {
        assert_eq!(figures(run, ["lost_percent", "faults"]), [0.0; 2], "{run}");
        assert!(figure(run, "kernel_socket_mib") >= 0.0, "{run}");
    }
    for run in &runs(&hostile)[10..12] {
        assert!(figure(run, "connections") > 0.0, "{run}");
    }
    assert!(figure(&runs(&hostile)[13], "flood_rate") > 0.0);
    assert_eq!(list(&hostile, "bounds").len(), 24);
}

#[test]
fn every_attack_is_measured_beside_the_same_load_without_it() {
    let flags = "--scenarios attacks --clients 20 --repeats 1 --duration 300ms";
    let hostile = measured("hostile", flags);
    let names = names(&hostile);
    assert_eq!(names.len(), 11 + 7);
    assert_eq!(names[0], ("attacks", "nobody"));
    assert_eq!(names[11], ("attacks --history=1000", "nobody"));
    for ((_, attack), run) in names.iter().zip(runs(&hostile)) {
        let is_flooded = run["figures"]["flood_rate"].is_number();
        assert_eq!(is_flooded, attack.contains("flooders"), "{run}");
    }
    assert_eq!(list(&hostile, "bounds").len(), 2 * (10 + 6));
    assert_eq!(hostile["bounds"][0]["wanted"], json!("<= 250 ms"));
}

/// Messages are so far apart that each is a segment of its own to each client.
#[test]
fn those_side_by_side_see_the_same_traffic() {
    let own_cost = measured(
        "own-cost",
        "--clients 12 --rates 20 --duration 2s --repeats 2",
    );
    assert_eq!(runs(&own_cost).len(), 2 * 5);
    for repeat in runs(&own_cost).chunks(5) {
        for pair in [&repeat[..2], &repeat[2..4]] {
            // The author of a message does not get it, and of 40 messages one or two more are seen by
            // those who are asked a little earlier or later.
            for name in ["bytes_per_segment", "segments"] {
                let [judged, bare] = [0, 1].map(|at| figure(&pair[at], name));
                let differ = (judged / bare - 1.0).abs();
                assert!(differ < 0.5, "{name}: {judged} and {bare}");
            }
            assert!(figure(&pair[0], "segments_per_turn") > 0.0);
        }
        assert!(figure(&repeat[4], "user_ns_per_delivery") > 0.0);
    }
    let bounds = list(&own_cost, "bounds").iter();
    let wanted = bounds.map(|bound| &bound["wanted"]);
    let expected = ["<= 1.15x", "0.950 to 1.05x", "", "<= 120 ns"];
    assert_eq!(wanted.collect::<Vec<_>>(), expected);
}
