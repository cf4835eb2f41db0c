use std::{
    collections::BTreeMap,
    process::Command,
    sync::{Arc, Mutex},
};

use super::*;

type Said = Arc<Mutex<Vec<String>>>;

fn open(path: &Path, max_bytes: u64, backups: u32) -> (Rotating, Said) {
    let said = Said::default();
    let heard = Arc::clone(&said);
    let complain = move |text| heard.lock().unwrap().push(text);
    (Rotating::open(path.to_owned(), max_bytes, backups, Box::new(complain)).unwrap(), said)
}

fn files(folder: &Path) -> BTreeMap<String, String> {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries.map(|e| (e.file_name().into_string().unwrap(), fs::read_to_string(e.path()).unwrap())).collect()
}

/// Writes the same lines with Python's own handler.
const PYTHON: &str = "
import logging, logging.handlers, sys
handler = logging.handlers.RotatingFileHandler(sys.argv[1], maxBytes=int(sys.argv[2]), backupCount=int(sys.argv[3]))
log = logging.getLogger()
log.addHandler(handler)
for n in range(40):
    log.warning('x' * (n * 7 % 31))
";

#[test]
fn files_are_set_aside_as_pythons_handler_does_it() {
    for (max_bytes, backups) in [(100, 3), (100, 1), (64, 50), (100, 0), (1, 2), (100_000, 3)] {
        let [theirs, ours] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let python = Command::new("python3")
            .args(["-c", PYTHON, theirs.path().join("c.log").to_str().unwrap()])
            .args([max_bytes.to_string(), backups.to_string()])
            .status()
            .unwrap();
        assert!(python.success());

        // A program that is started again goes on with the same file.
        for half in [0..20, 20..40] {
            let (mut file, said) = open(&ours.path().join("c.log"), max_bytes, backups);
            half.for_each(|n| file.line(&"x".repeat(n * 7 % 31)));
            assert_eq!(*said.lock().unwrap(), Vec::<String>::new());
        }

        let (mut theirs, ours) = (files(theirs.path()), files(ours.path()));
        if max_bytes == 1 {
            // Python 3.12 and earlier sets an empty file aside too.
            theirs.retain(|name, _| ours.contains_key(name));
        }
        assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>(), "{max_bytes} {backups}");
        assert!(ours == theirs || max_bytes == 1, "{max_bytes} {backups}: {ours:#?} {theirs:#?}");
    }
}

#[test]
fn a_log_that_cannot_be_written_is_said_once_and_goes_on_when_it_can() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("logs/c.log");
    let (mut file, said) = open(&path, 10, 1);
    file.line("first");

    // There is no place for the next file.
    fs::create_dir_all(folder.path().join("logs/c.log.1/full")).unwrap();
    for n in 0..3 {
        file.line(&format!("lost {n}"));
    }
    let complaints = std::mem::take(&mut *said.lock().unwrap());
    fs::remove_dir_all(folder.path().join("logs/c.log.1")).unwrap();
    file.line("last");

    assert_eq!(complaints.len(), 1, "{complaints:?}");
    assert!(
        complaints[0].starts_with("cannot write to the log ") && complaints[0].ends_with("; going on"),
        "{complaints:?}"
    );
    assert_eq!(
        files(&folder.path().join("logs")),
        BTreeMap::from([
            ("c.log".to_owned(), "3 lines could not be written\nlast\n".to_owned()),
            ("c.log.1".to_owned(), "first\n".to_owned()),
        ])
    );
    assert!(said.lock().unwrap().is_empty());
}

#[test]
fn a_full_disk_leaves_no_half_line() {
    if fs::metadata("/dev/full").is_err() {
        return;
    }
    let (mut file, said) = open(Path::new("/dev/full"), 10, 2);

    file.line("nobody reads this");
    file.line("nor this");

    assert_eq!(said.lock().unwrap().len(), 1, "what is no plain file is never set aside");
}
