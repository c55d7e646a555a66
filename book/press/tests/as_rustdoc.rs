//! Run makes of a block what `cargo test --doc` makes of it: rustdoc and Run are asked about the same blocks.
#![cfg(target_os = "linux")]

mod common;

use common::runs::run;
use common::{Book, Serving};
use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

/// What became of a block.
#[derive(Debug, PartialEq, Eq, Clone)]
enum Outcome {
    Passed,
    Panicked(String),
    DoesNotCompile,
}

/// Each panics with a word about what was run, or passes, or does not compile.
const BLOCKS: &[&str] = &[
    "panic!(\"statement\");",
    "fn main() { panic!(\"main\"); }",
    "#[allow(unused)] fn main() { panic!(\"main\"); }",
    "#[allow(unused)]\n#[doc = \"}\"]\nfn main()\n{ panic!(\"main\"); }",
    "/// About main.\nfn main() { panic!(\"main\"); }",
    "pub fn main() { panic!(\"main\"); }",
    "pub(crate) fn main() { panic!(\"main\"); }",
    "pub(in crate) fn main() { panic!(\"main\"); }",
    "unsafe fn main() { panic!(\"main\"); }",
    "async fn main() { panic!(\"main\"); }",
    "const fn main() { panic!(\"main\"); }",
    "extern \"C\" fn main() { panic!(\"main\"); }",
    "fn main<T>() { panic!(\"main\"); }",
    "fn main() -> Result<(), String> { panic!(\"main\"); }",
    "fn r#main() { panic!(\"main\"); }",
    "/* a comment */ fn main() { panic!(\"main\"); }",
    "/* { */ fn main /* ( */ () { panic!(\"main\"); } // the end",
    "fn\nmain\n()\n{ panic!(\"main\"); }",
    "fn main() { panic!(\"main\"); };",
    "// fn main() {}\npanic!(\"statement\");",
    "/* fn main() {} */\npanic!(\"statement\");",
    "let a = \"\nfn main() {}\n\";\npanic!(\"statement\");",
    "let a = r#\"\"\nfn main() {}\n\"#;\npanic!(\"statement\");",
    "let a = ['{', '\"'];\nfn main() {}\npanic!(\"statement\");",
    "fn other() { fn main() {} }\npanic!(\"statement\");",
    "mod inner { pub fn main() {} }\npanic!(\"statement\");",
    "mod inner { pub fn main() {} }",
    "struct S;\nimpl S { fn main() {} }",
    "fn mainly() {}\npanic!(\"statement\");",
    "fn main() { panic!(\"main\"); }\nlet a = 1;",
    "let a = 1;\nfn main() { panic!(\"main\"); }",
    "let main = 1;",
    "println!(\"first\");\nfn main() { panic!(\"main\"); }",
    "macro_rules! items { ($i:item) => { $i } }\nitems! { fn main() { panic!(\"main\"); } }",
    "macro_rules! items { ($i:item) => { $i } }\nitems!(fn main() { panic!(\"main\"); });",
    "macro_rules! items { ($($t:tt)*) => { fn main() { panic!(\"main\"); } } }\nitems! { main }",
    "macro_rules! items { ($i:block) => { $i } }\nitems! {{ fn main() {} }}\npanic!(\"statement\");",
    "macro_rules! items { () => { fn main() {} } }\npanic!(\"statement\");",
    "macro_rules! value { () => { 1 } }\nfn main() { panic!(\"main\"); }\nvalue!() + 1;",
    "use std::fmt;\nfn main() { panic!(\"main\"); }",
    "use std::{fmt, io};\npub use std::fs;\nfn main() { panic!(\"main\"); }",
    "const A: u8 = { 1 };\nstatic B: u8 = { 2 };\ntype C = [u8; { 3 }];\nfn main() { panic!(\"main\"); }",
    "const _: () = {};\nconst fn f() {}\nunsafe fn g() {}\nasync fn h() {}\nfn main() { panic!(\"main\"); }",
    "struct N<const N: usize>;\nfn f() -> N<{ 1 }> { N }\nimpl N<{ 2 }> {}\nfn main() { panic!(\"main\"); }",
    "struct A(u8);\nstruct B;\nenum C { D = 1 }\nunion E { a: u8 }\ntrait F {}\nimpl F for A {}\nunsafe trait G {}\nfn main() { panic!(\"main\"); }",
    "unsafe extern \"C\" { safe fn abs(x: i32) -> i32; }\nextern \"C\" fn f() {}\nfn main() { panic!(\"main\"); }",
    "const { assert!(true); }\nfn main() { panic!(\"main\"); }",
    "unsafe { std::hint::black_box(1); }\nfn main() { panic!(\"main\"); }",
    "if true { panic!(\"statement\"); }\nfn main() {}",
    "#![allow(unused)]\nfn main() { panic!(\"main\"); }",
    "#![allow(unused)]\nlet a = 1;\npanic!(\"statement\");",
    "#![allow(unused)] panic!(\"statement\");",
    "#![recursion_limit = \"300\"]\n#![deny(unused_must_use)]\npanic!(\"statement\");",
    "//! About the block.\n#![recursion_limit = \"300\"]\npanic!(\"statement\");",
    "#![deny(unused_must_use)]\nOk::<(), ()>(());\nstd::fs::read(\"a\");",
    "#![feature(box_patterns)]\nfn main() { panic!(\"main\"); }",
    "extern crate core;\npanic!(\"statement\");",
    "#[macro_use]\nextern crate core;\nextern crate alloc;\nlet a = ::alloc::vec::Vec::<u8>::new();\npanic!(\"statement\");",
    "let a = ::alloc::vec::Vec::<u8>::new();\nextern crate alloc;\npanic!(\"statement\");",
    "extern crate alloc as other;\nfn main() { let a = ::other::vec::Vec::<u8>::new(); panic!(\"main\"); }",
    "#!/usr/bin/env run\nfn main() { panic!(\"main\"); }",
    "#!/usr/bin/env run\npanic!(\"statement\");",
    "Err::<(), _>(\"result\")?;\nOk::<(), &str>(())",
    "Err::<(), _>(\"result\")?;\nOk::<(), &str>(())\n\n// the end\n/* of it */",
    "Err::<(), _>(\"result\")?;\nOk::<(), &str>(( ))",
    "Err::<(), _>(\"result\")?;\nOk::<(), &str>(());",
    "fn f() -> Result<(), u8> { Ok(()) }\npanic!(\"statement\");\nf()",
    "drop(());\npanic!(\"statement\");",
    "use std::convert::identity;\nidentity(())",
    "{ panic!(\"statement\"); }",
    "",
    "// nothing",
    "return;\npanic!(\"statement\");",
    "let a = ;\nfn main() {}",
    "fn main() {",
    "let a = 1; }",
];

