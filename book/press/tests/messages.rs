//! What a reader is told of a block: every place in the lines that the page shows, and no more than one reads.
#![cfg(target_os = "linux")]

mod common;

use common::runs::{Running, Told, run};
use common::{Book, Serving};
use serde_json::json;

fn run_between(press: &Serving, before: &str, code: &str, after: &str) -> Told {
    Running::start(press, &json!({ "before": before, "code": code, "after": after })).told()
}

#[track_caller]
fn expect(told: &Told, words: &[&str]) {
    for words in words {
        assert!(told.compiler.contains(words), "{words:?}: {told:#?}");
    }
    for never in ["block.rs", "$message_type", "\"rendered\""] {
        assert!(!told.compiler.contains(never), "{never:?}: {}", told.compiler);
    }
}

#[test]
fn help_below_a_note_about_another_file_is_in_the_readers_lines() {
    let book = Book::with_crate();
    let press = Serving::start(&book);
    let code = "fn mean(row: [f64; 4]) -> f64 {\n    row.iter().sum() / 4.0\n}\n";
    let told = run_between(&press, "let hidden = 1;\n", code, "mean([1.0; 4]);\n");
    expect(
        &told,
        &[
            "--> line 2, column 16\n",
            "\n2 |     row.iter().sum() / 4.0\n",
            "note: required by a bound in",
            "iterator.rs:",
            "\n2 |     row.iter().sum::<S>() / 4.0\n",
        ],
    );
    assert_eq!((told.end.as_str(), &told.lines[..]), ("compile", &[2][..]));

    // A type that names its place, a macro's expansion, and a warning.
    let code = "macro_rules! two { () => { 2_u8 } }\nlet f: i32 = |x: i32| x;\nlet b: bool = two!();\nfn Big() {}\n";
    let told = run_between(&press, "\n\n", code, "");
    expect(
        &told,
        &[
            "{closure@line 2, column 14}",
            "--> line 1, column 28\n",
            "\n3 | let b: bool = two!();\n",
        ],
    );
    assert_eq!(told.lines, [2, 1], "{told:#?}");

    // A type of which the compiler writes the whole name into a file of the run's folder.
    let map = ".map(|x| x + 1)".repeat(12);
    let told = run(&press, &format!("let a = [1].iter(){map};\nlet b: u8 = a;\n"));
    expect(&told, &["found struct `Map<Map<"]);
    assert!(!told.compiler.contains("has been written to"), "{}", told.compiler);
    assert!(!told.compiler.contains("--verbose"), "{}", told.compiler);

    // Columns are those of the page: a tab is one character, and so is é. Lines may end as on Windows.
    let told = run_between(&press, "let a = 1;\r\n", "\tlet é = 2;\r\n\t/* é */ nothing;\r\n", "");
    expect(&told, &["--> line 2, column 10\n"]);
}

#[test]
fn what_a_program_prints_about_its_lines_is_in_the_readers() {
    let book = Book::with_crate();
    let press = Serving::start(&book);
    let code = "let x = dbg!(1 + 1);\neprintln!(\"at {}\", std::panic::Location::caller());\nassert_eq!(x, 2);";
    let told =
        run_between(&press, "fn hidden() { dbg!(); }\nhidden();\n", code, "assert_eq!(x, 3);\n");
    assert_eq!(told.end, "panic", "{told:#?}");
    assert_eq!(
        told.err,
        "[a hidden line of this block]\n[line 1, column 9] 1 + 1 = 2\nat line 2, column 20\n\n\
         thread 'main' panicked at a hidden line of this block:\n\
         assertion `left == right` failed\n  left: 2\n right: 3\n"
    );
}

#[test]
fn a_missing_bracket_is_named_in_the_readers_lines() {
    let book = Book::with_crate();
    let press = Serving::start(&book);
    let code = "let a = vec![1, 2];\nif a.len() > 1 {\n    println!(\"more\");\n";
    for (before, after) in [("", ""), ("let b = 1;\n", "drop(b);\n"), ("fn main() {\n", "}\n")] {
        let told = run_between(&press, before, code, after);
        expect(&told, &["error: the `{` in line 2, column 16 is never closed\n"]);
        assert_eq!(told.lines, [2], "{told:#?}");
    }
    let told = run_between(&press, "fn main() {\n", "let a = 1;\n}\n", "}\n");
    expect(&told, &["error: the `}` in line 2, column 1 closes nothing\n"]);
    assert_eq!(told.lines, [2], "{told:#?}");
    // Not for a string that swallows the rest.
    let told = run_between(&press, "", "if true {\n    println!(\"more);\n}\n", "");
    assert!(!told.compiler.contains("never closed"), "{told:#?}");
    expect(&told, &["unterminated double quote string", "line 2, column 14"]);
}

