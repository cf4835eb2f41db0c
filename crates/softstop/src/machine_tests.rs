use super::{simulation::Checked, *};
use crate::plan::{Budget, Limits, Node, plan};

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn node(name: &str, needs: &[usize]) -> Node {
    Node { name: name.to_owned(), needs: needs.iter().copied().map(Some).collect(), ..Node::default() }
}

fn limits(drain: u64, cancel: u64, save: u64, close: u64) -> Limits {
    let [drain, cancel, save, close] = [drain, cancel, save, close].map(|limit| Some(ms(limit)));
    Limits { start: None, drain, cancel, save, close }
}

fn sigterm() -> Event {
    Event::Stop(Reason::Signal(15))
}

fn failed(c: usize) -> Event {
    Event::Failed(c, Reason::Failed("test".into()))
}

/// A machine with the default total of 25 s and the time of its last event.
struct Rig {
    machine: Checked,
    now: Time,
}

impl Rig {
    fn new(nodes: &[Node]) -> Self {
        let plan = plan(nodes, &Budget::default()).unwrap();
        Self { machine: Checked::new(&plan.nodes, plan.total), now: ms(0) }
    }

    /// Everything started and ready at once.
    fn running(nodes: &[Node]) -> Self {
        let mut rig = Self::new(nodes);
        let mut starts = rig.at(0, Event::Begin);
        while let Some(action) = starts.pop() {
            let Action::Start(c) = action else { continue };
            starts.extend(rig.at(0, Event::Ready(c)));
        }
        assert_eq!(rig.machine.service_state(), ServiceState::Running);
        rig
    }

    fn at(&mut self, at: u64, event: Event) -> Vec<Action> {
        assert!(ms(at) >= self.now);
        self.now = ms(at);
        self.machine.handle(event, self.now)
    }

    /// Sends `Tick` when the machine wants it next, and checks that this is at `at`.
    fn tick(&mut self, at: u64) -> Vec<Action> {
        assert_eq!(self.machine.next_tick(), Some(ms(at)));
        self.at(at, Event::Tick)
    }

    /// Runs the steps of `c` to its end, all at one moment.
    fn finish(&mut self, at: u64, c: usize) -> Vec<Action> {
        self.at(at, Event::Drained(c));
        self.at(at, Event::Left(c, 0));
        self.at(at, Event::Saved(c));
        self.at(at, Event::Closed(c))
    }

    fn state(&self, c: usize) -> State {
        self.machine.state(c)
    }

    fn limit(&self, c: usize) -> Option<Time> {
        self.machine.limit(c)
    }
}

/// `store <- feed`, running; the limits are those of `feed`.
fn store_and_feed(limits: Limits) -> Rig {
    Rig::running(&[node("store", &[]), Node { limits, ..node("feed", &[0]) }])
}

mod order {
    use super::*;

    #[test]
    fn a_start_waits_for_all_it_needs() {
        let mut rig = Rig::new(&[node("a", &[]), node("b", &[]), node("c", &[0, 1])]);

        let begun = rig.at(0, Event::Begin);
        let one = rig.at(10, Event::Ready(1));
        let both = rig.at(20, Event::Ready(0));
        let all = rig.at(30, Event::Ready(2));

        assert_eq!(begun, [Action::Start(0), Action::Start(1)]);
        assert_eq!(one, []);
        assert_eq!(both, [Action::Start(2)]);
        assert_eq!(all, [Action::Running]);
    }

    #[test]
    fn a_component_is_asked_the_moment_its_last_dependent_has_gone() {
        let mut rig = Rig::running(&[node("store", &[]), node("feed", &[0]), node("web", &[0]), node("log", &[])]);

        let stop = rig.at(1000, sigterm());
        let first = rig.finish(1500, 2);
        let last = rig.finish(1800, 1);

        let reason = Reason::Signal(15);
        assert_eq!(stop, [Action::Stopping(reason), Action::Drain(3), Action::Drain(2), Action::Drain(1)]);
        assert_eq!(first, [Action::Stopped(2)]);
        assert_eq!(last, [Action::Stopped(1), Action::Drain(0)]);
        rig.finish(1800, 3);
        assert_eq!(rig.finish(1900, 0), [Action::Stopped(0), Action::Done]);
        assert_eq!(rig.machine.next_tick(), None);
    }

    #[test]
    fn the_steps_follow_at_once_when_the_work_is_done() {
        let mut rig = store_and_feed(Limits::default());
        rig.at(1000, sigterm());

        let steps = [Event::Drained(1), Event::Left(1, 0), Event::Saved(1), Event::Closed(1)].map(|e| rig.at(1000, e));

        let expected = [
            vec![Action::Cancel(1)],
            vec![Action::Save(1)],
            vec![Action::Close(1)],
            vec![Action::Stopped(1), Action::Drain(0)],
        ];
        assert_eq!(steps, expected);
    }

    #[test]
    fn a_service_of_nothing_runs_and_stops_at_once() {
        let mut rig = Rig::new(&[]);

        assert_eq!(rig.at(0, Event::Begin), [Action::Running]);
        assert_eq!(rig.at(1, sigterm()), [Action::Stopping(Reason::Signal(15)), Action::Done]);
    }

