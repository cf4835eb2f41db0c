//! Holds the book together: its table of contents, its links, and the plans that it quotes.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use softstop::{Dep, PlanError, Service};

use crate::PAGES;

#[test]
fn every_page_is_in_the_summary_and_its_snippets_are_compiled() {
    let listed: BTreeSet<String> = summary().into_iter().map(|(_, file)| file).collect();
    let compiled: BTreeSet<String> = PAGES.iter().map(|file| (*file).to_owned()).collect();
    let there: BTreeSet<String> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".md") && name != "SUMMARY.md")
        .collect();

    assert_eq!(listed, there, "SUMMARY.md (left) and the files in book/src (right)");
    assert_eq!(compiled, there, "the pages in docs/src/lib.rs (left) and the files in book/src (right)");
}

#[test]
fn every_page_is_headed_as_the_summary_calls_it() {
    for (title, file) in summary() {
        let text = page(&file);
        let heads: Vec<&str> = prose(&text).filter(|line| line.starts_with("# ")).collect();

        assert_eq!(heads, [format!("# {title}")], "{file}");
    }
}

#[test]
fn every_link_leads_to_a_page_and_a_heading_of_it() {
    for file in PAGES {
        let text = page(file);
        for link in prose(&text).flat_map(links).filter(|link| !link.contains("://")) {
            let (to, heading) = link.split_once('#').unwrap_or((link, ""));
            let to = if to.is_empty() { file } else { to };
            assert!(folder().join(to).is_file(), "{file} links to `{link}`, and there is no file `{to}`");
            if !to.ends_with(".md") {
                continue;
            }

            let text = page(to);
            let mut headings = prose(&text).filter(|line| line.starts_with('#')).map(anchor);
            assert!(
                heading.is_empty() || headings.any(|one| one == heading),
                "{file} links to `{link}`, and {to} has no such heading"
            );
        }
    }
}

#[test]
fn the_plans_that_a_page_quotes_are_those_of_the_library() {
    let text = page("save.md");
    let quoted = |what: &str| assert!(text.contains(&format!("```text\n{what}\n```")), "save.md lacks\n{what}");
    let refused = |error: PlanError| format!("error: {error}\nhint: {}", error.hint());

    let (mut service, store) = chain_of_three();
    quoted(&service.check().unwrap().to_string());
    service.options(store).save(Duration::from_secs(10));
    quoted(&service.check().unwrap().to_string());
    service.options(store).save(Duration::from_secs(20));
    quoted(&refused(service.check().unwrap_err()));
    service.options(store).save(Duration::from_secs(4));
    service.total(Duration::from_secs(9));
    quoted(&service.check().unwrap().to_string());
}

fn chain_of_three() -> (Service, Dep<()>) {
    let mut service = Service::new("collector");
    let store = service.component("store", (), async |_, ()| Ok(()));
    let aggregator = service.component("aggregator", store, async |_, ()| Ok(()));
    service.component("feed", aggregator, async |_, ()| Ok(()));
    (service, store)
}

/// The title and the file of each entry.
fn summary() -> Vec<(String, String)> {
    let entry = |line: &str| {
        let (title, file) = line.trim_start_matches("- ").strip_prefix('[')?.split_once("](")?;
        Some((title.to_owned(), file.strip_suffix(')')?.to_owned()))
    };
    let entries: Vec<_> = page("SUMMARY.md").lines().filter_map(entry).collect();
    assert!(!entries.is_empty(), "SUMMARY.md lists no page");
    entries
}

/// The lines outside of code blocks.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut in_code = false;
    text.lines().filter(move |line| {
        let fence = line.starts_with("```");
        in_code ^= fence;
        !in_code && !fence
    })
}

fn links(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| rest.split_once(')').map(|(link, _)| link))
}

/// How a heading is named in links to it.
fn anchor(heading: &str) -> String {
    let words = heading.trim_start_matches('#').trim().to_lowercase();
    words
        .chars()
        .filter(|c| c.is_alphanumeric() || "-_ ".contains(*c))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

fn page(file: &str) -> String {
    fs::read_to_string(folder().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("book/src")
}
