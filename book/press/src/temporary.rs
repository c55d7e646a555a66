//! Folders that the press writes to for a while. Others cannot look into them, and none is left: neither when it is
//! dropped, whatever a reader's program has put in it, nor when the press is interrupted.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The folders that are there.
static FOLDERS: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

fn folders() -> MutexGuard<'static, Vec<PathBuf>> {
    FOLDERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A folder that is removed when this is dropped.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// Makes a folder with a name that starts so, in the system's folder for temporary files.
    pub fn new(prefix: &str) -> io::Result<Self> {
        Self::new_in(&std::env::temp_dir(), prefix)
    }

    pub fn new_in(parent: &Path, prefix: &str) -> io::Result<Self> {
        // Held, so that an interrupt misses none.
        let mut folders = folders();
        let mut builder = tempfile::Builder::new();
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
        let path = builder.prefix(prefix).tempdir_in(parent)?.keep();
        folders.push(path.clone());
        Ok(Self(path))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.0) {
            eprintln!("warning: {} is left: {error}", self.0.display());
        }
        folders().retain(|path| *path != self.0);
    }
}

/// Removes all of them, for the process is about to end. From now on nothing can make another.
pub fn remove_all() {
    let folders = folders();
    let give_up = Instant::now() + Duration::from_secs(2);
    // A render that goes on makes a lost folder anew. A file in its place keeps the render from that.
    for (number, path) in folders.iter().enumerate() {
        for attempt in 0.. {
            let aside = path.with_added_extension(format!("{number}-{attempt}"));
            if std::fs::rename(path, &aside).is_ok() {
                let _ = remove(&aside);
            }
            if File::create_new(path).is_ok() || Instant::now() > give_up {
                break;
            }
        }
    }
    // What is left of a render has microseconds now.
    for path in folders.iter() {
        let _ = std::fs::remove_file(path);
    }
    std::mem::forget(folders);
}

/// Removes a folder with all that is in it. `remove_dir_all` opens as many folders at once as lie in each other, and
/// empties none that its owner may not write to. Here each folder inside another is first moved to the top. It is no
/// error if another thread removes the same folder.
fn remove(top: &Path) -> io::Result<()> {
    let mut moved = 0_u64;
    loop {
        let folders = remove_files(top)?;
        if folders.is_empty() {
            return ignore_missing(std::fs::remove_dir(top));
        }
        for folder in folders {
            for inner in remove_files(&folder)? {
                allow(&inner)?;
                // A name that is taken is no place for a folder, unless an empty folder has it.
                while let Err(error) = std::fs::rename(&inner, top.join(moved.to_string())) {
                    use io::ErrorKind::{
                        AlreadyExists, DirectoryNotEmpty, NotADirectory, NotFound,
                    };
                    match error.kind() {
                        AlreadyExists | DirectoryNotEmpty | NotADirectory => moved += 1,
                        NotFound => break,
                        _ => return Err(error),
                    }
                }
                moved += 1;
            }
            ignore_missing(std::fs::remove_dir(&folder))?;
        }
    }
}

/// Removes what is no folder, and returns the folders.
fn remove_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    allow(folder)?;
    let mut folders = Vec::new();
    let entries = match folder.read_dir() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(folders),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => folders.push(entry.path()),
            _ => ignore_missing(std::fs::remove_file(entry.path()))?,
        }
    }
    Ok(folders)
}

/// Allows the owner to remove what is in the folder, and to move the folder.
fn allow(folder: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        ignore_missing(std::fs::set_permissions(folder, mode))?;
    }
    let _ = folder;
    Ok(())
}

fn ignore_missing(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    /// Root may write to every folder, so the work is done as somebody else.
    fn as_a_reader(work: impl FnOnce() + Send + 'static) {
        use rustix::process::{Uid, geteuid};
        let become_reader = || {
            if geteuid().is_root() {
                rustix::thread::set_thread_uid(Uid::from_raw(65534)).unwrap();
            }
        };
        std::thread::spawn(move || {
            become_reader();
            work();
        })
        .join()
        .unwrap();
    }

    #[test]
    fn a_folder_that_may_not_be_written_to_is_removed() {
        as_a_reader(|| {
            let folder = Folder::new("evenkeel-test-").unwrap();
            let path = folder.path().to_owned();
            fs::create_dir_all(path.join("a/b/c")).unwrap();
            fs::write(path.join("a/b/file"), "words").unwrap();
            for (name, mode) in [("a/b/c", 0o000), ("a/b", 0o500), ("a", 0o000), ("", 0o500)] {
                fs::set_permissions(path.join(name), fs::Permissions::from_mode(mode)).unwrap();
            }
            assert!(fs::remove_dir_all(&path).is_err(), "as a plain one would be");
            drop(folder);
            assert!(!path.exists());
        });
    }

    #[test]
    fn folders_in_folders_are_removed_however_many() {
        as_a_reader(|| {
            let folder = Folder::new("evenkeel-test-").unwrap();
            let path = folder.path().to_owned();
            // Made from the inside out, for their path is too long.
            for i in 1..3000 {
                fs::create_dir(path.join(i.to_string())).unwrap();
                if i > 1 {
                    let (inner, outer) = ((i - 1).to_string(), path.join(i.to_string()));
                    fs::rename(path.join(&inner), outer.join(&inner)).unwrap();
                }
            }
            drop(folder);
            assert!(!path.exists());
        });
    }

    #[test]
    fn names_that_are_taken_are_no_obstacle() {
        let folder = Folder::new("evenkeel-test-").unwrap();
        let path = folder.path().to_owned();
        for name in ["a/x/y", "b/x/y", "1/2", "2/3/4", "3"] {
            fs::create_dir_all(path.join(name)).unwrap();
        }
        fs::write(path.join("0"), "words").unwrap();
        fs::write(path.join("a/0"), "words").unwrap();
        drop(folder);
        assert!(!path.exists());
    }

    #[test]
    fn what_a_link_leads_to_stays() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("file"), "words").unwrap();
        let folder = Folder::new("evenkeel-test-").unwrap();
        let path = folder.path().to_owned();
        fs::create_dir(path.join("a")).unwrap();
        for name in ["link", "a/link"] {
            std::os::unix::fs::symlink(outside.path(), path.join(name)).unwrap();
        }
        drop(folder);
        assert!(!path.exists() && outside.path().join("file").exists());
    }
}