    #[test]
    fn the_first_reason_wins_and_a_second_stop_changes_nothing() {
        let mut rig = store_and_feed(Limits::default());
        rig.at(1000, sigterm());
        let next = rig.machine.next_tick();

        let again = rig.at(1100, Event::Stop(Reason::Requested("api".into())));

        assert_eq!(again, []);
        assert_eq!(rig.machine.next_tick(), next);
    }
}

/// The table of latest ends. The stop begins at 10 s, so the end is at 34.8 s, and each of the
/// two components has an unstated reserve of 4.1 s.
mod starting_until {
    use super::*;

    fn until(limits: [Option<u64>; 2]) -> Rig {
        let limit = |limit: Option<u64>| Limits { start: limit.map(ms), ..Limits::default() };
        let node = |name, at: usize| Node { limits: limit(limits[at]), ..node(name, &[]) };
        let mut rig = Rig::new(&[node("a", 0), node("b", 1)]);
        rig.at(100, Event::Begin);
        rig
    }

    #[test]
    fn it_is_the_latest_limit_of_all_that_start_now() {
        let mut rig = until([Some(5_000), Some(9_000)]);
        assert_eq!(rig.machine.starting_until(), Some(ms(9_100)));

        rig.at(200, Event::Ready(1));
        assert_eq!(rig.machine.starting_until(), Some(ms(5_100)));

        rig.at(300, Event::Ready(0));
        assert_eq!(rig.machine.starting_until(), None, "nothing starts any more");
    }

    #[test]
    fn one_start_without_a_limit_is_no_limit() {
        let mut rig = until([Some(5_000), None]);
        assert_eq!(rig.machine.starting_until(), None);

        rig.at(200, Event::Ready(1));
        assert_eq!(rig.machine.starting_until(), Some(ms(5_100)));
    }

    #[test]
    fn a_stop_ends_it() {
        let mut rig = until([Some(5_000), Some(9_000)]);

        rig.at(200, sigterm());

        assert_eq!(rig.machine.starting_until(), None);
    }
}

mod latest_ends {
    use super::*;

    /// The latest end of each step of `c`; the steps end at 11, 12, 13 and 14 s.
    fn ends(rig: &mut Rig, c: usize) -> [Option<Time>; 4] {
        let drain = rig.limit(c);
        rig.at(11_000, Event::Drained(c));
        let cancel = rig.limit(c);
        rig.at(12_000, Event::Left(c, 0));
        let save = rig.limit(c);
        rig.at(13_000, Event::Saved(c));
        let close = rig.limit(c);
        rig.at(14_000, Event::Closed(c));
        assert_eq!(rig.state(c), State::Stopped);
        [drain, cancel, save, close]
    }

    fn some(ends: [u64; 4]) -> [Option<Time>; 4] {
        ends.map(|end| Some(ms(end)))
    }

    #[test]
    fn what_nobody_stated_goes_on_into_the_slack() {
        let mut rig = store_and_feed(Limits::default());
        rig.at(10_000, sigterm());

        // end - reserve - tail; end - tail - close - save - 0.1 s; end - tail - close; start + close
        assert_eq!(ends(&mut rig, 1), some([26_600, 27_600, 29_700, 14_000]));
    }

    #[test]
    fn what_was_stated_is_a_limit() {
        let mut rig = store_and_feed(limits(3000, 1500, 2500, 1200));
        rig.at(10_000, sigterm());

        assert_eq!(ends(&mut rig, 1), some([13_000, 12_500, 14_500, 14_200]));
    }

    #[test]
    fn a_component_without_a_tail_may_go_on_until_the_end() {
        let mut rig = store_and_feed(Limits::default());
        rig.at(10_000, sigterm());
        rig.finish(10_500, 1);

        assert_eq!(ends(&mut rig, 0), some([30_700, 31_700, 33_800, 14_000]));
    }

    #[test]
    fn a_stated_drain_of_one_who_is_asked_late_leaves_the_reserve() {
        let store = Node { limits: Limits { drain: Some(ms(15_000)), ..Limits::default() }, ..node("store", &[]) };
        let mut rig = Rig::running(&[store, node("feed", &[0])]);
        rig.at(10_000, sigterm());
        rig.finish(20_000, 1);

        assert_eq!(rig.limit(0), Some(ms(30_700)));
    }

    #[test]
    fn an_unstated_drain_of_one_who_is_asked_last_moment_is_over_at_once() {
        let mut rig = store_and_feed(Limits::default());
        rig.at(10_000, sigterm());
        let cancelled = rig.tick(26_600);
        rig.at(26_700, Event::Left(1, 0));

        assert_eq!(cancelled, [Action::Cancel(1)]);
        assert_eq!(rig.tick(29_700), [Action::CutSave(1), Action::Close(1)]);
        assert_eq!(rig.tick(30_700), [Action::CutClose(1), Action::Stopped(1), Action::Drain(0)]);
        assert_eq!(rig.tick(30_700), [Action::Cancel(0)], "the reserve is whole, the slack is gone");
        assert_eq!(rig.limit(0), Some(ms(31_700)));
    }