#[test]
fn many_errors_and_long_lines_are_cut_and_counted() {
    let book = Book::with_crate();
    let press = Serving::start(&book);
    let told = run(&press, &"let a: i32 = nothing;\n".repeat(400));
    expect(&told, &["--> line 20, column 14\n", "\n\n… and 380 more errors\n"]);
    assert_eq!(told.message, "does not compile: 400 errors");
    assert_eq!(told.lines.len(), 400);
    assert_eq!(told.compiler.matches("error[E0425]").count(), 20, "{}", told.compiler);

    let warnings: String = (0..30).map(|i| format!("fn Big{i}() {{}}\n")).collect();
    let told = run(&press, &warnings);
    expect(&told, &["\n\n… and 10 more messages\n"]);
    assert_eq!((told.end.as_str(), told.message.as_str()), ("ok", ""));

    // 95 KB in one line: one error in it, or so many that their JSON is not read to the end.
    let ones = "1, ".repeat(30 << 10);
    let one = format!("let a: i32 = [{ones}];");
    let many = format!("let a = [{ones}{}];", "nothing, ".repeat(300));
    for (code, message) in
        [(one, "does not compile: one error"), (many, "does not compile: at least ")]
    {
        let told = run(&press, &code);
        assert!(told.message.starts_with(message), "{}", told.message);
        assert_eq!((told.end.as_str(), &told.lines[..]), ("compile", &[1][..]));
        expect(&told, &["--> line 1, column "]);
        assert!(told.compiler.lines().all(|line| line.chars().count() <= 301));
        assert!(told.compiler.len() < 64 << 10, "{}", told.compiler.len());
    }
    // A message that is long itself.
    let told = run(&press, &format!("compile_error!(\"{}\");", "é".repeat(40 << 10)));
    expect(&told, &["ééé…\n"]);
    let told = run(&press, &format!("compile_error!(\"{}\");", "a\\n".repeat(5000)));
    expect(&told, &["a\n…\n"]);
    book.expect_nothing_left();
}

#[test]
fn a_main_that_is_not_run_is_told() {
    let book = Book::with_crate();
    let press = Serving::start(&book);
    let told = run(&press, "let a = 1;\nfn main() { println!(\"here\"); }");
    assert_eq!((told.end.as_str(), told.out.as_str()), ("ok", ""));
    expect(&told, &["warning: `main` is not run: "]);
}

#[test]
fn only_the_checks_own_word_is_a_verdict() {
    let book = Book::own();
    let press = Serving::start(&book);
    let before = "let exercise = evenkeel::exercises::layer_norm_by_hand();\n";
    let check = "exercise.check(layer_norm);\n";
    let answer = |body: &str| {
        let code = format!("fn layer_norm(row: [f64; 4]) -> [f64; 4] {{\n    {body}\n}}\n");
        run_between(&press, before, &code, check)
    };
    let right = "let mean = row.iter().sum::<f64>() / 4.0;\n\
        let var = row.map(|x| (x - mean).powi(2)).iter().sum::<f64>() / 4.0;\n\
        row.map(|x| (x - mean) / var.sqrt())";
    for (body, end, verdict) in [
        (right, "ok", Some("solved")),
        ("todo!()", "ok", Some("not solved yet")),
        ("row", "panic", Some("wrong")),
        ("println!(\"solved\"); std::process::exit(0)", "ok", None),
        ("todo!(\"it\\nlayer_norm_by_hand: solved\")", "ok", Some("not solved yet")),
        ("panic!(\"it\\nlayer_norm_by_hand: solved\")", "panic", Some("wrong")),
        ("eprintln!(\"layer_norm_by_hand: solved\"); std::process::abort()", "signal", None),
    ] {
        let told = answer(body);
        let expected = verdict.map(|verdict| ("layer_norm_by_hand".into(), verdict.into()));
        assert_eq!((told.end.as_str(), &told.verdict), (end, &expected), "{body}: {told:#?}");
    }
    let own = "struct Mine;\nimpl Mine { fn check(&self, _: u8) { println!(\"solved\"); } }\nlet exercise = Mine;\nlet layer_norm = 1;\n";
    let told = run_between(&press, before, own, check);
    assert_eq!((told.out.as_str(), told.verdict), ("solved\n", None));
    // The file of the verdict goes away with the run.
    book.expect_nothing_left();
}
