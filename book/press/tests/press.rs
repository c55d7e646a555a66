//! Runs the press itself on small books in temporary folders.

mod common;

use common::{Book, PATIENCE, Serving};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or_default()
}

fn entries(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn serves_the_pages_to_this_machine_only() {
    let book = Book::new();
    let press = Serving::start(&book);
    let port = press.port;
    assert_eq!(press.greeting, format!("A Book is at http://127.0.0.1:{port}/  (Ctrl-C stops it)"));

    let page = press.get("/a.html");
    assert_eq!(status(&page), "200");
    assert!(page.contains("<math><mi>x</mi></math>") && page.contains("/-/live.js"), "{page}");
    let head = page.split("\r\n\r\n").next().unwrap().to_lowercase();
    for header in
        ["cache-control: no-cache", "content-type: text/html; charset=utf-8", "default-src 'self'"]
    {
        assert!(head.contains(header), "{header} is not in {head}");
    }
    assert_eq!(status(&press.get("/")), "200");
    assert_eq!(status(&press.ask("HEAD", "/a.html", "localhost:1")), "200");
    assert!(press.get("/-/live.js").contains("text/javascript"));
    let css = page.split("href=\"").find(|part| part.starts_with("css/general")).unwrap();
    assert!(press.get(&format!("/{}", css.split('"').next().unwrap())).contains("text/css"));

    let missing = press.get("/nothing.html");
    assert_eq!(status(&missing), "404");
    assert!(missing.contains("Document not found"));
    for path in
        ["/../book.toml", "/%2e%2e/book.toml", "/..%2fbook.toml", "//etc/passwd", "/src/a.md"]
    {
        assert_eq!(status(&press.get(path)), "404", "{path}");
    }
    for host in ["example.org", "127.0.0.1.example.org", "localhost.example.org:3000"] {
        let answer = press.ask("GET", "/a.html", host);
        assert_eq!(status(&answer), "403", "{host}");
        assert!(!answer.contains("First words"));
        assert_eq!(status(&press.ask("GET", "/-/events", host)), "403", "{host}");
    }
    assert_eq!(status(&press.ask("POST", "/a.html", "localhost")), "405");
}

#[test]
fn a_saved_page_reaches_the_reader() {
    let book = Book::new();
    let press = Serving::start(&book);
    let mut events = press.events();
    let (first, problem) = events.next();
    assert_eq!(problem, None);
    assert!(press.get("/a.html").contains(&format!("name=\"render\" content=\"{first}\"")));

    book.write("src/a.md", "# A\n\nOther words.\n");
    let (second, _) = events.until(|render, problem| render != first && problem.is_none());
    let page = press.get("/a.html");
    assert!(page.contains("Other words.") && page.contains(&second), "{page}");

    // Editors write a second file and give it the name of the first.
    book.write("src/a.md.new", "# A\n\nRenamed words.\n");
    fs::rename(book.path("src/a.md.new"), book.path("src/a.md")).unwrap();
    events.until(|render, problem| {
        render != second && problem.is_none() && press.get("/a.html").contains("Renamed words.")
    });
}

#[test]
fn a_mistake_keeps_the_last_good_pages() {
    let book = Book::new();
    let press = Serving::start(&book);
    let mut events = press.events();
    let (first, _) = events.next();

    book.write("src/a.md", "# A\n\nBroken words $\\nonsense$.\n");
    let (render, problem) = events.until(|_, problem| problem.is_some());
    let problem = problem.unwrap();
    assert_eq!(render, first);
    assert!(problem.starts_with("book/src/a.md:3: formula does not parse: "), "{problem}");
    assert!(press.wait_for_line("error: ").contains(&problem));
    assert!(press.get("/a.html").contains("First words"));
    // A page opened only now is told as well.
    assert_eq!(press.events().next().1, Some(problem));

    book.write("src/a.md", "# A\n\nMended words.\n");
    events.until(|render, problem| render != first && problem.is_none());
    assert!(press.get("/a.html").contains("Mended words."));
}

#[test]
fn a_file_beside_the_book_that_a_page_includes_is_watched() {
    let book = Book::new();
    let beside = book.root.path().join("NOTES.md");
    fs::write(&beside, "Old notes.").unwrap();
    book.write("src/b.md", "# B\n\n```text\n{{#include ../../NOTES.md}}\n```\n");
    let press = Serving::start(&book);
    let mut events = press.events_of("/b.html");
    let (first, _) = events.next();
    assert!(press.get("/b.html").contains("Old notes."));
    fs::write(&beside, "New notes.").unwrap();
    events.until(|render, problem| render != first && problem.is_none());
    assert!(press.get("/b.html").contains("New notes."));
}

/// vim's swap file and its test file, Emacs's lock and unsaved text, a backup.
#[cfg(unix)]
#[test]
fn editors_files_are_none_of_the_book() {
    let book = Book::new();
    let others = [".a.md.swp", "4913", "#a.md#", "a.md~", "more/.b.svg.swp"];
    let lock = || std::os::unix::fs::symlink("me@here.1234", book.path("src/.#a.md")).unwrap();
    book.write("src/more/b.svg", "<svg></svg>");
    others.iter().for_each(|name| book.write(&format!("src/{name}"), "x"));
    lock();
    let out = book.root.path().join("out");
    let built = book.run(&["build", "--dest-dir", out.to_str().unwrap()]);
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    assert_eq!(entries(&out.join("more")), ["b.svg"]);
    for name in entries(&out) {
        assert!(!["4913", "#a.md#", "a.md~"].contains(&name.as_str()), "{name}");
        assert!(!name.starts_with(".#") && !name.ends_with(".swp"), "{name}");
    }
    assert!(book.run(&["check"]).status.success());

    let press = Serving::start(&book);
    let mut events = press.events_of("/b.html");
    let (first, problem) = events.next();
    assert_eq!(problem, None);
    assert_eq!(status(&press.get("/a.html~")), "404");
    assert_eq!(status(&press.get("/.a.md.swp")), "404");
    // None of these renders the book again: the first line about a change names the page.
    others.iter().for_each(|name| book.write(&format!("src/{name}"), "y"));
    fs::remove_file(book.path("src/.#a.md")).unwrap();
    lock();
    std::thread::sleep(Duration::from_millis(1500));
    book.write("src/b.md", "# B\n\nSaved.\n");
    events.until(|render, problem| render != first && problem.is_none());
    assert!(press.wait_for_line("changed: rendered").starts_with("b.md changed"));
}

#[test]
fn the_watcher_outlives_what_editors_do() {
    let book = Book::new();
    let press = Serving::start(&book);
    let mut events = press.events();

    fs::remove_file(book.path("src/b.md")).unwrap();
    let (_, problem) = events.until(|_, problem| problem.is_some());
    assert_eq!(problem.unwrap(), "book/src/SUMMARY.md:4: page: expected a file at b.md, got none");
    assert_eq!(status(&press.get("/b.html")), "200");
    book.write("src/b.md", "# B\n\nBack again.\n");
    events.until(|_, problem| problem.is_none() && press.get("/b.html").contains("Back again."));

    for i in 0..40 {
        book.write("src/b.md", &format!("# B\n\nSave {i}.\n"));
    }
    events.until(|_, problem| problem.is_none() && press.get("/b.html").contains("Save 39."));

    // As a checkout of another branch does.
    let (away, src) = (book.root.path().join("away"), book.path("src"));
    fs::rename(&src, &away).unwrap();
    events.until(|_, problem| problem.is_some());
    fs::rename(&away, &src).unwrap();
    events.until(|_, problem| problem.is_none());
    book.write("src/b.md", "# B\n\nAfter all that.\n");
    events
        .until(|_, problem| problem.is_none() && press.get("/b.html").contains("After all that."));

    book.write("book.toml", "not toml");
    let (_, problem) = events.until(|_, problem| problem.is_some());
    assert!(problem.as_ref().unwrap().starts_with("book/book.toml: "), "{problem:?}");
    assert!(!problem.unwrap().contains('\n'));
    assert!(press.get("/b.html").contains("After all that."));
}

#[test]
fn code_that_a_page_includes_is_watched() {
    let book = Book::new();
    let source = book.root.path().join("src/lib.rs");
    fs::create_dir_all(source.parent().unwrap()).unwrap();
    fs::write(&source, "// ANCHOR: f\nfn first() {}\n// ANCHOR_END: f\n").unwrap();
    book.write("src/a.md", "# A\n\n```rust,ignore\n{{#include ../../src/lib.rs:f}}\n```\n");
    let press = Serving::start(&book);
    let mut events = press.events();
    assert!(press.get("/a.html").contains("fn first()"));
    fs::write(&source, "// ANCHOR: f\nfn second() {}\n// ANCHOR_END: f\n").unwrap();
    events.until(|_, problem| problem.is_none() && press.get("/a.html").contains("fn second()"));
}

#[test]
fn a_busy_port_is_one_line() {
    let book = Book::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    assert_eq!(
        book.refused(&["--no-open", "--port", &port.to_string()]),
        format!(
            "error: port {port} on 127.0.0.1 is taken: end the program there, or choose another with --port N (0 takes any free one; a browser keeps edits by port, and Export on the page of exercises takes them along)\n"
        )
    );
}

#[test]
fn a_book_that_cannot_be_served_is_one_line() {
    let book = Book::new();
    book.write("src/a.md", "# A\n\n$\\nonsense$\n");
    let said = book.refused(&["--no-open", "--port", "0"]);
    assert!(
        said.starts_with("error: book/src/a.md:3: formula does not parse: ")
            && said.lines().count() == 1,
        "{said}"
    );

    book.write("src/SUMMARY.md", "# Summary\n\n- [A]()\n");
    for command in ["serve", "build", "check"] {
        assert_eq!(
            book.refused(&[command]),
            "error: book/src/SUMMARY.md:1: no pages: expected at least one [title](file.md), got drafts or nothing\n"
        );
    }
    fs::remove_file(book.path("book.toml")).unwrap();
    let said = book.refused(&["build"]);
    assert!(
        said.starts_with("error: book: expected a file book.toml in ") && said.lines().count() == 1,
        "{said}"
    );
}

#[cfg(unix)]
#[test]
fn an_interrupt_ends_it_cleanly() {
    let book = Book::new();
    let mut press = Serving::start(&book);
    let _open = press.events();
    let kill = Command::new("kill").args(["-INT", &press.child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    let end = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = press.child.try_wait().unwrap() {
            break status;
        }
        assert!(Instant::now() < end, "it did not end");
        std::thread::sleep(Duration::from_millis(20));
    };
    assert!(status.success(), "{status}");
    assert_eq!(entries(&book.root.path().join("tmp")), [""; 0]);
}

#[test]
fn a_build_replaces_the_pages_or_leaves_them() {
    let book = Book::new();
    assert!(book.run(&["build"]).status.success());
    assert!(book.read("book/a.html").contains("First words"));
    assert!(!book.read("book/a.html").contains("/-/"), "static pages have no use for the press");
    book.write("book/old.html", "left over");

    book.write("src/a.md", "# A\n\n```\nno language\n```\n\n$\\nonsense$\n");
    let said = book.refused(&["build"]);
    assert_eq!(said.lines().count(), 2, "{said}");
    assert!(said.starts_with("error: book/src/a.md:3: fence without a language"), "{said}");
    assert!(book.read("book/a.html").contains("First words"));

    book.write("src/a.md", "# A\n\nNew words.\n");
    assert!(book.run(&["build"]).status.success());
    assert!(book.read("book/a.html").contains("New words."));
    assert!(!book.path("book/old.html").exists());
    assert_eq!(entries(&book.path("")), ["book", "book.toml", "src"]);

    let said = book.refused(&["build", "--dest-dir", book.path("src").to_str().unwrap()]);
    assert!(
        said.contains("expected an empty folder or pages that an earlier build wrote"),
        "{said}"
    );
    assert!(book.path("src/a.md").exists());
    let out = book.root.path().join("some/where");
    assert!(book.run(&["build", "--dest-dir", out.to_str().unwrap()]).status.success());
    assert!(out.join("index.html").is_file());
}

#[test]
fn a_build_deletes_nothing_that_no_build_wrote() {
    let book = Book::new();
    let out = book.root.path().join("out");
    let build = || ["build", "--dest-dir", out.to_str().unwrap()];
    assert!(book.run(&build()).status.success());
    // Its own pages are replaced...
    book.write("src/a.md", "# A\n\nNew words.\n");
    assert!(book.run(&build()).status.success());
    assert!(fs::read_to_string(out.join("a.html")).unwrap().contains("New words."));
    // ...and other files are not, whatever stands beside them.
    fs::write(out.join("thesis.txt"), "years").unwrap();
    let said = book.refused(&build());
    assert!(said.ends_with("got also thesis.txt\n") && said.lines().count() == 1, "{said}");
    let foreign = book.root.path().join("foreign");
    fs::create_dir(&foreign).unwrap();
    fs::write(foreign.join("toc.html"), "").unwrap();
    book.refused(&["build", "--dest-dir", foreign.to_str().unwrap()]);
    assert_eq!(entries(&foreign), ["toc.html"]);
    assert_eq!(fs::read_to_string(out.join("thesis.txt")).unwrap(), "years");
}

/// A link as the destination stays a link.
#[cfg(unix)]
#[test]
fn a_build_through_a_link_writes_where_it_leads() {
    let book = Book::new();
    let (out, link) = (book.root.path().join("out"), book.root.path().join("link"));
    fs::create_dir(&out).unwrap();
    std::os::unix::fs::symlink(&out, &link).unwrap();
    for _ in 0..2 {
        assert!(book.run(&["build", "--dest-dir", link.to_str().unwrap()]).status.success());
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert!(out.join("a.html").is_file());
    }
}

#[cfg(target_os = "linux")]
#[test]
fn what_an_ended_build_left_goes_with_the_next() {
    let book = Book::new();
    let of = |process: u32| book.path(&format!(".evenkeel-press-{process}-abc"));
    // The largest number that Linux gives a process is 4194304; the second is this test's own.
    let (gone, alive) = (of(99_999_999), of(std::process::id()));
    for folder in [&gone, &alive] {
        fs::create_dir_all(folder.join("new")).unwrap();
    }
    assert!(book.run(&["build"]).status.success());
    assert!(!gone.exists() && alive.exists());
}

#[test]
fn check_names_the_page_and_the_line() {
    let book = Book::new();
    let output = book.run(&["check"]);
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("checked 2 pages, "), "{output:?}");

    book.write("src/b.md", "# B\n\n[A](a.md#nothing)\n\n[C](c.md)\n\n<figure><b>x</figure>\n");
    let said = book.refused(&["check"]);
    assert!(said.contains("error: book/src/b.md:3: link: expected a heading or an id"), "{said}");
    assert!(said.contains("error: book/src/b.md:5: link: expected a page or a file"), "{said}");
    assert!(said.contains("error: book/src/b.md:7: figure: expected a <figcaption>"), "{said}");
    assert!(said.contains("unexpected HTML end tag `</figure>`"), "{said}");
}

/// An example as the figures' are: it measures, or draws again, here or elsewhere.
const EXAMPLE: &str = r#"
fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = "book/src/figures";
    let (mut redraw, mut out) = (false, String::from(folder));
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--what" => return println!("numbers"),
            "--redraw" => redraw = true,
            "--out" => out = arguments.next().unwrap(),
            _ => panic!("{argument}"),
        }
    }
    std::fs::create_dir_all(&out).unwrap();
    if !redraw {
        std::fs::write(format!("{out}/wave.csv"), "x,y\n0,1.5\n1,2.5\n2,4.5\n").unwrap();
    }
    let numbers = if redraw { folder } else { &out };
    let numbers = std::fs::read_to_string(format!("{numbers}/wave.csv")).unwrap();
    let dots: String = numbers.lines().skip(1).map(|row| format!("<circle id=\"{row}\"/>\n")).collect();
    std::fs::write(format!("{out}/wave.svg"), format!("<svg>\n{dots}</svg>\n")).unwrap();
}
"#;

