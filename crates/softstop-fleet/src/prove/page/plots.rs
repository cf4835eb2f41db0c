//! Exit times of each phase, and moments against outcomes.

use std::{fmt::Write, time::Duration};

use super::{escape, human, outcome_name, put};
use crate::prove::{
    stats::Bin,
    trial::Phase,
    verdict::{Dot, Verdict},
};

/// The height of the scatter, in pixels.
const HEIGHT: f64 = 280.0;
/// What is kept free above its scale for trials that were ended by force.
const FORCED: f64 = 11.0;

/// A logarithmic scale in percent.
pub(super) struct Scale {
    from: f64,
    to: f64,
}

impl Scale {
    /// Reaches over all these times.
    fn over(times: impl Iterator<Item = Duration>) -> Self {
        let logs = times.map(|time| time.as_secs_f64().max(1e-5).log10());
        let (from, to) = logs.fold((f64::INFINITY, f64::NEG_INFINITY), |(from, to), log| (from.min(log), to.max(log)));
        if from > to {
            return Self { from: -3.0, to: 0.0 };
        }
        // A little air, and never a single point.
        let air = ((to - from) * 0.03).max(0.1);
        Self { from: from - air, to: to + air }
    }

    fn at(&self, time: Duration) -> f64 {
        let log = time.as_secs_f64().max(1e-5).log10();
        ((log - self.from) / (self.to - self.from) * 100.0).clamp(0.0, 100.0)
    }

    /// Round times, as many as can be told apart: 1, 10, 100; with 2 and 5 between where the scale is short.
    fn ticks(&self) -> Vec<Duration> {
        let steps: &[f64] = match self.to - self.from {
            short if short < 1.2 => &[1.0, 2.0, 5.0],
            middle if middle < 2.2 => &[1.0, 3.0],
            _ => &[1.0],
        };
        let decades = self.from.floor() as i32..=self.to.ceil() as i32;
        let all = decades.flat_map(|decade| steps.iter().map(move |step| step * 10_f64.powi(decade)));
        let within = all.filter(|time| (self.from..=self.to).contains(&time.log10()));
        within.map(|time| Duration::from_nanos((time * 1e9).round() as u64)).collect()
    }
}

pub(super) fn phase_class(phase: Phase) -> String {
    format!("phase{}", Phase::ALL.iter().position(|known| *known == phase).unwrap_or_default())
}

/// How exit times are spread, phase under phase, on one scale.
pub(super) fn exit_times(html: &mut String, phases: &[(Phase, Vec<Bin>)]) {
    if phases.is_empty() {
        return;
    }
    let bins = || phases.iter().flat_map(|(_, bins)| bins);
    let scale = Scale::over(bins().flat_map(|bin| [bin.from, bin.to]));
    html.push_str("<section>\n<h2>How long it takes to be gone</h2>\n<figure>\n");
    for (phase, bins) in phases {
        let count: u64 = bins.iter().map(|bin| bin.count).sum();
        let most = bins.iter().map(|bin| bin.count).max().unwrap_or(1).max(1);
        put!(
            html,
            "<div class=\"row\"><div><b>{}</b>{count} trials</div><svg class=\"bars\" height=\"58\" role=\"img\">",
            phase.name()
        );
        put!(html, "<title>Exit times, {}</title>", phase.name());
        grid(html, &scale);
        for bin in bins.iter().filter(|bin| bin.count > 0) {
            let (left, right) = (scale.at(bin.from), scale.at(bin.to));
            // What is rare is what matters: it is never thinner than can be seen.
            let height = (bin.count as f64 / most as f64 * 100.0).max(4.0);
            put!(
                html,
                "<rect class=\"{}\" x=\"{left:.2}%\" y=\"{:.1}%\" width=\"{:.2}%\" height=\"{height:.1}%\"><title>{} of {count}: {} to {}\
                 </title></rect>",
                phase_class(*phase),
                100.0 - height,
                (right - left - 0.15).max(0.3),
                bin.count,
                human(bin.from),
                human(bin.to),
            );
        }
        html.push_str("</svg></div>\n");
    }
    html.push_str("<div class=\"row\"><div></div><svg height=\"20\" aria-hidden=\"true\">");
    for tick in scale.ticks() {
        put!(html, "<text x=\"{:.2}%\" y=\"15\" text-anchor=\"middle\">{}</text>", scale.at(tick), human(tick));
    }
    html.push_str("</svg></div>\n</figure>\n<p class=\"soft small\">From the first signal to the end of the program, on a logarithmic scale; ");
    html.push_str("each phase is as high as its fullest bar.</p>\n</section>\n");
}

fn grid(html: &mut String, scale: &Scale) {
    for tick in scale.ticks() {
        let at = scale.at(tick);
        put!(html, "<line class=\"grid\" x1=\"{at:.2}%\" x2=\"{at:.2}%\" y1=\"0\" y2=\"100%\"/>");
    }
    put!(html, "<line class=\"grid\" x1=\"0\" x2=\"100%\" y1=\"100%\" y2=\"100%\"/>");
}

