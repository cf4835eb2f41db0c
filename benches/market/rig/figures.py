"""What the collector costs and how fast it stops, through real processes and sockets on the loopback interface."""

import contextlib
import signal
import statistics
import tempfile
import time

from .collectors import Market, Original
from .exchange import Exchange, cpu_of, memory_of, until
from .redis import Redis

SYMBOL = "BTCUSDT"
HEAD = "| what | figure | target |\n|---|---:|---:|"


@contextlib.contextmanager
def collecting(options, market, symbols=(SYMBOL,), flags=(), which=Market, window=60):
    """A running collector, its exchange, and its first trades."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="market-bench-", dir=options.disk))
        arguments = ["--generate", options.seed, *market, *(f"--symbol={symbol}" for symbol in symbols)]
        exchange = stack.enter_context(Exchange(options.sim, *arguments))
        if which is Market:
            collector = Market(options.market, folder, symbols, *flags)
        else:
            redis = stack.enter_context(Redis(folder))
            collector = Original(redis, folder, symbols[0], window)
        run = collector.start(exchange)
        stack.callback(run.end)
        if not until(lambda: exchange.tell("log")["connects"] > 0, 20):
            raise RuntimeError(f"{collector.name} did not connect: see its output")
        yield collector, exchange, run


def lone(options, seconds):
    """Messages that come one by one, 2,000 a second: processor time of each, from the socket to the commit.

    `[(name, microseconds of each round)]`
    """
    rows = []
    for which in (Market, Original):
        if which is Original and (Original.missing() or Redis.missing()):
            continue
        costs = []
        for _ in range(options.rounds):
            # The exchange says nothing of what it sent without stopping for it: it is asked before and after only.
            with collecting(options, ["--rate", 2000, "--speed", 1, "--run-on"], which=which, flags=options.flags) as (_, exchange, run):
                time.sleep(2)
                before, began = cpu_of(run.pid), time.monotonic()
                time.sleep(seconds)
                spent, passed = cpu_of(run.pid) - before, time.monotonic() - began
                costs.append(spent / (passed * 2000) * 1e6)
        rows.append((which.name, costs))
    return rows


def memory(options, trades):
    """Ten symbols: `(resident after a tenth of the trades, after all, most, trades)`."""
    symbols = [f"S{number}USDT" for number in range(10)]
    with collecting(options, ["--rate", 1000, "--speed", 10], symbols, options.flags) as (collector, _, run):
        if not until(lambda: collector.count() >= trades / 10, 120, 0.2):
            raise RuntimeError("the first trades did not come within 120 s")
        early = memory_of(run.pid)[0]
        until(lambda: collector.count() >= trades, 600, 0.5)
        late, most = memory_of(run.pid)
        return early, late, most, collector.count()


def as_fast_as_it_goes(options, seconds):
    """One symbol, as fast as it is read: `(trades a second, trades a processor second of the collector, the same of the exchange)`."""
    rates = []
    for _ in range(options.rounds):
        with collecting(options, ["--rate", 1_000_000, "--speed", "inf"], flags=options.flags) as (collector, exchange, run):
            time.sleep(1)
            trades, began = collector.journaled(), time.monotonic()
            ours, theirs = cpu_of(run.pid), exchange.cpu()
            time.sleep(seconds)
            trades, passed = collector.journaled() - trades, time.monotonic() - began
            rates.append((trades / passed, trades / (cpu_of(run.pid) - ours), trades / (exchange.cpu() - theirs)))
    return [statistics.median(column) for column in zip(*rates)]


def stops(options, times):
    """Healthy stops under 200 trades a second: `[(name, seconds to the first act, seconds to the end)]`."""
    rows = []
    for which in (Market, Original):
        if which is Original and (Original.missing() or Redis.missing()):
            continue
        acts, ends = [], []
        for at in range(times if which is Market else max(3, times // 10)):
            with collecting(options, ["--rate", 200, "--speed", 1], which=which, flags=options.flags) as (_, _, run):
                time.sleep(0.7 + at % 7 * 0.05)
                act, end, status = run.stop(signal.SIGINT)
                if status:
                    raise RuntimeError(f"{which.name} ended with status {status}")
                acts.append(act)
                ends.append(end)
        rows.append((which.name, acts, ends))
    return rows


# What hangs, by which faults, and which of them have to have struck.
HINDRANCES = {
    "the exchange silent, deaf to the close frame": ("socket * after 100 freeze", {"freeze"}),
    "REST hanging": ("socket * every 50 skip 5; request * * hang", {"hang"}),
    "both": ("socket * every 50 skip 5; socket * after 200 freeze; request * * hang", {"freeze", "hang"}),
}


def hindered(options, times):
    """Stops while something hangs: `{what: seconds of each}`."""
    found = {}
    for name, (script, faults) in HINDRANCES.items():
        for _ in range(times):
            with collecting(options, ["--rate", 200, "--speed", 1, "--fault", script], flags=options.flags) as (_, exchange, run):
                if not until(lambda: faults <= exchange.tell("log")["struck"].keys(), 20, 0.05):
                    raise RuntimeError(f"{name}: the faults did not strike within 20 s")
                time.sleep(0.5)
                found.setdefault(name, []).append(run.stop(signal.SIGINT)[1])
    if not Redis.missing():
        for _ in range(times):
            found.setdefault("Redis frozen", []).append(_with_redis_frozen(options))
    return found


def _with_redis_frozen(options):
    with tempfile.TemporaryDirectory(prefix="market-bench-") as folder, Redis(folder) as redis:
        flags = (*options.flags, "--redis", redis.url)
        with collecting(options, ["--rate", 200, "--speed", 60], flags=flags) as (_, _, run):
            until(lambda: redis.ask("LLEN", "trades_window") != "0", 20, 0.05)
            redis.freeze()
            time.sleep(1)
            return run.stop(signal.SIGINT)[1]
