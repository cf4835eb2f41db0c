//! The chain of ids of one symbol: what is new, what was there before, what is missing. Pure.
//!
//! Every single trade has an id, one more than the trade before; an aggregate holds the trades `first` to `last` of one price and taker,
//! and has an id of its own, one more than the aggregate before. The ids of single trades decide: they prove that nothing is missing.
//! Those of aggregates say what to ask the exchange for.

/// Single trades that were not received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gap {
    /// The first and the last of them.
    pub(crate) ids: (i64, i64),
    /// The aggregates that may hold them and were not asked for yet, first and last; the first above the last: there are none.
    pub(crate) aggregates: (i64, i64),
    /// The exchange does not have them either: it is not asked again.
    pub(crate) hole: bool,
}

impl Gap {
    /// How many single trades it holds.
    pub(crate) fn trades(&self) -> i64 {
        self.ids.1 - self.ids.0 + 1
    }

    fn new(ids: (i64, i64), aggregates: (i64, i64), hole: bool) -> Self {
        Self { ids, aggregates, hole: hole || aggregates.0 > aggregates.1 }
    }
}

/// What an aggregate is to the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Link {
    /// It comes after all others.
    New,
    /// It was missing.
    Late,
    /// It was there before, or is older than all that was ever taken.
    Known,
    /// Some of its trades were taken as parts of others: it cannot be counted.
    Contradiction,
}

/// The ids of one aggregate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ids {
    pub(crate) aggregate: i64,
    pub(crate) first: i64,
    pub(crate) last: i64,
}

/// The two ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ends {
    /// The first single trade that was ever taken, or is known to be missing.
    pub(crate) first: i64,
    /// The last one.
    pub(crate) last: i64,
    /// The aggregate it belongs to; `None` in a file of schema version 1, which did not keep it.
    pub(crate) aggregate: Option<i64>,
}

/// What was taken, as what is missing in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Chain {
    ends: Option<Ends>,
    /// In order, none touches another unless one is a hole.
    gaps: Vec<Gap>,
    /// The lowest and the highest id whose gap has changed since [`Chain::changes`].
    changed: Option<(i64, i64)>,
}

impl Chain {
    /// Goes on where an earlier one ended; the gaps in order.
    pub(crate) fn resume(ends: Option<Ends>, gaps: Vec<Gap>) -> Self {
        Self { ends, gaps, changed: None }
    }

    pub(crate) fn ends(&self) -> Option<Ends> {
        self.ends
    }

    #[cfg(test)]
    pub(crate) fn gaps(&self) -> &[Gap] {
        &self.gaps
    }

    /// Those the exchange can still be asked about.
    pub(crate) fn open(&self) -> impl Iterator<Item = Gap> {
        self.gaps.iter().copied().filter(|gap| !gap.hole)
    }

    /// Single trades that the exchange does not have.
    pub(crate) fn holes(&self) -> i64 {
        self.gaps.iter().filter(|gap| gap.hole).fold(0, |sum, gap| sum.saturating_add(gap.trades()))
    }

    /// What `take` would say, without taking it.
    #[inline]
    pub(crate) fn link(&self, ids: Ids) -> Link {
        let Some(ends) = self.ends else { return Link::New };
        if ids.first > ends.last {
            return if ends.aggregate.is_some_and(|before| ids.aggregate <= before) {
                Link::Contradiction
            } else {
                Link::New
            };
        }
        if ids.last > ends.last {
            return Link::Contradiction;
        }
        match self.gaps.get(self.gaps.partition_point(|gap| gap.ids.1 < ids.first)) {
            Some(gap) if gap.ids.0 <= ids.first && ids.last <= gap.ids.1 => Link::Late,
            Some(gap) if gap.ids.0 <= ids.last => Link::Contradiction,
            _ => Link::Known,
        }
    }

    /// Takes an aggregate unless it is known or contradicts.
    #[inline]
    pub(crate) fn take(&mut self, ids: Ids) -> Link {
        let link = self.link(ids);
        match link {
            Link::New => self.append(ids),
            Link::Late => self.fill(ids),
            Link::Known | Link::Contradiction => {}
        }
        link
    }

