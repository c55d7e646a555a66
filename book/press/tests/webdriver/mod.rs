//! A headless Chromium that a test drives, by the WebDriver protocol.
//!
//! The protocol is JSON over HTTP, and the tests need a dozen of its commands. A client crate for all of it compiles
//! sixty others and takes half as long as the press itself.

#![allow(dead_code, reason = "each test file uses its part")]

use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long any one thing may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Nothing but what the pages ask for may go out, and no name but this machine's leads anywhere.
const FLAGS: [&str; 12] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    // It ends with its driver, however that ends.
    "--remote-debugging-pipe",
    "--window-size=1200,900",
];

/// One browser with a profile of its own, until it is dropped.
pub struct Browser {
    agent: ureq::Agent,
    /// The address of the session, once there is one.
    session: Option<String>,
    driver: Child,
    _profile: TempDir,
}

impl Browser {
    pub fn start() -> Self {
        Self::start_with(&json!({ "browser": "ALL", "performance": "ALL" }))
    }

    /// One that a measurement does not slow down by keeping a record of it: it has no `console` and no `requests`.
    pub fn start_without_log() -> Self {
        Self::start_with(&json!({}))
    }

    fn start_with(log: &Value) -> Self {
        let chromium = on_path("chromium");
        let profile = tempfile::tempdir().unwrap();
        let mut driver = Command::new(on_path("chromedriver"))
            .arg("--port=0")
            // What either leaves behind goes away with the profile.
            .env("TMPDIR", profile.path())
            .env("HOME", profile.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let stdout = driver.stdout.take().unwrap();
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            .http_status_as_error(false)
            .proxy(None);
        // From here on dropping it ends the driver.
        let mut browser =
            Self { agent: config.build().into(), session: None, driver, _profile: profile };

        let (send, said) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let port = line.split("successfully on port ").nth(1);
                let port = port.map(|port| port.trim_end_matches('.').to_owned());
                port.map(|port| send.send(port));
            }
        });
        let port = said.recv_timeout(PATIENCE).expect("a port that chromedriver listens on");
        let driver = format!("http://127.0.0.1:{port}/session");

        let mut flags: Vec<String> = FLAGS.map(str::to_owned).into();
        flags.push(format!("--user-data-dir={}", browser._profile.path().display()));
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": { "binary": chromium, "args": flags },
            "goog:loggingPrefs": log,
        } } });
        let answer = browser.send("POST", &driver, &wanted).unwrap_or_else(|what| panic!("{what}"));
        browser.session = Some(format!("{driver}/{}", answer["sessionId"].as_str().unwrap()));
        browser
    }

    fn send(&self, method: &str, address: &str, body: &Value) -> Result<Value, String> {
        let answer = match method {
            "DELETE" => self.agent.delete(address).call(),
            "GET" => self.agent.get(address).call(),
            _ => self.agent.post(address).send(body.to_string()),
        };
        let text = answer
            .and_then(|mut answer| answer.body_mut().with_config().limit(u64::MAX).read_to_string())
            .map_err(|error| format!("{method} {address}: {error}"))?;
        let mut answer: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        match answer["value"]["message"].as_str() {
            Some(message) if answer["value"]["error"].is_string() => {
                Err(message.lines().next().unwrap_or_default().to_owned())
            }
            _ => Ok(answer["value"].take()),
        }
    }

    fn command(&self, method: &str, path: &str, body: &Value) -> Result<Value, String> {
        self.send(method, &format!("{}{path}", self.session.as_ref().unwrap()), body)
    }

    #[track_caller]
    fn post(&self, path: &str, body: &Value) -> Value {
        self.command("POST", path, body).unwrap_or_else(|what| panic!("{path}: {what}"))
    }

    /// Opens a page and waits until it is loaded.
    #[track_caller]
    pub fn open(&self, url: &str) {
        self.post("/url", &json!({ "url": url }));
    }

    #[track_caller]
    pub fn reload(&self) {
        self.post("/refresh", &json!({}));
    }

    /// The value of an expression in the page.
    #[track_caller]
    pub fn value(&self, expression: &str) -> Value {
        self.post("/execute/sync", &script(expression))
    }

    #[track_caller]
    pub fn text(&self, expression: &str) -> String {
        let value = self.value(expression);
        value.as_str().unwrap_or_else(|| panic!("{expression} is {value}")).to_owned()
    }

    /// Holds a list in the page to be empty.
    #[track_caller]
    pub fn expect_none(&self, what: &str, expression: &str) {
        let found = self.value(expression);
        let found = found.as_array().unwrap_or_else(|| panic!("{expression} is {found}"));
        assert!(found.is_empty(), "{}: {what}: {found:#?}", self.text("location.href"));
    }

    /// Waits until an expression in the page is true, through reloads.
    #[track_caller]
    pub fn wait_for(&self, expression: &str) {
        self.wait_long_for(expression, PATIENCE);
    }

    /// The same for what may take longer.
    #[track_caller]
    pub fn wait_long_for(&self, expression: &str, patience: Duration) {
        let end = Instant::now() + patience;
        let script = script(expression);
        loop {
            let answer = self.command("POST", "/execute/sync", &script);
            if answer == Ok(Value::Bool(true)) {
                return;
            }
            assert!(Instant::now() < end, "never came: {expression} (at last: {answer:?})");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Clicks as a reader does: on what is in view, and not covered by something else.
    #[track_caller]
    pub fn click(&self, selector: &str) {
        let element = self.post("/element", &json!({ "using": "css selector", "value": selector }));
        let id = element.as_object().unwrap().values().next().unwrap().as_str().unwrap();
        self.post(&format!("/element/{id}/click"), &json!({}));
    }

    /// Types on whatever has the focus.
    #[track_caller]
    pub fn keys(&self, keys: &str) {
        let strokes: Vec<_> = keys
            .chars()
            .flat_map(|key| ["keyDown", "keyUp"].map(|kind| json!({ "type": kind, "value": key })))
            .collect();
        self.post(
            "/actions",
            &json!({ "actions": [{ "type": "key", "id": "keys", "actions": strokes }] }),
        );
    }

    /// Presses a key while another is held down.
    #[track_caller]
    pub fn chord(&self, held: char, key: char) {
        let stroke = |kind: &str, key: char| json!({ "type": kind, "value": key.to_string() });
        let strokes = [
            stroke("keyDown", held),
            stroke("keyDown", key),
            stroke("keyUp", key),
            stroke("keyUp", held),
        ];
        self.post(
            "/actions",
            &json!({ "actions": [{ "type": "key", "id": "keys", "actions": strokes }] }),
        );
    }

    /// Makes the page as large as a screen, which may be narrower than a window can be.
    #[track_caller]
    pub fn screen(&self, width: u32, height: u32) {
        self.devtools(
            "Emulation.setDeviceMetricsOverride",
            &json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false }),
        );
    }

    /// What this tab is called.
    #[track_caller]
    pub fn tab(&self) -> String {
        let tab = self.command("GET", "/window", &Value::Null);
        tab.unwrap_or_else(|what| panic!("{what}")).as_str().unwrap().to_owned()
    }

    /// Opens another tab beside this one, and says what it is called.
    #[track_caller]
    pub fn new_tab(&self) -> String {
        let tab = self.post("/window/new", &json!({ "type": "tab" }));
        tab["handle"].as_str().unwrap().to_owned()
    }

    /// Closes this tab. Another is to be switched to.
    #[track_caller]
    pub fn close_tab(&self) {
        self.command("DELETE", "/window", &Value::Null).unwrap_or_else(|what| panic!("{what}"));
    }

    #[track_caller]
    pub fn switch(&self, tab: &str) {
        self.post("/window", &json!({ "handle": tab }));
    }

    /// A command of the browser's developer tools.
    #[track_caller]
    pub fn devtools(&self, command: &str, parameters: &Value) -> Value {
        self.post("/goog/cdp/execute", &json!({ "cmd": command, "params": parameters }))
    }

    /// What the console got since this was last asked.
    pub fn console(&self) -> Vec<String> {
        let log = self.post("/se/log", &json!({ "type": "browser" }));
        let entry = |entry: &Value| format!("{} {}", entry["level"], entry["message"]);
        log.as_array().unwrap().iter().map(entry).collect()
    }

    /// The address of every request since this was last asked. Left out is what the browser asks of
    /// itself, as a new window does.
    pub fn requests(&self) -> Vec<String> {
        let log = self.post("/se/log", &json!({ "type": "performance" }));
        let request = |entry: &Value| {
            let event: Value = serde_json::from_str(entry["message"].as_str()?).ok()?;
            let event = &event["message"];
            let url = event["params"]["request"]["url"].as_str()?;
            (event["method"] == "Network.requestWillBeSent" && !url.starts_with("chrome:"))
                .then(|| url.to_owned())
        };
        log.as_array().unwrap().iter().filter_map(request).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver then waits for the browser's end.
        if self.session.is_some() {
            let _ = self.command("DELETE", "", &Value::Null);
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

fn script(expression: &str) -> Value {
    json!({ "script": format!("return ({expression});"), "args": [] })
}

/// Where a program of that name is.
fn on_path(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut files = std::env::split_paths(&path).map(|folder| folder.join(name));
    files.find(|file| file.is_file()).unwrap_or_else(|| {
        panic!("browser: expected {name} on the PATH, got none: apt-get install chromium chromium-driver")
    })
}
