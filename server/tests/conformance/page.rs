//! The live page in a real browser: nothing to complain about, and the figures of the server.
//! Skipped, with a message, where no browser is installed.

use testing::Browser;

use crate::support::{Driver, Peer, Served, Setup, counted_text, gather, introduce, samples};

/// What stands in the element of this id.
fn text_of<'a>(document: &'a str, id: &str) -> &'a str {
    let (_, rest) = document
        .split_once(&format!("id=\"{id}\""))
        .unwrap_or_else(|| panic!("no {id} in {document}"));
    let (_, rest) = rest.split_once('>').expect("a tag ends");
    rest.split_once('<').expect("an element ends").0
}

#[test]
fn the_page_shows_the_figures_of_the_server() {
    let Some(browser) = Browser::find() else {
        return;
    };
    let mut config = Setup::of(Driver::Epoll, 1).config();
    config.metrics_listen = Some(([127, 0, 0, 1], 0).into());
    let server = Served::configured(config);
    let metrics = server.metrics.expect("metrics are served");
    let [mut ann, mut bob] = gather(server.address, ["ann", "bob<script>alert(1)</script>"]);
    let stuck = Peer::connect_narrow(server.address).named("stuck");
    introduce(&stuck, [&mut ann, &mut bob]);
    for number in 0..1200 {
        ann.say(counted_text(number, 1024));
        bob.expect("ann", counted_text(number, 1024));
    }
    Peer::connect(server.address)
        .named("*")
        .expect_goodbye("name begins with '*', which is kept for the server");
    let before = std::iter::repeat_with(|| samples(metrics))
        .take(10_000)
        .find(|samples| samples["uringcast_connections"] == 3.0)
        .expect("the refused peer is soon gone");

    // The page's own clock runs on until its first few turns are over.
    let page = browser.render(
        &format!("http://{metrics}/"),
        &["--virtual-time-budget=4000"],
    );
    assert_eq!(page.complaints(), [""; 0]);
    let document = page.document;

    assert_eq!(text_of(&document, "state"), "serving");
    let after = samples(metrics);
    for (id, name) in [
        ("connections", "uringcast_connections"),
        ("messages", "uringcast_messages_received_total"),
        ("deliveries", "uringcast_deliveries_total"),
    ] {
        assert_eq!(before[name], after[name], "nothing happens meanwhile");
        let shown = text_of(&document, id).replace(',', "");
        assert_eq!(shown.parse::<f64>().unwrap(), after[name], "{id}");
    }
    for id in ["fanout-p50", "fanout-p99"] {
        assert!(text_of(&document, id).contains("&lt; "), "{id}: {document}");
    }
    let (_, slowest) = document.split_once("id=\"slowest\"").unwrap();
    assert!(
        slowest.split_once("<td>").unwrap().1.starts_with("stuck<"),
        "{slowest}"
    );
    assert!(
        document.contains("which is kept for the server"),
        "who left last is shown"
    );
    assert!(document.contains("bob&lt;script&gt;"), "names are text");
    drop((ann, bob, stuck));
    server.end();
}
