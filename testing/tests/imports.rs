//! Which module imports which, over the whole workspace: no crate has a cycle of imports, and the
//! direction of imports between crates and layers holds.
//!
//! Modules are compared with their neighbours in each folder, everything below them included: a
//! folder that imports from its neighbour, and is imported by it, is a cycle, whichever files do it.
//! A file and the files below it are one: what a folder's top file defines, its parts may use. Methods
//! belong to the module of their type, whichever file of its folder they are written in. Code for tests
//! (`cfg(test)`) does not count.

#![allow(clippy::unwrap_used, reason = "a test may fail this way")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Names from the root of a crate down to a module or an item.
type Names = Vec<String>;

/// The modules of a crate by their names; the root has none.
#[derive(Debug, Default)]
struct Crate {
    modules: BTreeMap<Names, Module>,
}

#[derive(Debug, Default)]
struct Module {
    /// Every path of two names or more in it, those in groups and behind `self` and `super` written out.
    paths: BTreeSet<Names>,
    /// What its `use` declarations call by a name.
    imports: BTreeMap<String, Names>,
    /// What it uses, with the type whose methods do so.
    uses: BTreeSet<(Option<Names>, Names)>,
}

impl Crate {
    /// Reads the crate whose root is this file.
    fn read(root: &Path) -> Self {
        let mut this = Self::default();
        let text = fs::read_to_string(root).unwrap();
        let below = match root.file_stem().unwrap().to_str().unwrap() {
            "lib" | "main" => root.parent().unwrap().into(),
            _ => root.with_extension(""),
        };
        this.add(Vec::new(), &text, &|name| {
            let file = below.join(format!("{name}.rs"));
            [file, below.join(name).join("mod.rs")]
                .into_iter()
                .find(|file| file.exists())
        });
        this
    }

    /// Adds a module and all below it; `file_of` finds the files of those.
    fn add(&mut self, names: Names, text: &str, file_of: &dyn Fn(&str) -> Option<PathBuf>) {
        let tokens = tokens(text);
        let mut module = Module::default();
        let mut below = Vec::new();
        let mut methods: Option<(Names, usize)> = None;
        let mut at = 0;
        while at < tokens.len() {
            if is_for_tests(&tokens[at..]) {
                at = end_of_item(&tokens, at);
            } else if tokens[at] == "mod" && tokens[at + 2] == ";" {
                below.push(tokens[at + 1].clone());
                at += 3;
            } else {
                if let Some(their) = methods_at(&tokens, at) {
                    methods = Some(their);
                }
                methods = methods.filter(|(_, end)| at < *end);
                let of = methods.as_ref().map(|(of, _)| of);
                let is_start = at == 0 || !["::", "."].contains(&tokens[at - 1].as_str());
                if tokens[at] == "use" {
                    at = module.take(&tokens, at + 1, &names, Vec::new(), None);
                } else if is_start && is_name(&tokens[at]) {
                    at = module.take(&tokens, at, &names, Vec::new(), Some(of));
                } else {
                    at += 1;
                }
            }
        }
        module.use_imports_of_traits();
        for child in &below {
            let file = file_of(child).unwrap_or_else(|| panic!("no file of {names:?} {child}"));
            let folder = match file.ends_with("mod.rs") {
                true => file.parent().unwrap().to_owned(),
                false => file.with_extension(""),
            };
            let text = fs::read_to_string(&file).unwrap();
            self.add(
                [&names[..], std::slice::from_ref(child)].concat(),
                &text,
                &|name| {
                    let file = folder.join(format!("{name}.rs"));
                    [file, folder.join(name).join("mod.rs")]
                        .into_iter()
                        .find(|file| file.exists())
                },
            );
        }
        self.modules.insert(names, module);
    }

    /// The module that a path of `module` leads to; `None` when it leads out of the crate.
    fn target(&self, module: &[String], path: &[String], depth: usize) -> Option<Names> {
        if depth > 20 {
            return None;
        }
        let (mut at, rest) = match path {
            [first, rest @ ..] if first == "crate" => (Vec::new(), rest),
            [first, ..] => {
                let mut child = module.to_vec();
                child.push(first.clone());
                if self.modules.contains_key(&child) {
                    (module.to_vec(), path)
                } else {
                    let import = self.modules.get(module)?.imports.get(first)?;
                    // A name that stands for itself is another crate's.
                    let is_own = import[..] != path[..1];
                    let whole = [&import[..], &path[1..]].concat();
                    return is_own
                        .then(|| self.target(module, &whole, depth + 1))
                        .flatten();
                }
            }
            [] => return None,
        };
        for (place, name) in rest.iter().enumerate() {
            at.push(name.clone());
            if self.modules.contains_key(&at) {
                continue;
            }
            at.pop();
            let here = &self.modules[&at];
            if let Some(import) = here.imports.get(name) {
                let whole = [&import[..], &rest[place + 1..]].concat();
                if let Some(target) = self.target(&at, &whole, depth + 1) {
                    return Some(target);
                }
            }
            break;
        }
        Some(at)
    }

