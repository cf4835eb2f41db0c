//! The graph and its budgets, decided before anything starts. Pure: imports std only.
//!
//! Edges come from [`Dep`](crate::Dep) handles and from `after(name)`. From them and from the
//! stated limits follow the order, what each component may use of the total, and the factor by
//! which limits that nobody stated shrink so that everything fits.

use std::{collections::BTreeMap, fmt, time::Duration};

/// What is kept of the total for the report and the emergency hooks.
pub(crate) const EXIT_RESERVE: Duration = Duration::from_millis(200);
/// How long an aborted task may need until its future is dropped; later it is stuck.
pub(crate) const ABORT_GRACE: Duration = Duration::from_millis(100);
/// The total when nobody states one: under the 30 s that orchestrators give.
pub(crate) const DEFAULT_TOTAL: Duration = Duration::from_secs(25);
const DEFAULT_CANCEL: Duration = Duration::from_secs(1);
const DEFAULT_SAVE: Duration = Duration::from_secs(2);
const DEFAULT_CLOSE: Duration = Duration::from_secs(1);
const LONGEST_TOTAL: Duration = Duration::from_secs(366 * 24 * 3600);
const SMALLEST_FACTOR: f64 = 0.1;

/// How long each step of one component may take. A step that is `Some` is a limit; one that is
/// `None` is a guarantee: it may go on for as long as nobody else's reserve is touched.
///
/// All are wall-clock durations. Unstated, `cancel` is 1 s, `save` 2 s and `close` 1 s, shrunk by
/// one factor for the whole service where the total is short; `drain` may last as long as the
/// slack; a start has no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// From the beginning of the start until it must be ready; an overrun is a failed start.
    pub start: Option<Duration>,
    /// To finish what is held, counted from the moment the component is asked to stop.
    pub drain: Option<Duration>,
    /// To return after being cancelled; what has not returned then is aborted.
    pub cancel: Option<Duration>,
    /// For `on_stop`.
    pub save: Option<Duration>,
    /// For closing all its resources. With zero, closing acts may be cut before they begin.
    pub close: Option<Duration>,
}

/// Budgets of the whole service, as stated by the program or its configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Budget {
    pub(crate) total: Duration,
    /// Limits for one step over the whole longest chain; `start` is not used.
    pub(crate) chain: Limits,
}

impl Default for Budget {
    fn default() -> Self {
        Self { total: DEFAULT_TOTAL, chain: Limits::default() }
    }
}

/// One component as the plan sees it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Node {
    pub(crate) name: String,
    /// Indices of what it needs; `None` stands for a handle of another service.
    pub(crate) needs: Vec<Option<usize>>,
    /// Names of what it must also start after.
    pub(crate) after: Vec<String>,
    pub(crate) limits: Limits,
    /// How long it goes on accepting from outside after the stop was announced.
    pub(crate) unready: Duration,
    pub(crate) main_job: bool,
    pub(crate) together: bool,
}

/// One step's time, and whether somebody stated it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) time: Duration,
    pub(crate) stated: bool,
}

/// A component with everything decided.
#[derive(Debug, Clone)]
pub(crate) struct Planned {
    pub(crate) name: String,
    pub(crate) needs: Vec<usize>,
    pub(crate) dependents: Vec<usize>,
    pub(crate) start: Option<Duration>,
    pub(crate) drain: Option<Duration>,
    pub(crate) cancel: Step,
    pub(crate) save: Step,
    pub(crate) close: Step,
    pub(crate) unready: Duration,
    pub(crate) tail: Duration,
    pub(crate) main_job: bool,
    pub(crate) together: bool,
}

impl Planned {
    /// The part of the total that nobody else may use up.
    pub(crate) fn reserve(&self) -> Duration {
        self.cancel.time.saturating_add(ABORT_GRACE).saturating_add(self.save.time).saturating_add(self.close.time)
    }
}