    #[test]
    fn everything_that_overruns_ends_with_the_total_and_nothing_is_abandoned() {
        let mut rig = store_and_feed(Limits::default());
        rig.at(10_000, sigterm());
        for (c, cancel) in [(1, 26_600), (0, 30_700)] {
            assert_eq!(rig.tick(cancel), [Action::Cancel(c)]);
            assert_eq!(rig.tick(cancel + 1000), [Action::Abort(c)]);
            rig.at(cancel + 1000, Event::Left(c, 1));
            assert_eq!(rig.tick(cancel + 1100), [Action::Count(c)]);
            assert_eq!(rig.at(cancel + 1100, Event::Left(c, 1)), [Action::Stuck(c), Action::Save(c)]);
            assert_eq!(rig.tick(cancel + 3100), [Action::CutSave(c), Action::Close(c)]);
            let gone = rig.tick(cancel + 4100);
            assert_eq!(gone[..2], [Action::CutClose(c), Action::Stopped(c)]);
        }

        assert_eq!(rig.now, ms(34_800));
        assert!(rig.machine.done() && rig.machine.level() == Level::Graceful);
    }

    #[test]
    fn a_spent_drain_cancels_that_component_alone() {
        let slow = Node { limits: limits(2000, 1000, 2000, 1000), ..node("slow", &[]) };
        let mut rig = Rig::running(&[slow, node("other", &[])]);
        rig.at(10_000, sigterm());

        let spent = rig.tick(12_000);

        assert_eq!(spent, [Action::Cancel(0)]);
        assert_eq!(rig.state(1), State::Draining);
        assert_eq!(rig.machine.level(), Level::Graceful);
    }
}

mod hurry {
    use super::*;

    #[test]
    fn the_tasks_of_every_component_already_asked_are_cancelled_now() {
        let web = Node { unready: ms(5000), ..node("web", &[0]) };
        let mut rig = Rig::running(&[node("store", &[]), node("feed", &[0]), web]);
        rig.at(10_000, sigterm());

        let hurried = rig.at(10_500, Event::Hurry);

        assert_eq!(hurried, [Action::Level(Level::Hurry), Action::Cancel(1), Action::Cancel(2)]);
        assert_eq!(rig.state(0), State::Running, "order stays");
        assert_eq!(rig.limit(1), Some(ms(11_500)));
    }

    #[test]
    fn the_others_are_asked_in_their_order_with_cancel_as_their_grace() {
        let store = Node { unready: ms(3000), ..node("store", &[]) };
        let mut rig = Rig::running(&[store, node("feed", &[0])]);
        rig.at(10_000, sigterm());
        rig.at(10_100, Event::Hurry);

        let asked = rig.finish(15_000, 1);

        assert_eq!(asked, [Action::Stopped(1), Action::Cancel(0)], "no drain, no unready delay");
        assert_eq!(rig.limit(0), Some(ms(16_000)), "counted from its own asking");
    }

    #[test]
    fn an_unstated_cancel_counts_from_the_hurry_a_stated_one_from_its_beginning() {
        for (limits, end) in [(Limits::default(), 12_500), (limits(3000, 1200, 2500, 1200), 12_200)] {
            let mut rig = store_and_feed(limits);
            rig.at(10_000, sigterm());
            rig.at(11_000, Event::Drained(1));

            rig.at(11_500, Event::Hurry);

            assert_eq!(rig.tick(end), [Action::Abort(1)]);
        }
    }

    #[test]
    fn an_unstated_save_counts_from_the_hurry_a_stated_one_from_its_beginning() {
        for (limits, end) in [(Limits::default(), 14_500), (limits(3000, 1200, 2200, 1200), 14_200)] {
            let mut rig = store_and_feed(limits);
            rig.at(10_000, sigterm());
            rig.at(11_000, Event::Drained(1));
            rig.at(12_000, Event::Left(1, 0));

            rig.at(12_500, Event::Hurry);

            assert_eq!(rig.tick(end), [Action::CutSave(1), Action::Close(1)]);
        }
    }

    #[test]
    fn a_save_that_begins_after_the_hurry_has_its_whole_time() {
        let mut rig = store_and_feed(Limits::default());
        rig.at(10_000, sigterm());
        rig.at(10_500, Event::Hurry);

        rig.at(11_400, Event::Left(1, 0));

        assert_eq!(rig.limit(1), Some(ms(13_400)));
    }

    #[test]
    fn it_never_cuts_a_save_that_finishes_within_save_of_it() {
        // The save begins at 12 s and may go on until 29.7 s; the hurry comes at every moment of it.
        for hurry in (12_000..29_700).step_by(100) {
            let mut rig = store_and_feed(Limits::default());
            rig.at(10_000, sigterm());
            rig.at(11_000, Event::Drained(1));
            rig.at(12_000, Event::Left(1, 0));

            rig.at(hurry, Event::Hurry);

            let cut = rig.machine.next_tick().unwrap();
            assert!(cut == ms(29_700) || cut == ms(hurry + 2000), "hurried at {hurry}, cut at {cut:?}");
            assert!(cut >= ms(14_000).min(ms(hurry + 2000)));
        }
    }

    #[test]
    fn the_close_keeps_its_time() {
        let mut rig = store_and_feed(Limits::default());
        rig.at(10_000, sigterm());
        rig.at(10_000, Event::Drained(1));
        rig.at(10_000, Event::Left(1, 0));
        rig.at(10_000, Event::Saved(1));

        rig.at(10_900, Event::Hurry);

        assert_eq!(rig.limit(1), Some(ms(11_000)));
    }

    #[test]
    fn the_end_of_the_total_is_a_bound_under_hurry_too() {
        let mut rig = store_and_feed(Limits::default());
        rig.at(10_000, sigterm());
        rig.tick(26_600);

        rig.at(27_000, Event::Hurry);

        assert_eq!(rig.limit(1), Some(ms(27_600)));
    }

