//! The programs that measure, from outside, at the smallest loads they have. Never how fast anything is:
//! exit status 3 says that a bound is missed or a busy machine made a run invalid, which is not asked here.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on is to panic")]

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use benches::{Floor, Plan};
use serde_json::{Value, json};

/// What a program said.
struct Said {
    status: i32,
    /// Its standard output, if that is JSON.
    data: Value,
    errors: String,
}

fn run(program: &str, flags: &str) -> Said {
    let program = match program {
        "floor" => env!("CARGO_BIN_EXE_floor"),
        "drivers" => env!("CARGO_BIN_EXE_drivers"),
        "curves" => env!("CARGO_BIN_EXE_curves"),
        "hostile" => env!("CARGO_BIN_EXE_hostile"),
        _ => env!("CARGO_BIN_EXE_own-cost"),
    };
    let mut command = Command::new(program);
    let output = command.args(flags.split_whitespace()).output().unwrap();
    Said {
        status: output.status.code().unwrap(),
        data: serde_json::from_slice(&output.stdout).unwrap_or_default(),
        errors: String::from_utf8(output.stderr).unwrap(),
    }
}

/// What a program measured.
fn measured(program: &str, flags: &str) -> Said {
    let said = run(program, &format!("{flags} --json -"));
    assert!(matches!(said.status, 0 | 3), "{}", said.errors);
    said
}

/// The one line in which a program refused, with this status.
fn refused(program: &str, flags: &str, status: i32) -> String {
    let Said {
        status: found,
        errors,
        ..
    } = run(program, flags);
    assert_eq!(found, status, "{errors}");
    let mut lines = errors.lines().filter(|line| line.starts_with("error:"));
    let line = lines.next().unwrap_or_default().to_owned();
    assert_eq!(lines.count(), 0, "{errors}");
    line
}

fn runs(data: &Value) -> &Vec<Value> {
    data["runs"].as_array().unwrap()
}

fn figure(run: &Value, name: &str) -> f64 {
    run["figures"][name]
        .as_f64()
        .unwrap_or_else(|| panic!("no {name} in {run}"))
}

/// Where each run belongs.
fn names(data: &Value) -> Vec<(&str, &str)> {
    let name = |run: &'_ Value, part: &str| run[part].as_str().unwrap().to_owned().leak();
    let pair = |run: &_| (&*name(run, "scenario"), &*name(run, "candidate"));
    runs(data).iter().map(pair).collect()
}

#[test]
fn every_send_of_a_floor_is_read_once() {
    let flags = "--sockets 50 --repeats 2 --passes 3";
    let floor = measured("floor", flags);
    assert_eq!(runs(&floor.data).len(), 2);
    for run in runs(&floor.data) {
        assert_eq!(
            (figure(run, "floor_sends"), figure(run, "floor_reads")),
            (150.0, 150.0)
        );
        for name in [
            "floor_ms",
            "floor_completion_ms",
            "floor_cpu_us",
            "floor_reader_cpu_us",
        ] {
            assert!(figure(run, name) > 0.0, "{name}: {run}");
        }
    }
}

#[test]
fn sockets_that_do_not_fill_a_window_and_long_frames_are_no_exception() {
    let flags = "--sockets 65 --sizes 200000 --repeats 1 --passes 2";
    let floor = measured("floor", flags);
    let run = &runs(&floor.data)[0];
    assert_eq!(figure(run, "floor_sends"), 130.0);
    assert!(figure(run, "floor_reads") >= 260.0, "128 KiB a read");
}

fn small_floor(sockets: u32, interval: Duration) -> Floor {
    let plan = Plan {
        passes: 1,
        warmup_passes: 0,
        reader: Some(PathBuf::from(env!("CARGO_BIN_EXE_floor"))),
        ..Plan::new(sockets, 64, 1, interval)
    };
    Floor::connect(&plan).unwrap()
}

#[test]
fn a_pass_is_complete_only_after_its_first_send() {
    let mut floor = small_floor(20, Duration::ZERO);
    for _ in 0..10 {
        let pass = floor.pass().unwrap();
        assert_eq!(pass.reads, 20);
        assert!(!pass.sending.is_zero() && !pass.completion.is_zero());
        assert!(!pass.send_cpu.is_zero() && !pass.read_cpu.is_zero());
    }
}

#[test]
fn passes_are_no_closer_than_their_interval() {
    let mut floor = small_floor(3, Duration::from_millis(40));
    floor.pass().unwrap();
    let began = Instant::now();
    floor.pass().unwrap();
    floor.pass().unwrap();
    // The first of these may have waited less, as the pass before it took its time.
    assert!(began.elapsed() >= Duration::from_millis(40));
}

#[test]
fn a_driver_is_measured_beside_its_floor() {
    let flags = "--drivers tokio-uring --scenarios low --repeats 1 --duration 500ms --warmup 100ms --passes 2";
    let drivers = measured("drivers", flags);
    assert_eq!(names(&drivers.data), [("low", "tokio-uring")]);
    let run = &runs(&drivers.data)[0];
    assert_eq!(figure(run, "delivered"), 5.0 * 99.0);
    assert!(figure(run, "floor_ms") > 0.0);
    assert!(
        drivers.errors.contains("delivery p99 / (1.3 F + 0.5 ms)"),
        "{}",
        drivers.errors
    );
}

