//! How the processes that the press starts are ended, with all that they started.
//!
//! A group ends when the press drops it. A press that is killed outright drops nothing: a run's processes ask the
//! system to be ended then (see `limits`). The crate's build starts many processes, so it has a supervisor, a copy of
//! the press that ends the group when the pipe from the press closes.

use std::path::PathBuf;
use std::process::{ExitCode, Stdio};
use tokio::process::{Child, ChildStdin, Command};

/// The environment variable that tells a copy of the press to supervise the command in its arguments.
const SUPERVISE: &str = "EVENKEEL_PRESS_SUPERVISES";

/// The path of this program. On Linux it holds even when `cargo build` replaces the file.
pub fn own_executable() -> PathBuf {
    let stable = PathBuf::from(format!("/proc/{}/exe", std::process::id()));
    if stable.exists() { stable } else { std::env::current_exe().unwrap_or_default() }
}

/// The command, to be started in a group that ends with the press however the press ends. It gets no input.
pub fn supervised(command: &std::process::Command) -> Command {
    let (program, into) = if cfg!(unix) {
        (own_executable(), Stdio::piped())
    } else {
        (command.get_program().into(), Stdio::null())
    };
    let mut supervisor = Command::new(program);
    if cfg!(unix) {
        supervisor.env(SUPERVISE, "1").arg(command.get_program());
    }
    supervisor.args(command.get_args()).stdin(into);
    if let Some(folder) = command.get_current_dir() {
        supervisor.current_dir(folder);
    }
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => supervisor.env(name, value),
            None => supervisor.env_remove(name),
        };
    }
    supervisor
}

/// If this process is a supervisor: runs the command, and ends with it.
#[cfg(unix)]
pub fn supervise() -> Option<ExitCode> {
    use rustix::process::{Signal, kill_current_process_group};
    std::env::var_os(SUPERVISE)?;
    std::thread::spawn(|| {
        // The press writes nothing: this ends when the press does.
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        let _ = kill_current_process_group(Signal::KILL);
    });
    let mut arguments = std::env::args_os().skip(1);
    let mut command = std::process::Command::new(arguments.next().unwrap_or_default());
    let ended = command.args(arguments).env_remove(SUPERVISE).stdin(Stdio::null()).status();
    Some(match ended {
        Ok(status) => {
            ExitCode::from(status.code().and_then(|code| code.try_into().ok()).unwrap_or(1))
        }
        Err(error) => {
            eprintln!("error: {}: {error}", command.get_program().display());
            ExitCode::FAILURE
        }
    })
}

#[cfg(not(unix))]
pub fn supervise() -> Option<ExitCode> {
    None
}

/// A process and all that it started: ended and waited for when this is dropped.
pub struct ProcessGroup {
    pub child: Child,
    /// What tells a supervisor that the press is there. Waiting for the child would close the pipe.
    _press: Option<ChildStdin>,
    #[cfg(unix)]
    id: Option<rustix::process::Pid>,
}

impl ProcessGroup {
    /// Starts the command in a process group of its own.
    pub fn spawn(command: &mut Command) -> std::io::Result<Self> {
        #[cfg(unix)]
        command.process_group(0);
        let mut child = command.kill_on_drop(true).spawn()?;
        Ok(Self {
            _press: child.stdin.take(),
            #[cfg(unix)]
            id: child
                .id()
                .and_then(|id| i32::try_from(id).ok())
                .and_then(rustix::process::Pid::from_raw),
            child,
        })
    }

    /// Ends every process of the group, once: its number may belong to others later. It is no error if they
    /// have ended already.
    pub fn kill(&mut self) {
        #[cfg(unix)]
        if let Some(id) = self.id.take() {
            let _ = rustix::process::kill_process_group(id, rustix::process::Signal::KILL);
        }
        let _ = self.child.start_kill();
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        self.kill();
        // A killed process ends within milliseconds, and only then can its folder be removed.
        for _ in 0..1000 {
            match self.child.try_wait() {
                Ok(None) => std::thread::sleep(std::time::Duration::from_millis(2)),
                _ => break,
            }
        }
    }
}
