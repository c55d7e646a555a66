//! What the tests of the press share: a small book, a press that serves one, and what an open page is told.
#![allow(dead_code, reason = "each test file uses its part")]

pub mod runs;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long anything here may take.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A book, and a temporary folder beside it.
pub struct Book {
    pub root: TempDir,
    folder: PathBuf,
}

impl Book {
    /// A book of two pages, in `ROOT/book`.
    pub fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("book");
        let book = Self { root, folder };
        book.write("book.toml", "[book]\ntitle = \"A Book\"\nlanguage = \"en\"\n");
        book.write("src/SUMMARY.md", "# Summary\n\n- [A](a.md)\n- [B](b.md)\n");
        book.write("src/a.md", "# A\n\nFirst words and $x$.\n");
        book.write("src/b.md", "# B\n\n[A](a.md)\n");
        book
    }

    /// The same with a crate beside it, called `small`, and a block that uses it.
    pub fn with_crate() -> Self {
        let book = Self::new();
        let root = book.root.path();
        fs::create_dir_all(root.join("src")).unwrap();
        fs::write(root.join("src/lib.rs"), "pub fn double(x: i32) -> i32 {\n    2 * x\n}\n")
            .unwrap();
        fs::write(
            root.join("Cargo.toml"),
            "[package]\nname = \"small\"\nedition = \"2024\"\n\n[workspace]\n",
        )
        .unwrap();
        book
    }

    /// This workspace's own: not to be written to.
    pub fn own() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().into();
        Self { root: tempfile::tempdir().unwrap(), folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), text).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub fn press(&self, arguments: &[&str]) -> Command {
        let temporary = self.root.path().join("tmp");
        fs::create_dir_all(&temporary).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_evenkeel-press"));
        command
            .args(arguments)
            .arg("--book")
            .arg(self.path(""))
            .env("TMPDIR", temporary)
            .stdin(Stdio::null());
        // A small book's crate has a folder of its own.
        if self.folder.starts_with(self.root.path()) {
            command.env_remove("CARGO_TARGET_DIR");
        }
        command
    }

    /// What a run may leave behind: processes, and files in the press's temporary folder.
    pub fn left(&self) -> Vec<String> {
        let folder = fs::canonicalize(self.root.path().join("tmp")).unwrap();
        let mut found: Vec<String> = fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().path().display().to_string())
            .collect();
        for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
            for link in ["cwd", "exe"] {
                let inside = fs::read_link(process.path().join(link));
                found.extend(inside.ok().filter(|at| at.starts_with(&folder)).map(|at| {
                    format!("process {}: {}", process.file_name().display(), at.display())
                }));
            }
        }
        found
    }

    /// Waits until nothing is left.
    #[track_caller]
    pub fn expect_nothing_left(&self) {
        let end = Instant::now() + Duration::from_secs(3);
        loop {
            let left = self.left();
            if left.is_empty() {
                return;
            }
            assert!(Instant::now() < end, "{left:#?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        self.press(arguments).output().unwrap()
    }

    /// Runs what must fail, and returns what it says.
    pub fn refused(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    }
}

/// A press that serves, until it is dropped.
pub struct Serving {
    pub child: Child,
    pub port: u16,
    /// What it says when it is ready.
    pub greeting: String,
    said: mpsc::Receiver<String>,
}

impl Serving {
    pub fn start(book: &Book) -> Self {
        Self::start_with(book, &[])
    }

    pub fn start_with(book: &Book, arguments: &[&str]) -> Self {
        Self::spawn(book.press(&Self::arguments(arguments)))
    }

    /// A press that a shell starts after these commands of its own.
    pub fn start_after(book: &Book, commands: &str) -> Self {
        let press = book.press(&Self::arguments(&[]));
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("{commands}\nexec \"$0\" \"$@\"")]);
        shell.arg(press.get_program()).args(press.get_args()).stdin(Stdio::null());
        for (name, value) in press.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        Self::spawn(shell)
    }

    fn arguments<'a>(own: &[&'a str]) -> Vec<&'a str> {
        let any_port = if own.contains(&"--port") { &[][..] } else { &["--port", "0"] };
        ["--no-open"].iter().chain(any_port).chain(own).copied().collect()
    }

    /// The press that this command starts.
    pub fn spawn(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (send, said) = mpsc::channel();
        let stdout = child.stdout.take().unwrap();
        let stderr = child.stderr.take().unwrap();
        let pipes: [Box<dyn Read + Send>; 2] = [Box::new(stdout), Box::new(stderr)];
        for pipe in pipes {
            let send = send.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                    let _ = send.send(line);
                }
            });
        }
        let mut press = Self { child, port: 0, greeting: String::new(), said };
        press.greeting = press.wait_for_line("http://127.0.0.1:");
        let port = press.greeting.split("127.0.0.1:").nth(1).unwrap().split('/').next().unwrap();
        press.port = port.parse().unwrap();
        press
    }

    pub fn wait_for_line(&self, part: &str) -> String {
        let end = Instant::now() + PATIENCE;
        let mut others = Vec::new();
        loop {
            let line = self
                .said
                .recv_timeout(end.saturating_duration_since(Instant::now()))
                .unwrap_or_else(|_| panic!("the press never said {part}, but: {others:#?}"));
            others.push(line.clone());
            if line.contains(part) {
                return line;
            }
        }
    }

    pub fn connect(&self, method: &str, path: &str, host: &str) -> TcpStream {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
            .unwrap();
        stream
    }

    /// The whole answer, head and body.
    pub fn ask(&self, method: &str, path: &str, host: &str) -> String {
        let mut answer = Vec::new();
        self.connect(method, path, host).read_to_end(&mut answer).unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }

    pub fn get(&self, path: &str) -> String {
        self.ask("GET", path, "127.0.0.1")
    }

    /// What the open page `a.html` is told.
    pub fn events(&self) -> Events {
        self.events_of("/a.html")
    }

    pub fn events_of(&self, page: &str) -> Events {
        let path = format!("/-/events?{page}");
        Events(BufReader::new(self.connect("GET", &path, "localhost")))
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What an open page is told.
pub struct Events(BufReader<TcpStream>);

impl Events {
    /// The next status: the render's name, and what is wrong.
    pub fn next(&mut self) -> (String, Option<String>) {
        loop {
            let mut line = String::new();
            assert!(self.0.read_line(&mut line).unwrap() > 0, "the events ended");
            if let Some(data) = line.strip_prefix("data: ") {
                let status: serde_json::Value = serde_json::from_str(data).unwrap();
                let text = |key: &str| status[key].as_str().map(str::to_owned);
                return (text("render").unwrap(), text("problem"));
            }
        }
    }

    pub fn until(
        &mut self,
        wanted: impl Fn(&str, Option<&str>) -> bool,
    ) -> (String, Option<String>) {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            let (render, problem) = self.next();
            if wanted(&render, problem.as_deref()) {
                return (render, problem);
            }
        }
        panic!("what was waited for never came");
    }
}