    #[inline]
    fn append(&mut self, Ids { aggregate, first, last }: Ids) {
        let begin = match self.ends {
            None => first,
            Some(ends) => {
                if ends.last + 1 < first {
                    let missing = (ends.last + 1, first - 1);
                    // Where the last aggregate is not known: each holds one trade at least.
                    let from = ends.aggregate.map_or(aggregate - (first - missing.0), |before| before + 1);
                    self.gaps.push(Gap::new(missing, (from.max(0), aggregate - 1), false));
                    self.touch(missing);
                }
                ends.first
            }
        };
        self.ends = Some(Ends { first: begin, last, aggregate: Some(aggregate) });
    }

    fn fill(&mut self, Ids { aggregate, first, last }: Ids) {
        let at = self.gaps.partition_point(|gap| gap.ids.1 < first);
        let gap = self.gaps[at];
        let before =
            Gap::new((gap.ids.0, first - 1), (gap.aggregates.0, gap.aggregates.1.min(aggregate - 1)), gap.hole);
        let after = Gap::new((last + 1, gap.ids.1), (gap.aggregates.0.max(aggregate + 1), gap.aggregates.1), gap.hole);
        self.gaps.splice(at..=at, [before, after].into_iter().filter(|gap| gap.ids.0 <= gap.ids.1));
        self.touch(gap.ids);
    }

    /// The exchange has listed all aggregates that it has from `from` to `to`: what is still missing there is missing there too.
    pub(crate) fn listed(&mut self, from: i64, to: i64) {
        let mut touched = None;
        for gap in self.gaps.iter_mut().filter(|gap| !gap.hole) {
            let (low, high) = gap.aggregates;
            if (from..=to).contains(&low) {
                gap.aggregates.0 = to + 1;
            }
            if (from..=to).contains(&high) {
                gap.aggregates.1 = from - 1;
            }
            if gap.aggregates != (low, high) {
                gap.hole = gap.aggregates.0 > gap.aggregates.1;
                touched = Some(touched.map_or(gap.ids, |(first, _)| (first, gap.ids.1)));
            }
        }
        if let Some(ids) = touched {
            self.touch(ids);
        }
    }

    /// What is wanted of the exchange begins with this aggregate, and with this single trade in it: from there on to the first one that was
    /// taken all are missing. It does nothing where that is not before.
    pub(crate) fn begins(&mut self, aggregate: i64, first: i64) {
        let Some(ends) = self.ends.as_mut().filter(|ends| first <= ends.first) else { return };
        let missing = (first, ends.first - 1);
        ends.first = first;
        if missing.0 <= missing.1 {
            // Each aggregate holds one trade at least: there are no more of them, and to be asked for one that is there does no harm.
            let last = aggregate + (missing.1 - missing.0);
            self.gaps.insert(0, Gap::new(missing, (aggregate, last), false));
        }
        self.touch((missing.0 - 1, missing.1));
    }

    /// Forgets what is missing before this single trade, unless it reaches up to it; says how many trades could still be fetched of that.
    pub(crate) fn forget(&mut self, before: i64) -> i64 {
        let end = self.gaps.partition_point(|gap| gap.ids.1 < before - 1);
        let forgotten: Vec<Gap> = self.gaps.drain(..end).collect();
        if let (Some(first), Some(last)) = (forgotten.first(), forgotten.last()) {
            self.touch((first.ids.0, last.ids.1));
        }
        forgotten.iter().filter(|gap| !gap.hole).map(Gap::trades).sum()
    }

    pub(crate) fn has_gaps(&self) -> bool {
        !self.gaps.is_empty()
    }

    pub(crate) fn has_changes(&self) -> bool {
        self.changed.is_some()
    }

    fn touch(&mut self, ids: (i64, i64)) {
        self.changed = Some(self.changed.map_or(ids, |(low, high)| (low.min(ids.0), high.max(ids.1))));
    }

    /// The range of ids in which gaps have come, changed or gone since the last call, and the gaps that are now in it.
    pub(crate) fn changes(&mut self) -> Option<((i64, i64), Vec<Gap>)> {
        let (low, high) = self.changed.take()?;
        let inside = self.gaps.iter().filter(|gap| gap.ids.0 <= high && gap.ids.1 >= low);
        Some(((low, high), inside.copied().collect()))
    }
}

#[cfg(test)]
#[path = "chain_tests.rs"]
mod tests;
