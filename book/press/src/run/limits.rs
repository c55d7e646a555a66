//! The limits of the compiler and of the reader's program, and how a run's processes are ended.
//!
//! A process sets limits on itself before it becomes another. So the press starts a copy of itself with a
//! role; the copy sets its limits and then becomes the compiler or the program. This is safe code, and the
//! program never runs without its limits.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{ExitCode, Stdio};
use tokio::process::{Child, Command};

/// The environment variable that tells a copy of the press its role.
const ROLE: &str = "EVENKEEL_PRESS_ROLE";

/// What a copy of the press becomes.
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

    /// How much memory it may write to. Reserved address space does not count: on a machine of many cores
    /// the allocator reserves gigabytes and uses none of them.
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

/// A command that starts `program` within the limits of its role, without input. The reader's program gets
/// no environment.
pub fn limited_command(role: Role, program: impl AsRef<OsStr>) -> Command {
    let mut command = if cfg!(unix) {
        let mut command = Command::new(own_executable());
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

/// The path of this program. On Linux it holds even when `cargo build` replaces the file.
pub fn own_executable() -> PathBuf {
    let stable = PathBuf::from(format!("/proc/{}/exe", std::process::id()));
    if stable.exists() { stable } else { std::env::current_exe().unwrap_or_default() }
}

/// If this process is a copy with a role: sets its limits and becomes its program. Returns a code only if
/// it cannot.
pub fn run_limited() -> Option<ExitCode> {
    let role = std::env::var_os(ROLE)?;
    let role = [Role::Compiler, Role::Program].into_iter().find(|own| *own.name() == *role)?;
    eprintln!("{CANNOT_START}{}", exec_limited(role));
    Some(ExitCode::from(126))
}

/// The start of the message of a copy that cannot become its program.
pub const CANNOT_START: &str = "this system does not let the press limit a run: ";

#[cfg(unix)]
fn exec_limited(role: Role) -> String {
    use std::os::unix::process::CommandExt;
    if let Err(error) = limit(role) {
        return error;
    }
    let mut arguments = std::env::args_os().skip(1);
    let program = arguments.next().unwrap_or_default();
    std::process::Command::new(program).args(arguments).env_remove(ROLE).exec().to_string()
}

#[cfg(not(unix))]
fn exec_limited(_: Role) -> String {
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
        // This process ends when the press ends, even by SIGKILL.
        set_parent_process_death_signal(Some(Signal::KILL))
            .map_err(|error| format!("its end: {error}"))?;
        if matches!(role, Role::Program) {
            forbid_new_processes().map_err(|error| format!("processes: {error}"))?;
        }
    }
    Ok(())
}

/// From now on this process can start threads, but no other process: an attempt ends it by the signal
/// SIGSYS. A limit on the number of processes would count the reader's other processes, and would not hold
/// for root.
#[cfg(target_os = "linux")]
fn forbid_new_processes() -> Result<(), seccompiler::Error> {
    use seccompiler::{
        BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
        SeccompRule, TargetArch, apply_filter,
    };
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    let apply = |rules, action| -> Result<(), seccompiler::Error> {
        let filter = SeccompFilter::new(rules, SeccompAction::Allow, action, arch)?;
        apply_filter(&BpfProgram::try_from(filter)?)
    };
    // A filter cannot read the flags of clone3. Where clone3 is missing, C libraries use clone, whose flags
    // it can.
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
pub struct ProcessGroup {
    pub child: Child,
    #[cfg(unix)]
    id: Option<rustix::process::Pid>,
}

impl ProcessGroup {
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