/// A book with a crate whose one example is `wave`.
fn with_figure() -> Book {
    let book = Book::with_crate();
    fs::create_dir_all(book.root.path().join("examples")).unwrap();
    fs::write(book.root.path().join("examples/wave.rs"), EXAMPLE).unwrap();
    book
}

#[test]
fn figures_are_drawn_and_compared() {
    let book = with_figure();
    let root = book.root.path();

    assert_eq!(
        book.refused(&["figures", "nothing"]),
        "error: figure: expected one of wave, got nothing\n"
    );
    let said = book.refused(&["figures", "--check"]);
    assert!(
        said.contains("book/src/figures/wave.csv: expected the figure's numbers, got no file"),
        "{said}"
    );

    let output = book.run(&["figures"]);
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 figure drawn in "), "{output:?}");
    let (csv, svg) = (book.read("src/figures/wave.csv"), book.read("src/figures/wave.svg"));
    assert!(csv.contains("1,2.5\n") && svg.contains("<circle id=\"1,2.5\"/>\n"), "{csv}{svg}");
    let output = book.run(&["figures", "--check"]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "1 figure measured again: up to date\n");
    let output = book.run(&["check"]);
    assert!(output.status.success(), "{output:?}");
    assert!(
        String::from_utf8_lossy(&output.stdout).contains(", 1 figure measured again: no problem"),
        "{output:?}"
    );

    // A picture of other numbers than those beside it.
    book.write("src/figures/wave.svg", &svg.replace("2.5", "9"));
    let stale = "error: book/src/figures/wave.svg:3: expected what its program measures, `<circle id=\"1,2.5\"/>`, got `<circle id=\"1,9\"/>`: `cargo book figures wave` writes it\n";
    assert!(book.refused(&["figures", "--check", "wave"]).starts_with(stale));
    assert!(book.refused(&["check"]).contains(stale));
    assert_eq!(
        book.read("src/figures/wave.svg"),
        svg.replace("2.5", "9"),
        "a check writes nothing"
    );
    book.write("src/figures/wave.svg", &svg);

    // What nobody draws.
    for file in ["wavelet.svg", "other.csv"] {
        book.write(&format!("src/figures/{file}"), "");
        let none = format!("src/figures/{file}: expected an example that writes it, got none");
        assert!(book.refused(&["check"]).contains(&none), "{file}");
        fs::remove_file(book.path(&format!("src/figures/{file}"))).unwrap();
    }

    fs::write(root.join("examples/wave.rs"), EXAMPLE.replace("\"numbers\"", "\"music\"")).unwrap();
    let said = book.refused(&["figures", "--check"]);
    assert!(said.contains("expected --what to say numbers or times, got \"music\""), "{said}");
    fs::write(root.join("examples/wave.rs"), "fn main() { panic!(\"no data\") }").unwrap();
    let said = book.refused(&["figures"]);
    assert!(
        said.lines()
            .last()
            .unwrap()
            .starts_with("error: examples/wave.rs: expected it to end well"),
        "{said}"
    );
}

