//! What a save leaves on the disk: modes, links, devices, names. Page: `book/src/tensor.md`.

use std::fs;
use std::path::Path;

use evenkeel::{SaveError, Tensor, load, named, save};

use crate::common::normal;

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn write(path: impl AsRef<Path>, seed: u64) -> Result<(), SaveError> {
    save(path, named([("a", &mut normal(&[2], seed))]))
}

/// Whether what `write` wrote with this seed is in the file.
fn holds(path: impl AsRef<Path>, seed: u64) -> bool {
    let mut a = Tensor::new(ndarray::array![0.0, 0.0]);
    load(path, named([("a", &mut a)])).unwrap();
    a == normal(&[2], seed)
}

#[test]
fn a_name_as_long_as_names_can_be_works() {
    let folder = tempfile::tempdir().unwrap();
    for length in [1, 200, 235, 250, 255] {
        let path = folder.path().join("n".repeat(length));
        for seed in [1, 2] {
            write(&path, seed).unwrap();
            assert!(holds(&path, seed), "{length}");
        }
    }
    let path = folder.path().join("n".repeat(256)); // nor does the system's own write take this
    fs::write(&path, "").unwrap_err();
    write(&path, 1).unwrap_err();
    assert_eq!(names(folder.path()).len(), 5);
}

#[test]
fn a_folder_or_a_name_with_a_slash_behind_is_refused_and_nothing_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("folder");
    fs::create_dir(&path).unwrap(); // empty, so that a folder could take its place
    for path in [path.clone(), folder.path().join("new/"), folder.path().join(".."), "".into()] {
        let error = write(&path, 1).unwrap_err();
        assert!(matches!(error, SaveError::Write { .. }), "{error}");
    }
    assert!(names(&path).is_empty());
    assert_eq!(names(folder.path()), ["folder"]);
}