/// What `check()` found: the order, and how the total is divided.
///
/// Its `Display` is a short text for a person.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Plan {
    /// Waves of component names in starting order; those of one wave start side by side once what
    /// they need is ready. Stopping goes the other way. Never contains an empty wave.
    pub order: Vec<Vec<String>>,
    /// The total a stop may take.
    pub total: Duration,
    /// By how much limits that nobody stated were shrunk; 1 is not at all.
    pub factor: f64,
    /// The components of the heaviest chain, first to stop first, each with its reserve.
    pub chain: Vec<(String, Duration)>,
    /// What is left of the total beside that chain: drains may use it.
    pub slack: Duration,
    pub(crate) nodes: Vec<Planned>,
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waves: Vec<String> = self.order.iter().map(|wave| wave.join(", ")).collect();
        writeln!(f, "start order: {}", waves.join(" -> "))?;
        // Shrinking leaves nanoseconds that nobody wants to read.
        let slack = Duration::from_micros(u64::try_from(self.slack.as_micros()).unwrap_or(u64::MAX));
        write!(f, "total {:?}, factor {:.2}, slack {slack:?}", self.total, self.factor)?;
        if !self.chain.is_empty() {
            write!(f, "\nheaviest chain: {}", draw(&self.chain))?;
        }
        Ok(())
    }
}

fn draw(chain: &[(String, Duration)]) -> String {
    chain.iter().map(|(name, reserve)| format!("{name} {reserve:?}")).collect::<Vec<_>>().join(" + ")
}

/// Why a graph cannot be run. Found before anything starts; the exit status is 78.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PlanError {
    /// Components wait for one another for ever.
    Cycle {
        /// The way round; its first and last names are the same.
        path: Vec<String>,
    },
    /// `after` names a component that does not exist.
    Unknown {
        /// The name nobody has.
        name: String,
        /// The component that asked for it.
        by: String,
    },
    /// Two components have the same name, so reports could not tell them apart.
    Duplicate {
        /// The name used twice.
        name: String,
    },
    /// A component needs a `Dep` that another service handed out.
    Foreign {
        /// The component that asked for it.
        by: String,
    },
    /// The time that is promised to the components of one chain does not fit the total.
    Reserve {
        /// The chain, first to stop first, each with its smallest possible reserve.
        chain: Vec<(String, Duration)>,
        /// A stated drain of the first of them, if that is what does not fit.
        drain: Option<Duration>,
        /// What they add up to.
        sum: Duration,
        /// What they may add up to.
        allowed: Duration,
        /// The total.
        total: Duration,
    },
    /// What was stated for the steps of the whole service adds up to more than the total.
    Steps {
        /// Each step that was stated, with its time, in the order of a stop.
        steps: Vec<(&'static str, Duration)>,
        /// What they add up to.
        sum: Duration,
        /// The total.
        total: Duration,
    },
    /// The total itself is out of range.
    Total {
        /// The total as stated.
        total: Duration,
        /// The smallest value allowed here.
        least: Duration,
    },
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cycle { path } => write!(f, "components wait for one another: {}", path.join(" -> ")),
            Self::Unknown { name, by } => {
                write!(f, "component `{by}` starts after `{name}`, which does not exist: {by} -> {name}?")
            }
            Self::Duplicate { name } => write!(f, "two components are named `{name}`"),
            Self::Foreign { by } => write!(f, "component `{by}` needs a `Dep` of another service"),
            Self::Reserve { chain, drain, sum, allowed, total } => {
                write!(f, "the reserves of {}", draw(chain))?;
                if let (Some(drain), Some((name, _))) = (drain, chain.first()) {
                    write!(f, " and the drain {drain:?} of `{name}`")?;
                }
                write!(f, " add up to {sum:?}; with a total of {total:?} they may take {allowed:?}")
            }
            Self::Steps { steps, sum, total } => {
                let steps: Vec<String> = steps.iter().map(|(step, time)| format!("{step} {time:?}")).collect();
                write!(f, "the steps {} add up to {sum:?}, more than the total of {total:?}", steps.join(" + "))
            }
            Self::Total { total, least } => {
                write!(f, "the total {total:?} is not between {least:?} and {LONGEST_TOTAL:?}")
            }
        }
    }
}

impl PlanError {
    /// One sentence for the person at the terminal: what to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Cycle { .. } => "take one of these edges away",
            Self::Unknown { .. } => "correct the name, or add that component",
            Self::Duplicate { .. } => "give each component its own name",
            Self::Foreign { .. } => "use the `Dep` that this service's `component` returned",
            Self::Reserve { .. } => "raise the total, or state shorter limits for these components",
            Self::Steps { .. } => "raise the total (force_exit_timeout), or shorten these steps",
            Self::Total { .. } => "state a total in that range; 25 s suits most orchestrators",
        }
    }
}