#[test]
fn idle_clients_have_all_joined_before_they_are_watched() {
    let flags = "--drivers uring --scenarios idle --clients 20 --duration 100ms --repeats 1";
    let drivers = measured("drivers", flags);
    let run = &runs(&drivers.data)[0];
    assert_eq!(figure(run, "idle_clients"), 20.0);
    assert!(figure(run, "idle_rss_mib") > 0.0);
    let bounds = drivers.data["bounds"].as_array().unwrap();
    assert_eq!(bounds.len(), 4, "{bounds:?}");
}

#[test]
fn what_cannot_be_measured_is_one_line_with_the_remedy() {
    let descriptors = refused("floor", "--sockets 4000000000", 1);
    assert!(
        descriptors.contains("`ulimit -n 4000000064`"),
        "{descriptors}"
    );
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
    assert_eq!(
        serde_json::from_slice::<Value>(&written).unwrap(),
        curves.data
    );
    let sections = curves.data["sections"].as_array().unwrap().iter();
    let scenarios = sections.flat_map(|section| section["scenarios"].as_array().unwrap());
    let xs: Vec<_> = scenarios
        .map(|scenario| scenario["x"].as_f64().unwrap())
        .collect();
    assert_eq!(xs, [5.0, 20.0, 56.0, 70_000.0, 40.0]);
    assert_eq!(runs(&curves.data).len(), 6);
    for run in runs(&curves.data) {
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
    let names = names(&curves.data);
    for (at, who) in [
        "4 clients x",
        "4 clients and 2 stalled x",
        "4 clients and 4 stalled x",
    ]
    .into_iter()
    .enumerate()
    {
        assert!(names[at].0.contains(who), "{names:?}");
    }
}

#[test]
fn every_hostile_case_is_measured_and_the_healthy_get_all_of_it_once() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("hostile.md");
    let hostile = measured(
        "hostile",
        &format!(
            "--scenarios kinds,stalled,broken,flood,memory --clients 20 --candidates stalled,slow,churn,garbage,half-open,herd,tls,port-scan,flooder --repeats 1 --duration 500ms --markdown {}",
            page.display()
        ),
    );
    let candidates: Vec<_> = names(&hostile.data)
        .into_iter()
        .map(|(_, who)| who)
        .collect();
    let expected = [
        "nobody",
        "stalled",
        "slow",
        "churn",
        "garbage",
        "half-open",
        "herd",
        "nobody",
        "stalled",
        "nobody",
        "tls",
        "port-scan",
        "nobody",
        "flooder",
        "nobody",
        "stalled",
    ];
    assert_eq!(candidates, expected);
    for run in runs(&hostile.data) {
        for name in ["lost_percent", "faults"] {
            assert_eq!(figure(run, name), 0.0, "{name}: {run}");
        }
        assert!(figure(run, "kernel_socket_mib") >= 0.0, "{run}");
    }
    for run in &runs(&hostile.data)[10..12] {
        assert!(figure(run, "connections") > 0.0, "{run}");
    }
    assert!(figure(&runs(&hostile.data)[13], "flood_rate") > 0.0);
    assert_eq!(hostile.data["bounds"].as_array().unwrap().len(), 24);
    let page = fs::read_to_string(page).unwrap();
    assert!(
        page.contains("delivery p99 / nobody: median (max), wanted <= 2.00x"),
        "{page}"
    );
}

#[test]
fn every_attack_is_measured_beside_the_same_load_without_it() {
    let flags = "--scenarios attacks --clients 20 --repeats 1 --duration 300ms";
    let hostile = measured("hostile", flags);
    let names = names(&hostile.data);
    assert_eq!(names.len(), 11 + 7);
    assert_eq!(names[0], ("attacks", "nobody"));
    assert_eq!(names[11], ("attacks --history=1000", "nobody"));
    for (name, run) in names.iter().zip(runs(&hostile.data)) {
        let is_flooded = name.1.contains("flooders");
        assert_eq!(
            run["figures"]["flood_rate"].is_number(),
            is_flooded,
            "{run}"
        );
    }
    let bounds = hostile.data["bounds"].as_array().unwrap();
    assert_eq!(bounds.len(), 2 * (10 + 6));
    assert_eq!(bounds[0]["wanted"], json!("<= 250 ms"));
}

/// Messages are so far apart that each is a segment of its own to each client.
#[test]
fn those_side_by_side_see_the_same_traffic() {
    let flags = "--clients 12 --rates 20 --duration 2s --repeats 2";
    let own_cost = measured("own-cost", flags);
    let runs = runs(&own_cost.data);
    assert_eq!(runs.len(), 2 * 5);
    for repeat in runs.chunks(5) {
        for pair in [&repeat[..2], &repeat[2..4]] {
            // The author of a message does not get it, and of 40 messages one or two more are seen by
            // those who are asked a little earlier or later.
            for name in ["bytes_per_segment", "segments"] {
                let [judged, bare] = [0, 1].map(|at| figure(&pair[at], name));
                assert!(
                    (judged / bare - 1.0).abs() < 0.5,
                    "{name}: {judged} and {bare}"
                );
            }
            assert!(figure(&pair[0], "segments_per_turn") > 0.0);
        }
        assert!(figure(&repeat[4], "user_ns_per_delivery") > 0.0);
    }
    let wanted = own_cost.data["bounds"].as_array().unwrap().iter();
    let wanted: Vec<_> = wanted.map(|bound| bound["wanted"].clone()).collect();
    assert_eq!(
        wanted,
        [
            json!("<= 1.15x"),
            json!("0.950 to 1.05x"),
            json!(""),
            json!("<= 120 ns")
        ]
    );
}