    #[test]
    fn before_a_stop_or_a_second_time_it_changes_nothing() {
        let mut rig = store_and_feed(Limits::default());

        let before = rig.at(9000, Event::Hurry);
        rig.at(10_000, sigterm());
        rig.at(11_000, Event::Hurry);
        let again = rig.at(11_900, Event::Hurry);

        assert_eq!((before, again), (vec![], vec![]));
        assert_eq!(rig.limit(1), Some(ms(12_000)));
    }
}

mod unready {
    use super::*;

    fn web(drain: Option<u64>) -> Node {
        let limits = Limits { drain: drain.map(ms), ..Limits::default() };
        Node { unready: ms(5000), limits, ..node("web", &[]) }
    }

    #[test]
    fn it_is_the_first_part_of_the_drain_while_the_others_stop() {
        let mut rig = Rig::running(&[web(None), node("other", &[])]);

        let stop = rig.at(10_000, sigterm());
        let early = rig.at(10_100, Event::Drained(0));
        let other = rig.finish(10_200, 1);
        let service = rig.machine.service_state();
        let over = rig.tick(15_000);

        assert_eq!(stop, [Action::Stopping(Reason::Signal(15)), Action::Drain(1), Action::Unready(0)]);
        assert_eq!(early, [], "idle tasks do not end the delay");
        assert_eq!(other, [Action::Stopped(1)]);
        assert_eq!(over, [Action::Drain(0)]);
        assert_eq!((service, rig.machine.service_state()), (ServiceState::Unready, ServiceState::Stopping));
        assert_eq!(rig.limit(0), Some(ms(30_700)), "the end of the drain is the same");
    }

    #[test]
    fn a_stated_drain_is_counted_from_the_asking() {
        let mut rig = Rig::running(&[web(Some(7000))]);

        rig.at(10_000, sigterm());

        assert_eq!(rig.tick(15_000), [Action::Drain(0)]);
        assert_eq!(rig.tick(17_000), [Action::Cancel(0)]);
    }

    #[test]
    fn it_is_over_with_a_shorter_drain() {
        let mut rig = Rig::running(&[web(Some(3000))]);

        rig.at(10_000, sigterm());

        assert_eq!(rig.tick(13_000), [Action::Cancel(0)]);
    }

    #[test]
    fn hurry_ends_it() {
        let mut rig = Rig::running(&[web(None)]);
        rig.at(10_000, sigterm());

        assert_eq!(rig.at(10_300, Event::Hurry), [Action::Level(Level::Hurry), Action::Cancel(0)]);
        assert_eq!(rig.machine.service_state(), ServiceState::Stopping);
    }

    #[test]
    fn the_service_is_unready_until_nobody_accepts_and_never_again() {
        // `web` is asked only after `feed`: between the two nothing new may be announced.
        let mut rig = Rig::running(&[web(None), node("feed", &[0])]);
        let mut states = Vec::new();

        rig.at(10_000, sigterm());
        states.push(rig.machine.service_state());
        rig.finish(11_000, 1);
        states.push(rig.machine.service_state());
        rig.tick(16_000);
        states.push(rig.machine.service_state());

        assert_eq!(states, [ServiceState::Unready, ServiceState::Unready, ServiceState::Stopping]);
    }
}

mod stragglers {
    use super::*;

    /// One component with a stated cancel of 1 s whose tasks were aborted at 11 s, the end at 34.8 s.
    fn aborted() -> Rig {
        let limits = Limits { cancel: Some(ms(1000)), ..Limits::default() };
        let mut rig = Rig::running(&[Node { limits, ..node("a", &[]) }]);
        rig.at(10_000, sigterm());
        rig.at(10_000, Event::Drained(0));
        assert_eq!(rig.tick(11_000), [Action::Abort(0)]);
        rig.at(11_000, Event::Left(0, 5));
        rig
    }

    #[test]
    fn what_has_not_gone_100_ms_after_the_abort_is_stuck() {
        let mut rig = aborted();

        assert_eq!(rig.tick(11_100), [Action::Count(0)]);
        assert_eq!(rig.at(11_100, Event::Left(0, 5)), [Action::Stuck(0), Action::Save(0)]);
    }

    #[test]
    fn what_goes_in_time_is_not_stuck() {
        let mut rig = aborted();

        assert_eq!(rig.at(11_099, Event::Left(0, 0)), [Action::Save(0)]);
    }

    #[test]
    fn the_100_ms_start_anew_while_tasks_keep_ending() {
        let mut rig = aborted();

        for (at, left) in [(11_090, 4), (11_150, 3), (11_240, 1)] {
            assert_eq!(rig.at(at, Event::Left(0, left)), []);
        }

        assert_eq!(rig.tick(11_340), [Action::Count(0)]);
        assert_eq!(rig.at(11_340, Event::Left(0, 1)), [Action::Stuck(0), Action::Save(0)]);
    }

    #[test]
    fn a_report_without_progress_does_not_start_them_anew() {
        let mut rig = aborted();

        assert_eq!(rig.at(11_090, Event::Left(0, 5)), []);

        assert_eq!(rig.tick(11_100), [Action::Count(0)]);
    }

