//! Run, as a page asks for it: what it answers, what it survives, what it leaves behind, and whom it refuses.
#![cfg(target_os = "linux")]

mod common;
#[path = "run/limits.rs"]
mod limits;

use common::runs::{Ask, Running, meta, run};
use common::{Book, PATIENCE, Serving};
use serde_json::{Value, json};
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

#[track_caller]
fn expect_well(press: &Serving) {
    let told = run(press, "println!(\"{}\", small::double(21));");
    assert_eq!((told.end.as_str(), told.out.as_str()), ("ok", "42\n"), "{told:#?}");
}

#[test]
fn a_block_runs_against_the_crate() {
    let book = Book::with_crate();
    let press = Serving::start(&book);
    let told = run(&press, "use small::double;\nprintln!(\"{}\", double(21));\neprintln!(\"é\");");
    assert_eq!(told.out, "42\n");
    assert_eq!(told.err, "é\n");
    assert_eq!((told.end.as_str(), told.message.as_str(), told.compiler.as_str()), ("ok", "", ""));
    assert_eq!(told.states.iter().rev().take(2).collect::<Vec<_>>(), ["running", "compiling"]);
    // The second time the crate is there.
    let told = run(&press, "fn main() -> Result<(), u8> { print!(\"no newline\"); Err(3) }");
    assert_eq!(told.states, ["compiling", "running"]);
    assert_eq!((told.out.as_str(), told.err.as_str()), ("no newline", "Error: 3\n"));
    assert_eq!((told.end.as_str(), told.message.as_str()), ("exit", "ended with exit code 1"));
    book.expect_nothing_left();
}

#[test]
fn what_does_not_compile_is_told_in_the_lines_the_reader_sees() {
    let book = Book::with_crate();
    let press = Serving::start(&book);
    let body = json!({
        "before": "use small::double;\nfn hidden() {}\n",
        "code": "hidden();\nlet x: i32 = \"text\";\nlet y = nothing;\n",
        "after": "assert_eq!(double(x), 2);\n",
    });
    let told = Running::start(&press, &body).told();
    assert_eq!((told.end.as_str(), &told.lines[..]), ("compile", &[3, 2][..]), "{told:#?}");
    assert_eq!(told.message, "does not compile: 2 errors");
    for words in [
        "error[E0308]: mismatched types\n",
        "--> line 2, column 14\n",
        "\n2 | let x: i32 = \"text\";\n",
        "--> line 3, column 9\n",
    ] {
        assert!(told.compiler.contains(words), "{words:?}: {}", told.compiler);
    }
    for words in ["block.rs", "aborting", "For more information"] {
        assert!(!told.compiler.contains(words), "{words}: {}", told.compiler);
    }
    book.expect_nothing_left();

    // Unused code is no mistake here, and a warning does not keep a block from running.
    let told = run(&press, "let unused = 1;\nfn Big() {}\nBig();");
    assert!(told.compiler.contains("--> line 2, column 4"), "{told:#?}");
    assert_eq!(told.end, "ok");
}

#[test]
fn a_panic_is_told_with_its_line() {
    let book = Book::with_crate();
    let press = Serving::start(&book);
    let body = json!({ "before": "fn hidden() { panic!(\"here\"); }\n", "code": "\nlet a = [1, 2];\nlet i = a.len();\nprintln!(\"{}\", a[i]);" });
    let told = Running::start(&press, &body).told();
    assert_eq!((told.end.as_str(), told.message.as_str()), ("panic", "panicked"));
    assert_eq!(
        told.err,
        "\nthread 'main' panicked at line 4, column 16:\nindex out of bounds: the len is 2 but the index is 2\n"
    );
    let body = json!({ "before": "fn hidden() { panic!(\"here\"); }\n", "code": "hidden();" });
    let told = Running::start(&press, &body).told();
    assert!(told.err.contains("panicked at a hidden line of this block:\nhere\n"), "{told:#?}");

    // A thread's panic is the thread's end only.
    let told = run(
        &press,
        "let thread = std::thread::spawn(|| panic!(\"in a thread\"));\nprintln!(\"{}\", thread.join().is_err());",
    );
    assert_eq!((told.end.as_str(), told.out.as_str()), ("ok", "true\n"));
    assert!(told.err.contains("panicked at line 1, column 36:\nin a thread\n"), "{told:#?}");
    book.expect_nothing_left();
}

