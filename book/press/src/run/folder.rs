//! The folder of a run.

use crate::temporary::Folder;
use std::io;
use std::path::Path;

/// The folder of a run. A program can fill it with so many files that removing them takes a minute, so a thread does
/// that.
pub struct RunFolder(Option<Folder>);

impl RunFolder {
    pub fn new() -> io::Result<Self> {
        Ok(Self(Some(Folder::new("evenkeel-run-")?)))
    }

    pub fn path(&self) -> &Path {
        self.0.as_ref().map_or(Path::new(""), Folder::path)
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        let folder = self.0.take();
        // Without a thread, it goes here.
        let _ = std::thread::Builder::new().spawn(move || drop(folder));
    }
}
