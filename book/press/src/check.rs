//! `cargo book check`: reads the rendered pages as a browser would.

use crate::figures::{self, count};
use crate::temporary::Folder;
use crate::workspace::Workspace;
use crate::{exercises, render};
use anyhow::{Result, bail};
use scraper::{ElementRef, Html, Selector};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;

/// Renders the book into a temporary folder, checks it, and prints how much was checked.
pub fn run(workspace: &Workspace) -> Result<()> {
    let temporary = Folder::new("evenkeel-press-")?;
    let pages = temporary.path().join("pages");
    let mut problems = render::render(&workspace.book, &pages)?;
    let files = render::files(&pages)?;
    let mut report =
        check_pages(&files, &workspace.book.join("src"), &render::name(&workspace.book));
    problems.append(&mut report.problems);
    problems.append(&mut exercises::problems(workspace)?);
    let mut figures = figures::check_all(workspace)?;
    problems.append(&mut figures.problems);

    for problem in &problems {
        eprintln!("error: {problem}");
    }
    let checked = format!(
        "{}, {}, {}, {}, {}",
        count(report.pages, "page"),
        count(report.links, "link"),
        count(report.formulas, "formula"),
        count(report.pictures, "picture"),
        figures.summary()
    );
    if !problems.is_empty() {
        bail!("check of {checked}: expected no problem, got {}", problems.len());
    }
    println!("checked {checked}: no problem");
    Ok(())
}

/// What was found on the pages.
#[derive(Debug, Default)]
struct Report {
    pages: usize,
    links: usize,
    formulas: usize,
    pictures: usize,
    problems: Vec<String>,
}

/// A page, and its ids, which are looked up often.
struct Page {
    html: Html,
    ids: HashSet<String>,
}

fn select(selector: &str) -> Selector {
    Selector::parse(selector).expect("a selector written here")
}

/// Checks a rendered book; `src` holds its Markdown, for the line numbers in messages.
fn check_pages(files: &BTreeMap<String, Vec<u8>>, src: &Path, book: &str) -> Report {
    let mut report = Report::default();
    let (with_id, loads) = (
        select("[id]"),
        select("[src], [srcset], [poster], [data], link[href], image[href], use[href]"),
    );
    let pages: BTreeMap<&str, Page> = files
        .iter()
        .filter(|(name, _)| name.ends_with(".html"))
        .map(|(name, content)| {
            let html = Html::parse_document(&String::from_utf8_lossy(content));
            let ids = html
                .select(&with_id)
                .filter_map(|element| element.attr("id"))
                .map(str::to_owned)
                .collect();
            (name.as_str(), Page { html, ids })
        })
        .collect();

    for (name, page) in &pages {
        // A copy of the first page.
        if *name == "index.html"
            && !src.join("README.md").is_file()
            && !src.join("index.md").is_file()
        {
            continue;
        }
        let markdown = format!("{}.md", name.trim_end_matches(".html"));
        let text = std::fs::read_to_string(src.join(&markdown)).ok();
        if text.is_some() {
            report.pages += 1;
        }
        let mut problems = BTreeSet::new();
        // The place of a problem: the first line of the Markdown that holds `needle`, or else the page.
        let mut problem = |needle: &str, what: String| {
            let of = |text: &String| text.lines().position(|line| line.contains(needle));
            let line = text.as_ref().filter(|_| !needle.is_empty()).and_then(of);
            let place = match (&text, line) {
                (Some(_), Some(line)) => format!("{book}/src/{markdown}:{}", line + 1),
                (Some(_), None) => format!("{book}/src/{markdown}"),
                (None, _) => (*name).to_owned(),
            };
            problems.insert((line, format!("{place}: {what}")));
        };

        let mut seen = HashSet::new();
        for id in page.html.select(&with_id).filter_map(|element| element.attr("id")) {
            if !seen.insert(id) {
                problem(id, format!("id: expected each once on a page, got {id} again"));
            }
        }
        for link in page.html.select(&select("a[href], iframe[src]")) {
            let Some(href) = link.attr("href").or(link.attr("src")) else { continue };
            report.links += usize::from(text.is_some());
            if let Some(what) = link_problem(name, href, files, &pages) {
                let needle = href.split('#').next().unwrap_or(href).trim_end_matches(".html");
                problem(if needle.is_empty() { href } else { needle }, format!("link: {what}"));
            }
        }
        for element in page.html.select(&loads) {
            for attribute in ["src", "srcset", "poster", "data", "href"] {
                let Some(value) = element.attr(attribute).filter(|_| element.value().name() != "a")
                else {
                    continue;
                };
                if let Some(what) = load_problem(name, value, files) {
                    problem(value, format!("<{}>: {what}", element.value().name()));
                }
            }
        }
        for style in page.html.select(&select("style, [style]")) {
            let css =
                style.attr("style").map_or_else(|| style.text().collect::<String>(), str::to_owned);
            for url in urls(&css) {
                if let Some(what) = load_problem(name, &url, files) {
                    problem(&url, format!("style: {what}"));
                }
            }
        }
        for element in page.html.select(&select("main [aria-labelledby], main [aria-describedby]"))
        {
            let names = ["aria-labelledby", "aria-describedby"]
                .map(|name| element.attr(name).unwrap_or_default());
            for id in names
                .iter()
                .flat_map(|ids| ids.split_whitespace())
                .filter(|id| !page.ids.contains(*id))
            {
                problem(
                    id,
                    format!(
                        "<{}>: expected an element whose id is {id}, got none",
                        element.value().name()
                    ),
                );
            }
        }
        // The lines with `TODO: ` that `cargo book new-page` and `new-exercise` left to the writer.
        for left in
            text.iter().flat_map(|text| text.lines()).filter_map(|line| line.split_once("TODO: "))
        {
            problem(left.1, format!("to write: {}", left.1));
        }
        let Some(main) = page.html.select(&select("main")).next() else {
            report.problems.extend(problems.into_iter().map(|(_, problem)| problem));
            continue;
        };
        if text.is_some() {
            report.formulas += main.select(&select("math")).count();
            report.pictures += main.select(&select("figure, svg[role=img], img")).count();
        }
        for (needle, what) in pictures(&main) {
            problem(&needle, what);
        }
        report.problems.extend(problems.into_iter().map(|(_, problem)| problem));
    }
    for (name, content) in files.iter().filter(|(name, _)| name.ends_with(".css")) {
        for url in urls(&String::from_utf8_lossy(content)) {
            report
                .problems
                .extend(load_problem(name, &url, files).map(|what| format!("{name}: {what}")));
        }
    }
    report
}

