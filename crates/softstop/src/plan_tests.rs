use proptest::{collection::vec, option, prelude::*};

use super::*;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A component that needs those with these indices.
fn node(name: &str, needs: &[usize]) -> Node {
    Node { name: name.to_owned(), needs: needs.iter().copied().map(Some).collect(), ..Node::default() }
}

fn after(name: &str, names: &[&str]) -> Node {
    Node { after: names.iter().map(|&name| name.to_owned()).collect(), ..node(name, &[]) }
}

/// `c0 <- c1 <- ...`: the last one stops first.
fn chain_of(count: usize) -> Vec<Node> {
    (0..count).map(|c| node(&format!("c{c}"), &c.checked_sub(1).map_or(vec![], |need| vec![need]))).collect()
}

fn stated(cancel: u64, save: u64, close: u64) -> Limits {
    Limits { cancel: Some(ms(cancel)), save: Some(ms(save)), close: Some(ms(close)), ..Limits::default() }
}

fn total(total: Duration) -> Budget {
    Budget { total, ..Budget::default() }
}

fn fails(nodes: &[Node], budget: &Budget) -> PlanError {
    plan(nodes, budget).expect_err("the plan should be refused")
}

fn is_about(found: f64, expected: f64) -> bool {
    (found - expected).abs() < 1e-6
}

#[test]
fn what_can_start_together_is_one_wave() {
    let nodes = [
        node("store", &[]),
        node("aggregator", &[0]),
        node("feed", &[1]),
        after("web", &["store"]),
        node("metrics", &[]),
    ];

    let plan = plan(&nodes, &Budget::default()).unwrap();

    assert_eq!(plan.order, [vec!["store", "metrics"], vec!["aggregator", "web"], vec!["feed"]]);
}

#[test]
fn a_handle_and_a_name_for_the_same_component_are_one_edge() {
    let feed = Node { after: vec!["store".to_owned()], ..node("feed", &[0, 0]) };

    let plan = plan(&[node("store", &[]), feed], &Budget::default()).unwrap();

    assert_eq!(plan.nodes[1].needs, [0]);
    assert_eq!(plan.nodes[0].dependents, [1]);
}

#[test]
fn a_cycle_is_drawn_from_a_name_back_to_it() {
    let nodes =
        [node("log", &[]), after("web", &["a"]), after("a", &["log", "c"]), after("b", &["a"]), after("c", &["b"])];

    let error = fails(&nodes, &Budget::default());

    // `web` needs one of the circle but is not in it, and `log` can start.
    assert_eq!(error, PlanError::Cycle { path: ["a", "c", "b", "a"].map(str::to_owned).to_vec() });
    assert_eq!(error.to_string(), "components wait for one another: a -> c -> b -> a");
}

#[test]
fn a_component_after_itself_is_the_shortest_cycle() {
    let error = fails(&[after("a", &["a"])], &Budget::default());

    assert_eq!(error, PlanError::Cycle { path: vec!["a".to_owned(), "a".to_owned()] });
}

#[test]
fn unknown_duplicate_and_foreign_are_found_and_named() {
    let foreign = Node { needs: vec![Some(0), None], ..node("web", &[]) };

    let unknown = fails(&[node("store", &[]), after("web", &["stor"])], &Budget::default());
    let duplicate = fails(&[node("store", &[]), node("store", &[0])], &Budget::default());
    let foreign = fails(&[node("store", &[]), foreign], &Budget::default());

    assert_eq!(unknown, PlanError::Unknown { name: "stor".to_owned(), by: "web".to_owned() });
    assert_eq!(duplicate, PlanError::Duplicate { name: "store".to_owned() });
    assert_eq!(foreign, PlanError::Foreign { by: "web".to_owned() });
}

#[test]
fn no_components_are_a_plan() {
    let plan = plan(&[], &Budget::default()).unwrap();

    assert!(plan.order.is_empty() && plan.chain.is_empty());
    assert_eq!(plan.slack, ms(24_800));
}

#[test]
fn the_reserve_is_cancel_abort_save_and_close() {
    let nodes = [Node { limits: stated(300, 500, 70), ..node("a", &[]) }, node("b", &[])];

    let plan = plan(&nodes, &Budget::default()).unwrap();

    assert_eq!(plan.nodes[0].reserve(), ms(300 + 100 + 500 + 70));
    assert_eq!(plan.nodes[1].reserve(), ms(1000 + 100 + 2000 + 1000));
}

