//! What the compiler and the reader's program may take, and how they end.
//!
//! Limits are set by a process upon itself before it becomes another. So the press starts itself once more, in a role;
//! that copy sets its limits and turns into the compiler or the program. All of it is safe code, and there is no moment
//! at which the program runs without its limits.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{ExitCode, Stdio};
use tokio::process::{Child, Command};

/// In the environment of a copy of the press: which part it plays.
const ROLE: &str = "EVENKEEL_PRESS_ROLE";

/// What a copy of the press turns into.
#[derive(Clone, Copy)]
pub enum Role {
    /// rustc, and the linker it starts.
    Compiler,
    /// The reader's program.
    Program,
}

/// One mebibyte.
const MIB: u64 = 1 << 20;

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::Compiler => "compiler",
            Self::Program => "program",
        }
    }

    /// How much memory it may write to. Address space that is only reserved does not count: on a machine of many
    /// cores the allocator reserves gigabytes and uses none of them.
    pub fn memory(self) -> u64 {
        match self {
            Self::Compiler => 4096 * MIB,
            Self::Program => 2048 * MIB,
        }
    }

    /// How large a file it may write.
    pub fn file(self) -> u64 {
        match self {
            Self::Compiler => 512 * MIB,
            Self::Program => 64 * MIB,
        }
    }
}

/// A command that starts `program` within the limits of its role, without input. The reader's program sees nothing of
/// the environment.
pub fn command(role: Role, program: impl AsRef<OsStr>) -> Command {
    let mut command = if cfg!(unix) {
        let mut command = Command::new(this_press());
        command.arg(program);
        command
    } else {
        Command::new(program)
    };
    if matches!(role, Role::Program) {
        command.env_clear();
    }
    command.env(ROLE, role.name()).stdin(Stdio::null());
    command
}

/// This program's file. On Linux by a name that holds when `cargo build` has put another in its place.
pub fn this_press() -> PathBuf {
    let kept = PathBuf::from(format!("/proc/{}/exe", std::process::id()));
    if kept.exists() { kept } else { std::env::current_exe().unwrap_or_default() }
}

/// If this process is a copy that plays a role: plays it, and returns only if it cannot.
pub fn play() -> Option<ExitCode> {
    let role = std::env::var_os(ROLE)?;
    let role = [Role::Compiler, Role::Program].into_iter().find(|own| *own.name() == *role)?;
    eprintln!("{CANNOT_START}{}", turn_into(role));
    Some(ExitCode::from(126))
}

/// How a copy begins what it says when it cannot turn into what it should.
pub const CANNOT_START: &str = "this system does not let the press limit a run: ";

#[cfg(unix)]
fn turn_into(role: Role) -> String {
    use std::os::unix::process::CommandExt;
    if let Err(error) = limit(role) {
        return error;
    }
    let mut arguments = std::env::args_os().skip(1);
    let program = arguments.next().unwrap_or_default();
    std::process::Command::new(program).args(arguments).env_remove(ROLE).exec().to_string()
}

#[cfg(not(unix))]
fn turn_into(_: Role) -> String {
    "it has no process groups".into()
}

#[cfg(unix)]
fn limit(role: Role) -> Result<(), String> {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let to = |limit| Rlimit { current: Some(limit), maximum: Some(limit) };
    for (what, resource, limit) in [
        ("memory", Resource::Data, role.memory()),
        ("the size of files", Resource::Fsize, role.file()),
        ("core dumps", Resource::Core, 0),
    ] {
        setrlimit(resource, to(limit)).map_err(|error| format!("{what}: {error}"))?;
    }
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{Signal, set_parent_process_death_signal};
        // Whatever ends the press, SIGKILL too, ends what it started.
        set_parent_process_death_signal(Some(Signal::KILL))
            .map_err(|error| format!("its end: {error}"))?;
        if matches!(role, Role::Program) {
            alone().map_err(|error| format!("processes: {error}"))?;
        }
    }
    Ok(())
}

/// From now on this process starts threads, but no other process: an attempt ends it by the signal SIGSYS. A limit on
/// their number would count what else the reader runs, and would not hold for root.
#[cfg(target_os = "linux")]
fn alone() -> Result<(), seccompiler::Error> {
    use seccompiler::{
        BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
        SeccompRule, TargetArch, apply_filter,
    };
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    let apply = |rules, action| -> Result<(), seccompiler::Error> {
        let filter = SeccompFilter::new(rules, SeccompAction::Allow, action, arch)?;
        apply_filter(&BpfProgram::try_from(filter)?)
    };
    // A filter cannot see what clone3 is asked for. Where it is missing, C libraries use clone, which says so openly.
    let missing = SeccompAction::Errno(rustix::io::Errno::NOSYS.raw_os_error().unsigned_abs());
    apply([(libc::SYS_clone3, vec![])].into(), missing)?;
    let thread = u64::from(libc::CLONE_THREAD.unsigned_abs());
    let not_a_thread =
        SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(thread), 0)?;
    let rules = [
        (libc::SYS_clone, vec![SeccompRule::new(vec![not_a_thread])?]),
        #[cfg(target_arch = "x86_64")]
        (libc::SYS_fork, vec![]),
        #[cfg(target_arch = "x86_64")]
        (libc::SYS_vfork, vec![]),
    ];
    apply(rules.into(), SeccompAction::KillProcess)
}

/// A process and all that it started: ended and waited for when this is dropped.
pub struct Group {
    pub child: Child,
    #[cfg(unix)]
    id: Option<rustix::process::Pid>,
}

impl Group {
    /// Starts the command in a process group of its own.
    pub fn spawn(command: &mut Command) -> std::io::Result<Self> {
        #[cfg(unix)]
        command.process_group(0);
        let child = command.kill_on_drop(true).spawn()?;
        Ok(Self {
            #[cfg(unix)]
            id: child
                .id()
                .and_then(|id| i32::try_from(id).ok())
                .and_then(rustix::process::Pid::from_raw),
            child,
        })
    }

    /// Ends every process of the group, once: its number may belong to others later. That they have ended already is no
    /// mistake.
    pub fn kill(&mut self) {
        #[cfg(unix)]
        if let Some(id) = self.id.take() {
            let _ = rustix::process::kill_process_group(id, rustix::process::Signal::KILL);
        }
        let _ = self.child.start_kill();
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
        // A killed process ends within milliseconds, and only then is its folder free to be removed.
        for _ in 0..1000 {
            match self.child.try_wait() {
                Ok(None) => std::thread::sleep(std::time::Duration::from_millis(2)),
                _ => break,
            }
        }
    }
}
