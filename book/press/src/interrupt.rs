//! Ctrl-C, a request to end, and a closed terminal.

use anyhow::{Context, Result};

/// The exit code of a process that is interrupted, as shells have it for Ctrl-C.
pub const INTERRUPTED: i32 = 130;

/// Does `first` at the first signal to end, in a thread of its own. A Ctrl-C after that ends the process at once. A
/// second signal of another kind does not: a terminal that closes, and some programs, send several.
pub fn at_interrupt(first: impl FnOnce() + Send + 'static) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let signal = {
        let _guard = runtime.enter();
        first_signal().context("signals")?
    };
    std::thread::spawn(move || {
        runtime.block_on(signal);
        std::thread::spawn(first);
        let _ = runtime.block_on(tokio::signal::ctrl_c());
        std::process::exit(INTERRUPTED);
    });
    Ok(())
}

/// Waits for any of the signals, from now on.
#[cfg(unix)]
fn first_signal() -> std::io::Result<impl Future<Output = ()> + Send> {
    use std::task::Poll;
    use tokio::signal::unix::{SignalKind, signal};
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let wanted = kinds.into_iter().filter(|kind| !is_ignored(kind.as_raw_value()));
    let mut signals = wanted.map(signal).collect::<Result<Vec<_>, _>>()?;
    Ok(std::future::poll_fn(move |context| {
        let came = signals.iter_mut().any(|signal| signal.poll_recv(context).is_ready());
        if came { Poll::Ready(()) } else { Poll::Pending }
    }))
}

#[cfg(not(unix))]
fn first_signal() -> std::io::Result<impl Future<Output = ()> + Send> {
    Ok(async { drop(tokio::signal::ctrl_c().await) })
}

/// Whether the process was started so that it ignores the signal, as `nohup` does.
#[cfg(unix)]
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};
    use std::time::Duration;

    #[test]
    #[ignore = "it is the process that the next test interrupts"]
    fn never_ends_by_itself() {
        at_interrupt(|| {
            println!("first");
            std::thread::sleep(Duration::from_secs(60));
        })
        .unwrap();
        println!("ready");
        std::thread::sleep(Duration::from_secs(60));
    }

    #[test]
    fn the_second_interrupt_ends_at_once() {
        let own = std::env::current_exe().unwrap();
        let mut process = Command::new(own)
            .args(["interrupt::tests::never_ends_by_itself", "--exact", "--ignored", "--nocapture"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let id = process.id().to_string();
        let mut lines =
            BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
        for (words, name) in [("ready", "-HUP"), ("first", "-INT")] {
            assert!(lines.any(|line| line == words), "{words}");
            assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
        }
        assert_eq!(process.wait().unwrap().code(), Some(INTERRUPTED));
    }
}
