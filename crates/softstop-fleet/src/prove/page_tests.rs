use crate::prove::verdict::tests::{all, example};

/// To look at it: `cargo test -p softstop-fleet the_page_is_whole -- --nocapture`, from `<!doctype` to `</html>`.
#[test]
fn the_page_is_whole_and_fetches_nothing() {
    let page = example().to_html();

    print!("{page}");
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
    for outside in ["http://", "https://", "src=", "href=", "@import", "url("] {
        assert!(!page.contains(outside), "{outside}");
    }
    for part in
        ["Failures", "Rules", "Times from the first signal", "How long it takes", "Moment and outcome", "Timeline"]
    {
        assert!(page.contains(part), "{part}");
    }
    assert!(page.len() < 500_000, "{} bytes", page.len());
}

#[test]
fn failures_come_before_everything_else() {
    let page = example().to_html();

    let at = |text: &str| page.find(text).unwrap();
    assert!(at("<h2>Failures") < at("<h2>Warnings"));
    assert!(at("<h2>Warnings") < at("<h2>Rules"));
}

#[test]
fn every_element_is_closed_and_nothing_of_the_program_gets_out_of_its_place() {
    for verdict in all() {
        let page = verdict.to_html();

        assert!(!page.contains("<closed>"), "the log line of the example");
        for element in
            ["section", "article", "table", "tr", "td", "svg", "figure", "div", "p", "path", "select", "main"]
        {
            let opened = page.matches(&format!("<{element}>")).count() + page.matches(&format!("<{element} ")).count();
            assert_eq!(opened, page.matches(&format!("</{element}>")).count(), "{element}");
        }
        assert!(!page.contains("NaN") && !page.contains("inf%"));
    }
}

#[test]
fn a_page_about_nothing_tried_has_no_rules() {
    let [.., not_started, _] = &all()[..] else { panic!("five verdicts") };

    let page = not_started.to_html();

    assert!(page.contains("not tried") && !page.contains("<h2>Rules"), "{page}");
}