    /// Who imports whom among the neighbours of each folder, with a path that does so.
    fn imports(&self) -> BTreeMap<Names, BTreeMap<(String, String), String>> {
        let mut folders: BTreeMap<Names, BTreeMap<_, _>> = BTreeMap::new();
        for (written, module) in &self.modules {
            for (of, path) in &module.uses {
                let of = of.as_ref().and_then(|of| self.target(written, of, 0));
                let of = of.filter(|of| is_of_folder(of, written));
                let names = of.as_ref().unwrap_or(written);
                let Some(target) = self.target(written, path, 0) else {
                    continue;
                };
                let common = names.iter().zip(&target).take_while(|(a, b)| a == b);
                let common = common.count();
                if common < names.len() && common < target.len() {
                    let edge = (names[common].clone(), target[common].clone());
                    let because = format!("{}: {}", written.join("/"), path.join("::"));
                    let folder = folders.entry(names[..common].to_vec()).or_default();
                    folder.entry(edge).or_insert(because);
                }
            }
        }
        folders
    }

    /// Every import that is part of a cycle, in words.
    fn cycles(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (folder, edges) in self.imports() {
            for ((from, to), because) in &edges {
                let mut reached = BTreeSet::from([to]);
                let mut next = vec![to];
                while let Some(at) = next.pop() {
                    let onward = edges.keys().filter(|(start, _)| start == at);
                    next.extend(onward.map(|(_, end)| end).filter(|end| reached.insert(end)));
                }
                if reached.contains(from) {
                    let folder = folder.join("/");
                    found.push(format!("{folder}: {from} -> {to}, for {because}"));
                }
            }
        }
        found
    }

    /// The paths in the modules below `folder`, as they would be written at the root of the crate.
    fn paths_below<'a>(&'a self, folder: &'a [&str]) -> impl Iterator<Item = (&'a Names, String)> {
        let is_below = move |names: &Names| {
            names.len() >= folder.len() && names.iter().zip(folder).all(|(a, b)| a == b)
        };
        let below = self
            .modules
            .iter()
            .filter(move |(names, _)| is_below(names));
        below.flat_map(|(names, module)| {
            module
                .paths
                .iter()
                .map(move |path| (names, path.join("::")))
        })
    }
}

impl Module {
    /// Imports that are named nowhere, such as those of traits, count as used.
    fn use_imports_of_traits(&mut self) {
        let named: BTreeSet<&String> = self.uses.iter().map(|(_, path)| &path[0]).collect();
        let unnamed = self
            .imports
            .iter()
            .filter(|(name, _)| !named.contains(name));
        let unnamed: Vec<_> = unnamed.map(|(_, path)| (None, path.clone())).collect();
        self.uses.extend(unnamed);
    }

    /// Takes a path that begins at `at`, used by itself or by the methods of a type; or, without `used_by`, a tree
    /// of a `use` declaration. Returns where it ends.
    fn take(
        &mut self,
        tokens: &[String],
        mut at: usize,
        names: &[String],
        mut path: Names,
        used_by: Option<Option<&Names>>,
    ) -> usize {
        let in_use = used_by.is_none();
        loop {
            match tokens[at].as_str() {
                "{" if in_use => {
                    at += 1;
                    while tokens[at] != "}" {
                        at = self.take(tokens, at, names, path.clone(), None);
                        at += usize::from(tokens[at] == ",");
                    }
                    return at + 1;
                }
                "*" if in_use => {
                    self.uses.insert((None, path.clone()));
                    self.paths.insert(path);
                    return at + 1;
                }
                // The module itself, at the end of a group.
                "self" if !path.is_empty() => {}
                // A value.
                "self" if !in_use && tokens[at + 1] != "::" => return at + 1,
                name if is_name(name) => push(&mut path, name, names),
                _ => return at + 1,
            }
            at += 1;
            match tokens.get(at).map(String::as_str) {
                Some("::") => at += 1,
                following => {
                    let mut name = path.last().cloned();
                    if in_use && following == Some("as") {
                        name = Some(tokens[at + 1].clone());
                        at += 2;
                    }
                    if let Some(name) = name.filter(|_| in_use) {
                        self.imports.insert(name, path.clone());
                    }
                    if let Some(of) = used_by {
                        self.uses.insert((of.cloned(), path.clone()));
                    }
                    if path.len() > 1 {
                        self.paths.insert(path);
                    }
                    return at;
                }
            }
        }
    }
}

