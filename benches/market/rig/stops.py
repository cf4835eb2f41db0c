"""Stops and kills at random moments, a start after each: is the union of what is stored what happened?"""

import contextlib
import dataclasses
import os
import random
import signal
import statistics
import tempfile
import time
from decimal import Decimal

from .collectors import Market, Original
from .exchange import Exchange, until
from .redis import Redis

SYMBOLS = ("AAAUSDT", "BBBUSDT")
# What a healthy collector may take to be gone; one that was told twice within a moment was told once.
PATIENCE = 10.0
# Something is always missing, and being fetched, in front of an exchange like this.
SCRIPT = (
    "socket * every 300 skip 5; socket * every 700 repeat 5; socket * every 900 late 3; socket * every 4000 drop;"
    "request aggTrades * every 7 status 503; request aggTrades * every 11 delay 80"
)


@dataclasses.dataclass
class Kind:
    """A way to end it, and at what moment."""

    name: str
    signals: tuple
    moment: str = "random"


KINDS = (
    Kind("SIGINT", (signal.SIGINT,)),
    Kind("SIGTERM", (signal.SIGTERM,)),
    Kind("SIGINT twice", (signal.SIGINT, signal.SIGINT)),
    Kind("SIGINT while it starts", (signal.SIGINT,), "start"),
    Kind("SIGTERM while it fetches what is missing", (signal.SIGTERM,), "fetch"),
)
KILL = Kind("kill -9", (signal.SIGKILL,))


@dataclasses.dataclass
class Stop:
    kind: Kind
    seconds: float
    status: int


@dataclasses.dataclass
class Comparison:
    """What was compared with the truth of the exchange."""

    stops: list
    trades: int
    """Single trades that happened from the first one in the file to the last."""
    missing: int
    twice: int
    wrong: int
    """Levels that are not those of the truth."""
    partial: int
    """Minutes between the first and the last that do not say they have everything."""
    broken: list


def compare(options, signals, kills, say):
    """Ours under an exchange on which things go wrong and that does not wait."""
    seed = options.seed
    chance = random.Random(seed)
    kinds = [KINDS[at % len(KINDS)] for at in range(signals)] + [KILL] * kills
    chance.shuffle(kinds)
    broken = []
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="market-stops-"))
        market = ["--generate", seed, "--rate", 20, "--speed", 60, "--run-on", "--fault", SCRIPT]
        exchange = Exchange(options.sim, *market, *(f"--symbol={symbol}" for symbol in SYMBOLS))
        stack.enter_context(exchange)
        # Snapshots of 5,000 levels would use up the weights of a minute with the first starts, and the collector heeds them.
        collector = Market(options.market, folder, SYMBOLS, "--depth", "100")
        stops = []
        for number, kind in enumerate(kinds, 1):
            stop = _one(collector, exchange, kind, chance)
            stops.append(stop)
            why = _broken(stop)
            if why:
                broken.append(f"seed {seed}, round {number}, {kind.name}: {why}")
            if number % 20 == 0:
                say(f"  {number} of {len(kinds)}; {collector.count():,} trades")
        _last(collector, exchange, broken)
        trades, missing, twice, wrong, partial = _difference(collector, exchange)
    return Comparison(stops, trades, missing, twice, wrong, partial, broken)


def _one(collector, exchange, kind, chance):
    before = collector.last_ids()
    run = collector.start(exchange)
    try:
        if kind.moment == "start":
            time.sleep(chance.uniform(0.003, 0.05))
        elif kind.moment == "fetch":
            until(lambda: collector.last_ids() != before, 3, 0.0005)
            until(collector.open_gaps, 3, 0.0005)
        else:
            time.sleep(10 ** chance.uniform(-2, -0.2))
        _, seconds, status = run.stop(*kind.signals, gap=chance.uniform(0, 0.02), within=PATIENCE)
    finally:
        run.end()
    return Stop(kind, seconds, status)


def _broken(stop):
    if stop.kind is KILL:
        return ""
    if stop.seconds is None:
        return f"not gone after {PATIENCE:.0f} s"
    # Before its first line a program ends by the signal.
    early = stop.kind.moment == "start" and stop.status == -stop.kind.signals[0]
    return "" if stop.status == 0 or early else f"status {stop.status}"


def _last(collector, exchange, broken):
    """Lets it fetch what is missing, and ends it."""
    run = collector.start(exchange)
    try:
        newest = {symbol: exchange.tell("trades", symbol=symbol)[-1]["l"] for symbol in SYMBOLS}

        def there():
            last = collector.last_ids()
            return not collector.open_gaps() and all(last.get(symbol, 0) >= newest[symbol] for symbol in SYMBOLS)

        # Two minutes of the exchange's weights.
        if not until(there, 150, 0.05):
            broken.append("what is missing was not fetched within 150 s of the last start")
        _, seconds, status = run.stop(signal.SIGINT)
        if status:
            broken.append(f"the last stop: status {status}")
    finally:
        run.end()


