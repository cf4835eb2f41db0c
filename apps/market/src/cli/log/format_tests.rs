use super::*;

fn line(format: &str) -> Result<String, String> {
    Ok(Format::read(format)?.line(&Record { time_ms: 1_795_265_467_083, level: Level::Warning, message: "50% gone" }))
}

#[test]
fn a_line_is_as_python_writes_it() {
    for (format, says) in [
        (super::super::FORMAT, "2026-11-21 12:51:07,083 - market - WARNING - 50% gone"),
        ("%(levelname)-8s|%(levelname)9s|%(levelname).4s|", "WARNING |  WARNING|WARN|"),
        ("[%(levelno)d] %(levelno)05d %(msecs)03d %(msecs)d", "[30] 00030 083 83"),
        ("%(created)f %(created).3f %(created)d", "1795265467.083000 1795265467.083 1795265467"),
        ("%(module)s.%(funcName)s:%(lineno)d %(filename)s", "market.market:0 market"),
        ("100%% %(processName)s/%(threadName)s", "100% MainProcess/MainThread"),
        ("no field", "no field"),
        ("", ""),
    ] {
        assert_eq!(line(format).as_deref(), Ok(says), "{format}");
    }
    assert_eq!(line("%(process)d"), Ok(std::process::id().to_string()));
}

#[test]
fn what_is_not_understood_says_what_may_stand_there() {
    for (format, says) in [
        ("%(message)", "after %(message) comes a letter"),
        ("%(message)-9", "after %(message) comes a letter"),
        ("%(message)99999999999999999999999s", "after %(message) comes a letter"),
        ("%(nonsense)s", "there is no field `nonsense`; there are asctime, "),
        ("%s", "`%` begins a field"),
        ("%(open", "`%` begins a field"),
        ("100%", "`%` begins a field"),
    ] {
        let error = line(format).unwrap_err();
        assert!(error.starts_with(says), "{format}: {error}");
    }
}

proptest::proptest! {
    #[test]
    fn no_format_makes_it_panic(format in "([%()sdf.0-9 é-]|message|%\\(){0,40}") {
        let _ = line(&format);
    }
}
