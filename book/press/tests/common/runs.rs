//! A run of a block, as a page of the press asks for one.

use super::{PATIENCE, Serving};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

/// The value of a `<meta>` of a page.
pub fn meta(page: &str, name: &str) -> Option<String> {
    let (_, rest) = page.split_once(&format!("<meta name=\"{name}\" content=\""))?;
    Some(rest.split('"').next()?.to_owned())
}

/// A request as a page of this press sends it. Tests leave out or replace a header.
pub struct Ask {
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

impl Ask {
    pub fn new(press: &Serving, body: &Value) -> Self {
        let host = format!("127.0.0.1:{}", press.port);
        let token = meta(&press.get("/a.html"), "run-token").unwrap_or_default();
        let headers = vec![
            ("Origin", format!("http://{host}")),
            ("Host", host),
            ("Content-Type", "application/json".into()),
            ("X-Evenkeel-Token", token),
        ];
        Self { headers, body: body.to_string().into() }
    }

    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.retain(|(own, _)| *own != name);
        if !value.is_empty() {
            self.headers.push((name, value.to_owned()));
        }
        self
    }

    pub fn send(&self, press: &Serving) -> TcpStream {
        self.send_with_length(press, self.body.len())
    }

    /// Sends the body as one of that length.
    pub fn send_with_length(&self, press: &Serving, length: usize) -> TcpStream {
        let mut stream = TcpStream::connect(("127.0.0.1", press.port)).unwrap();
        // The book's own crate may have to be compiled first.
        stream.set_read_timeout(Some(12 * PATIENCE)).unwrap();
        // The older version, so that the answer comes as it is and not in chunks.
        let mut head = String::from("POST /-/run HTTP/1.0\r\n");
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += &format!("Content-Length: {length}\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        // A server that has refused reads no further.
        let _ = stream.write_all(&self.body);
        stream
    }

    /// The status and the text of a refusal.
    pub fn refused(&self, press: &Serving) -> (u16, String) {
        let mut answer = Vec::new();
        self.send(press).read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer);
        let (head, text) = answer.split_once("\r\n\r\n").unwrap();
        let text = text.strip_suffix('\n').unwrap_or(text);
        assert!(!text.contains('\n'), "{text}");
        (head.split(' ').nth(1).unwrap().parse().unwrap(), text.to_owned())
    }
}

/// A run that is under way.
pub struct Running(BufReader<TcpStream>);

/// All that a page is told of a run.
#[derive(Debug, Default)]
pub struct Told {
    pub states: Vec<String>,
    pub waiting: Option<u64>,
    pub out: String,
    pub err: String,
    pub compiler: String,
    pub end: String,
    pub message: String,
    pub lines: Vec<u64>,
    pub verdict: Option<(String, String)>,
}

impl Running {
    pub fn start(press: &Serving, body: &Value) -> Self {
        let mut lines = BufReader::new(Ask::new(press, body).send(press));
        let mut head = String::new();
        while lines.read_line(&mut head).unwrap() > 2 {}
        assert!(head.starts_with("HTTP/1.0 200"), "{head}");
        Self(lines)
    }

    pub fn event(&mut self) -> Option<Value> {
        let mut line = String::new();
        (self.0.read_line(&mut line).unwrap() > 0).then(|| serde_json::from_str(&line).unwrap())
    }

    /// Reads until an event has this key.
    pub fn until(&mut self, key: &str, value: &str) {
        loop {
            let event = self.event().unwrap_or_else(|| panic!("no {key}: {value}"));
            if event[key].as_str().is_some_and(|text| text.contains(value)) {
                return;
            }
        }
    }

    pub fn told(mut self) -> Told {
        let mut told = Told::default();
        while let Some(event) = self.event() {
            let text = |key: &str| event[key].as_str().unwrap_or_default();
            assert_eq!(told.end, "", "an event behind the end: {event}");
            told.states.extend(event["state"].as_str().map(str::to_owned));
            told.states.dedup(); // a long build is told of many times
            told.waiting = told.waiting.or(event["waiting"].as_u64());
            told.out += text("out");
            told.err += text("err");
            told.compiler += text("compiler");
            told.end += text("end");
            told.message += text("message");
            if let Some(verdict) = event["verdict"].as_str() {
                told.verdict = Some((text("exercise").into(), verdict.into()));
            }
            let lines = event["lines"].as_array().into_iter().flatten();
            told.lines.extend(lines.map(|line| line.as_u64().unwrap()));
        }
        told
    }
}

pub fn run(press: &Serving, code: &str) -> Told {
    Running::start(press, &json!({ "code": code })).told()
}
