//! What a run and a press may take, what they leave behind however they end, and what they see of the reader's
//! environment.

use super::{Ask, Running, SLEEP, expect_well, run, signal};
use crate::common::{Book, PATIENCE, Serving};
use serde_json::json;
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Waits until `done`, and says what is missing if that never comes.
#[track_caller]
fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn the_stack_has_a_limit_in_a_shell_without_one() {
    let book = Book::with_crate();
    let press = Serving::start_after(&book, "ulimit -s unlimited");
    // 64 MiB, so that a run without the limit ends too.
    let code = "fn deeper(n: u32) -> u64 {\n    let page = std::hint::black_box([n as u8; 4096]);\n    if n == 0 { 0 } else { deeper(n - 1) + u64::from(page[7]) }\n}\nprintln!(\"{}\", deeper(1 << 14));";
    let told = run(&press, code);
    assert_eq!((told.end.as_str(), told.out.as_str()), ("stack", ""), "{told:#?}");
    book.expect_nothing_left();
}

#[test]
fn there_is_no_shared_memory_beside_the_limit() {
    let book = Book::with_crate();
    let press = Serving::start(&book);
    let code = "
        use std::ffi::{c_char, c_int, c_void};
        unsafe extern \"C\" {
            fn mmap(at: *mut c_void, length: usize, how: c_int, flags: c_int, file: c_int, offset: i64) -> isize;
            fn memfd_create(name: *const c_char, flags: u32) -> c_int;
            fn shmget(key: c_int, size: usize, flags: c_int) -> c_int;
        }
        let map = |flags, file| unsafe { mmap(std::ptr::null_mut(), 3 << 20, 3, flags, file, 0) } > 0;
        println!(\"shared {}\", map(0x21, -1));
        println!(\"memfd {}\", unsafe { memfd_create(c\"x\".as_ptr(), 0) } >= 0);
        println!(\"System V {}\", unsafe { shmget(0, 3 << 20, 0o1600) } >= 0);
        // What programs use stays: memory of their own, and files.
        println!(\"own {}\", map(0x22, -1));
        let file = std::fs::File::create_new(\"map\").unwrap();
        file.set_len(3 << 20).unwrap();
        let file = std::fs::OpenOptions::new().read(true).write(true).open(\"map\").unwrap();
        println!(\"file {}\", map(0x01, std::os::fd::AsRawFd::as_raw_fd(&file)));";
    let told = run(&press, code);
    assert_eq!(
        told.out, "shared false\nmemfd false\nSystem V false\nown true\nfile true\n",
        "{told:#?}"
    );
    book.expect_nothing_left();
}

#[test]
fn lower_limits_of_the_reader_hold() {
    let book = Book::with_crate();
    let press = Serving::start_after(&book, "ulimit -d 1048576; ulimit -f 65536; ulimit -s 4096");
    expect_well(&press);
    let told = run(&press, "let a = vec![1_u8; 1 << 30];\nprintln!(\"{}\", a[a.len() - 1]);");
    assert_eq!(
        (told.end.as_str(), told.message.as_str()),
        ("memory", "asked for more memory than the 1 GiB that a run may have"),
        "{told:#?}"
    );
    // The shell counts in blocks of 512 bytes.
    let told = run(&press, "std::fs::write(\"large\", vec![0; 33 << 20]).unwrap();");
    assert_eq!(
        (told.end.as_str(), told.message.as_str()),
        ("file", "ended: it wrote a file of more than 32 MiB"),
        "{told:#?}"
    );
    book.expect_nothing_left();
}

#[test]
fn open_files_are_limited() {
    let book = Book::with_crate();
    let press = Serving::start(&book);
    let code = "let mut open = Vec::new();\nwhile open.len() < 5000 && let Ok(file) = std::fs::File::open(\"/dev/null\") { open.push(file); }\nprintln!(\"{}\", open.len() < 1024);";
    let told = run(&press, code);
    assert_eq!((told.end.as_str(), told.out.as_str()), ("ok", "true\n"), "{told:#?}");
}

#[test]
fn a_folder_goes_away_whatever_is_in_it() {
    let book = Book::with_crate();
    // Fewer files than there are folders in folders, whose path is too long besides.
    let press = Serving::start_after(&book, "ulimit -n 256");
    for code in [
        "use std::{fs, os::unix::fs::PermissionsExt};
        for (name, mode) in [(\"a/b/c\", 0o500), (\"a/b\", 0o000), (\"a\", 0o400), (\".\", 0o500), (\"..\", 0o000)] {
            let _ = fs::create_dir_all(\"a/b/c/d\");
            fs::set_permissions(name, fs::Permissions::from_mode(mode)).unwrap();
        }",
        "for _ in 0..800 {
            std::fs::create_dir(\"a folder in a folder\").unwrap();
            std::env::set_current_dir(\"a folder in a folder\").unwrap();
            std::fs::write(\"file\", \"words\").unwrap();
        }",
        "std::os::unix::fs::symlink(\"/\", \"root\").unwrap();\nstd::os::unix::fs::symlink(\"nowhere\", \"../nothing\").unwrap();",
    ] {
        let told = run(&press, code);
        assert_eq!(told.end, "ok", "{told:#?}");
        wait_until("the folder stays", || book.left().is_empty());
    }
}

#[test]
fn others_cannot_look_into_the_folder_of_a_run() {
    let book = Book::with_crate();
    let press = Serving::start_with(&book, &["--run-seconds", "60"]);
    let mut running = Running::start(&press, &json!({ "code": SLEEP }));
    running.until("out", "begun");
    let left = book.left();
    let folders: Vec<_> = left
        .iter()
        .filter(|what| what.starts_with('/') && what.contains("evenkeel-run-"))
        .collect();
    assert_eq!(folders.len(), 1, "{left:?}");
    let mode = fs::metadata(folders[0]).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn pages_are_served_while_a_folder_with_many_files_goes_away() {
    let book = Book::with_crate();
    let press = Serving::start_with(&book, &["--run-seconds", "60"]);
    let code = "for a in 0..60 {\n    std::fs::create_dir(a.to_string()).unwrap();\n    for b in 0..1000 { std::fs::File::create(format!(\"{a}/{b}\")).unwrap(); }\n}";
    let told = run(&press, code);
    assert_eq!(told.end, "ok", "{told:#?}");
    assert!(press.get("/a.html").contains("First words"));
    assert!(!book.left().is_empty(), "the page waited, or nothing was left to remove");
    wait_until("the folder stays", || book.left().is_empty());
}

#[test]
fn a_closed_terminal_ends_the_press_and_its_run() {
    let book = Book::with_crate();
    let mut press = Serving::start_with(&book, &["--run-seconds", "60"]);
    let mut running = Running::start(&press, &json!({ "code": SLEEP }));
    running.until("out", "begun");
    signal(&mut press, "-HUP");
    book.expect_nothing_left();
}

#[test]
fn nohup_keeps_the_press() {
    let book = Book::with_crate();
    let press = Serving::start_after(&book, "trap '' HUP");
    let id = press.child.id().to_string();
    assert!(Command::new("kill").args(["-HUP", &id]).status().unwrap().success());
    std::thread::sleep(Duration::from_millis(300));
    expect_well(&press);
}

/// The processes that work in the folder, or are programs from there.
fn processes_in(folder: &Path) -> Vec<String> {
    let folder = fs::canonicalize(folder).unwrap();
    let mut found = Vec::new();
    for process in fs::read_dir("/proc").unwrap().flatten() {
        for link in ["cwd", "exe"] {
            if fs::read_link(process.path().join(link)).is_ok_and(|at| at.starts_with(&folder)) {
                found.push(process.file_name().display().to_string());
            }
        }
    }
    found
}

#[test]
fn the_build_of_the_crate_ends_with_the_press() {
    for name in ["-HUP", "-KILL", "-INT", "-TERM"] {
        let book = Book::with_crate();
        let root = book.root.path();
        // It ends by itself should the test fail.
        let script = "fn main() {\n    std::fs::write(\"begun\", \"\").unwrap();\n    std::thread::sleep(std::time::Duration::from_secs(40));\n}\n";
        fs::write(root.join("build.rs"), script).unwrap();
        let mut press = Serving::start(&book);
        wait_until("the build never began", || root.join("begun").exists());
        assert!(processes_in(root).len() > 1, "cargo and the script");
        signal(&mut press, name);
        wait_until(&format!("{name}: it goes on"), || processes_in(root).is_empty());
        if name != "-KILL" {
            book.expect_nothing_left();
        }
    }
}

/// A page that takes minutes, and a press that is at work on it.
fn with_a_long_page(book: &Book) {
    book.write("src/a.md", &format!("# A\n\n{}", "words and *words*\n\n".repeat(50 << 16)));
}

fn start(book: &Book, arguments: &[&str]) -> Child {
    book.press(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Sends the signal and waits for the end, which comes at once.
#[track_caller]
fn interrupt(child: &mut Child) {
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    let end = Instant::now() + Duration::from_secs(3);
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > end {
            let _ = child.kill();
            let _ = child.wait();
            panic!("it did not end within 3 s");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn an_interrupt_does_not_wait_for_a_render() {
    // The first one, and that of a check.
    for arguments in [&["--no-open", "--port", "0"][..], &["check"]] {
        let book = Book::new();
        with_a_long_page(&book);
        let mut press = start(&book, arguments);
        wait_until("it never began", || !book.left().is_empty());
        interrupt(&mut press);
        book.expect_nothing_left();
    }

    // One that follows a change.
    let book = Book::new();
    let mut press = Serving::start(&book);
    assert!(book.left().is_empty());
    with_a_long_page(&book);
    wait_until("it never began", || !book.left().is_empty());
    interrupt(&mut press.child);
    book.expect_nothing_left();
}

#[test]
fn an_interrupted_build_removes_its_folder() {
    let book = Book::new();
    assert!(book.run(&["build"]).status.success());
    with_a_long_page(&book);
    let folders = || {
        let entries = fs::read_dir(book.path("")).unwrap().flatten();
        let names = entries.map(|entry| entry.file_name().display().to_string());
        names.filter(|name| name.starts_with('.')).collect::<Vec<_>>()
    };
    let mut build = start(&book, &["build"]);
    wait_until("it never began", || !folders().is_empty());
    interrupt(&mut build);
    assert_eq!(folders(), [""; 0]);
    // The pages of before are still there.
    assert!(book.read("book/a.html").contains("First words"));
}

#[test]
fn the_compiler_sees_nothing_of_the_readers_environment() {
    let book = Book::with_crate();
    let press = Serving::start_after(&book, "export MY_SECRET_TOKEN=words EVENKEEL_OTHER=words");
    let names =
        ["MY_SECRET_TOKEN", "EVENKEEL_OTHER", "USER", "CARGO_MANIFEST_DIR", "EVENKEEL_PRESS_ROLE"];
    let code: String = names
        .iter()
        .map(|name| format!("println!(\"{{:?}}\", option_env!(\"{name}\"));\n"))
        .collect();
    let told = run(&press, &code);
    assert_eq!((told.end.as_str(), told.out.as_str()), ("ok", &*"None\n".repeat(5)), "{told:#?}");
    book.expect_nothing_left();
}

/// What the press sends until it closes the connection, and after how long it does.
fn rest(mut stream: TcpStream) -> (String, Duration) {
    let started = Instant::now();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("still open: {error}"),
        _ => (String::from_utf8_lossy(&answer).into_owned(), started.elapsed()),
    }
}

#[test]
fn a_request_that_stops_half_way_is_ended() {
    let book = Book::with_crate();
    let press = Serving::start(&book);
    let connect = || TcpStream::connect(("127.0.0.1", press.port)).unwrap();
    let mut events = press.events();
    let first = events.next();

    let silent = connect();
    let mut head = connect();
    head.write_all(b"GET /a.html HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: ").unwrap();
    let ask = Ask::new(&press, &json!({ "code": "x".repeat(100) }));
    let half = Ask { body: ask.body[..50].into(), headers: ask.headers };
    let body = half.send_with_length(&press, ask.body.len());
    // A body that nobody reads.
    let mut page = connect();
    page.write_all(b"GET /a.html HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\nab")
        .unwrap();

    let ends = [silent, head, body, page].map(|stream| std::thread::spawn(|| rest(stream)));
    let [silent, head, body, page] = ends.map(|end| end.join().unwrap());
    for (answer, after) in [&silent, &head, &body, &page] {
        assert!(*after < Duration::from_secs(14), "{after:?} {answer}");
    }
    assert_eq!((silent.0.as_str(), head.0.as_str()), ("", ""));
    assert!(
        body.0.starts_with("HTTP/1.0 408 ")
            && body.0.ends_with("\r\n\r\nbody: expected all of it within 10 s, got a part\n"),
        "{body:?}"
    );
    assert!(page.0.starts_with("HTTP/1.1 200 "), "{page:?}");

    // An open page waits for news longer than that.
    book.write("src/a.md", "# A\n\nOther words.\n");
    events.until(|render, _| render != first.0);
}