    #[test]
    fn an_end_that_is_counted_only_at_the_last_moment_starts_them_anew() {
        let mut rig = aborted();
        rig.tick(11_100);

        assert_eq!(rig.at(11_100, Event::Left(0, 2)), []);

        assert_eq!(rig.tick(11_200), [Action::Count(0)]);
    }

    #[test]
    fn they_start_anew_only_within_the_slack() {
        let mut rig = Rig::running(&[node("a", &[])]);
        rig.at(10_000, sigterm());
        rig.tick(30_700);
        assert_eq!(rig.tick(31_700), [Action::Abort(0)]);
        rig.at(31_700, Event::Left(0, 5));

        rig.at(31_760, Event::Left(0, 4));

        // 34.8 s - 1 s - 2 s: the save begins here.
        assert_eq!(rig.tick(31_800), [Action::Count(0)]);
        assert_eq!(rig.at(31_800, Event::Left(0, 3)), [Action::Stuck(0), Action::Save(0)]);
        assert_eq!(rig.limit(0), Some(ms(33_800)), "the save has all of its 2 s");
    }

    #[test]
    fn a_task_that_is_not_polled_is_aborted_after_its_guarantee() {
        let mut rig = store_and_feed(Limits::default());
        rig.at(10_000, sigterm());
        rig.at(10_000, Event::Drained(1));

        let looked = rig.tick(11_000);
        rig.at(11_000, Event::NextIdle(1, Some(ms(15_000))));
        let again = rig.tick(15_000);
        rig.at(15_000, Event::NextIdle(1, None));

        assert_eq!(looked, [Action::AbortIdle(1, ms(5000))], "never before `cancel`");
        assert_eq!(again, [Action::AbortIdle(1, ms(5000))]);
        assert_eq!(rig.tick(27_600), [Action::Abort(1)], "a task that is polled may go on into the slack");
    }

    #[test]
    fn nobody_is_looked_at_for_idleness_under_a_limit() {
        let mut stated = store_and_feed(limits(3000, 1200, 2000, 1000));
        stated.at(10_000, sigterm());
        stated.at(10_000, Event::Drained(1));
        let mut hurried = store_and_feed(Limits::default());
        hurried.at(10_000, sigterm());
        hurried.at(10_000, Event::Drained(1));

        hurried.at(10_400, Event::Hurry);

        assert_eq!(stated.tick(11_200), [Action::Abort(1)]);
        assert_eq!(hurried.tick(11_400), [Action::Abort(1)]);
    }

    #[test]
    fn an_answer_about_idleness_that_comes_after_the_hurry_takes_nothing_from_the_grace() {
        let mut rig = store_and_feed(Limits::default());
        rig.at(10_000, sigterm());
        rig.at(10_000, Event::Drained(1));
        rig.tick(11_000);
        rig.at(11_000, Event::Hurry);

        rig.at(11_000, Event::NextIdle(1, Some(ms(11_200))));

        assert_eq!(rig.tick(12_000), [Action::Abort(1)]);
    }

    #[test]
    fn a_close_ends_with_its_own_time_although_there_is_slack() {
        let mut rig = store_and_feed(Limits::default());
        rig.at(10_000, sigterm());
        rig.at(10_000, Event::Drained(1));
        rig.at(10_000, Event::Left(1, 0));
        rig.at(10_500, Event::Saved(1));

        assert_eq!(rig.tick(11_500), [Action::CutClose(1), Action::Stopped(1), Action::Drain(0)]);
    }

    #[test]
    fn what_is_left_at_the_end_is_abandoned() {
        let mut rig = store_and_feed(Limits::default());
        rig.at(10_000, sigterm());

        // The clock of the runtime stood still until after the end.
        let late = rig.at(34_900, Event::Tick);

        assert_eq!(late[late.len() - 2..], [Action::Level(Level::Abandon), Action::Done]);
        assert_eq!(rig.machine.service_state(), ServiceState::Stopped);
        assert_eq!(rig.at(34_900, Event::Left(1, 0)), []);
        assert_eq!(rig.machine.next_tick(), None);
    }

    #[test]
    fn a_save_that_is_cut_at_the_end_still_has_its_closing_begun() {
        let limits = Limits { close: Some(ms(0)), ..Limits::default() };
        let mut rig = Rig::running(&[Node { limits, ..node("a", &[]) }]);
        rig.at(10_000, sigterm());
        rig.at(10_000, Event::Drained(0));
        rig.at(10_000, Event::Left(0, 0));

        let end = rig.tick(34_800);

        assert_eq!(end[..2], [Action::CutSave(0), Action::Close(0)]);
    }
}

mod failures {
    use super::*;

    fn pair(together: bool) -> Rig {
        Rig::running(&[Node { together, ..node("store", &[]) }, node("feed", &[0])])
    }

    #[test]
    fn a_failure_begins_the_stop_and_the_failed_component_waits_for_its_turn() {
        let mut rig = pair(false);

        let actions = rig.at(10_000, failed(0));

        assert_eq!(actions, [Action::Stopping(Reason::Failed("test".into())), Action::Drain(1)]);
        assert_eq!(rig.state(0), State::Running);
        assert_eq!(rig.finish(10_100, 1), [Action::Stopped(1), Action::Drain(0)]);
    }

    #[test]
    fn together_cancels_its_tasks_at_once() {
        let mut rig = pair(true);

        let actions = rig.at(10_000, failed(0));

        assert_eq!(actions[0], Action::Cancel(0));
        assert_eq!(actions[2], Action::Drain(1));
        assert_eq!(rig.state(0), State::Running, "it stops in its turn");
        assert_eq!(rig.finish(10_100, 1), [Action::Stopped(1), Action::Cancel(0)], "without a drain");
    }