/// Each trial by the moment of its signal and the time to its end.
pub(super) fn scatter(html: &mut String, verdict: &Verdict) {
    let dots = &verdict.dots;
    if dots.is_empty() {
        return;
    }
    let up = Scale::over(dots.iter().filter_map(|dot| dot.exit));
    let last = dots.iter().map(|dot| dot.at).max().unwrap_or_default().max(Duration::from_micros(1));
    let forced = dots.iter().any(|dot| dot.exit.is_none());
    let room = if forced { 100.0 - FORCED } else { 100.0 };
    let down = |time: Duration| 100.0 - up.at(time) / 100.0 * room;

    html.push_str("<section>\n<h2>Moment and outcome</h2>\n<figure>\n<div class=\"legend\">");
    for (outcome, word) in [("pass", "passed"), ("warning", "warning"), ("failure", "failed")] {
        let count = dots.iter().filter(|dot| outcome_name(dot.outcome) == outcome).count();
        put!(
            html,
            "<span><svg viewBox=\"-7 -7 14 14\" aria-hidden=\"true\">{}</svg>{word}: {count}</span>",
            shape(outcome, "")
        );
    }
    put!(html, "</div>\n<div class=\"plot\"><svg height=\"{HEIGHT}\" aria-hidden=\"true\">");
    for tick in up.ticks() {
        put!(html, "<text x=\"100%\" y=\"{:.2}%\" dy=\"4\" text-anchor=\"end\">{}</text>", down(tick), human(tick));
    }
    if forced {
        put!(
            html,
            "<text class=\"forced\" x=\"100%\" y=\"{:.1}%\" dy=\"4\" text-anchor=\"end\">never</text>",
            FORCED / 2.0
        );
    }
    put!(
        html,
        "</svg><svg height=\"{HEIGHT}\" role=\"img\"><title>Moment of the signal against time to the end</title>"
    );
    for tick in up.ticks() {
        put!(html, "<line class=\"grid\" x1=\"0\" x2=\"100%\" y1=\"{0:.2}%\" y2=\"{0:.2}%\"/>", down(tick));
    }
    put!(html, "<line class=\"grid\" x1=\"0\" x2=\"100%\" y1=\"100%\" y2=\"100%\"/>");
    // What failed lies on top.
    let mut order: Vec<&Dot> = dots.iter().collect();
    order.sort_by_key(|dot| dot.outcome);
    for dot in order {
        let across = dot.at.as_secs_f64() / last.as_secs_f64() * 100.0;
        let high = dot.exit.map_or(FORCED / 2.0, down);
        let outcome = outcome_name(dot.outcome);
        let took = dot.exit.map_or("ended by force".to_owned(), |exit| format!("gone after {}", human(exit)));
        let title = format!("{outcome}, {}, {took}\n{}", dot.phase.name(), dot.line);
        put!(
            html,
            "<svg x=\"{across:.2}%\" y=\"{high:.2}%\" width=\"1\" height=\"1\">{}</svg>",
            shape(outcome, &title)
        );
    }
    html.push_str("</svg></div>\n<div class=\"plot\"><div></div><svg height=\"20\" aria-hidden=\"true\">");
    for tick in even_ticks(last) {
        let at = tick.as_secs_f64() / last.as_secs_f64() * 100.0;
        put!(html, "<text x=\"{at:.2}%\" y=\"15\" text-anchor=\"middle\">{}</text>", human(tick));
    }
    // The script puts the line of the chosen mark in the place of the first `%`.
    let command = escape(&verdict.paste_of("%"));
    put!(html, "</svg></div>\n<div id=\"picked\" data-command=\"{command}\" hidden><p class=\"small\"></p>");
    super::paste(html, "");
    html.push_str(
        "</div>\n</figure>\n<p class=\"soft small\">Across: when the signal came, from the start of the program. Up: how long it then took to be \
         gone. Choose a mark for its replay line.</p>\n</section>\n",
    );
}

/// A mark that is told by its form as well as by its colour.
fn shape(outcome: &str, title: &str) -> String {
    let path = match outcome {
        "failure" => "M-4.5-4.5 4.5 4.5M-4.5 4.5 4.5-4.5",
        "warning" => "M0-5 5 4H-5Z",
        _ => "M-3.2 0a3.2 3.2 0 1 0 6.4 0a3.2 3.2 0 1 0-6.4 0",
    };
    let title = if title.is_empty() { String::new() } else { format!("<title>{}</title>", escape(title)) };
    format!("<path class=\"dot {outcome}\" d=\"{path}\">{title}</path>")
}

/// Four or five round times from 0 on.
fn even_ticks(last: Duration) -> Vec<Duration> {
    let rough = last.as_secs_f64() / 4.0;
    let decade = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|step| step * decade).find(|step| *step >= rough * 0.999);
    let step = step.unwrap_or(rough);
    (0..6)
        .filter_map(|at| Duration::try_from_secs_f64(step * f64::from(at)).ok())
        .filter(|tick| *tick <= last)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn scales_hold_what_they_were_made_for() {
        let scale = Scale::over([ms(2), ms(900)].into_iter());

        assert!(scale.at(ms(2)) > 0.0 && scale.at(ms(900)) < 100.0);
        assert_eq!(scale.ticks(), [ms(10), ms(100), ms(1000)], "with a little air");
        assert_eq!(Scale::over([ms(20), ms(40)].into_iter()).ticks(), [ms(20), ms(50)]);
        assert!(Scale::over(std::iter::empty()).at(ms(1)).is_finite());
        assert!(Scale::over([Duration::ZERO].into_iter()).at(ms(1)).is_finite());
    }

    #[test]
    fn even_ticks_are_few_and_round() {
        assert_eq!(even_ticks(ms(430)), [ms(0), ms(200), ms(400)]);
        assert_eq!(even_ticks(ms(4000)), [ms(0), ms(1000), ms(2000), ms(3000), ms(4000)]);
    }
}
