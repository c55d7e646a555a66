//! Writes a file atomically: whole or not at all.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

static NEXT: AtomicU64 = AtomicU64::new(0);

/// Writes a new file beside `path`, waits until it is on the disk, and renames it to `path`.
///
/// The result is that of `fs::write`, but no reader ever sees half a file.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // Opening the file checks that it may be written, and follows all links.
    let old = match OpenOptions::new().write(true).open(path) {
        Ok(mut file) => {
            let old = file.metadata()?;
            if !old.is_file() {
                return file.write_all(bytes); // a device or a pipe is not replaced
            }
            Some(old)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let target = resolve_links(path)?;
    if old.is_some() {
        fs::symlink_metadata(&target)?; // /proc/self/fd/5 may lead to a file without a name
    }
    let (file, beside) = new_file_beside(&target, old.as_ref())?;
    let done =
        write_contents(file, bytes, old.as_ref()).and_then(|()| fs::rename(&beside, &target));
    if done.is_err() {
        // Report the first error; if the removal fails too, a `.part` file is left.
        let _ = fs::remove_file(&beside);
    }
    done
}

/// The path behind all links. A link may lead to a file that does not exist yet.
fn resolve_links(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    // Linux, too, follows at most 40 links. A cycle was refused when the file was opened.
    for _ in 0..=40 {
        let Ok(link) = fs::read_link(&path) else { return Ok(path) };
        path = folder_of(&path).join(link);
    }
    Err(io::Error::other("too many symbolic links"))
}

fn folder_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

/// The name of the new file. It does not contain the target's name, which may already have the
/// maximal length.
fn part_name(number: u64) -> String {
    format!(".{}-{number}.part", process::id())
}

fn new_file_beside(target: &Path, old: Option<&Metadata>) -> io::Result<(File, PathBuf)> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    if old.is_some() {
        // Private until it has the mode of the old file.
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    }
    loop {
        let beside = folder_of(target).join(part_name(NEXT.fetch_add(1, Ordering::Relaxed)));
        match options.open(&beside) {
            Ok(file) => return Ok((file, beside)),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}

fn write_contents(mut file: File, bytes: &[u8], old: Option<&Metadata>) -> io::Result<()> {
    if let Some(old) = old {
        let new = file.metadata()?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::{MetadataExt, fchown};
            // Only root may change the owner, and only a member the group: a refusal is ignored.
            if new.gid() != old.gid() {
                let _ = fchown(&file, None, Some(old.gid()));
            }
            if new.uid() != old.uid() {
                let _ = fchown(&file, Some(old.uid()), None);
            }
        }
        if new.permissions() != old.permissions() {
            file.set_permissions(old.permissions())?;
        }
    }
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_taken_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        // Other tests of this program may save meanwhile, but not 100 times.
        let first = NEXT.load(Ordering::Relaxed);
        let taken: Vec<_> =
            (first..first + 100).map(|n| folder.path().join(part_name(n))).collect();
        for (n, path) in taken.iter().enumerate() {
            // The name may be that of a file, a folder, or a link that leads nowhere.
            match n % 3 {
                0 => fs::write(path, "theirs").unwrap(),
                1 => fs::create_dir(path).unwrap(),
                #[cfg(unix)]
                _ => std::os::unix::fs::symlink("nowhere", path).unwrap(),
                #[cfg(not(unix))]
                _ => fs::write(path, "theirs").unwrap(),
            }
        }
        let path = folder.path().join("file");
        write_whole(&path, b"ours").unwrap();
        assert!(NEXT.load(Ordering::Relaxed) > first + 100, "no taken name was tried");
        assert_eq!(fs::read(&path).unwrap(), b"ours");
        for (n, path) in taken.iter().enumerate() {
            match n % 3 {
                1 => assert!(path.is_dir()),
                0 => assert_eq!(fs::read(path).unwrap(), b"theirs"),
                _ => assert!(fs::symlink_metadata(path).is_ok()),
            }
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 101);
    }
}