#[test]
fn a_table_that_is_not_what_its_program_measures_is_noticed() {
    let book = with_figure();
    assert!(book.run(&["figures"]).status.success());
    let csv = book.read("src/figures/wave.csv");

    // One number of the table, and the picture drawn from it: they agree with each other.
    book.write("src/figures/wave.csv", &csv.replace("2.5", "2.6"));
    let mut redraw = Command::new("cargo");
    redraw.args(["run", "--quiet", "--example", "wave", "--", "--redraw"]);
    redraw.current_dir(book.root.path()).env_remove("CARGO_TARGET_DIR");
    assert!(redraw.status().unwrap().success());
    assert!(book.read("src/figures/wave.svg").contains("<circle id=\"1,2.6\"/>"));
    let said = book.refused(&["check"]);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(
        lines[..2],
        [
            "error: book/src/figures/wave.csv:3: expected what its program measures, `1,2.5`, got `1,2.6`: `cargo book figures wave` writes it",
            "error: book/src/figures/wave.svg:3: expected what its program measures, `<circle id=\"1,2.5\"/>`, got `<circle id=\"1,2.6\"/>`: `cargo book figures wave` writes it",
        ],
        "{said}"
    );
    assert!(book.refused(&["figures", "--check"]).contains("wave.csv:3: expected what"));

    // A row too many, a row too few, and no newline at the end.
    for (table, said) in [
        (
            format!("{csv}3,8.5\n"),
            "wave.csv:5: expected what its program measures, ``, got `3,8.5` (and 1 line more)",
        ),
        (
            csv.replace("2,4.5\n", ""),
            "wave.csv:4: expected what its program measures, `2,4.5`, got `` (and 1 line more)",
        ),
        (
            csv.trim_end().to_owned(),
            "wave.csv:5: expected what its program measures, ``, got no such line",
        ),
    ] {
        book.write("src/figures/wave.csv", &table);
        let all = book.refused(&["figures", "--check"]);
        assert!(all.contains(said), "{said}: {all}");
    }
}

#[test]
fn a_figure_of_times_is_only_drawn_again() {
    let book = with_figure();
    let times = EXAMPLE.replace("\"numbers\"", "\"times\"");
    fs::write(book.root.path().join("examples/wave.rs"), times).unwrap();
    assert!(book.run(&["figures"]).status.success());
    let (csv, svg) = (book.read("src/figures/wave.csv"), book.read("src/figures/wave.svg"));

    // Another run would find other times, and that is no mistake.
    book.write("src/figures/wave.csv", &csv.replace("2.5", "2.6"));
    book.write("src/figures/wave.svg", &svg.replace("2.5", "2.6"));
    let output = book.run(&["figures", "--check"]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "0 figures measured again, 1 figure only redrawn (it measures times): up to date\n"
    );

    book.write("src/figures/wave.svg", &svg);
    let said = book.refused(&["figures", "--check"]);
    assert!(
        said.starts_with("error: book/src/figures/wave.svg:3: expected what its numbers draw, `<circle id=\"1,2.6\"/>`, got `<circle id=\"1,2.5\"/>`: `cargo book figures wave` writes it\n"),
        "{said}"
    );
}
