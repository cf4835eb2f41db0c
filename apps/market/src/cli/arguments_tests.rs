use super::*;

const MANUAL: &str = include_str!("../../README.md");
const TEXTS: [&str; 4] = [
    MANUAL,
    include_str!("../../../../README.md"),
    include_str!("../../../../docs/book/src/market.md"),
    include_str!("../../../../docs/book/src/market-from-original.md"),
];

/// The commands of `market` in the blocks for a shell.
fn commands() -> Vec<Vec<&'static str>> {
    let mut commands = Vec::new();
    for text in TEXTS {
        for block in text.split("```sh\n").skip(1).filter_map(|rest| rest.split_once("```")) {
            for line in block.0.lines().filter(|line| line.starts_with("market ")) {
                let ends = [" #", " |", " &"].iter().filter_map(|end| line.find(end));
                commands.push(line[..ends.min().unwrap_or(line.len())].split_whitespace().collect());
            }
        }
    }
    commands
}

#[test]
fn the_commands_in_the_manual_are_those_of_the_program() {
    let found = commands();

    assert!(found.len() >= 5, "{found:?}");
    for words in found {
        let parsed = command().try_get_matches_from(&words);
        assert!(parsed.is_ok(), "{words:?}: {}", parsed.unwrap_err());
    }
}

#[test]
fn every_option_of_collect_is_in_the_manual_and_every_one_there_exists() {
    let command = command();
    let collect = command.find_subcommand("collect").unwrap();
    let options: Vec<String> =
        collect.get_arguments().filter_map(|arg| Some(format!("--{}", arg.get_long()?))).collect();

    for option in options.iter().filter(|option| *option != "--exchange") {
        assert!(MANUAL.contains(&format!("`{option}")), "the manual lacks {option}");
    }
    let rows = MANUAL.lines().filter_map(|line| line.strip_prefix("| `--")).map(|row| row.split(['`', ' ']).next());
    for option in rows.map(|name| format!("--{}", name.unwrap())) {
        assert!(options.contains(&option), "the manual has {option}");
    }
}