/// Checks that each picture has a text that says what it shows.
fn pictures(main: &ElementRef<'_>) -> Vec<(String, String)> {
    let mut problems = Vec::new();
    let words = |element: ElementRef<'_>| !element.text().collect::<String>().trim().is_empty();
    let holds =
        |element: &ElementRef<'_>, selector: &str| element.select(&select(selector)).any(words);
    for figure in main.select(&select("figure")) {
        if !holds(&figure, "figcaption") {
            problems.push((
                "<figure".into(),
                "figure: expected a <figcaption> with words in it, got none".into(),
            ));
        }
        for svg in figure.select(&select("svg")) {
            if svg.attr("role") != Some("img") {
                problems.push((
                    "<figure".into(),
                    "figure: expected <svg role=\"img\">, got no such role".into(),
                ));
            }
        }
    }
    for svg in main.select(&select("svg[role=img]")) {
        if !holds(&svg, "title") {
            problems
                .push((".svg".into(), "picture: expected a <title> in the svg, got none".into()));
        }
        if !holds(&svg, "desc")
            && svg.attr("aria-label").is_none_or(|label| label.trim().is_empty())
        {
            problems.push((
                ".svg".into(),
                "picture: expected a <desc> or an aria-label in the svg, got none".into(),
            ));
        }
    }
    for img in main.select(&select("img")) {
        if img.attr("alt").is_none_or(|alt| alt.trim().is_empty()) {
            let src = img.attr("src").unwrap_or_default();
            problems.push((
                src.into(),
                format!("picture: expected words in its alt text, got none for {src}"),
            ));
        }
    }
    problems
}

/// A link may lead out of the book; a link within the book must have a target.
fn link_problem(
    page: &str,
    href: &str,
    files: &BTreeMap<String, Vec<u8>>,
    pages: &BTreeMap<&str, Page>,
) -> Option<String> {
    if has_scheme(href) || href.starts_with("//") {
        return None;
    }
    let (path, fragment) = href.split_once('#').unwrap_or((href, ""));
    let Some(target) = resolve(page, path, files) else {
        return Some(format!("expected a page or a file of the book, got {href}"));
    };
    let fragment = percent_encoding::percent_decode_str(fragment).decode_utf8_lossy();
    match pages.get(target.as_str()) {
        Some(target) if !fragment.is_empty() && !target.ids.contains(&*fragment) => {
            Some(format!("expected a heading or an id on that page, got {href}"))
        }
        _ => None,
    }
}