def _difference(collector, exchange):
    """Counted here anew from single trades, by minute and price, and held against the file."""
    trades = missing = twice = wrong = partial = 0
    for symbol in SYMBOLS:
        rows = collector.ask(
            "SELECT begin_ms, first_id, last_id, state, price_places, quantity_places FROM minutes WHERE symbol = ? ORDER BY begin_ms",
            symbol,
        )
        first, last = rows[0][1], rows[-1][2]
        truth = {}
        for trade in exchange.tell("trades", symbol=symbol):
            if first <= trade["f"] and trade["l"] <= last:
                trades += trade["l"] - trade["f"] + 1
                levels = truth.setdefault(trade["T"] // 60_000 * 60_000, {})
                level = levels.setdefault(Decimal(trade["p"]), [0, 0, 0])
                level[trade["m"]] += Decimal(trade["q"])
                level[2] += trade["l"] - trade["f"] + 1
        for begin, _, _, state, price_places, quantity_places in rows:
            stored = {}
            for price, buy, sell, count in collector.ask(
                "SELECT price, buy, sell, trades FROM levels WHERE symbol = ? AND begin_ms = ?", symbol, begin
            ):
                volumes = [Decimal(volume).scaleb(-quantity_places) for volume in (buy, sell)]
                stored[Decimal(price).scaleb(-price_places)] = [*volumes, count]
            true = truth.pop(begin, {})
            wrong += sum(stored.get(price) != true.get(price) for price in stored.keys() | true.keys())
            more = sum(level[2] for level in stored.values()) - sum(level[2] for level in true.values())
            missing, twice = missing + max(0, -more), twice + max(0, more)
            partial += state not in ("complete", "backfilled") and begin not in (rows[0][0], rows[-1][0])
        missing += sum(level[2] for levels in truth.values() for level in levels.values())
    return trades, missing, twice, wrong, partial


def original(options, say, rounds=8):
    """The collector that ours replaces, and ours beside it, with an exchange that waits while nobody listens: what a stop alone costs.

    `[(name, kind, rounds, sent, lost, median seconds, longest)]`
    """
    rows = []
    for kind in (KINDS[0], KINDS[1], KILL):
        for which in (Market, Original):
            with contextlib.ExitStack() as stack:
                folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="market-stops-"))
                market = ["--generate", options.seed, "--rate", 50, "--speed", 1, f"--symbol={SYMBOLS[0]}"]
                exchange = stack.enter_context(Exchange(options.sim, *market))
                if which is Market:
                    collector = Market(options.market, folder, SYMBOLS[:1])
                else:
                    redis = stack.enter_context(Redis(folder))
                    collector = Original(redis, folder, SYMBOLS[0], 20)
                chance = random.Random(options.seed)
                seconds = [_pause(collector, exchange, kind, chance) for _ in range(rounds)]
                # What was killed shows what it has when it is started again.
                _pause(collector, exchange, KINDS[0], chance)
                sent = exchange.tell("trades", symbol=SYMBOLS[0], sent="true")
                singles = sum(trade["l"] - trade["f"] + 1 for trade in sent) if which is Market else len(sent)
                lost = singles - collector.count()
            gone = [PATIENCE if one is None else one for one in seconds]
            rows.append((collector.name, kind.name, rounds, singles, lost, statistics.median(gone), max(gone)))
            say(f"  {collector.name}, {kind.name}: {lost:,} of {singles:,} lost")
    return rows


def _pause(collector, exchange, kind, chance):
    run = collector.start(exchange)
    try:
        before = exchange.tell("log")["connects"]
        until(lambda: exchange.tell("log")["connects"] >= before or not run.running(), 10, 0.02)
        time.sleep(chance.uniform(1, 5))
        return run.stop(*kind.signals, within=PATIENCE)[1]
    finally:
        run.end()


def table(comparison):
    """The stops of ours by their kind, and the verdict."""
    lines = ["| what | times | gone after, median | longest | other status than 0 |", "|---|---:|---:|---:|---:|"]
    for kind in (*KINDS, KILL):
        of_kind = [stop for stop in comparison.stops if stop.kind is kind]
        if of_kind:
            gone = [PATIENCE if stop.seconds is None else stop.seconds for stop in of_kind]
            other = "—" if kind is KILL else sum(stop.status != 0 for stop in of_kind)
            middle = statistics.median(gone) * 1000
            lines.append(f"| {kind.name} | {len(of_kind)} | {middle:.0f} ms | {max(gone) * 1000:.0f} ms | {other} |")
    lines += [
        "",
        f"{comparison.trades:,} trades happened between the first and the last in the file: {comparison.missing:,} missing, "
        f"{comparison.twice:,} counted twice, {comparison.wrong:,} levels other than the exchange's, {comparison.partial:,} minutes "
        "within that do not say they are whole.",
    ]
    return "\n".join(lines)


def failed(comparison):
    """What our promises say against it, as sentences."""
    counts = {
        "trades missing": comparison.missing,
        "trades counted twice": comparison.twice,
        "levels wrong": comparison.wrong,
        "minutes not whole": comparison.partial,
        # Nothing compared proves nothing.
        "trades compared, of which there should be thousands": 0 if comparison.trades > 1000 else 1,
    }
    return comparison.broken + [f"{count:,} {what}" for what, count in counts.items() if count]


def exists(binary):
    return "" if os.access(binary, os.X_OK) else f"{binary} is not there: cargo build --release -p market -p sims"
