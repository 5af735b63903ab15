//! Real programs in one room: Python `websockets`, Node `ws`, `curl`, Chromium on the chat page, and frames.
//! What is not installed skips a test, with a message.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use serde_json::{Value, json};
use testing::{Browser, skip};

use crate::support::{DEADLINE, Driver, Message, Peer, Program, Setup, said};

/// A program that prints a line for all that it hears, and ends with this value.
struct Web {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    /// What it heard so far.
    heard: Vec<Message>,
}

impl Web {
    fn start(name: &str, command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let stdout = child.stdout.take().unwrap();
        let (tell, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = tell.send(line);
            }
        });
        Self {
            name: name.into(),
            stdin: child.stdin.take(),
            child,
            lines,
            heard: Vec::new(),
        }
    }

    fn line(&self) -> String {
        let line = self.lines.recv_timeout(DEADLINE);
        line.unwrap_or_else(|error| panic!("{} says nothing: {error}", self.name))
    }

    /// The next line of JSON whose first value is `kind`; messages on the way are kept as heard.
    fn next(&mut self, kind: &str) -> Vec<Value> {
        loop {
            let line: Vec<Value> = serde_json::from_str(&self.line()).unwrap();
            assert_ne!(line[0], "complaint", "{}: {line:?}", self.name);
            if line[0] == "message" {
                let text = |at: usize| line[at].as_str().unwrap().to_owned();
                self.heard.push(said(&text(1), text(2)));
            }
            if line[0] == kind {
                return line;
            }
        }
    }

    fn joined(mut self) -> Self {
        self.next("joined");
        self
    }

    /// Hears until that makes `messages` messages.
    fn hear(&mut self, messages: usize) -> &[Message] {
        while self.heard.len() < messages {
            self.next("message");
        }
        &self.heard
    }

    fn tell(&mut self, line: &Value) {
        writeln!(self.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    fn say(&mut self, text: &str) {
        self.tell(&json!(text));
    }

    /// What a script says in the page.
    fn evaluate(&mut self, script: &str) -> Value {
        self.tell(&json!({ "js": script }));
        self.next("did").remove(1)
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        // A browser is ended by the program that drives it, once that has nothing more to read.
        drop(self.stdin.take());
        if matches!(&*self.name, "curl" | "guide") {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

/// A room for all of them; `None` where some are not installed.
struct Programs {
    python: &'static str,
    browser: PathBuf,
}

impl Programs {
    fn find() -> Option<Self> {
        let works = |program: &str, arguments: &[&str]| {
            let mut command = Command::new(program);
            command.args(arguments).env("NODE_PATH", NODE_PATH);
            command.stdout(Stdio::null()).stderr(Stdio::null());
            command.status().is_ok_and(|status| status.success())
        };
        // Debian's, whatever another one comes first.
        let mut pythons = ["/usr/bin/python3", "python3"].into_iter();
        let python = pythons.find(|python| works(python, &["-c", "import websockets"]));
        if python.is_none() {
            skip("no Python with the package websockets (Debian: python3-websockets)");
        } else if !works("node", &["-e", "require('ws')"]) {
            skip("no Node with the package ws (Debian: node-ws)");
        } else if !works("curl", &["--version"]) {
            skip("no curl");
        } else {
            let browser = Browser::find()?.path().to_owned();
            return python.map(|python| Self { python, browser });
        }
        None
    }

    fn python(&self, address: SocketAddr, name: &str) -> Web {
        let url = format!("ws://{address}/ws");
        let mut command = Command::new(self.python);
        Web::start(name, command.arg(script("peer.py")).args([&*url, name])).joined()
    }

    fn node(address: SocketAddr, name: &str) -> Web {
        let url = format!("ws://{address}/ws");
        let mut command = Command::new("node");
        command.arg(script("peer.cjs")).env("NODE_PATH", NODE_PATH);
        Web::start(name, command.args([&*url, name])).joined()
    }

    /// A browser that shows what is at `url`.
    fn browser(&self, name: &str, url: &str) -> Web {
        let mut command = Command::new(self.python);
        command.arg(script("page.py")).arg(&self.browser).arg(url);
        Web::start(name, &mut command)
    }

    fn page(&self, address: SocketAddr, name: &str, encoded: &str) -> Web {
        let url = format!("http://{address}/?name={encoded}");
        self.browser(name, &url).joined()
    }
}

/// Where Debian has the packages of Node.
const NODE_PATH: &str = "/usr/share/nodejs";

fn script(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    folder.join("tests/conformance/web").join(name)
}

/// A listener by `curl -N`, which has joined.
fn events(address: SocketAddr) -> Web {
    let url = format!("http://{address}/events");
    let listener = Web::start("curl", Command::new("curl").args(["-sN", &*url]));
    while listener.line() != "event: joined" {}
    listener
}

/// What `curl -N` hears next.
fn hear_event(listener: &Web) -> Message {
    while listener.line() != "event: message" {}
    let data = listener.line();
    let data: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
    said(
        data["name"].as_str().unwrap(),
        data["text"].as_str().unwrap(),
    )
}

const SAID_EACH: usize = 20;

fn all_programs_in_one_room_hear_the_same_messages_in_the_same_order(setup: Setup) {
    let Some(programs) = Programs::find() else {
        return;
    };
    let server = Program::start(setup, &[]);
    let address = server.address;
    let listener = events(address);
    let mut webs = [
        programs.python(address, "python"),
        Programs::node(address, "node"),
        programs.page(address, "page", "page"),
    ];
    let mut frames = Peer::connect(address).named("frames");
    // Nothing answers its name: when the listener hears it, it has joined.
    frames.say("hello");
    let mut order = vec![hear_event(&listener)];
    thread::scope(|scope| {
        scope.spawn(|| post(address, "curl"));
        scope.spawn(|| (0..SAID_EACH).for_each(|number| frames.say(text(number))));
        for web in &mut webs {
            scope.spawn(|| (0..SAID_EACH).for_each(|number| web.say(&text(number))));
        }
    });
    let names = ["python", "node", "page", "frames", "curl"];
    order.extend((0..names.len() * SAID_EACH).map(|_| hear_event(&listener)));
    for name in names {
        let own = order.iter().filter(|message| message.name == name);
        let own: Vec<&Message> = own.filter(|message| message.text != b"hello").collect();
        let expected: Vec<Message> = (0..SAID_EACH)
            .map(|number| said(name, text(number)))
            .collect();
        assert!(own.iter().copied().eq(&expected), "{name}: {own:?}");
    }
    for web in &mut webs {
        let others = except(&order, &web.name);
        let heard = web.hear(others.len());
        assert_eq!(heard, others);
    }
    for expected in except(&order, "frames") {
        assert_eq!(frames.hear(), expected);
    }
    drop((webs, frames, listener));
    server.terminate();
    assert_eq!(server.exit_code(), 0);
}

fn except(order: &[Message], name: &str) -> Vec<Message> {
    let others = order.iter().filter(|message| message.name != name);
    others.cloned().collect()
}

/// Markup, quotes and what is none, for the number.
fn text(number: usize) -> String {
    let texts = [
        "<b>bold</b>",
        "\"quoted\" \\ and ' &amp;",
        "zwei\nZeilen",
        "🦀 é \u{7f}ü",
    ];
    format!(
        "{number} {}",
        texts[number % texts.len()].replace('\u{7f}', "")
    )
}

/// Posts on one connection.
fn post(address: SocketAddr, name: &str) {
    let url = format!("http://{address}/messages?name={name}");
    let mut command = Command::new("curl");
    for number in 0..SAID_EACH {
        let text = text(number);
        command.args(["--next", "-s", "--fail", "--data-binary", &*text, &*url]);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let answers = String::from_utf8(output.stdout).unwrap();
    let has_place = |line: &&str| line.starts_with("{\"position\":\"");
    assert_eq!(answers.lines().filter(has_place).count(), SAID_EACH);
}

#[test]
fn epoll_on_1_thread() {
    all_programs_in_one_room_hear_the_same_messages_in_the_same_order(Setup::of(Driver::Epoll, 1));
}

#[test]
fn uring_on_3_threads() {
    all_programs_in_one_room_hear_the_same_messages_in_the_same_order(Setup::of(Driver::Uring, 3));
}

#[test]
fn the_page_shows_markup_in_names_and_texts_as_text() {
    let Some(programs) = Programs::find() else {
        return;
    };
    let server = Program::start(Setup::of(Driver::Epoll, 1), &["--announce-presence"]);
    let own = "<i>me</i>";
    let mut page = programs.page(server.address, own, "%3Ci%3Eme%3C/i%3E");
    let name = "<img src=x onerror=pwned=1><script>pwned=2</script>";
    let mut bob = programs.python(server.address, name);
    let texts = [
        "<script>pwned=3</script>",
        "<img src=x onerror=pwned=4>",
        "<svg/onload=pwned=5>",
        "</li></ol><iframe srcdoc='<script>parent.pwned=6</script>'>",
        "&lt;b&gt; &#60;script&#62;",
        "javascript:pwned=7",
        "<a href=\"javascript:pwned=8\">x</a>",
        "\u{202e}<style>*{display:none}</style>",
    ];
    texts.iter().for_each(|text| bob.say(text));
    page.say("<b onclick=pwned=9>own</b>");
    let expected: Vec<Message> = texts.iter().map(|text| said(name, text)).collect();
    assert_eq!(page.hear(texts.len()), expected);
    let roster = page.evaluate("[...at('names').children].map(it => it.textContent).sort().join()");
    assert_eq!(roster, format!("{own},{name}"));
    let shown = page.evaluate("log.textContent.includes('<b onclick=pwned=9>own</b>')");
    assert_eq!(shown, true);
    let tags = "[...new Set([...document.querySelectorAll('#log *, #roster *, #state *')]\
                .map(it => it.tagName))].sort().join()";
    assert_eq!(page.evaluate(tags), "B,H2,LI,TIME,UL");
    assert_eq!(page.evaluate("document.scripts.length"), 1);
    assert_eq!(page.evaluate("String(window.pwned)"), "undefined");
    let width = page.evaluate("document.documentElement.scrollWidth <= innerWidth");
    assert_eq!(width, true, "nothing is beside the screen");
    drop((page, bob));
    server.terminate();
    assert_eq!(server.exit_code(), 0);
}

#[test]
fn the_page_resumes_behind_the_last_message_that_it_has() {
    const MESSAGES: usize = 60;
    let Some(programs) = Programs::find() else {
        return;
    };
    let arguments = ["--history", "1000", "--announce-presence"];
    let server = Program::start(Setup::of(Driver::Epoll, 1), &arguments);
    let mut page = programs.page(server.address, "page", "page");
    let mut bob = programs.python(server.address, "bob");
    for number in 0..MESSAGES {
        if number % 20 == 10 {
            page.evaluate("socket.close()");
        }
        bob.say(&number.to_string());
        if number % 20 == 15 {
            page.say(&format!("own {number}"));
            // One that has its place before the connection is lost is not said again.
            while page.evaluate("pending.size") != 0 {}
        }
    }
    let expected: Vec<Message> = (0..MESSAGES).map(|n| said("bob", n.to_string())).collect();
    assert_eq!(page.hear(MESSAGES), expected);
    let missing = page.evaluate("log.textContent.includes('missing')");
    assert_eq!(missing, false, "nothing is");
    let roster = "count + ' ' + [...at('names').children].map(it => it.textContent).sort().join()";
    assert_eq!(
        page.evaluate(roster),
        "2 bob,page",
        "through three connections"
    );
    // Said once, and shown once, whenever the connection was lost.
    let own: Vec<Message> = (0..3)
        .map(|n| said("page", format!("own {}", 20 * n + 15)))
        .collect();
    bob.hear(own.len());
    assert_eq!(bob.heard[..], own);
    drop((page, bob));
    server.terminate();
    assert_eq!(server.exit_code(), 0);
}

#[test]
fn the_clients_of_the_guide_join() {
    let Some(programs) = Programs::find() else {
        return;
    };
    let server = Program::start(Setup::of(Driver::Epoll, 1), &[]);
    let listener = events(server.address);
    let guide = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/web.md");
    let guide = std::fs::read_to_string(guide).unwrap();
    let port = server.address.port().to_string();
    let block = |heading: &str, language: &str| {
        let (_, rest) = guide.split_once(&format!("## {heading}\n")).unwrap();
        let (_, rest) = rest.split_once(&format!("```{language}\n")).unwrap();
        let (block, _) = rest.split_once("```").unwrap();
        block.replace("9989", &port)
    };
    let run = |heading| {
        let mut python = Command::new(programs.python);
        Web::start(
            "guide",
            python.args(["-u", "-c", &*block(heading, "python")]),
        )
    };
    let frames = run("Frames");
    assert_eq!(hear_event(&listener), said("ann", "hello"));
    let python = run("Clients in ten lines");
    while !python.line().contains("accepted") {}
    assert_eq!(hear_event(&listener), said("ann", "hello"));
    assert!(frames.line().contains("hello"));
    let script = block("Clients in ten lines", "js");
    let script = format!("globalThis.WebSocket ??= require('ws');{script}");
    let mut node = Command::new("node");
    node.env("NODE_PATH", NODE_PATH).args(["-e", &*script]);
    let node = Web::start("guide", &mut node);
    while !node.line().contains("joined") {}
    post(server.address, "curl");
    while !node.line().contains("19 ") {}
    drop((python, node, listener));
    server.terminate();
    assert_eq!(server.exit_code(), 0);
}

#[test]
fn a_page_of_another_origin_cannot_join_unless_it_is_allowed() {
    let Some(programs) = Programs::find() else {
        return;
    };
    let elsewhere = another_origin();
    let origin = format!("http://{elsewhere}");
    for (arguments, expected) in [
        (&[][..], "WebSocket refused, events refused, post refused"),
        (
            &["--allow-origin", &*origin],
            "WebSocket joined, events joined, post accepted",
        ),
    ] {
        let server = Program::start(Setup::of(Driver::Epoll, 1), arguments);
        let address = server.address;
        let listener = events(address);
        let mut page = programs.browser("elsewhere", &origin);
        page.next("loaded");
        let script = format!(
            "(async () => {{
                const outcome = it => new Promise(done => {{
                    it.onopen = () => done('joined');
                    it.onerror = () => done('refused');
                }});
                const post = fetch('http://{address}/messages?name=eve', {{ method: 'POST', body: 'evil' }});
                const [socket, events, posted] = await Promise.all([
                    outcome(new WebSocket('ws://{address}/ws?name=eve')),
                    outcome(new EventSource('http://{address}/events?name=eve')),
                    post.then(it => it.statusText.toLowerCase(), () => 'refused'),
                ]);
                return `WebSocket ${{socket}}, events ${{events}}, post ${{posted}}`;
            }})()"
        );
        page.tell(&json!({ "js": script }));
        // What is refused, the browser complains about.
        let did = loop {
            let line: Vec<Value> = serde_json::from_str(&page.line()).unwrap();
            if line[0] == "did" {
                break line[1].clone();
            }
        };
        assert_eq!(did, expected);
        // Not even unread: nothing came before this.
        let frames = Peer::connect(address).named("frames");
        frames.say("the end");
        let heard = hear_event(&listener);
        let is_allowed = !arguments.is_empty();
        assert_eq!(heard.name, if is_allowed { "eve" } else { "frames" });
        drop((page, listener, frames));
        server.terminate();
        assert_eq!(server.exit_code(), 0);
    }
}

/// Serves an empty page, for as long as somebody asks.
fn another_origin() -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let answer = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n\
         <!doctype html><link rel=icon href='data:,'><script>report('[\"loaded\"]')</script>";
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            // A browser opens connections that it may never use.
            thread::spawn(move || {
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(answer.as_bytes());
            });
        }
    });
    address
}