#[test]
fn an_endless_loop_is_stopped() {
    let book = Book::with_crate();
    let press = Serving::start_with(&book, &["--run-seconds", "1"]);
    expect_well(&press);
    for code in [
        "println!(\"before\");\nloop { std::hint::spin_loop(); }",
        "println!(\"before\");\nstd::thread::sleep(std::time::Duration::from_secs(99));",
        // Deaf, mute and with many hands.
        "println!(\"before\");\nfor _ in 0..8 { std::thread::spawn(|| loop { std::hint::spin_loop(); }); }\nloop { std::thread::park(); }",
    ] {
        let started = Instant::now();
        let told = run(&press, code);
        assert_eq!((told.end.as_str(), told.out.as_str()), ("time", "before\n"), "{told:#?}");
        assert_eq!(told.message, "stopped after 1 s: `cargo book --run-seconds 6` allows more");
        assert!(started.elapsed() < Duration::from_secs(5));
        book.expect_nothing_left();
    }
    expect_well(&press);
}

/// The memory that the press itself has, in MiB.
fn memory(press: &Serving) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", press.child.id())).unwrap();
    let (_, rest) = status.split_once("VmRSS:").unwrap();
    rest.split_whitespace().next().unwrap().parse::<usize>().unwrap() >> 10
}

#[test]
fn endless_output_is_cut_and_leaves_no_memory() {
    let book = Book::with_crate();
    let press = Serving::start(&book);
    expect_well(&press);
    let before = memory(&press);
    for code in [
        "loop { println!(\"more\"); }",
        "loop { eprintln!(\"more\"); }",
        "loop { print!(\"more\"); }",
    ] {
        let told = run(&press, code);
        assert_eq!(
            (told.end.as_str(), told.message.as_str()),
            ("output", "stopped: it printed more than 512 KiB")
        );
        let length = told.out.len() + told.err.len();
        assert!((400 << 10..=512 << 10).contains(&length), "{length}");
        book.expect_nothing_left();
    }
    expect_well(&press);
    let after = memory(&press);
    assert!(after < before + 48, "{before} MiB before, {after} MiB after");
}

#[test]
fn memory_is_limited() {
    let book = Book::with_crate();
    let press = Serving::start(&book);
    let told = run(&press, "let a = vec![1_u8; 8 << 30];\nprintln!(\"{}\", a[a.len() - 1]);");
    assert_eq!((told.end.as_str(), told.out.as_str()), ("memory", ""), "{told:#?}");
    assert_eq!(told.message, "asked for more memory than the 2 GiB that a run may have");
    assert!(told.err.contains("memory allocation of 8589934592 bytes failed"), "{told:#?}");
    // Nor in small pieces.
    let told = run(&press, "let mut all = Vec::new();\nloop { all.push(vec![1_u8; 1 << 28]); }");
    assert_eq!(told.end, "memory", "{told:#?}");
    let told = run(
        &press,
        "fn deeper(n: u64) -> u64 { if n == u64::MAX { 0 } else { deeper(n + 1) + n } }\nprintln!(\"{}\", deeper(std::hint::black_box(0)));",
    );
    assert_eq!((told.end.as_str(), told.message.as_str()), ("stack", "its stack overflowed"));
    book.expect_nothing_left();
    expect_well(&press);
}

#[test]
fn a_compiler_that_takes_too_much_is_ended() {
    let book = Book::with_crate();
    let press = Serving::start(&book);
    let doubles = "macro_rules! m { ($($t:tt)*) => { m!($($t)* $($t)*); } }\nm!(a b);";
    let told = run(&press, doubles);
    assert_eq!(told.end, "memory", "{told:#?}");
    assert_eq!(told.message, "the compiler asked for more memory than the 4 GiB that it may have");
    let told = run(&press, "println!(\"{}\", include_str!(\"/dev/zero\").len());");
    assert_eq!((told.end.as_str(), &told.lines[..]), ("compile", &[1][..]), "{told:#?}");
    book.expect_nothing_left();
    expect_well(&press);
}

