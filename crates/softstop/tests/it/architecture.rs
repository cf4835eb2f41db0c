//! Holds what ARCHITECTURE.md promises: the import table and the invariants that a reader of the
//! source files can check. Comments are not looked at, nor what follows `#[cfg(test)]`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// The modules that decide. They may import each other and std.
const PURE: [&str; 2] = ["plan", "machine"];
/// What stands at the head of the import table; the table is found by it.
const TABLE_HEAD: &str = "| crate |";

#[test]
fn every_import_between_our_crates_is_listed_in_the_table() {
    let table = import_table();
    let workspace = Workspace::read();

    let mut unlisted = Vec::new();
    for member in &workspace.members {
        let row = table.get(&member.name);
        assert!(row.is_some(), "ARCHITECTURE.md, \"Who may import whom\": `{}` has no row", member.name);
        for (kind, name) in member.imports.iter().filter(|(_, name)| workspace.has(name)) {
            if !row.is_some_and(|row| row.allows(kind, name)) {
                unlisted.push(format!("{} -> {name} ({kind})", member.name));
            }
        }
    }

    assert!(
        unlisted.is_empty(),
        "these imports are not listed in ARCHITECTURE.md, \"Who may import whom\":\n  {}",
        unlisted.join("\n  ")
    );
}

#[test]
fn no_library_of_a_program_knows_a_simulator() {
    for program in ["market", "tiles"] {
        for file in sources(&Workspace::read().member(program).folder.join("src")) {
            let text = file.to_string_lossy();
            if !text.contains("/src/cli/") && !text.ends_with("_tests.rs") {
                assert!(!code(&file).contains("sims::"), "{} names `sims`", file.display());
            }
        }
    }
}

#[test]
fn the_import_table_names_only_crates_that_exist() {
    let workspace = Workspace::read();

    for (name, row) in import_table() {
        for name in row.always.iter().chain(&row.in_tests).chain([&name]) {
            assert!(workspace.has(name), "ARCHITECTURE.md, \"Who may import whom\": there is no crate `{name}`");
        }
    }
}

#[test]
fn the_pure_modules_import_std_only() {
    let workspace = Workspace::read();
    let foreign: BTreeSet<String> =
        workspace.member("softstop").imports.iter().map(|(_, name)| name.replace('-', "_")).collect();
    let modules: BTreeSet<String> =
        sources(&library()).iter().filter_map(|file| Some(file.file_stem()?.to_str()?.to_owned())).collect();

    for module in PURE {
        let file = library().join(format!("{module}.rs"));
        for path in paths(&code(&file)) {
            let mut words = path.split("::");
            let first = words.next().unwrap_or_default();
            let second = words.next().unwrap_or_default();
            let impure = match first {
                "crate" => !PURE.contains(&second),
                "super" => modules.contains(second) && !PURE.contains(&second),
                _ => foreign.contains(first) || first == "tracing",
            };
            assert!(
                !impure,
                "{module}.rs names `{path}`: it decides and does nothing else, so it may know std and {PURE:?} only"
            );
        }
    }
}

#[test]
fn only_signal_rs_touches_operating_system_signals() {
    let ours = library().join("signal.rs");
    // Programs are signalled by the fleet's process module, which has a test of its own; its self-test plays deaf ones.
    let theirs = ["process", "selftest"].map(|folder| root().join("crates/softstop-fleet/src").join(folder));
    for member in Workspace::read().members {
        for file in sources(&member.folder.join("src")) {
            // The self-test of `tiles` signals the program that it has started; of signals of its own it knows nothing.
            let tests_itself = file.ends_with("tiles/src/cli/selftest.rs");
            if file == ours || tests_itself || theirs.iter().any(|folder| file.starts_with(folder)) {
                continue;
            }
            for path in paths(&code(&file)) {
                let touches = ["signal_hook", "nix::sys::signal", "tokio::signal", "rustix::process::kill"];
                assert!(
                    !touches.iter().any(|start| path.starts_with(start)),
                    "{} names `{path}`: signals are known to crates/softstop/src/signal.rs only, and to \
                     softstop-fleet's process module",
                    file.display()
                );
            }
        }
    }
}

#[test]
fn only_what_serves_main_reads_the_environment_or_the_terminal() {
    let tests = |file: &Path| file.to_string_lossy().ends_with("_tests.rs");
    let environment = ["env::var", "env::args"];
    let terminal = ["io::stdout", "io::stderr", "io::stdin", "println!", "eprintln!"];
    for file in sources(&library()).iter().filter(|file| !file.ends_with("console.rs") && !tests(file)) {
        let code = code(file);
        let told = if file.ends_with("systemd.rs") { &[][..] } else { &environment[..] };
        for word in told.iter().chain(&terminal) {
            assert!(
                !code.contains(word),
                "{} names `{word}`: the library is silent and is told everything; only console.rs, which serves \
                 `softstop::main`, may, and systemd.rs may read the environment",
                file.display()
            );
        }
    }
}

