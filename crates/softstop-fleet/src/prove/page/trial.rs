//! One trial drawn along its time, with a table of what happened.

use std::{collections::BTreeSet, fmt::Write, time::Duration};

use super::{escape, from_signal, human, log, outcome_name, paste, plots::phase_class, put};
use crate::prove::{
    trial::Phase,
    verdict::{Timeline, Verdict},
};

/// Two marks nearer than this, in percent, are drawn in different lanes.
const NEAR: f64 = 7.0;
/// Lanes for marks; with more marks at one place they lie on each other.
const LANES: usize = 5;

/// The part of the width, in percent, that is given to the time before the signal: most of what is to be seen comes after it.
const BEFORE: f64 = 30.0;

/// Places along the time of a trial: one scale before the first act, another from there on.
struct Across {
    first: Duration,
    end: Duration,
}

impl Across {
    fn at(&self, time: Duration) -> f64 {
        let part = |time: Duration, of: Duration| time.as_secs_f64() / of.as_secs_f64().max(1e-9);
        if time < self.first {
            part(time, self.first) * BEFORE
        } else {
            BEFORE + part(time - self.first, self.end.saturating_sub(self.first)).min(1.0) * (100.0 - BEFORE)
        }
    }
}

/// Something that happened.
struct Event {
    at: Duration,
    what: String,
    sent: bool,
}

pub(super) fn timelines(html: &mut String, verdict: &Verdict) {
    if verdict.timelines.is_empty() {
        return;
    }
    html.push_str("<section id=\"timelines\">\n<h2>Timeline of a trial</h2>\n<p class=\"choose\"><label for=\"trial\">trial</label> ");
    html.push_str("<select id=\"trial\">\n");
    let shown: BTreeSet<usize> = verdict.problems.iter().map(|problem| problem.timeline).collect();
    for (heading, of_problem) in [("shows a problem", true), ("slowest of its kind", false)] {
        put!(html, "<optgroup label=\"{heading}\">\n");
        for (at, timeline) in verdict.timelines.iter().enumerate().filter(|(at, _)| shown.contains(at) == of_problem) {
            let (phase, outcome) = (timeline.phase.name(), outcome_name(timeline.outcome));
            put!(html, "<option value=\"{at}\">{outcome}, {phase}: {}</option>\n", escape(&timeline.line));
        }
        html.push_str("</optgroup>\n");
    }
    html.push_str("</select></p>\n");
    verdict.timelines.iter().for_each(|timeline| draw(html, verdict, timeline));
    html.push_str("</section>\n");
}

fn draw(html: &mut String, verdict: &Verdict, timeline: &Timeline) {
    let outcome = outcome_name(timeline.outcome);
    let events = events(timeline);
    let end = events.iter().map(|event| event.at).max().unwrap_or_default().max(Duration::from_micros(1));
    let first = timeline.sent.first().map_or(end, |sent| sent.at);
    let scale = Across { first, end };
    let across = |time: Duration| scale.at(time);
    let timed = if timeline.timed { "" } else { "; its times do not count, because it was traced or not alone" };
    put!(
        html,
        "<figure class=\"trial\">\n<p><span class=\"badge {outcome}\">{outcome}</span> <code>{}</code></p>\n\
         <p class=\"soft small\">{}, {}{timed}</p>\n",
        escape(&timeline.line),
        timeline.phase.name(),
        timeline.exit,
    );
    let lanes = lanes(&events.iter().map(|event| across(event.at)).collect::<Vec<_>>());
    let height = 64 + 22 * (lanes.iter().max().copied().unwrap_or_default() + 1);
    put!(
        html,
        "<div style=\"padding:0 10px\"><svg class=\"life\" height=\"{height}\" role=\"img\"><title>What happened when</title>"
    );
    for (from, to, class) in spans(timeline, end) {
        let width = (across(to) - across(from)).max(0.2);
        put!(html, "<rect class=\"{class}\" x=\"{:.2}%\" y=\"4\" width=\"{width:.2}%\" height=\"18\"/>", across(from));
    }
    put!(
        html,
        "<text x=\"0\" y=\"38\">{}</text><text x=\"{BEFORE}%\" y=\"38\" dx=\"6\">{} from the signal on</text>",
        human(first),
        human(end.saturating_sub(first)),
    );
    let marks = || events.iter().zip(&lanes).map(|(event, lane)| (event, across(event.at), 56 + 22 * lane));
    // All lines first, so that none runs through a number.
    for (event, at, middle) in marks() {
        let class = if event.sent { "mark sent" } else { "mark" };
        put!(html, "<g class=\"{class}\"><line x1=\"{at:.2}%\" x2=\"{at:.2}%\" y1=\"2\" y2=\"{middle}\"/></g>");
    }
    for (nth, (event, at, middle)) in marks().enumerate() {
        put!(
            html,
            "<g class=\"{}\"><title>{}, {}</title><circle cx=\"{at:.2}%\" cy=\"{middle}\" r=\"9\"/>\
             <text x=\"{at:.2}%\" y=\"{}\">{}</text></g>",
            if event.sent { "mark sent" } else { "mark" },
            escape(&event.what),
            human(event.at),
            middle + 4,
            nth + 1,
        );
    }
    html.push_str("</svg></div>\n");
    let signalled = timeline.sent.iter().find(|sent| sent.act.deed.signal().is_some()).map(|sent| sent.at);
    let signalled = signalled.unwrap_or_default();
    html.push_str(
        "<table class=\"events\">\n<tr><th></th><th class=\"left\">what</th><th>since start</th><th>since signal</th></tr>\n",
    );
    for (nth, event) in events.iter().enumerate() {
        let class = if event.sent { "number sent" } else { "number" };
        put!(
            html,
            "<tr><td><span class=\"{class}\">{}</span></td><td class=\"left\">{}</td><td>{}</td><td>{}</td></tr>\n",
            nth + 1,
            escape(&event.what),
            human(event.at),
            from_signal(event.at, signalled),
        );
    }
    html.push_str("</table>\n");
    for finding in &timeline.findings {
        put!(html, "<p>{}</p>\n", escape(finding));
    }
    log(html, &timeline.log, signalled);
    paste(html, &verdict.paste_of(&timeline.line));
    html.push_str("</figure>\n");
}