#[test]
fn a_block_starts_threads_but_no_process() {
    let book = Book::with_crate();
    let press = Serving::start(&book);
    let bomb = "unsafe extern \"C\" { fn fork() -> i32; }\nloop { unsafe { fork(); } }";
    let command =
        "loop { std::process::Command::new(\"/bin/sleep\").arg(\"77\").spawn().unwrap(); }";
    for code in [bomb, command] {
        let told = run(&press, code);
        assert_eq!(told.end, "process", "{told:#?}");
        assert_eq!(told.message, "ended: it tried to start another process, which a run may not");
        book.expect_nothing_left();
    }
    let told = run(
        &press,
        "let sum: i32 = (0..8).map(|i| std::thread::spawn(move || i)).map(|t| t.join().unwrap()).sum();\nprintln!(\"{sum}\");",
    );
    assert_eq!((told.end.as_str(), told.out.as_str()), ("ok", "28\n"), "{told:#?}");
    // Threads are memory, and end with it.
    let told = run(
        &press,
        "for _ in 0..100_000 { std::thread::spawn(|| loop { std::thread::park(); }); }",
    );
    assert!(["panic", "memory", "signal"].contains(&told.end.as_str()), "{told:#?}");
    book.expect_nothing_left();
    expect_well(&press);
}

#[test]
fn too_much_code_is_refused_in_one_line() {
    let book = Book::with_crate();
    let press = Serving::start(&book);
    let ask = |length| Ask::new(&press, &json!({ "code": "x".repeat(length) }));
    let refused = |length| ask(length).refused(&press);
    assert_eq!(refused(1 << 20), (413, "code: expected at most 100 KiB, got 1024 KiB".into()));
    assert_eq!(refused((100 << 10) + 1).0, 413);
    let told = run(&press, &"// long\n".repeat(100 << 7));
    assert_eq!(told.end, "ok", "{told:#?}");
    book.expect_nothing_left();
}

#[test]
fn a_block_may_end_the_process_as_it_likes() {
    let book = Book::with_crate();
    let press = Serving::start(&book);
    for (code, end, message) in [
        ("println!(\"x\");\nstd::process::exit(7);", "exit", "ended with exit code 7"),
        ("println!(\"x\");\nstd::process::exit(0);", "ok", ""),
        ("println!(\"x\");\nstd::process::abort();", "signal", "ended: signal: 6 (SIGABRT)"),
        ("println!(\"x\");\nstd::process::exit(126);", "exit", "ended with exit code 126"),
    ] {
        let told = run(&press, code);
        assert_eq!(
            (told.out.as_str(), told.end.as_str(), told.message.as_str()),
            ("x\n", end, message)
        );
    }
    book.expect_nothing_left();
}

