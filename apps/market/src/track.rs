//! What is known of one symbol: its chain of ids, and the minutes that trades may still come for. Pure.

use std::collections::BTreeMap;

use crate::{
    chain::{Chain, Ends, Gap, Link},
    minutes::{Changes, Minute, TooLarge, begin_of},
    scale::finer,
    trade::Trade,
    wire::{AggTrade, DecimalError, Scale},
};

/// How many of the latest minutes are held although nothing in them has changed: trades may come late.
const HELD: usize = 3;

#[derive(Debug, Clone)]
pub(crate) struct Track {
    pub(crate) chain: Chain,
    minutes: BTreeMap<i64, Minute>,
    /// The beginning of the latest minute begun.
    newest: Option<i64>,
    /// Minutes that are over since [`Track::flush`].
    over: Vec<i64>,
    /// The last aggregate that the file has counted; what is taken behind it has to be counted there with its journal.
    counted: Option<i64>,
    behind: bool,
    moved: bool,
    /// The beginning of the minute in which collecting began, while nobody knows what came before in it.
    head: Option<i64>,
    /// The same since it is known, until it is written.
    begun: Option<i64>,
    /// What begins before is not kept.
    floor: i64,
    /// The finest seen, or said by the exchange: the one in which new trades are counted.
    scale: Scale,
}

/// What is to be written of a symbol in one transaction: minutes, and what of the journal they count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Flush {
    pub(crate) ends: Ends,
    pub(crate) newest: i64,
    pub(crate) scale: Scale,
    /// The range of ids in which gaps have changed, and those that are in it now.
    pub(crate) gaps: Option<((i64, i64), Vec<Gap>)>,
    pub(crate) minutes: Vec<Changes>,
    /// Minutes that are over, in the order in which they ended.
    pub(crate) over: Vec<i64>,
    /// The minute in which collecting began, where it is known now what came before in it.
    pub(crate) begun: Option<i64>,
    /// What begins before is not kept.
    pub(crate) floor: i64,
}

impl Track {
    /// Goes on where the file ends; `head` is the beginning of the minute in which collecting began, where what came before is not known.
    pub(crate) fn resume(chain: Chain, newest: Option<i64>, scale: Scale, head: Option<i64>) -> Self {
        let counted = chain.ends().and_then(|ends| ends.aggregate);
        Self { chain, newest, counted, scale, head, ..Self::new() }
    }

    /// Nothing taken; its numbers are counted in as many places as they turn out to need.
    pub(crate) fn new() -> Self {
        Self {
            chain: Chain::default(),
            minutes: BTreeMap::new(),
            newest: None,
            over: Vec::new(),
            counted: None,
            behind: false,
            moved: false,
            head: None,
            begun: None,
            floor: i64::MIN,
            scale: Scale { price: 0, quantity: 0 },
        }
    }

    /// So fine are the symbol's numbers, the exchange says.
    pub(crate) fn refine(&mut self, scale: Scale) {
        self.scale = finer(self.scale, scale);
    }

    /// A trade as it is counted.
    #[inline]
    pub(crate) fn read(&mut self, trade: AggTrade, refilled: bool) -> Result<Trade, DecimalError> {
        let trade = Trade::read(trade, self.scale, refilled)?;
        self.scale = trade.scale;
        Ok(trade)
    }

    /// The minute of a trade that has to be read from the file before the trade is taken, if it is there.
    #[inline]
    pub(crate) fn wants(&self, trade: &Trade) -> Option<i64> {
        let begin = begin_of(trade.time_ms);
        if begin < self.floor {
            return None;
        }
        let unknown = self.newest.is_some_and(|newest| begin <= newest) && !self.minutes.contains_key(&begin);
        (unknown && matches!(self.chain.link(trade.ids), Link::New | Link::Late)).then_some(begin)
    }

    /// A minute as the file has it.
    pub(crate) fn put(&mut self, minute: Minute) {
        self.minutes.entry(minute.begin_ms).or_insert(minute);
    }