/// What happened, in order.
fn events(timeline: &Timeline) -> Vec<Event> {
    let (reached, ladder) = (&timeline.milestones, &timeline.ladder);
    let states = [
        (Some(Duration::ZERO), "started"),
        (reached.handler, "handler installed (L0)"),
        (reached.output, "first output"),
        (reached.listening, "listening"),
        (reached.ready, "ready"),
    ];
    let steps = [
        (ladder.delivered, "delivered by the kernel (L1)"),
        (ladder.acted, "first visible act (L2)"),
        (ladder.unserving, "no longer serving (L3)"),
        (ladder.exited, "gone (L4)"),
        (ladder.clean, "nothing left (L5)"),
    ];
    let seen = |(at, what): (Option<Duration>, &str)| Some(Event { at: at?, what: what.to_owned(), sent: false });
    let sent = timeline.sent.iter().map(|sent| Event { at: sent.at, what: sent.act.to_string(), sent: true });
    // In the order in which they come about where their times are equal.
    let mut events: Vec<Event> = states.into_iter().filter_map(seen).chain(sent).collect();
    events.extend(steps.into_iter().filter_map(seen));
    events.sort_by_key(|event| event.at);
    events
}

/// The life of the program in parts: before its handler, starting, ready, and from the first signal on stopping.
fn spans(timeline: &Timeline, end: Duration) -> Vec<(Duration, Duration, String)> {
    let first = timeline.sent.first().map_or(end, |sent| sent.at);
    let gone = timeline.ladder.exited.unwrap_or(end);
    let (handler, ready) = (timeline.milestones.handler, timeline.milestones.ready);
    let until = |time: Option<Duration>| time.unwrap_or(first).min(first);
    let ready = until(ready);
    let handler = until(handler).min(ready);
    let parts = [
        (Duration::ZERO, handler, phase_class(Phase::BeforeHandler)),
        (handler, ready, phase_class(Phase::Starting)),
        (ready, first, phase_class(Phase::Idle)),
        (first, gone, "stop".to_owned()),
    ];
    parts.into_iter().filter(|(from, to, _)| from < to).collect()
}

/// For each mark a lane in which it has room; they are in order.
fn lanes(places: &[f64]) -> Vec<usize> {
    let mut last = [f64::NEG_INFINITY; LANES];
    let mut lanes = Vec::new();
    for place in places {
        let free = last.iter().position(|before| place - before >= NEAR).unwrap_or(LANES - 1);
        last[free] = *place;
        lanes.push(free);
    }
    lanes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_after_the_signal_has_most_of_the_width() {
        let ms = Duration::from_millis;
        let scale = Across { first: ms(900), end: ms(1000) };

        assert_eq!(
            [ms(0), ms(450), ms(900), ms(950), ms(1000)].map(|time| scale.at(time)),
            [0.0, 15.0, 30.0, 65.0, 100.0]
        );
        let at_once = Across { first: Duration::ZERO, end: Duration::ZERO };
        assert_eq!(at_once.at(Duration::ZERO), 30.0);
    }

    #[test]
    fn marks_that_are_near_have_lanes_of_their_own() {
        assert_eq!(lanes(&[0.0, 1.0, 2.0, 50.0, 53.0]), [0, 1, 2, 0, 1]);
        assert_eq!(lanes(&[1.0; 7]), [0, 1, 2, 3, 4, 4, 4]);
    }
}