#[test]
fn the_tail_is_the_heaviest_way_down_not_the_longest() {
    let light = stated(10, 10, 10);
    let nodes = [
        Node { limits: light, ..node("disk", &[]) },
        Node { limits: light, ..node("store", &[0]) },
        Node { limits: stated(1000, 7000, 1000), ..node("broker", &[]) },
        node("web", &[1, 2]),
    ];

    let plan = plan(&nodes, &Budget::default()).unwrap();

    let tails: Vec<Duration> = plan.nodes.iter().map(|node| node.tail).collect();
    assert_eq!(tails, [ms(0), ms(130), ms(0), ms(9100)]);
    assert_eq!(plan.chain, [("web".to_owned(), ms(4100)), ("broker".to_owned(), ms(9100))]);
    assert_eq!(plan.slack, ms(24_800 - 13_200));
}

#[test]
fn what_fits_is_not_shrunk() {
    let plan = plan(&chain_of(4), &Budget::default()).unwrap();

    assert!(is_about(plan.factor, 1.0));
    assert_eq!(plan.slack, ms(24_800 - 4 * 4100));
}

#[test]
fn the_heaviest_chain_shrinks_to_four_fifths_of_the_usable_total() {
    let plan = plan(&chain_of(8), &Budget::default()).unwrap();

    let sum: Duration = plan.chain.iter().map(|(_, reserve)| *reserve).sum();
    // 8 * (4 s * factor + 0.1 s) = 4/5 * 24.8 s
    assert!(is_about(plan.factor, (19.84 - 0.8) / 32.0), "{}", plan.factor);
    assert!(sum <= ms(19_840) && sum > ms(19_840) - Duration::from_micros(1), "{sum:?}");
}

#[test]
fn the_longest_unready_delay_is_taken_from_the_usable_total() {
    let mut nodes = chain_of(5);
    nodes[4].unready = ms(5000);
    nodes[0].unready = ms(700);

    let plan = plan(&nodes, &Budget::default()).unwrap();

    // 5 * (4 s * factor + 0.1 s) = 4/5 * (24.8 s - 5 s)
    assert!(is_about(plan.factor, (15.84 - 0.5) / 20.0), "{}", plan.factor);
}

#[test]
fn a_stated_drain_shrinks_the_reserves_until_it_fits_the_usable_total() {
    let mut nodes = chain_of(3);
    // The tail of `c1` is `c0` alone; `c2` stops before and does not count.
    nodes[1].limits.drain = Some(ms(20_000));

    let plan = plan(&nodes, &Budget::default()).unwrap();

    // 20 s + 2 * (4 s * factor + 0.1 s) = 24.8 s
    assert!(is_about(plan.factor, 4.6 / 8.0), "{}", plan.factor);
}

#[test]
fn stated_limits_are_not_shrunk() {
    let mut nodes = chain_of(2);
    nodes[0].limits.save = Some(ms(15_000));

    let plan = plan(&nodes, &Budget::default()).unwrap();

    // 15 s + 2 s + 4 s shrink to 4/5 * 24.8 s, less 0.2 s for the aborts
    let factor = (19.84 - 0.2 - 15.0) / 6.0;
    assert!(is_about(plan.factor, factor), "{}", plan.factor);
    assert_eq!(plan.nodes[0].save, Step { time: ms(15_000), stated: true });
    assert!(!plan.nodes[1].save.stated);
    assert!(is_about(plan.nodes[1].save.time.as_secs_f64(), 2.0 * factor));
}

#[test]
fn a_factor_below_a_tenth_is_an_error_that_draws_the_chain() {
    // One component at a tenth reserves 0.5 s, which is four fifths of 0.625 s.
    let fits = plan(&chain_of(1), &total(ms(825))).unwrap();
    let error = fails(&chain_of(2), &total(ms(825)));

    assert!(is_about(fits.factor, 0.1), "{}", fits.factor);
    let chain = vec![("c1".to_owned(), ms(500)), ("c0".to_owned(), ms(500))];
    let (sum, allowed) = (ms(1000), ms(500));
    assert_eq!(error, PlanError::Reserve { chain, drain: None, sum, allowed, total: ms(825) });
    assert_eq!(
        error.to_string(),
        "the reserves of c1 500ms + c0 500ms add up to 1s; with a total of 825ms they may take 500ms"
    );
}

#[test]
fn the_chain_of_the_error_is_the_heaviest_one() {
    let mut nodes = chain_of(4);
    for node in &mut nodes {
        node.limits = stated(1000, 20_000, 1000);
    }

    let PlanError::Reserve { chain, .. } = fails(&nodes, &Budget::default()) else { panic!("another error") };

    assert_eq!(chain.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["c3", "c2", "c1", "c0"]);
}