    /// Counts a trade in the minute it belongs to, however late it is, unless it was counted before.
    #[inline]
    pub(crate) fn take(&mut self, trade: &Trade) -> Result<Link, TooLarge> {
        let link = self.chain.link(trade.ids);
        if !matches!(link, Link::New | Link::Late) {
            return Ok(link);
        }
        let begin = begin_of(trade.time_ms);
        if begin < self.floor {
            // It is not missing any more, and that is all.
            self.chain.take(trade.ids);
            self.behind = true;
            return Ok(Link::Known);
        }
        self.minutes.entry(begin).or_insert_with(|| Minute::new(trade)).add(trade)?;
        if self.chain.ends().is_none() {
            self.head = Some(begin);
        }
        self.chain.take(trade.ids);
        self.behind |= self.counted.is_some_and(|counted| trade.ids.aggregate <= counted);
        self.moved = true;
        if let Some(newest) = self.newest.replace(self.newest.map_or(begin, |newest| newest.max(begin)))
            && newest < begin
        {
            self.over.push(newest);
        }
        Ok(link)
    }

    /// Whether a trade that is taken for a known one cannot be one: it is in a minute in which nothing was taken yet.
    pub(crate) fn is_renumbered(&self, trade: &Trade) -> bool {
        let begin = begin_of(trade.time_ms);
        begin >= self.floor && self.newest.is_some_and(|newest| newest < begin)
    }

    /// The beginning of the latest minute begun.
    pub(crate) fn newest(&self) -> Option<i64> {
        self.newest
    }

    /// What begins before is not kept from now on.
    pub(crate) fn keep_from(&mut self, floor: i64) {
        self.floor = floor;
        self.minutes.retain(|begin, _| *begin >= floor);
        self.head = self.head.filter(|head| *head >= floor);
    }

    /// What is missing before this single trade, the first one that is kept, is not missed any more; says how many trades that are.
    pub(crate) fn forget(&mut self, before: i64) -> i64 {
        let given_up = self.chain.forget(before);
        self.behind |= self.chain.has_changes();
        given_up
    }

    /// The beginning of the open minute, and the single trades in it as far as they are held here.
    pub(crate) fn open_minute(&self) -> Option<(i64, i64)> {
        let begin = self.newest?;
        Some((begin, self.minutes.get(&begin).map_or(0, Minute::trades)))
    }

    /// The exchange has listed all aggregates that it has from `from` to `to`.
    pub(crate) fn listed(&mut self, from: i64, to: i64) {
        self.chain.listed(from, to);
        self.behind = true;
    }

    /// The beginning of the minute in which collecting began, as long as nobody knows what came before in it.
    pub(crate) fn head(&self) -> Option<i64> {
        self.head
    }

    /// The exchange has listed what it has from the beginning of that minute on; of that is kept what came before the first trade that was
    /// taken. Where it has nothing, it is not asked again in this run.
    pub(crate) fn begins(&mut self, page: &mut Vec<AggTrade>, listed: &mut Option<(i64, i64)>) {
        let Some((head, ends)) = self.head.take().zip(self.chain.ends()) else { return };
        let first = page.first().map(|trade| (trade.id, trade.first));
        // What comes later the stream brings, or it is fetched as missing.
        page.retain(|trade| trade.first < ends.first);
        *listed = page.first().zip(page.last()).map(|(first, last)| (first.id, last.id));
        if let Some((aggregate, id)) = first.filter(|(_, id)| *id <= ends.first) {
            self.chain.begins(aggregate, id);
            self.begun = Some(head);
        }
        self.behind = true;
    }

    /// Whether what was taken must be written at once: a minute has ended, something is missing or not missing any more, or the file says
    /// that it has counted all up to here.
    pub(crate) fn is_urgent(&self) -> bool {
        self.behind || !self.over.is_empty() || self.chain.has_changes()
    }

    /// What has to be written; nothing where nothing has changed.
    pub(crate) fn flush(&mut self) -> Option<Flush> {
        let (ends, newest) = self.chain.ends().zip(self.newest)?;
        let behind = std::mem::take(&mut self.behind);
        if !std::mem::take(&mut self.moved) && !behind {
            return None;
        }
        self.counted = ends.aggregate;
        let minutes = self.minutes.values_mut().filter_map(Minute::changes).collect();
        while self.minutes.len() > HELD {
            self.minutes.pop_first();
        }
        Some(Flush {
            ends,
            newest,
            scale: self.scale,
            gaps: self.chain.changes(),
            minutes,
            over: std::mem::take(&mut self.over),
            begun: self.begun.take(),
            floor: self.floor,
        })
    }
}

#[cfg(test)]
#[path = "track_tests.rs"]
mod tests;