    #[test]
    fn together_ends_a_drain_and_an_unready_delay() {
        for unready in [0, 5000] {
            let mut rig = Rig::running(&[Node { together: true, unready: ms(unready), ..node("a", &[]) }]);
            rig.at(10_000, sigterm());

            assert_eq!(rig.at(10_100, failed(0)), [Action::Cancel(0)]);
            assert_eq!(rig.at(10_200, failed(0)), []);
        }
    }

    #[test]
    fn a_failure_while_stopping_changes_neither_reason_nor_level() {
        let mut rig = pair(false);
        rig.at(10_000, sigterm());

        assert_eq!(rig.at(10_100, failed(1)), []);
        assert_eq!(rig.machine.level(), Level::Graceful);
    }
}

mod starts {
    use super::*;

    /// `a` is ready, `b` and `c` start side by side, `d` needs both.
    fn starting(limit: Option<u64>) -> Rig {
        let limits = Limits { start: limit.map(ms), ..Limits::default() };
        let nodes = [node("a", &[]), Node { limits, ..node("b", &[0]) }, node("c", &[0]), node("d", &[1, 2])];
        let mut rig = Rig::new(&nodes);
        rig.at(0, Event::Begin);
        rig.at(1000, Event::Ready(0));
        rig
    }

    #[test]
    fn a_failed_start_unwinds_what_had_started_under_a_fresh_budget() {
        let mut rig = starting(None);
        let reason = Reason::Panicked("b".into());

        let actions = rig.at(8000, Event::StartFailed(1, reason.clone()));

        // What the failed start had spawned drains; the other start is cancelled; the rest never starts.
        assert_eq!(actions, [Action::Stopping(reason), Action::Cancel(2), Action::Drain(1)]);
        assert_eq!(rig.state(3), State::Stopped);
        assert_eq!(rig.machine.end(), Some(ms(8000 + 24_800)));
        rig.finish(8100, 2);
        assert_eq!(rig.finish(8200, 1), [Action::Stopped(1), Action::Drain(0)]);
    }

    #[test]
    fn a_start_has_no_limit_unless_one_was_stated() {
        assert_eq!(starting(None).machine.next_tick(), None);
        assert_eq!(starting(Some(3000)).machine.next_tick(), Some(ms(4000)));
    }

    #[test]
    fn a_start_that_overruns_its_limit_is_dropped_and_stops_the_service() {
        let mut rig = starting(Some(3000));

        let actions = rig.tick(4000);

        let stopping = Action::Stopping(Reason::Deadline("b".into()));
        assert_eq!(actions, [Action::CutStart(1), stopping, Action::Cancel(2), Action::Drain(1)]);
    }

    #[test]
    fn a_stop_cancels_starts_and_gives_them_the_grace_of_their_tasks() {
        let mut rig = starting(None);

        let actions = rig.at(2000, sigterm());

        assert_eq!(actions, [Action::Stopping(Reason::Signal(15)), Action::Cancel(2), Action::Cancel(1)]);
        assert_eq!(rig.machine.service_state(), ServiceState::Stopping);
        // An unstated grace is a limit here: nobody waits for a start that is not wanted any more.
        assert_eq!(rig.tick(3000), [Action::Abort(1), Action::Abort(2)]);
        assert_eq!(rig.at(3000, Event::Left(1, 0)), [Action::Save(1)]);
    }

    #[test]
    fn a_start_that_ends_after_it_was_cancelled_says_nothing_new() {
        let mut rig = starting(None);
        rig.at(2000, sigterm());

        assert_eq!(rig.at(2100, Event::Ready(1)), []);
        assert_eq!(rig.at(2100, Event::StartFailed(2, Reason::Failed("c".into()))), []);
        assert_eq!(rig.state(1), State::Cancelling);
    }

    #[test]
    fn a_stop_before_the_beginning_starts_nothing() {
        let mut rig = Rig::new(&[node("a", &[])]);

        assert_eq!(rig.at(0, sigterm()), [Action::Stopping(Reason::Signal(15)), Action::Done]);
        assert_eq!(rig.at(0, Event::Begin), []);
    }

    #[test]
    fn a_nested_scope_without_time_for_promises_gives_each_step_a_part_of_what_is_left() {
        let left = ms(400);
        let mut machine = Machine::hurried_single(left + EXIT_RESERVE);
        machine.handle(Event::Begin, ms(0));
        machine.handle(Event::Ready(0), ms(0));
        machine.handle(sigterm(), ms(0));

        machine.handle(Event::Drained(0), ms(0));
        let cancel = machine.limit(0);
        machine.handle(Event::Left(0, 0), ms(10));
        let save = machine.limit(0);
        machine.handle(Event::Saved(0), ms(20));

        assert!(cancel > Some(ms(0)), "its tasks are polled once before they are dropped");
        assert!(save > Some(ms(10)), "its save has time");
        assert!(machine.limit(0) > Some(ms(20)), "its close has time");
        assert!(machine.limit(0) <= Some(left));
    }
}

mod signals {
    use super::{
        Meaning::{Abandon, Begin, Hurry, Nothing},
        Stop::{Int, Quit, Term},
        *,
    };