#[test]
fn a_stated_drain_that_cannot_fit_is_an_error_that_names_it() {
    let mut nodes = chain_of(2);
    nodes[1].limits.drain = Some(ms(24_000));

    let error = fails(&nodes, &Budget::default());

    let chain = vec![("c1".to_owned(), ms(500)), ("c0".to_owned(), ms(500))];
    let (drain, sum, allowed) = (Some(ms(24_000)), ms(25_000), ms(24_800));
    assert_eq!(error, PlanError::Reserve { chain, drain, sum, allowed, total: ms(25_000) });
}

#[test]
fn a_chain_key_is_divided_by_the_longest_chain_and_counts_as_stated() {
    let chain = Limits { drain: Some(ms(3000)), ..stated(9000, 4500, 1500) };
    let mut nodes = chain_of(3);
    nodes.push(node("lone", &[]));
    nodes[0].limits.save = Some(ms(100));

    let plan = plan(&nodes, &Budget { total: ms(60_000), chain }).unwrap();

    for node in &plan.nodes {
        let save = if node.name == "c0" { ms(100) } else { ms(1500) };
        assert_eq!(node.drain, Some(ms(1000)));
        assert_eq!(node.cancel, Step { time: ms(3000), stated: true });
        assert_eq!(node.save, Step { time: save, stated: true });
        assert_eq!(node.close, Step { time: ms(500), stated: true });
    }
}

#[test]
fn a_chain_key_is_not_shrunk_with_what_nobody_stated() {
    let budget = Budget { total: ms(5000), chain: Limits { save: Some(ms(2000)), ..Limits::default() } };

    let plan = plan(&chain_of(2), &budget).unwrap();

    // 2 * (1 s + 0.1 s + 2 s * factor) = 4/5 * 4.8 s
    assert_eq!(plan.nodes[0].save.time, ms(1000));
    assert!(is_about(plan.factor, 0.41), "{}", plan.factor);
}

#[test]
fn chain_keys_that_add_up_to_more_than_the_total_are_an_error() {
    let chain = stated(10_000, 5000, 5001);

    let error = fails(&chain_of(1), &Budget { total: ms(20_000), chain });
    let equal = plan(&chain_of(1), &Budget { total: ms(20_001), chain });

    let steps = vec![("cancel", ms(10_000)), ("save", ms(5000)), ("close", ms(5001))];
    assert_eq!(error, PlanError::Steps { steps, sum: ms(20_001), total: ms(20_000) });
    assert!(matches!(equal, Err(PlanError::Reserve { .. })), "four fifths still hold");
}

#[test]
fn the_limits_of_the_originals_fit_their_total() {
    let budget = Budget { total: ms(30_000), chain: stated(10_000, 5000, 5000) };

    assert!(plan(&chain_of(10), &budget).is_ok());
}

#[test]
fn a_total_out_of_range_is_an_error() {
    let unready = Node { unready: ms(1000), ..node("web", &[]) };

    for wrong in [ms(0), ms(200), Duration::MAX] {
        assert!(matches!(fails(&[], &total(wrong)), PlanError::Total { .. }), "{wrong:?}");
    }
    assert!(plan(&[], &total(ms(201))).is_ok());
    assert_eq!(fails(&[unready], &total(ms(1200))), PlanError::Total { total: ms(1200), least: ms(1201) });
}

#[test]
fn the_plan_prints_order_factor_slack_and_chain() {
    let plan = plan(&[node("store", &[]), node("feed", &[0])], &Budget::default()).unwrap();

    let text = "start order: store -> feed\n\
                total 25s, factor 1.00, slack 16.6s\n\
                heaviest chain: feed 4.1s + store 4.1s";
    assert_eq!(plan.to_string(), text);
}

fn duration() -> impl Strategy<Value = Duration> {
    prop_oneof![
        4 => (0..40_000u64).prop_map(ms),
        1 => Just(Duration::ZERO),
        1 => Just(Duration::MAX),
        1 => Just(Duration::MAX - Duration::from_nanos(1)),
        1 => any::<u64>().prop_map(Duration::from_nanos),
    ]
}

fn limits() -> impl Strategy<Value = Limits> {
    let step = || option::weighted(0.3, duration());
    (step(), step(), step(), step(), step()).prop_map(|(start, drain, cancel, save, close)| Limits {
        start,
        drain,
        cancel,
        save,
        close,
    })
}