/// What a page loads must be in the book: reading needs no network.
fn load_problem(page: &str, url: &str, files: &BTreeMap<String, Vec<u8>>) -> Option<String> {
    if url.starts_with("data:") || url.starts_with('#') {
        return None;
    }
    if has_scheme(url) || url.starts_with("//") {
        return Some(format!("expected a file of the book, got another host: {url}"));
    }
    resolve(page, url, files).is_none().then(|| format!("expected a file of the book, got {url}"))
}

fn has_scheme(url: &str) -> bool {
    url.split_once(':').is_some_and(|(scheme, _)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+.-".contains(c))
    })
}

/// The file that a relative address on `page` names, if there is one.
fn resolve(page: &str, address: &str, files: &BTreeMap<String, Vec<u8>>) -> Option<String> {
    let address = address.split(['?', '#']).next().unwrap_or_default();
    if address.is_empty() {
        return Some(page.to_owned());
    }
    let address = percent_encoding::percent_decode_str(address).decode_utf8_lossy();
    let mut parts: Vec<&str> =
        if address.starts_with('/') { Vec::new() } else { page.split('/').collect() };
    parts.pop();
    for part in address.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    let mut name = parts.join("/");
    if address.ends_with('/') || name.is_empty() {
        name = if name.is_empty() { "index.html".into() } else { format!("{name}/index.html") };
    }
    files.contains_key(&name).then_some(name)
}

/// What a style sheet loads: every `url(…)`, and every `@import "…"`.
fn urls(css: &str) -> Vec<String> {
    let quoted = |text: &str| text.trim().trim_matches(['"', '\'']).to_owned();
    let functions = css.split("url(").skip(1).filter_map(|rest| rest.split(')').next()).map(quoted);
    let imports = css
        .split("@import")
        .skip(1)
        .filter_map(|rest| rest.split(';').next())
        .filter(|rest| !rest.contains("url("))
        .map(quoted);
    functions.chain(imports).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The problems of a book of one page, whose Markdown is the same as its HTML.
    fn problems(main: &str) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.md"), main).unwrap();
        let page = format!(
            "<!DOCTYPE html><html><body><main><h1 id=\"top\">A</h1>{main}</main></body></html>"
        );
        let files = [
            ("a.html", page),
            ("b.png", String::new()),
            ("sub/c.html", "<main id=\"c\"></main>".into()),
        ];
        let files =
            files.into_iter().map(|(name, text)| (name.to_owned(), text.into_bytes())).collect();
        check_pages(&files, dir.path(), "book").problems
    }

    fn refused(main: &str, part: &str) {
        let all = problems(main);
        assert_eq!(all.len(), 1, "{main}: {all:?}");
        assert!(all[0].starts_with("book/src/a.md") && all[0].contains(part), "{}", all[0]);
    }

    #[test]
    fn what_is_there_passes() {
        let good = "<a href='#top'>x</a> <a href='sub/c.html#c'>y</a> <a href='https://example.org/'>z</a>\
            <img src='b.png' alt='words'><figure><svg role='img'><title>t</title><desc>d</desc></svg>\
            <figcaption>c</figcaption></figure><img src='data:image/png;base64,AA' alt='w'>";
        assert_eq!(problems(good), [""; 0]);
    }

    #[test]
    fn a_link_leads_somewhere() {
        refused(
            "\n<a href='nothing.html'>x</a>",
            "book/src/a.md:2: link: expected a page or a file of the book",
        );
        refused("<a href='#nothing'>x</a>", "link: expected a heading or an id");
        refused("<a href='sub/c.html#nothing'>x</a>", "link: expected a heading or an id");
        refused("<a href='../a.html'>x</a>", "link: expected a page");
    }

    #[test]
    fn nothing_is_loaded_from_another_host() {
        refused("<script src='https://example.org/a.js'></script>", "got another host");
        refused("<link rel='stylesheet' href='//example.org/a.css'>", "got another host");
        refused("<img src='http://example.org/a.png' alt='words'>", "got another host");
        refused("<p style='background: url(https://example.org/a.png)'></p>", "got another host");
        refused("<style>@import 'https://example.org/a.css';</style>", "got another host");
        refused("<img src='nothing.png' alt='words'>", "expected a file of the book");
    }

    #[test]
    fn a_picture_says_in_words_what_it_shows() {
        refused("<img src='b.png' alt=''>", "alt text");
        refused("<figure><p>x</p></figure>", "<figcaption>");
        refused("<svg role='img'><desc>d</desc></svg>", "<title>");
        refused("<svg role='img'><title>t</title></svg>", "<desc>");
        refused("<p aria-labelledby='top nothing'>x</p>", "id is nothing");
        refused("<figure><svg></svg><figcaption>c</figcaption></figure>", "role");
    }

    #[test]
    fn an_id_stands_once() {
        refused("<p id='a'></p><p id='a'></p>", "id: expected each once");
    }
}