    /// A stop that something else began, and when the program hurried it.
    #[derive(Default)]
    struct Program {
        begun: Option<u64>,
        hurried: Option<u64>,
    }

    fn meanings(program: &Program, signals: &[(u64, Stop)]) -> Vec<Meaning> {
        let mut rules = Signals::default();
        let mut begun = None;
        let mean = |&(at, signal): &(u64, Stop)| {
            begun = begun.or(program.begun.filter(|begun| *begun <= at));
            let hurried = program.hurried.is_some_and(|hurried| hurried <= at);
            let meaning = rules.meaning(signal, ms(at), begun.map(ms), hurried);
            begun = begun.or((meaning == Begin).then_some(at));
            meaning
        };
        signals.iter().map(mean).collect()
    }

    fn alone(signals: &[(u64, Stop)]) -> Vec<Meaning> {
        meanings(&Program::default(), signals)
    }

    #[test]
    fn the_first_of_any_kind_begins_the_stop() {
        assert_eq!(alone(&[(0, Int)]), [Begin]);
        assert_eq!(alone(&[(0, Term)]), [Begin]);
    }

    #[test]
    fn three_quick_taps_do_not_abandon() {
        assert_eq!(alone(&[(0, Int), (300, Int), (600, Int)]), [Begin, Hurry, Nothing]);
    }

    #[test]
    fn a_tap_a_second_after_the_one_that_hurried_abandons() {
        assert_eq!(alone(&[(0, Int), (300, Int), (1299, Int)]), [Begin, Hurry, Nothing]);
        assert_eq!(alone(&[(0, Int), (300, Int), (1300, Int)]), [Begin, Hurry, Abandon]);
        assert_eq!(alone(&[(0, Int), (300, Int), (1400, Int)]), [Begin, Hurry, Abandon]);
    }

    #[test]
    fn it_needs_250_ms_of_silence_before_it() {
        let early = [(0, Int), (300, Int), (1200, Int), (1400, Int)];
        let silent = [(0, Int), (300, Int), (1150, Int), (1400, Int)];

        assert_eq!(alone(&early), [Begin, Hurry, Nothing, Nothing]);
        assert_eq!(alone(&silent), [Begin, Hurry, Nothing, Abandon]);
    }

    #[test]
    fn a_held_key_hurries_at_most_and_never_abandons() {
        for every in [30, 33, 100, 249] {
            let held: Vec<(u64, Stop)> = (0..1000).map(|n| (n * every, Int)).collect();

            let meanings = alone(&held);

            assert_eq!(meanings.iter().filter(|meaning| **meaning == Hurry).count(), 1);
            assert!(!meanings.contains(&Abandon), "every {every} ms");
        }
    }

    #[test]
    fn what_a_terminal_and_a_parent_both_deliver_is_one() {
        assert_eq!(alone(&[(0, Term), (5, Int)]), [Begin, Nothing]);
        assert_eq!(alone(&[(0, Int), (5, Term), (249, Int)]), [Begin, Nothing, Nothing]);
        assert_eq!(alone(&[(0, Int), (250, Int)]), [Begin, Hurry]);
    }

    #[test]
    fn a_failure_and_a_first_ctrl_c_just_after_it_are_one() {
        let failure = Program { begun: Some(0), hurried: None };

        assert_eq!(meanings(&failure, &[(50, Int)]), [Nothing]);
        assert_eq!(meanings(&failure, &[(50, Int), (260, Int)]), [Nothing, Hurry]);
        assert_eq!(meanings(&failure, &[(300, Int)]), [Hurry]);
    }

    #[test]
    fn a_later_sigterm_changes_nothing() {
        let signals = [(0, Term), (1000, Term), (2000, Int), (4000, Term), (4001, Int)];

        assert_eq!(alone(&signals), [Begin, Nothing, Hurry, Nothing, Abandon]);
    }

    #[test]
    fn where_the_program_hurried_the_first_ctrl_c_only_arms() {
        let hurried = Program { begun: Some(0), hurried: Some(500) };

        assert_eq!(meanings(&hurried, &[(2000, Int), (2900, Int)]), [Nothing, Nothing]);
        assert_eq!(meanings(&hurried, &[(2000, Int), (3000, Int)]), [Nothing, Abandon]);
        assert_eq!(meanings(&hurried, &[(2000, Term), (4000, Int)]), [Nothing, Nothing]);
    }

    #[test]
    fn a_ctrl_c_before_the_program_hurried_does_not_arm() {
        let hurried = Program { begun: None, hurried: Some(1000) };

        assert_eq!(meanings(&hurried, &[(0, Int), (3000, Int), (4000, Int)]), [Begin, Nothing, Abandon]);
    }

    #[test]
    fn a_program_that_hurries_after_a_person_did_takes_nothing_back() {
        let hurried = Program { begun: None, hurried: Some(1000) };

        assert_eq!(meanings(&hurried, &[(0, Int), (500, Int), (1600, Int)]), [Begin, Hurry, Abandon]);
    }

    #[test]
    fn sigquit_abandons_always() {
        assert_eq!(alone(&[(0, Quit)]), [Abandon]);
        assert_eq!(alone(&[(0, Int), (5, Quit)]), [Begin, Abandon]);
        assert_eq!(meanings(&Program { begun: Some(0), hurried: Some(0) }, &[(1, Quit)]), [Abandon]);
    }
}