#[test]
fn unsafe_code_is_forbidden_in_every_crate() {
    let root = section(&root().join("Cargo.toml"), "[workspace.lints.rust]");
    assert!(
        root.iter().any(|line| line == r#"unsafe_code = "forbid""#),
        "the root Cargo.toml does not say unsafe_code = \"forbid\" under [workspace.lints.rust]"
    );

    for member in Workspace::read().members {
        let manifest = member.folder.join("Cargo.toml");
        assert!(
            section(&manifest, "[lints]").iter().any(|line| line == "workspace = true"),
            "{} does not take the lints of the workspace ([lints] workspace = true)",
            manifest.display()
        );
    }
}

struct Workspace {
    members: Vec<Member>,
}

struct Member {
    name: String,
    folder: PathBuf,
    /// (`normal`, `dev` or `build`; the name of the crate), as its Cargo.toml states them.
    imports: BTreeSet<(String, String)>,
}

impl Workspace {
    /// Asks cargo, which reads every Cargo.toml and nothing else: no network, no lock.
    fn read() -> Self {
        let output = Command::new(env!("CARGO"))
            .args(["metadata", "--no-deps", "--offline", "--format-version", "1", "--manifest-path"])
            .arg(root().join("Cargo.toml"))
            .output()
            .expect("cargo runs");
        assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
        let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata writes JSON");

        let members: Vec<Member> = list(&metadata["packages"]).iter().map(Member::read).collect();
        assert!(!members.is_empty(), "cargo metadata lists no crate");
        Self { members }
    }

    fn has(&self, name: &str) -> bool {
        self.members.iter().any(|member| member.name == name)
    }

    fn member(&self, name: &str) -> &Member {
        let found = self.members.iter().find(|member| member.name == name);
        found.unwrap_or_else(|| panic!("no crate `{name}` in the workspace"))
    }
}

impl Member {
    fn read(package: &Value) -> Self {
        let import = |dependency: &Value| {
            let kind = dependency["kind"].as_str().unwrap_or("normal");
            (kind.to_owned(), text(&dependency["name"]).to_owned())
        };
        let manifest = Path::new(text(&package["manifest_path"]));
        Self {
            name: text(&package["name"]).to_owned(),
            folder: manifest.parent().expect("a manifest lies in a folder").to_owned(),
            imports: list(&package["dependencies"]).iter().map(import).collect(),
        }
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("cargo metadata has a list here")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("cargo metadata has a text here")
}

struct Row {
    always: BTreeSet<String>,
    in_tests: BTreeSet<String>,
}

impl Row {
    fn allows(&self, kind: &str, name: &str) -> bool {
        self.always.contains(name) || (kind == "dev" && self.in_tests.contains(name))
    }
}

/// The table "Who may import whom": the names in backticks of each cell.
fn import_table() -> BTreeMap<String, Row> {
    let architecture = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md is there");
    let lines = architecture.lines().skip_while(|line| !line.starts_with(TABLE_HEAD)).skip(2);
    let rows = lines.take_while(|line| line.starts_with('|')).map(|line| {
        let cells: Vec<BTreeSet<String>> = line.trim_matches('|').split('|').map(quoted).collect();
        let [names, always, in_tests] = &cells[..] else { panic!("this row needs three cells: {line}") };
        let name = names.first().unwrap_or_else(|| panic!("this row names no crate: {line}")).clone();
        (name, Row { always: always.clone(), in_tests: in_tests.clone() })
    });

    let table: BTreeMap<String, Row> = rows.collect();
    assert!(!table.is_empty(), "ARCHITECTURE.md has no table whose first line starts with {TABLE_HEAD:?}");
    table
}

fn quoted(cell: &str) -> BTreeSet<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Every path that the code names, `use` trees written out: `a::{b, c::d}` is `a::b` and `a::c::d`.
fn paths(code: &str) -> Vec<String> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let named = code.split(|c| !is_part(c)).map(|word| word.trim_matches(':')).filter(|word| word.contains("::"));
    let trees = code.split(';').filter_map(|statement| {
        let words: Vec<&str> = statement.split_whitespace().collect();
        let tree = words.iter().rposition(|word| *word == "use")? + 1;
        Some(words[tree..].join(" "))
    });
    let imported = trees.flat_map(|tree| expand(&tree));
    named.map(str::to_owned).chain(imported).collect()
}

fn expand(tree: &str) -> Vec<String> {
    let (Some(open), Some(shut)) = (tree.find('{'), tree.rfind('}')) else {
        return vec![tree.trim_start_matches("::").split(' ').next().unwrap_or_default().to_owned()];
    };
    let mut depth = 0;
    let branches = tree.get(open + 1..shut).unwrap_or_default().split(|c| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        c == ',' && depth == 0
    });
    let branches = branches.map(str::trim).filter(|branch| !branch.is_empty());
    branches.flat_map(|branch| expand(&format!("{}{branch}", &tree[..open]))).collect()
}

/// The lines of a file that ship, without comments.
fn code(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let shipped = text.lines().take_while(|line| !line.starts_with("#[cfg(test)]"));
    let code = shipped.map(|line| line.split("//").next().unwrap_or_default());
    code.collect::<Vec<_>>().join("\n")
}

/// The lines of one section of a Cargo.toml.
fn section(manifest: &Path, head: &str) -> Vec<String> {
    let text = fs::read_to_string(manifest).unwrap_or_else(|error| panic!("{}: {error}", manifest.display()));
    let lines = text.lines().map(str::trim).skip_while(|line| *line != head).skip(1);
    lines.take_while(|line| !line.starts_with('[')).map(str::to_owned).collect()
}

/// The `.rs` files of a folder and of those in it; there is at least one.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.expect("the folder can be listed").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    assert!(!files.is_empty(), "no source file in {}", folder.display());
    files
}

fn library() -> PathBuf {
    root().join("crates/softstop/src")
}

fn root() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    folder.ancestors().nth(2).expect("the crate lies two folders below the root").to_owned()
}