/// Each block by its line, in a page.
fn page() -> (String, BTreeMap<usize, &'static str>) {
    let (mut page, mut lines) = (String::new(), BTreeMap::new());
    for block in BLOCKS {
        lines.insert(page.lines().count() + 1, *block);
        page += &format!("```rust,standalone_crate\n{block}\n```\n\n");
    }
    (page, lines)
}

/// The first line of the message of the panic.
fn panic_message(text: &str) -> Option<String> {
    let (_, rest) = text.split_once(" panicked at ")?;
    Some(rest.lines().nth(1)?.to_owned())
}

fn rustdoc(blocks: &BTreeMap<usize, &'static str>, page: &str) -> BTreeMap<&'static str, Outcome> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("page.md"), page).unwrap();
    let mut rustdoc = Command::new("rustdoc");
    rustdoc.args(["--test", "--edition=2024", "page.md"]).current_dir(folder.path());
    let output = rustdoc.env_remove("RUST_BACKTRACE").output().unwrap();
    let output = String::from_utf8(output.stdout).unwrap();
    let line = |text: &str| -> Option<usize> {
        text.split_once("(line ")?.1.split_once(')')?.0.parse().ok()
    };
    let mut found: BTreeMap<&str, Outcome> = output
        .lines()
        .filter(|text| text.starts_with("test page.md") && text.ends_with("... ok"))
        .map(|text| (blocks[&line(text).unwrap()], Outcome::Passed))
        .collect();
    for part in output.split("\n---- page.md").skip(1) {
        let part = part.split("\n\nfailures:\n").next().unwrap();
        let outcome = match panic_message(part) {
            Some(message) => Outcome::Panicked(message),
            None => {
                assert!(part.contains("Couldn't compile the test."), "{part}");
                Outcome::DoesNotCompile
            }
        };
        found.insert(blocks[&line(part).unwrap()], outcome);
    }
    found
}

#[test]
fn run_makes_of_a_block_what_rustdoc_makes_of_it() {
    let (page, blocks) = page();
    let expected = rustdoc(&blocks, &page);
    assert_eq!(expected.len(), BLOCKS.len());
    let count = |wanted: &str| {
        expected.values().filter(|outcome| **outcome == Outcome::Panicked(wanted.into())).count()
    };
    assert!(count("main") >= 20 && count("statement") >= 20, "{expected:#?}");

    let book = Book::with_crate();
    let press = Serving::start(&book);
    let mut different = Vec::new();
    for block in BLOCKS {
        let told = run(&press, block);
        let got = match told.end.as_str() {
            "ok" => Outcome::Passed,
            "panic" => Outcome::Panicked(panic_message(&told.err).unwrap()),
            "compile" => Outcome::DoesNotCompile,
            end => panic!("{block}: {end}"),
        };
        if got != expected[block] {
            different.push((block, got, &expected[block]));
        }
    }
    assert!(different.is_empty(), "block, Run, rustdoc: {different:#?}");
}