/// The type of a block of methods that begins at `at`, and where the block ends.
fn methods_at(tokens: &[String], at: usize) -> Option<(Names, usize)> {
    let before = at
        .checked_sub(1)
        .map_or(";", |before| tokens[before].as_str());
    if tokens[at] != "impl" || !["{", "}", ";", "]", "unsafe"].contains(&before) {
        return None;
    }
    let mut of = Names::new();
    let mut depth = 0;
    let mut is_over = false;
    for (place, token) in tokens.iter().enumerate().skip(at + 1) {
        match token.as_str() {
            "{" => return Some((of, end_of_item(tokens, place))),
            "<" => depth += 1,
            ">" if tokens[place - 1] != "-" => depth -= 1,
            "for" if depth == 0 => of.clear(),
            "where" => is_over = true,
            name if depth == 0 && !is_over && is_name(name) => of.push(name.to_owned()),
            _ => {}
        }
    }
    None
}

/// Whether `module` is the top of the folder in which `other` is, or its neighbour there.
fn is_of_folder(module: &[String], other: &[String]) -> bool {
    let folder = &other[..other.len().saturating_sub(1)];
    module == folder || (module.len() == other.len() && module.starts_with(folder))
}

/// Adds a name to a path in the module `names`; `self` and `super` are written from the root.
fn push(path: &mut Names, name: &str, names: &[String]) {
    match name {
        "self" => *path = [&["crate".to_owned()], names].concat(),
        "super" if path.is_empty() => {
            *path = [
                &["crate".to_owned()],
                &names[..names.len().saturating_sub(1)],
            ]
            .concat();
        }
        "super" => drop(path.pop()),
        name => path.push(name.to_owned()),
    }
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Whether an attribute begins here that leaves its item out but for tests.
fn is_for_tests(tokens: &[String]) -> bool {
    let attribute = tokens.iter().take_while(|&token| token != "]");
    let mut attribute = attribute.map(String::as_str);
    let begins = [attribute.next(), attribute.next(), attribute.next()];
    let rest: Vec<&str> = attribute.collect();
    begins == [Some("#"), Some("["), Some("cfg")]
        && rest.contains(&"test")
        && !rest.contains(&"not")
}

/// Where the item ends whose attributes begin at `at`.
fn end_of_item(tokens: &[String], mut at: usize) -> usize {
    let mut depth = 0;
    while at < tokens.len() {
        match tokens[at].as_str() {
            "(" | "[" | "{" => depth += 1,
            "}" if depth == 0 => return at,
            ")" | "]" => depth -= 1,
            "}" => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            ";" | "," if depth == 0 => return at + 1,
            _ => {}
        }
        at += 1;
    }
    at
}

/// The names and marks of a source text, without comments, strings and the names of lifetimes.
fn tokens(text: &str) -> Vec<String> {
    let mut rest = text;
    let mut tokens = Vec::new();
    while let Some(first) = rest.chars().next() {
        let (token, length) = match first {
            _ if rest.starts_with("//") => ("", rest.find('\n').unwrap_or(rest.len())),
            _ if rest.starts_with("/*") => ("", rest.find("*/").unwrap() + 2),
            '"' => ("", string_bytes(rest)),
            'r' if rest.starts_with("r\"") || rest.starts_with("r#\"") => {
                let end = if rest.starts_with("r#") { "\"#" } else { "\"" };
                let open = end.len() + 1;
                ("", open + rest[open..].find(end).unwrap() + end.len())
            }
            '\'' => ("", character_bytes(rest)),
            ':' if rest.starts_with("::") => ("::", 2),
            first if is_name(&rest[..first.len_utf8()]) => {
                let is_end = |c: char| !c.is_alphanumeric() && c != '_';
                let length = rest.find(is_end).unwrap_or(rest.len());
                (&rest[..length], length)
            }
            first if first.is_whitespace() => ("", first.len_utf8()),
            first => (&rest[..first.len_utf8()], first.len_utf8()),
        };
        if !token.is_empty() {
            tokens.push(token.to_owned());
        }
        rest = &rest[length..];
    }
    tokens
}

fn string_bytes(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// A character, or the quote of a lifetime.
fn character_bytes(text: &str) -> usize {
    let rest = &text[1..];
    match rest.strip_prefix('\\') {
        // The first may be a quote.
        Some(escaped) => 3 + escaped[1..].find('\'').unwrap() + 1,
        None => {
            let first = rest.chars().next().unwrap().len_utf8();
            if rest[first..].starts_with('\'') {
                first + 2
            } else {
                1
            }
        }
    }
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The roots of a crate: its library and its programs.
fn roots(name: &str) -> Vec<PathBuf> {
    let source = workspace().join(name).join("src");
    let mut roots = vec![source.join("lib.rs"), source.join("main.rs")];
    for entry in fs::read_dir(source.join("bin")).into_iter().flatten() {
        let path = entry.unwrap().path();
        let main = path.join("main.rs");
        roots.push(if path.is_dir() { main } else { path });
    }
    roots.retain(|root| root.exists());
    roots
}

#[test]
fn no_crate_has_a_cycle_of_imports() {
    let manifest = fs::read_to_string(workspace().join("Cargo.toml")).unwrap();
    let members = manifest.lines().find(|line| line.starts_with("members"));
    let members: Vec<&str> = members.unwrap().split('"').skip(1).step_by(2).collect();
    assert!(members.contains(&"server"), "{members:?}");
    let mut found = Vec::new();
    for member in members {
        let cycles = roots(member)
            .into_iter()
            .flat_map(|root| Crate::read(&root).cycles());
        found.extend(cycles.map(|cycle| format!("{member} {cycle}")));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Writes a crate of these files, and returns its cycles.
fn cycles_of(files: &[(&str, &str)]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let file = folder.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    Crate::read(&folder.path().join("lib.rs")).cycles()
}

#[test]
fn a_planted_cycle_is_found_however_it_is_written() {
    let ways = [
        "use crate::b::B;",
        "use super::b::{self, C};",
        "use crate::{a::X, b::{c::D, B as E}};",
        "fn f() -> crate::b::B { todo!() }",
        "use crate::B;",
        "use crate::b as other; fn f() { other::f() }",
        "fn f<'a>(x: &'a str) { let c = ['\\'', '\"']; super::b::f(r#\"\"\"#) }",
    ];
    for way in ways {
        let files = [
            ("lib.rs", "mod a; mod b; pub use b::B;"),
            ("a.rs", way),
            ("b.rs", "mod c; pub struct B;"),
            ("b/c.rs", "// none of it\nuse crate::a::X; pub struct D;"),
        ];
        let cycles = cycles_of(&files);
        assert_eq!(cycles.len(), 2, "{way}: {cycles:?}");
        assert!(cycles[0].starts_with(": a -> b, for a: "), "{cycles:?}");
        assert!(cycles[1].starts_with(": b -> a, for b/c: "), "{cycles:?}");
    }
    let deep = [
        ("lib.rs", "mod f;"),
        ("f/mod.rs", "mod a; mod b; mod c;"),
        ("f/a.rs", "use super::b::B;"),
        ("f/b.rs", "use super::c::C;"),
        ("f/c.rs", "use crate::f::a::A;"),
    ];
    assert_eq!(cycles_of(&deep).len(), 3);
}

#[test]
fn methods_belong_to_the_module_of_their_type() {
    let parts = [
        ("lib.rs", "mod a; mod b; use a::A; pub struct Top;"),
        (
            "a.rs",
            "use crate::b::{B, Trait}; pub struct A; impl<T: Fn() -> u8> A<T> where T: X { fn f(b: B) {} }",
        ),
        // What is added to A, and to the crate's top, does not make a module of its own import anything.
        (
            "b.rs",
            "use crate::{a::A, Top}; pub struct B; impl A { fn g() { A::f() } } impl Top { fn h(a: A) {} }",
        ),
    ];
    assert_eq!(cycles_of(&parts), Vec::<String>::new());
    let cycle = [
        parts[0],
        parts[1],
        (
            "b.rs",
            "use crate::a::A; pub struct B; impl Trait<A> for B { fn g() { A::f() } }",
        ),
    ];
    assert_eq!(cycles_of(&cycle).len(), 2);
    let by_trait = [
        parts[0],
        ("a.rs", "use crate::b::Trait; pub trait Other {}"),
        ("b.rs", "use crate::a::Other; pub trait Trait {}"),
    ];
    assert_eq!(cycles_of(&by_trait).len(), 2);
}

#[test]
fn what_is_no_cycle_is_none() {
    let files = [
        (
            "lib.rs",
            "mod a; mod b; pub struct Shared; use a::A; #[cfg(test)] mod tests { use crate::a::A; }",
        ),
        (
            "a.rs",
            "use crate::b::B; use crate::Shared; use b::other; pub struct A;",
        ),
        (
            "b.rs",
            "// use crate::a::A;\nuse std::a::A; #[cfg(test)] use crate::a::A; fn f() { \"crate::a::A\"; }\n\
             #[cfg(test)] mod tests { fn f() { crate::a::f() } }",
        ),
    ];
    assert_eq!(cycles_of(&files), Vec::<String>::new());
}

/// Paths with one of these beginnings, in the modules of a crate below a folder.
fn forbidden(name: &str, folder: &[&str], beginnings: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for root in roots(name) {
        let crate_ = Crate::read(&root);
        for (names, path) in crate_.paths_below(folder) {
            let is_forbidden = |beginning: &&&str| {
                let rest = path.strip_prefix(**beginning);
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
            };
            if beginnings.iter().any(|beginning| is_forbidden(&beginning)) {
                found.push(format!("{name}/{}: {path}", names.join("/")));
            }
        }
    }
    found
}

const SOCKETS_AND_CLOCKS: [&str; 12] = [
    "std::net::TcpListener",
    "std::net::TcpStream",
    "std::net::UdpSocket",
    "std::os",
    "std::fs",
    "std::thread",
    "std::time::SystemTime",
    "Instant::now",
    "std::time::Instant::now",
    "rustix",
    "socket2",
    "tokio",
];

#[test]
fn protocol_does_no_io_and_imports_no_other_crate_of_ours() {
    assert_eq!(forbidden("protocol", &[], &SOCKETS_AND_CLOCKS), [""; 0]);
    let others = [
        "server",
        "loadgen",
        "client",
        "std::io",
        "std::net",
        "std::time",
    ];
    assert_eq!(forbidden("protocol", &[], &others), [""; 0]);
}

#[test]
fn the_hub_has_no_sockets_no_clock_and_knows_nothing_of_the_layers_around_it() {
    assert_eq!(forbidden("server", &["hub"], &SOCKETS_AND_CLOCKS), [""; 0]);
    let around = [
        "driver",
        "metrics",
        "server",
        "control",
        "listener",
        "signals",
        "reload",
        "logging",
        "configuration",
        "command_line",
        "confinement",
        "service_manager",
    ];
    let around = around.map(|layer| format!("crate::{layer}"));
    let around: Vec<&str> = around.iter().map(String::as_str).collect();
    assert_eq!(forbidden("server", &["hub"], &around), [""; 0]);
}

#[test]
fn wires_know_bytes_and_nothing_of_the_hub() {
    assert_eq!(forbidden("server", &["wire"], &SOCKETS_AND_CLOCKS), [""; 0]);
    assert_eq!(
        forbidden("server", &["wire"], &["crate::hub", "crate::driver"]),
        [""; 0]
    );
}

#[test]
fn what_measures_shares_with_what_is_measured_the_protocol_alone() {
    assert_eq!(
        forbidden("server", &[], &["loadgen", "client", "benches"]),
        [""; 0]
    );
    assert_eq!(
        forbidden("client", &[], &["server", "loadgen", "benches"]),
        [""; 0]
    );
    let mut of_loadgen = forbidden("loadgen", &[], &["server", "client", "benches"]);
    // `--spawn-server` starts a server of its own, in a process of its own.
    of_loadgen.retain(|path| !path.ends_with(": server::run"));
    assert_eq!(of_loadgen, [""; 0]);
}

#[test]
fn the_folders_of_loadgen_import_in_one_direction() {
    let above = [
        ("host", &["wire", "measure", "hostile", "report", "run"][..]),
        ("wire", &["measure", "hostile", "report", "run"]),
        ("measure", &["hostile", "report", "run"]),
        ("hostile", &["measure", "report", "run"]),
        ("report", &["hostile", "run"]),
    ];
    for (folder, above) in above {
        let above: Vec<String> = above.iter().map(|name| format!("crate::{name}")).collect();
        let above: Vec<&str> = above.iter().map(String::as_str).collect();
        assert_eq!(forbidden("loadgen", &[folder], &above), [""; 0]);
    }
}
