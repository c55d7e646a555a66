//! The limits of the compiler and of the reader's program, and what they see of the reader's environment.
//!
//! A process sets limits on itself before it becomes another. So the press starts a copy of itself with a
//! role; the copy sets its limits and then becomes the compiler or the program. This is safe code, and the
//! program never runs without its limits.

use super::group::own_executable;
use std::ffi::OsStr;
use std::process::{ExitCode, Stdio};
use tokio::process::Command;

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

    /// How much memory it may have to write to, used or not; the stack of its first thread is apart. What is reserved
    /// without the right to write does not count: on a machine of many cores the allocator reserves gigabytes so, and
    /// uses none of them.
    pub fn memory(self) -> u64 {
        let own = match self {
            Self::Compiler => 4096 * MIB,
            Self::Program => 2048 * MIB,
        };
        own.min(readers_limit(Resource::Data)).min(readers_limit(Resource::As))
    }

    /// How large a file it may write.
    pub fn file(self) -> u64 {
        let own = match self {
            Self::Compiler => 512 * MIB,
            Self::Program => 64 * MIB,
        };
        own.min(readers_limit(Resource::Fsize))
    }

    /// The environment variables that it gets from the press: how to find programs and libraries. A block cannot read
    /// the others with `env!`.
    fn environment(self) -> &'static [&'static str] {
        match self {
            Self::Program => {
                &["PATH", "LD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH", "SYSTEMROOT", "TZ"]
            }
            Self::Compiler => &[
                "PATH",
                "LD_LIBRARY_PATH",
                "DYLD_FALLBACK_LIBRARY_PATH",
                "SYSTEMROOT",
                // rustup, where there is no compiler but by way of it.
                "HOME",
                "USERPROFILE",
                "CARGO_HOME",
                "RUSTUP_HOME",
                "RUSTUP_TOOLCHAIN",
                // The linkers: of Unix, of macOS, of Windows.
                "COMPILER_PATH",
                "GCC_EXEC_PREFIX",
                "LIBRARY_PATH",
                "DEVELOPER_DIR",
                "MACOSX_DEPLOYMENT_TARGET",
                "SDKROOT",
                "LIB",
                "PROGRAMDATA",
                "PROGRAMFILES",
                "PROGRAMFILES(X86)",
            ],
        }
    }
}

/// A number of bytes in the largest unit that leaves no rest.
pub fn size(bytes: u64) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    match units.into_iter().find(|(bits, _)| bytes.trailing_zeros() >= *bits) {
        Some((bits, unit)) => format!("{} {unit}", bytes >> bits),
        None => format!("{bytes} bytes"),
    }
}

/// The stack of the first thread, as most shells have it.
#[cfg(unix)]
const STACK: u64 = 8 * MIB;

/// How many files may be open, as in most shells. Each pipe and socket is memory too.
#[cfg(unix)]
const OPEN_FILES: u64 = 1024;

#[cfg(unix)]
use rustix::process::Resource;

/// What the shell allows that the press was started from.
#[cfg(unix)]
fn readers_limit(resource: Resource) -> u64 {
    rustix::process::getrlimit(resource).current.unwrap_or(u64::MAX)
}

#[cfg(not(unix))]
enum Resource {
    As,
    Data,
    Fsize,
}

#[cfg(not(unix))]
fn readers_limit(_: Resource) -> u64 {
    u64::MAX
}

/// A command that starts `program` within the limits of its role, without input, and with little of the reader's
/// environment.
pub fn limited_command(role: Role, program: impl AsRef<OsStr>) -> Command {
    let mut command = if cfg!(unix) {
        let mut command = Command::new(own_executable());
        command.arg(program);
        command
    } else {
        Command::new(program)
    };
    let own = role.environment().iter();
    let own = own.filter_map(|name| std::env::var_os(name).map(|value| (name, value)));
    command.env_clear().envs(own).env(ROLE, role.name()).stdin(Stdio::null());
    command
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
    use rustix::process::{Rlimit, setrlimit};
    for (what, resource, limit) in [
        ("memory", Resource::Data, role.memory()),
        ("the stack", Resource::Stack, STACK),
        ("the size of files", Resource::Fsize, role.file()),
        ("open files", Resource::Nofile, OPEN_FILES),
        ("core dumps", Resource::Core, 0),
    ] {
        let limit = Some(limit.min(readers_limit(resource)));
        setrlimit(resource, Rlimit { current: limit, maximum: limit })
            .map_err(|error| format!("{what}: {error}"))?;
    }
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{Signal, set_parent_process_death_signal};
        // This process ends when the press ends, even by SIGKILL.
        set_parent_process_death_signal(Some(Signal::KILL))
            .map_err(|error| format!("its end: {error}"))?;
        if matches!(role, Role::Program) {
            forbid_calls().map_err(|error| format!("system calls: {error}"))?;
        }
    }
    Ok(())
}

/// From now on this process can start threads, but no other process: an attempt ends it by the signal
/// SIGSYS. A limit on the number of processes would count the reader's other processes, and would not hold
/// for root.
///
/// Nor can it get memory that is shared: the system does not count that as its own. It is refused as if there were
/// none.
#[cfg(target_os = "linux")]
fn forbid_calls() -> Result<(), seccompiler::Error> {
    use seccompiler::{
        BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
        SeccompRule, TargetArch, apply_filter,
    };
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    let apply = |rules, action| -> Result<(), seccompiler::Error> {
        let filter = SeccompFilter::new(rules, SeccompAction::Allow, action, arch)?;
        apply_filter(&BpfProgram::try_from(filter)?)
    };
    // A rule for calls with these bits of an argument set, or not set.
    let bits = |argument, bits: i32, set: bool| {
        let bits = u64::from(bits.unsigned_abs());
        let is = SeccompCmpOp::MaskedEq(bits);
        let value = if set { bits } else { 0 };
        let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Dword, is, value)?;
        SeccompRule::new(vec![condition])
    };
    let errno =
        |error: rustix::io::Errno| SeccompAction::Errno(error.raw_os_error().unsigned_abs());
    // A filter cannot read the flags of clone3. Where clone3 is missing, C libraries use clone, whose flags
    // it can.
    apply([(libc::SYS_clone3, vec![])].into(), errno(rustix::io::Errno::NOSYS))?;
    let shared = [
        (libc::SYS_mmap, vec![bits(3, libc::MAP_SHARED | libc::MAP_ANONYMOUS, true)?]),
        (libc::SYS_memfd_create, vec![]),
        (libc::SYS_memfd_secret, vec![]),
        (libc::SYS_shmget, vec![]),
    ];
    apply(shared.into(), errno(rustix::io::Errno::NOMEM))?;
    let processes = [
        (libc::SYS_clone, vec![bits(0, libc::CLONE_THREAD, false)?]),
        #[cfg(target_arch = "x86_64")]
        (libc::SYS_fork, vec![]),
        #[cfg(target_arch = "x86_64")]
        (libc::SYS_vfork, vec![]),
    ];
    apply(processes.into(), SeccompAction::KillProcess)
}