#[cfg(unix)]
mod unix {
    use std::ffi::OsStr;
    use std::io::{Read, Write};
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown, symlink};
    use std::process::Command;

    use super::*;

    fn mode(path: impl AsRef<Path>) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    fn set_mode(path: impl AsRef<Path>, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn an_old_file_keeps_its_mode_and_a_new_one_gets_the_usual() {
        let folder = tempfile::tempdir().unwrap();
        let (path, usual) = (folder.path().join("a"), folder.path().join("usual"));
        fs::write(&usual, "").unwrap();
        write(&path, 1).unwrap();
        assert_eq!(mode(&path), mode(&usual));
        for kept in [0o600, 0o640, 0o644, 0o666, 0o660, 0o755, 0o777, 0o200 | 0o400] {
            set_mode(&path, kept);
            write(&path, u64::from(kept)).unwrap();
            assert_eq!(mode(&path), kept, "{kept:o}");
            assert!(holds(&path, u64::from(kept)));
        }
        assert_eq!(names(folder.path()), ["a", "usual"]);
    }

    #[test]
    fn an_old_file_keeps_its_owner_where_the_system_allows_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        write(&path, 1).unwrap();
        if chown(&path, Some(1234), Some(4321)).is_err() {
            return; // only root gives files away
        }
        set_mode(&path, 0o640);
        write(&path, 2).unwrap();
        let after = fs::metadata(&path).unwrap();
        assert_eq!((after.uid(), after.gid(), mode(&path)), (1234, 4321, 0o640));
    }

    #[test]
    fn what_the_system_does_not_open_for_writing_is_refused() {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let path = folder.path().join("a");
        write(&path, 1).unwrap();
        set_mode(&path, 0o444);
        let refused = fs::OpenOptions::new().write(true).open(&path).is_err();
        assert_eq!(write(&path, 2).is_err(), refused); // root may write to it
        assert!(holds(&path, if refused { 1 } else { 2 }));
        assert_eq!(mode(&path), 0o444);
        set_mode(&path, 0o644);

        // A program that runs, by a second name; not even root writes to it.
        let program = folder.path().join("program");
        if cfg!(target_os = "linux")
            && fs::hard_link(std::env::current_exe().unwrap(), &program).is_ok()
        {
            let before = fs::metadata(&program).unwrap();
            fs::OpenOptions::new().write(true).open(&program).unwrap_err();
            write(&program, 1).unwrap_err();
            assert_eq!(fs::metadata(&program).unwrap().ino(), before.ino());
            fs::remove_file(&program).unwrap();
        }
        let socket = folder.path().join("s");
        if let Ok(_listener) = std::os::unix::net::UnixListener::bind(&socket) {
            write(&socket, 1).unwrap_err();
            assert!(fs::symlink_metadata(&socket).unwrap().file_type().is_socket());
            fs::remove_file(&socket).unwrap();
        }
        assert_eq!(names(folder.path()), ["a"]);
    }

    #[test]
    fn a_link_stays_a_link_and_what_it_leads_to_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("runs/1")).unwrap();
        fs::create_dir(at("links")).unwrap();
        let real = at("runs/1/model");
        write(&real, 0).unwrap();
        set_mode(&real, 0o600);

        symlink(&real, at("absolute")).unwrap();
        symlink("runs/1/model", at("relative")).unwrap();
        symlink("../relative", at("links/to a link")).unwrap();
        symlink("runs/1", at("folder")).unwrap();
        symlink("../folder/model", at("links/through a folder")).unwrap();
        let links =
            ["absolute", "relative", "links/to a link", "folder/model", "links/through a folder"];
        for (seed, link) in (1..).zip(links) {
            let before = fs::read_link(at(link)).ok();
            write(at(link), seed).unwrap();
            assert_eq!(fs::read_link(at(link)).ok(), before, "{link}");
            assert!(holds(&real, seed) && holds(at(link), seed), "{link}");
            assert_eq!(mode(&real), 0o600);
        }
        assert_eq!(names(&at("runs/1")), ["model"]);
        assert_eq!(names(&at("links")), ["through a folder", "to a link"]);
        assert_eq!(names(folder.path()), ["absolute", "folder", "links", "relative", "runs"]);
    }

    #[test]
    fn a_link_to_a_file_that_is_not_there_yet_makes_it() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("runs")).unwrap();
        symlink("runs/new", at("one")).unwrap();
        symlink(at("one"), at("two")).unwrap();
        fs::write(at("usual"), "").unwrap();
        write(at("two"), 1).unwrap();
        assert!(holds(at("runs/new"), 1));
        assert_eq!(mode(at("runs/new")), mode(at("usual")));
        for link in ["one", "two"] {
            assert!(fs::symlink_metadata(at(link)).unwrap().is_symlink());
        }
        // Where the folder is not there either, the system would not write.
        symlink("nowhere/new", at("three")).unwrap();
        write(at("three"), 1).unwrap_err();
        assert_eq!(names(folder.path()), ["one", "runs", "three", "two", "usual"]);
        assert_eq!(names(&at("runs")), ["new"]);
    }

    #[test]
    fn links_in_a_circle_are_a_clear_error() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        symlink("b", at("a")).unwrap();
        symlink("a", at("b")).unwrap();
        symlink("itself", at("itself")).unwrap();
        for name in ["a", "b", "itself"] {
            let message = write(at(name), 1).unwrap_err().to_string();
            assert!(message.contains("symbolic links"), "{message}");
        }
        assert_eq!(names(folder.path()), ["a", "b", "itself"]);
    }

    #[test]
    fn a_second_hard_link_keeps_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        write(at("last"), 1).unwrap();
        fs::hard_link(at("last"), at("best")).unwrap();
        write(at("last"), 2).unwrap();
        assert!(holds(at("last"), 2) && holds(at("best"), 1));
    }

    #[test]
    fn a_pipe_is_written_into() {
        let folder = tempfile::tempdir().unwrap();
        let (pipe, link) = (folder.path().join("pipe"), folder.path().join("link"));
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        symlink("pipe", &link).unwrap();
        // Open at both ends, so that nothing waits; what is written fits into it.
        let mut ends = fs::OpenOptions::new().read(true).write(true).open(&pipe).unwrap();
        for path in [&pipe, &link] {
            write(path, 1).unwrap();
            ends.write_all(b"!").unwrap(); // something to read, whatever was saved
            let mut bytes = vec![0; 4096];
            let length = ends.read(&mut bytes).unwrap();
            fs::write(folder.path().join("got"), &bytes[..length - 1]).unwrap();
            assert!(holds(folder.path().join("got"), 1));
            assert!(fs::symlink_metadata(&pipe).unwrap().file_type().is_fifo());
        }
        assert_eq!(names(folder.path()), ["got", "link", "pipe"]);
    }

    /// A device like `/dev/null` or `/dev/full`. Whoever could replace the real one gets one of
    /// their own, so that a test that fails does no harm.
    fn device(folder: &Path, real: &str, minor: &str) -> Option<std::path::PathBuf> {
        if fs::metadata(folder).unwrap().uid() != 0 {
            return Some(real.into());
        }
        let path = folder.join(OsStr::from_bytes(real.rsplit('/').next()?.as_bytes()));
        let made = Command::new("mknod").arg(&path).args(["c", "1", minor]).status().ok()?;
        let opens = made.success() && fs::OpenOptions::new().write(true).open(&path).is_ok();
        opens.then_some(path)
    }

    #[test]
    fn a_device_is_written_into_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        for (real, minor, takes_all) in [("/dev/null", "3", true), ("/dev/full", "7", false)] {
            let Some(device) = device(folder.path(), real, minor) else { continue };
            let link = folder.path().join("link");
            symlink(&device, &link).unwrap();
            for path in [&device, &link] {
                assert_eq!(write(path, 1).is_ok(), takes_all, "{real}");
                assert!(fs::metadata(&device).unwrap().file_type().is_char_device());
            }
            assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
            fs::remove_file(&link).unwrap();
        }
        assert!(!names(folder.path()).iter().any(|name| name.ends_with(".part")));
    }

    /// As far as Linux itself follows links.
    #[test]
    fn a_chain_of_forty_links_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let at = |i: usize| folder.path().join(i.to_string());
        (0..40).for_each(|i| symlink(at(i + 1), at(i)).unwrap());
        for seed in [1, 2] {
            write(at(0), seed).unwrap();
            assert!(holds(at(40), seed));
            assert!(fs::symlink_metadata(at(0)).unwrap().is_symlink());
        }
    }

    /// A name may lead to a file that has none any more: nothing can take its place.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_file_without_a_name_is_refused_and_nothing_is_left() {
        use std::os::fd::AsRawFd;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gone");
        let file = fs::File::create(&path).unwrap();
        fs::remove_file(&path).unwrap();
        write(format!("/proc/self/fd/{}", file.as_raw_fd()), 1).unwrap_err();
        assert!(names(folder.path()).is_empty());
    }
}