impl std::error::Error for PlanError {}

/// Decides order and budgets.
pub(crate) fn plan(nodes: &[Node], budget: &Budget) -> Result<Plan, PlanError> {
    let needs = edges(nodes)?;
    let order = waves(nodes, &needs)?;
    let longest = u32::try_from(order.len().max(1)).unwrap_or(u32::MAX);
    let unready = nodes.iter().map(|n| n.unready).max().unwrap_or_default();
    let least = (EXIT_RESERVE + Duration::from_millis(1)).saturating_add(unready);
    if budget.total < least || budget.total > LONGEST_TOTAL {
        return Err(PlanError::Total { total: budget.total, least });
    }
    let keys = &budget.chain;
    let keys = [("drain", keys.drain), ("cancel", keys.cancel), ("save", keys.save), ("close", keys.close)];
    let steps: Vec<(&'static str, Duration)> =
        keys.into_iter().filter_map(|(step, time)| Some((step, time?))).collect();
    let sum = steps.iter().fold(Duration::ZERO, |sum, (_, time)| sum.saturating_add(*time));
    if sum > budget.total {
        return Err(PlanError::Steps { steps, sum, total: budget.total });
    }
    let usable = budget.total - EXIT_RESERVE - unready;

    let resolved = |factor: f64| resolve(nodes, &needs, &order, &budget.chain, longest, factor);
    let factor = largest_factor(usable, &resolved).map_err(|misfit| {
        let planned = resolved(SMALLEST_FACTOR);
        PlanError::Reserve {
            chain: heaviest(&planned, Some(misfit.at)),
            drain: misfit.drain,
            sum: misfit.sum,
            allowed: misfit.allowed,
            total: budget.total,
        }
    })?;

    let planned = resolved(factor);
    let chain = heaviest(&planned, None);
    let sum = chain.iter().fold(Duration::ZERO, |sum, (_, d)| sum.saturating_add(*d));
    Ok(Plan {
        order: order.iter().map(|wave| wave.iter().map(|&c| nodes[c].name.clone()).collect()).collect(),
        total: budget.total,
        factor,
        chain,
        slack: usable.saturating_sub(sum),
        nodes: planned,
    })
}

fn edges(nodes: &[Node]) -> Result<Vec<Vec<usize>>, PlanError> {
    let mut by_name = BTreeMap::new();
    for (at, node) in nodes.iter().enumerate() {
        if by_name.insert(node.name.as_str(), at).is_some() {
            return Err(PlanError::Duplicate { name: node.name.clone() });
        }
    }
    let mut all = Vec::with_capacity(nodes.len());
    for node in nodes {
        let mut needs = Vec::new();
        for need in &node.needs {
            needs.push(need.ok_or_else(|| PlanError::Foreign { by: node.name.clone() })?);
        }
        for name in &node.after {
            let at = by_name.get(name.as_str());
            needs.push(*at.ok_or_else(|| PlanError::Unknown { name: name.clone(), by: node.name.clone() })?);
        }
        needs.sort_unstable();
        needs.dedup();
        all.push(needs);
    }
    Ok(all)
}

/// Groups the components by the length of their longest way down; an error draws a cycle.
fn waves(nodes: &[Node], needs: &[Vec<usize>]) -> Result<Vec<Vec<usize>>, PlanError> {
    let mut depth: Vec<Option<usize>> = vec![None; nodes.len()];
    let mut left: Vec<usize> = (0..nodes.len()).collect();
    let mut order = Vec::new();
    while !left.is_empty() {
        let ready = |c: &usize| needs[*c].iter().all(|n| depth[*n].is_some());
        let (wave, rest): (Vec<usize>, Vec<usize>) = left.iter().partition(|c| ready(c));
        if wave.is_empty() {
            return Err(PlanError::Cycle { path: cycle(nodes, needs, &rest) });
        }
        for &c in &wave {
            depth[c] = Some(order.len());
        }
        order.push(wave);
        left = rest;
    }
    Ok(order)
}

/// Every component of `left` needs another one of `left`; following such edges runs in a circle.
fn cycle(nodes: &[Node], needs: &[Vec<usize>], left: &[usize]) -> Vec<String> {
    let mut way = vec![left[0]];
    loop {
        let last = way[way.len() - 1];
        let next = needs[last].iter().copied().find(|n| left.contains(n)).unwrap_or(last);
        if let Some(seen) = way.iter().position(|c| *c == next) {
            way.push(next);
            return way[seen..].iter().map(|c| nodes[*c].name.clone()).collect();
        }
        way.push(next);
    }
}

fn resolve(
    nodes: &[Node],
    needs: &[Vec<usize>],
    order: &[Vec<usize>],
    chain: &Limits,
    longest: u32,
    factor: f64,
) -> Vec<Planned> {
    let step = |own: Option<Duration>, key: Option<Duration>, default: Duration| match (own, key) {
        (Some(time), _) => Step { time, stated: true },
        (None, Some(key)) => Step { time: key / longest, stated: true },
        (None, None) => Step { time: default.mul_f64(factor), stated: false },
    };
    let mut planned: Vec<Planned> = nodes
        .iter()
        .zip(needs)
        .map(|(node, needs)| Planned {
            name: node.name.clone(),
            needs: needs.clone(),
            dependents: Vec::new(),
            start: node.limits.start,
            drain: node.limits.drain.or(chain.drain.map(|key| key / longest)),
            cancel: step(node.limits.cancel, chain.cancel, DEFAULT_CANCEL),
            save: step(node.limits.save, chain.save, DEFAULT_SAVE),
            close: step(node.limits.close, chain.close, DEFAULT_CLOSE),
            unready: node.unready,
            tail: Duration::ZERO,
            main_job: node.main_job,
            together: node.together,
        })
        .collect();
    for &c in order.iter().flatten() {
        for n in planned[c].needs.clone() {
            planned[n].dependents.push(c);
        }
        let weight = |n: &usize| planned[*n].reserve().saturating_add(planned[*n].tail);
        planned[c].tail = planned[c].needs.iter().map(weight).max().unwrap_or_default();
    }
    planned
}

/// Why a factor is too large.
struct Misfit {
    at: usize,
    drain: Option<Duration>,
    sum: Duration,
    allowed: Duration,
}

fn misfit(planned: &[Planned], usable: Duration) -> Option<Misfit> {
    // A fifth stays for drains, but only unstated limits give way to it.
    let all_stated = planned.iter().all(|c| c.cancel.stated && c.save.stated && c.close.stated);
    let share = if all_stated { usable } else { usable / 5 * 4 };
    let weights = planned.iter().map(|c| c.reserve().saturating_add(c.tail)).enumerate();
    if let Some((at, sum)) = weights.clone().max_by_key(|(_, weight)| *weight).filter(|(_, sum)| *sum > share) {
        return Some(Misfit { at, drain: None, sum, allowed: share });
    }
    weights.zip(planned).find_map(|((at, weight), c)| {
        let sum = weight.saturating_add(c.drain?);
        (sum > usable).then_some(Misfit { at, drain: c.drain, sum, allowed: usable })
    })
}

/// The largest factor up to 1 with which everything fits, found by halving.
fn largest_factor(usable: Duration, resolved: &dyn Fn(f64) -> Vec<Planned>) -> Result<f64, Misfit> {
    if misfit(&resolved(1.0), usable).is_none() {
        return Ok(1.0);
    }
    if let Some(misfit) = misfit(&resolved(SMALLEST_FACTOR), usable) {
        return Err(misfit);
    }
    let (mut fits, mut does_not) = (SMALLEST_FACTOR, 1.0);
    for _ in 0..40 {
        let middle = (fits + does_not) / 2.0;
        if misfit(&resolved(middle), usable).is_none() {
            fits = middle;
        } else {
            does_not = middle;
        }
    }
    Ok(fits)
}

/// The chain with the largest sum of reserves, from `from` or from wherever it is heaviest.
fn heaviest(planned: &[Planned], from: Option<usize>) -> Vec<(String, Duration)> {
    let weight = |c: &usize| planned[*c].reserve().saturating_add(planned[*c].tail);
    let mut at = from.or_else(|| (0..planned.len()).max_by_key(weight));
    let mut chain = Vec::new();
    while let Some(c) = at {
        chain.push((planned[c].name.clone(), planned[c].reserve()));
        at = planned[c].needs.iter().copied().max_by_key(weight);
    }
    chain
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
