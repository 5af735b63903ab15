//! Half-open peers: clients in a network namespace whose line is cut. No word comes of them, and the
//! server has to find out by itself, whether it sends to them or not.

use std::process::{Child, Command, Stdio};

use crate::baseline::{Baseline, drivers, start};
use crate::support::Roster;

const PEERS: usize = 5;

/// A network of two, one of them in a namespace; both go when this is dropped.
struct Line {
    name: String,
    /// The third byte of its addresses.
    net: u8,
}

#[test]
fn peers_whose_line_was_cut_are_found_out() {
    for (place, driver) in drivers().into_iter().enumerate() {
        let Some(line) = Line::lay(place) else {
            testing::skip("no network namespace can be made here (it takes root and `ip`)");
            return;
        };
        // Silent peers are found by keepalive, those that are sent to by the user timeout.
        let limits = ["--keepalive", "1s", "--user-timeout", "2s"];
        // What is kept for them until then is bounded: the allocator may hold on to as much.
        let bound = ["--log-bytes", "1048576", "--listen", "0.0.0.0:0"];
        let server = start(driver, &[&limits[..], &bound].concat());
        let port = server.address.port();
        let mut roster = Roster::gather(([127, 0, 0, 1], port).into());
        roster.talk();
        let baseline = Baseline::of(&server);
        let mut peers: Vec<Child> = (0..PEERS).map(|_| line.client(port)).collect();
        // They have said their names: the shells say so when they have.
        for peer in &mut peers {
            line.wait_for(peer);
        }
        line.cut();
        baseline.wait_for(&server, &mut roster);
        for mut peer in peers {
            peer.kill().unwrap();
            peer.wait().unwrap();
        }
        drop(roster);
        server.terminate();
        assert_eq!(server.exit_code(), 0);
    }
}

impl Line {
    /// `None` when that is not allowed.
    fn lay(place: usize) -> Option<Self> {
        let process = std::process::id();
        let line = Self {
            name: format!("u{process}x{place}"),
            net: u8::try_from((process as usize * drivers().len() + place) % 250).unwrap(),
        };
        let Self { name, net } = &line;
        let made = ip(&format!("netns add {name}"))
            && ip(&format!(
                "link add {name}a type veth peer name {name}b netns {name}"
            ))
            && ip(&format!("addr add 10.213.{net}.1/30 dev {name}a"))
            && ip(&format!("link set {name}a up"))
            && ip(&format!("-n {name} addr add 10.213.{net}.2/30 dev {name}b"))
            && ip(&format!("-n {name} link set {name}b up"));
        made.then_some(line)
    }

    /// A client at the far end, which gives its name and stays.
    fn client(&self, port: u16) -> Child {
        let Self { name, net } = self;
        let script = format!(
            "exec 3<>/dev/tcp/10.213.{net}.1/{port} && printf '3         far' >&3 && echo joined && exec sleep 1000"
        );
        Command::new("ip")
            .args(["netns", "exec", name, "bash", "-c", &script])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("`ip` was there before")
    }

    /// Waits until a client has said that it has joined.
    fn wait_for(&self, client: &mut Child) {
        use std::io::Read;
        let mut said = [0; 7];
        let from = client.stdout.as_mut().expect("it is piped");
        from.read_exact(&mut said).unwrap();
        assert_eq!(&said, b"joined\n", "in {}", self.name);
    }

    /// Nothing goes through any more, and nobody is told.
    fn cut(&self) {
        assert!(ip(&format!("-n {0} link set {0}b down", self.name)));
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        // The namespace lasts for as long as the kernel tries to say goodbye from it: the line does not.
        ip(&format!("link del {}a", self.name));
        ip(&format!("netns del {}", self.name));
    }
}

fn ip(arguments: &str) -> bool {
    let ip = Command::new("ip")
        .args(arguments.split(' '))
        .stderr(Stdio::null())
        .status();
    ip.is_ok_and(|status| status.success())
}