#[test]
fn files_go_away_with_the_run_and_have_a_limit() {
    let book = Book::with_crate();
    let press = Serving::start(&book);
    let code = "
        use std::{env, fs};
        for folder in [\".\".into(), env::temp_dir(), env::var(\"HOME\").unwrap().into()] {
            let file: std::path::PathBuf = folder;
            fs::write(file.join(\"here.txt\"), \"words\").unwrap();
        }
        fs::create_dir_all(\"a/b\").unwrap();
        println!(\"{}\", fs::read_to_string(\"here.txt\").unwrap());
        println!(\"{:?}\", env::vars_os().find(|(name, _)| name == \"CARGO\" || name == \"USER\"));
        println!(\"{:?}\", std::io::read_to_string(std::io::stdin()));";
    let told = run(&press, code);
    assert_eq!(
        (told.end.as_str(), told.out.as_str()),
        ("ok", "words\nNone\nOk(\"\")\n"),
        "{told:#?}"
    );
    book.expect_nothing_left();

    let told = run(
        &press,
        "use std::io::Write;\nlet mut file = std::fs::File::create(\"large\").unwrap();\nloop { file.write_all(&[0; 1 << 20]).unwrap(); }",
    );
    assert_eq!(
        (told.end.as_str(), told.message.as_str()),
        ("file", "ended: it wrote a file of more than 64 MiB")
    );
    book.expect_nothing_left();
}

#[test]
fn bytes_that_are_no_text_are_shown_as_such() {
    let book = Book::with_crate();
    let press = Serving::start(&book);
    let told = run(
        &press,
        "use std::io::Write;\nstd::io::stdout().write_all(b\"a\\xff\\xc3\\xa9\\n\").unwrap();\nstd::io::stderr().write_all(b\"b\\xfe\").unwrap();",
    );
    assert_eq!((told.out.as_str(), told.err.as_str()), ("a\u{fffd}é\n", "b\u{fffd}"));
    let mut ask = Ask::new(&press, &json!({}));
    ask.body = b"{\"code\": \"\xff\"}".into();
    let (status, why) = ask.refused(&press);
    assert_eq!(status, 400);
    assert!(why.starts_with("body: expected JSON, got something else: "), "{why}");
    ask.body = b"{}".into();
    assert_eq!(ask.refused(&press), (400, "body: expected text in \"code\", got null".into()));
    book.expect_nothing_left();
}

#[test]
fn ten_at_once_wait_for_their_turn() {
    let book = Book::with_crate();
    let press = Serving::start(&book);
    expect_well(&press);
    // Each writes down when it ran.
    let clock = "let now = || std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis();\nlet start = now();\nstd::thread::sleep(std::time::Duration::from_millis(40));\n";
    let runs: Vec<_> = (0..10)
        .map(|i| {
            Running::start(
                &press,
                &json!({ "code": format!("{clock}println!(\"{i} {{start}} {{}}\", now());") }),
            )
        })
        .collect();
    let told: Vec<_> = runs.into_iter().map(Running::told).collect();
    let mut times = Vec::new();
    for (i, told) in told.iter().enumerate() {
        assert_eq!(told.end, "ok", "{told:#?}");
        assert_eq!(told.waiting, (i > 0).then_some(i as u64), "{told:#?}");
        let numbers: Vec<u64> = told.out.split_whitespace().map(|n| n.parse().unwrap()).collect();
        assert_eq!(numbers[0], i as u64);
        times.push((numbers[1], numbers[2]));
    }
    assert!(times.windows(2).all(|pair| pair[0].1 <= pair[1].0), "two at once: {times:?}");
    book.expect_nothing_left();
}

#[test]
fn too_many_at_once_are_refused() {
    let book = Book::with_crate();
    let press = Serving::start(&book);
    let sleep = json!({ "code": "std::thread::sleep(std::time::Duration::from_secs(5));" });
    let runs: Vec<_> = (0..33).map(|_| Running::start(&press, &sleep)).collect();
    assert_eq!(
        Ask::new(&press, &sleep).refused(&press),
        (503, "Run: expected at most 32 to wait, got one more: try again later".into())
    );
    drop(runs);
    book.expect_nothing_left();
    expect_well(&press);
}

const SLEEP: &str = "println!(\"begun\");\nlet _ = std::fs::write(\"file\", \"words\");\nstd::thread::sleep(std::time::Duration::from_secs(60));";

#[test]
fn a_run_ends_with_its_page() {
    let book = Book::with_crate();
    let press = Serving::start_with(&book, &["--run-seconds", "60"]);
    expect_well(&press);
    let mut running = Running::start(&press, &json!({ "code": SLEEP }));
    // One that waits goes away as well, and does not hold up the one behind it.
    let waiting = Running::start(&press, &json!({ "code": SLEEP }));
    running.until("out", "begun");
    assert!(book.left().iter().any(|what| what.starts_with("process")), "{:?}", book.left());
    drop(running);
    drop(waiting);
    book.expect_nothing_left();
    expect_well(&press);

    // While it compiles, too.
    let mut running = Running::start(&press, &json!({ "code": SLEEP }));
    running.until("state", "compiling");
    drop(running);
    book.expect_nothing_left();
}

fn signal(press: &mut Serving, name: &str) {
    let id = press.child.id().to_string();
    assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
    let end = Instant::now() + PATIENCE;
    while press.child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < end, "it did not end");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn an_interrupt_of_the_press_ends_the_run() {
    let book = Book::with_crate();
    for (name, until) in [("-INT", "out"), ("-TERM", "out"), ("-INT", "state")] {
        let mut press = Serving::start_with(&book, &["--run-seconds", "60"]);
        expect_well(&press);
        let mut running = Running::start(&press, &json!({ "code": SLEEP }));
        running.until(until, if until == "out" { "begun" } else { "compiling" });
        signal(&mut press, name);
        book.expect_nothing_left();
    }
}

#[test]
fn a_press_that_is_killed_takes_its_run_along() {
    let book = Book::with_crate();
    let mut press = Serving::start_with(&book, &["--run-seconds", "60"]);
    let mut running = Running::start(&press, &json!({ "code": SLEEP }));
    running.until("out", "begun");
    signal(&mut press, "-KILL");
    // Its folder stays, for nobody is left to remove it.
    let end = Instant::now() + Duration::from_secs(3);
    while book.left().iter().any(|what| what.starts_with("process")) {
        assert!(Instant::now() < end, "{:?}", book.left());
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn only_its_own_pages_are_answered() {
    let book = Book::with_crate();
    let press = Serving::start(&book);
    let mark = book.root.path().join("ran");
    let code = format!("std::fs::write({:?}, \"\").unwrap();", mark.to_str().unwrap());
    let ask = || Ask::new(&press, &json!({ "code": code }));
    let own = format!("http://127.0.0.1:{}", press.port);
    let other_port = format!("http://127.0.0.1:{}", press.port ^ 1);
    let expected_origin = "Origin: expected a page of this press, got ";
    for (ask, status, why) in [
        (
            ask().with("Host", "example.org"),
            403,
            "This server answers 127.0.0.1 and localhost only.",
        ),
        (ask().with("Host", ""), 403, "This server answers 127.0.0.1 and localhost only."),
        (ask().with("Origin", "https://example.org"), 403, expected_origin),
        (ask().with("Origin", &other_port), 403, expected_origin),
        (ask().with("Origin", &own.replace("http:", "https:")), 403, expected_origin),
        (ask().with("Origin", "null"), 403, expected_origin),
        (ask().with("Origin", ""), 403, expected_origin),
        (
            ask().with("Content-Type", "text/plain"),
            415,
            "Content-Type: expected application/json, got text/plain",
        ),
        (
            ask().with("Content-Type", "application/x-www-form-urlencoded"),
            415,
            "Content-Type: expected",
        ),
        (ask().with("Content-Type", ""), 415, "Content-Type: expected application/json, got none"),
        (
            ask().with("X-Evenkeel-Token", ""),
            403,
            "token: expected the one of this start of the press",
        ),
        (
            ask().with("X-Evenkeel-Token", "0123456789abcdef0123456789abcdef"),
            403,
            "token: expected",
        ),
    ] {
        let (got, said) = ask.refused(&press);
        assert!(got == status && said.starts_with(why), "{:?}: {got} {said}", ask.headers);
    }
    // All that stands between a page and the code is what was left out above.
    assert!(!mark.exists());
    book.expect_nothing_left();
    let told = run(&press, &code);
    assert!(told.end == "ok" && mark.exists(), "{told:#?}");

    for method in ["GET", "PUT", "OPTIONS"] {
        let answer = press.ask(method, "/-/run", "127.0.0.1");
        assert_eq!(answer.split(' ').nth(1), Some("405"), "{method}");
        assert!(!answer.to_lowercase().contains("access-control"), "{answer}");
    }
    // Each start has a token of its own.
    let second = Serving::start(&book);
    let token = |press: &Serving| meta(&press.get("/a.html"), "run-token").unwrap();
    assert_eq!(token(&press).len(), 32);
    assert_ne!(token(&press), token(&second));
}

#[test]
fn a_page_that_a_script_fetches_has_no_token() {
    let book = Book::with_crate();
    let press = Serving::start(&book);
    let page = |header: &str| {
        let host = format!("127.0.0.1\r\n{header}");
        press.ask("GET", "/a.html", &host)
    };
    let token = |header: &str| meta(&page(header), "run-token").unwrap();
    let own = token("Accept: */*");
    assert_eq!(own.len(), 32);
    assert_eq!(token("Sec-Fetch-Dest: document"), own);
    for header in [
        "Sec-Fetch-Dest: empty",
        "Sec-Fetch-Dest: iframe",
        "Sec-Fetch-Dest: document\r\nService-Worker-Navigation-Preload: true",
    ] {
        let page = page(header);
        assert!(page.contains("First words") && !page.contains(&own), "{header}");
    }
    // The browser asks whether another program's worker is still the same.
    let answer = page("Service-Worker: script");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("unregister"), "{answer}");
    assert!(answer.contains("content-type: text/javascript"), "{answer}");
}

#[test]
fn an_edit_of_the_crate_reaches_the_next_run() {
    let book = Book::with_crate();
    let source = book.root.path().join("src/lib.rs");
    let press = Serving::start(&book);
    expect_well(&press);
    // No pause: the run itself looks at the sources.
    fs::write(&source, "pub fn double(x: i32) -> i32 {\n    20 * x\n}\n").unwrap();
    let told = run(&press, "println!(\"{}\", small::double(2));");
    assert_eq!((told.end.as_str(), told.out.as_str()), ("ok", "40\n"), "{told:#?}");
    assert_eq!(told.states, ["building", "compiling", "running"]);

    fs::write(&source, "pub fn double(x: i32) -> i32 {\n    nothing\n}\n").unwrap();
    let told = run(&press, "println!(\"{}\", small::double(2));");
    assert_eq!(told.end, "crate", "{told:#?}");
    assert!(
        told.message
            .starts_with("the crate does not compile\nerror[E0425]: cannot find value `nothing`"),
        "{told:#?}"
    );
    assert!(told.message.contains("--> src/lib.rs:2:5"), "{told:#?}");

    fs::write(&source, "pub fn double(x: i32) -> i32 {\n    2 * x\n}\n").unwrap();
    expect_well(&press);
    fs::remove_dir_all(book.root.path().join("target")).unwrap();
    expect_well(&press);
    book.expect_nothing_left();
}

#[test]
fn a_run_that_waits_for_the_crate_is_told_how_far_it_is() {
    let book = Book::with_crate();
    // Long enough for Cargo to draw its progress, and a second step behind.
    let sleep = "fn main() { std::thread::sleep(std::time::Duration::from_secs(3)); }";
    fs::write(book.path("../build.rs"), sleep).unwrap();
    let press = Serving::start(&book);
    let mut running = Running::start(&press, &json!({ "code": "" }));
    let mut building = Vec::new();
    let end = loop {
        let event = running.event().unwrap();
        if event["state"] == "building" {
            building.push(event);
        } else if event["end"].is_string() {
            break event["end"].clone();
        }
    };
    assert_eq!(end, "ok");
    let counts = |event: &Value| Some((event["done"].as_u64()?, event["of"].as_u64()?));
    let far: Vec<_> = building.iter().filter(|event| event["crate"] == "small").collect();
    let known = |event: &&Value| counts(event).is_some_and(|(done, of)| done < of && of == 3);
    assert!(!far.is_empty() && far.iter().all(known), "{building:#?}");
    building.windows(2).for_each(|two| assert_ne!(two[0], two[1], "told twice: {building:#?}"));
}

#[test]
fn pages_that_cannot_run_do_not_pretend_to() {
    let without_crate = Book::new();
    let book = Book::with_crate();
    for (book, arguments) in [(&without_crate, &[][..]), (&book, &["--no-run"])] {
        let press = Serving::start_with(book, arguments);
        let page = press.get("/a.html");
        assert!(
            page.contains("/-/live.js")
                && !page.contains("/-/run.js")
                && meta(&page, "run-token").is_none()
        );
        assert_eq!(Ask::new(&press, &json!({ "code": "" })).refused(&press).0, 405);
    }
    assert!(book.run(&["build"]).status.success());
    assert!(!book.read("book/a.html").contains("/-/"));
}

/// The code of the editable blocks of a page, as the page script takes it.
fn editable(page: &str) -> Vec<Value> {
    let page = scraper::Html::parse_document(page);
    let blocks = scraper::Selector::parse("code.editable").unwrap();
    page.select(&blocks).map(|code| json!({ "code": code.text().collect::<String>() })).collect()
}

#[test]
fn every_editable_block_of_the_book_runs() {
    let book = Book::own();
    let press = Serving::start(&book);
    let summary = book.read("src/SUMMARY.md");
    let stems = summary.split("](").skip(1).filter_map(|rest| rest.split_once(".md)"));
    let mut count = 0;
    for (stem, _) in stems {
        for (i, block) in editable(&press.get(&format!("/{stem}.html"))).iter().enumerate() {
            let told = Running::start(&press, block).told();
            assert_eq!(
                (told.end.as_str(), told.compiler.as_str()),
                ("ok", ""),
                "{stem}, block {i}: {told:#?}"
            );
            count += 1;
        }
    }
    assert!(count >= 20, "{count}");
    book.expect_nothing_left();
}