/// Every ordered pair of events in every phase of a component.
mod pairs {
    use super::*;

    const SUBJECT: usize = 1;

    fn nodes(subject: Node) -> [Node; 3] {
        let subject = Node { name: "subject".to_owned(), needs: vec![Some(0)], ..subject };
        [node("below", &[]), subject, node("above", &[SUBJECT])]
    }

    #[derive(Clone)]
    enum Move {
        At(Event),
        /// A tick when the machine wants it.
        Deadline,
        /// A tick long after everything is over.
        TooLate,
    }

    /// One life of the subject; each beginning of it is a phase.
    fn life(hurried: bool) -> Vec<Move> {
        let of = |c| [Event::Drained(c), Event::Left(c, 0), Event::Saved(c), Event::Closed(c)];
        let mut life = vec![Event::Begin, Event::Ready(0), Event::Ready(SUBJECT), Event::Ready(2), sigterm()];
        life.extend(hurried.then_some(Event::Hurry));
        life.extend(of(2));
        let mut life: Vec<Move> = life.into_iter().map(Move::At).collect();
        life.extend([Move::At(Event::Drained(SUBJECT)), Move::Deadline, Move::Deadline]);
        life.extend([Event::Left(SUBJECT, 2), Event::Left(SUBJECT, 1)].map(Move::At));
        life.extend(of(SUBJECT).into_iter().chain(of(0)).map(Move::At));
        life
    }

    fn moves() -> Vec<Move> {
        let c = SUBJECT;
        let reason = || Reason::Failed("subject".into());
        let events = [
            sigterm(),
            Event::Hurry,
            failed(c),
            Event::Ready(c),
            Event::StartFailed(c, reason()),
            Event::Drained(c),
            Event::Left(c, 0),
            Event::Left(c, 1),
            Event::NextIdle(c, Some(ms(1))),
            Event::Saved(c),
            Event::Closed(c),
        ];
        let mut moves = vec![Move::Deadline, Move::TooLate];
        moves.extend(events.map(Move::At));
        moves
    }

    /// Whatever happened before, and whether its work ever ends, the service comes to its end.
    fn run_out(rig: &mut Rig, ends: bool) {
        let mut queue = vec![sigterm()];
        for _ in 0..200 {
            for action in queue.pop().map(|event| rig.machine.handle(event, rig.now)).unwrap_or_default() {
                queue.extend(match action {
                    Action::AbortIdle(c, _) => Some(Event::NextIdle(c, None)),
                    Action::Abort(c) | Action::Count(c) => Some(Event::Left(c, usize::from(!ends))),
                    Action::Drain(c) if ends => Some(Event::Drained(c)),
                    Action::Cancel(c) if ends => Some(Event::Left(c, 0)),
                    Action::Save(c) if ends => Some(Event::Saved(c)),
                    Action::Close(c) if ends => Some(Event::Closed(c)),
                    _ => None,
                });
            }
            if rig.machine.done() {
                return;
            }
            if queue.is_empty() {
                rig.now = rig.now.max(rig.machine.next_tick().expect("a stop waits for something"));
                queue.push(Event::Tick);
            }
        }
        panic!("the stop does not end");
    }

    fn try_all(subject: &Node) {
        let plan = plan(&nodes(subject.clone()), &Budget::default()).unwrap();
        let moves = moves();
        for hurried in [false, true] {
            let life = life(hurried);
            for phase in 0..=life.len() {
                for (first, second) in moves.iter().flat_map(|first| moves.iter().map(move |second| (first, second))) {
                    for ends in [false, true] {
                        let mut rig = Rig { machine: Checked::new(&plan.nodes, plan.total), now: ms(0) };
                        for step in life[..phase].iter().chain([first, second]) {
                            take(&mut rig, step);
                        }
                        let late = rig.now >= ms(3_600_000);
                        run_out(&mut rig, ends);
                        check(&rig, late);
                    }
                }
            }
        }
    }

    fn take(rig: &mut Rig, step: &Move) {
        let event = match step {
            Move::At(event) => {
                rig.now += ms(10);
                event.clone()
            }
            Move::Deadline => {
                rig.now = rig.machine.next_tick().unwrap_or(rig.now).max(rig.now);
                Event::Tick
            }
            Move::TooLate => {
                rig.now += ms(3_600_000);
                Event::Tick
            }
        };
        rig.machine.handle(event, rig.now);
    }

    fn check(rig: &Rig, late: bool) {
        let end = rig.machine.end().unwrap();
        assert!(late || rig.now <= end, "over the total");
        let abandoned = rig.machine.level() == Level::Abandon;
        for c in 0..3 {
            let started = rig.machine.count(&Action::Start(c));
            for action in [Action::Cancel(c), Action::Save(c), Action::Close(c), Action::Stopped(c)] {
                let times = rig.machine.count(&action);
                assert!(abandoned || times >= started, "{action:?} {times} times");
            }
        }
    }

    #[test]
    fn a_plain_component_survives_every_pair() {
        try_all(&Node::default());
    }

    #[test]
    fn a_component_with_limits_survives_every_pair() {
        try_all(&Node { limits: Limits { start: Some(ms(5)), ..limits(2000, 300, 400, 200) }, ..Node::default() });
    }

    #[test]
    fn a_component_that_is_told_together_survives_every_pair() {
        try_all(&Node { together: true, unready: ms(2000), ..Node::default() });
    }
}