/// Edges in any direction, so that many are cycles.
fn any_nodes() -> impl Strategy<Value = Vec<Node>> {
    let node = (vec(option::weighted(0.95, 0..8usize), 0..3), vec(0..9usize, 0..2), limits(), duration());
    vec(node, 0..8).prop_map(|all| {
        let count = all.len();
        let nodes = all.into_iter().enumerate().map(|(at, (needs, after, limits, unready))| Node {
            name: format!("c{at}"),
            needs: needs.into_iter().filter(|need| need.is_none_or(|need| need < count)).collect(),
            after: after.into_iter().map(|at| format!("c{at}")).collect(),
            limits,
            unready: if unready < ms(3000) { unready } else { Duration::ZERO },
            ..Node::default()
        });
        nodes.collect()
    })
}

/// Edges to lower indices only, limits that often fit.
fn good_nodes() -> impl Strategy<Value = Vec<Node>> {
    let small = || option::weighted(0.3, (0..3000u64).prop_map(ms));
    let limits = (small(), small(), small(), option::weighted(0.2, (0..20_000u64).prop_map(ms)))
        .prop_map(|(cancel, save, close, drain)| Limits { start: None, drain, cancel, save, close });
    let node = (vec(0..8usize, 0..3), limits, prop_oneof![3 => Just(ms(0)), 1 => (0..5000u64).prop_map(ms)]);
    vec(node, 1..9).prop_map(|all| {
        let nodes = all.into_iter().enumerate().map(|(at, (needs, limits, unready))| Node {
            name: format!("c{at}"),
            needs: needs.into_iter().filter(|need| *need < at).map(Some).collect(),
            limits,
            unready,
            ..Node::default()
        });
        nodes.collect()
    })
}

/// The weight of every way down from `c`, by walking all of them.
fn ways_down(plan: &[Planned], c: usize) -> Vec<Duration> {
    let below: Vec<Duration> = plan[c].needs.iter().flat_map(|n| ways_down(plan, *n)).collect();
    let rest = if below.is_empty() { vec![Duration::ZERO] } else { below };
    rest.into_iter().map(|rest| rest + plan[c].reserve()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_graph_and_no_duration_panics(nodes in any_nodes(), total in duration(), chain in limits()) {
        match plan(&nodes, &Budget { total, chain }) {
            Ok(plan) => prop_assert!(!plan.to_string().is_empty()),
            Err(PlanError::Cycle { path }) => {
                prop_assert_eq!(path.first(), path.last());
                prop_assert!(path.len() > 1);
                for edge in path.windows(2) {
                    let from = nodes.iter().find(|node| node.name == edge[0]).unwrap();
                    let needs = from.needs.iter().flatten().any(|&need| nodes[need].name == edge[1]);
                    prop_assert!(needs || from.after.contains(&edge[1]), "{} does not need {}", edge[0], edge[1]);
                }
            }
            Err(error) => prop_assert!(!error.to_string().is_empty() && !error.hint().is_empty()),
        }
    }

    #[test]
    fn an_accepted_plan_keeps_its_promises(nodes in good_nodes()) {
        let Ok(plan) = plan(&nodes, &Budget::default()) else { return Ok(()) };
        let usable = ms(24_800) - nodes.iter().map(|node| node.unready).max().unwrap();

        let wave = |name: &String| plan.order.iter().position(|wave| wave.contains(name)).unwrap();
        let mut heaviest = Duration::ZERO;
        let mut drains_fit = Duration::MAX;
        for (c, planned) in plan.nodes.iter().enumerate() {
            let weight = ways_down(&plan.nodes, c).into_iter().max().unwrap();
            prop_assert_eq!(weight, planned.reserve() + planned.tail);
            heaviest = heaviest.max(weight);
            let drain = planned.drain.unwrap_or_default();
            prop_assert!(drain + weight <= usable || planned.drain.is_none());
            drains_fit = drains_fit.min(planned.drain.map_or(Duration::MAX, |drain| usable - drain - weight));
            for need in &planned.needs {
                prop_assert!(wave(&planned.name) > wave(&plan.nodes[*need].name));
                prop_assert!(plan.nodes[*need].dependents.contains(&c));
            }
        }
        prop_assert!(heaviest * 5 <= usable * 4);
        prop_assert_eq!(plan.chain.iter().map(|(_, reserve)| *reserve).sum::<Duration>(), heaviest);
        prop_assert_eq!(plan.slack, usable - heaviest);

        // A larger factor would break a promise.
        let tight = heaviest * 5 + Duration::from_micros(1) > usable * 4 || drains_fit < Duration::from_micros(1);
        prop_assert!(plan.factor == 1.0 || tight, "factor {} could be larger", plan.factor);
    }
}
