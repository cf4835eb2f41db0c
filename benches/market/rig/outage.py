"""A Redis that is gone, frozen or slow for minutes: what that costs the collector, and that nothing is missing afterwards."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time

from .collectors import REPOSITORY
from .exchange import memory_of, until
from .figures import SYMBOL, collecting
from .redis import Redis

KEY = "trades_window"
# What `market` keeps in Redis where nothing else is said: the width of a price and how many minutes.
PRECISION, WINDOW = "1", 2880
EXPECTED = os.path.join(REPOSITORY, "apps/market/tests/it/redis/expected.py")
HEAD = (
    "| Redis | for | trades/s before | meanwhile | longest pause of the file | resident before | after | most | caught up in | stop "
    "| minutes in the list | equal to the byte |\n|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---|"
)


class Slow:
    """Lets a process run for a hundredth of the time."""

    def __init__(self, process):
        self.process, self.over = process, threading.Event()
        self.thread = threading.Thread(target=self._run)

    def __enter__(self):
        self.thread.start()

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()

    def _run(self):
        while not self.over.is_set():
            self.process.send_signal(signal.SIGSTOP)
            self.over.wait(0.495)
            self.process.send_signal(signal.SIGCONT)
            time.sleep(0.005)


def gone(redis, seconds, watch):
    redis.kill()
    watch(seconds)
    redis.start()


def frozen(redis, seconds, watch):
    redis.freeze()
    watch(seconds)
    redis.thaw()


def slow(redis, seconds, watch):
    with Slow(redis.process):
        watch(seconds)


def outages(options, seconds, say):
    """A row of the table for each kind, and what is wrong."""
    rows, wrong = [], []
    for kind in (gone, frozen, slow):
        say(f"Redis {kind.__name__} for {seconds} s")
        row, why = _one(options, kind, seconds)
        rows.append(row)
        wrong += [f"Redis {kind.__name__}: {text}" for text in why]
    return "\n".join([HEAD, *(f"| {' | '.join(row)} |" for row in rows)]), wrong


def _one(options, kind, seconds):
    with tempfile.TemporaryDirectory(prefix="market-bench-") as folder, Redis(folder) as redis:
        flags = (*options.flags, "--redis", redis.url)
        # A minute of the exchange each second.
        with collecting(options, ["--rate", 20, "--speed", 60], flags=flags) as (market, _, run):
            if not until(lambda: redis.ask("LLEN", KEY) not in ("0", "1"), 30, 0.1):
                return [kind.__name__], ["nothing came into the list within 30 s"]
            before, _ = _watched(market, 10)
            resident = memory_of(run.pid)[0]
            seen = []
            kind(redis, seconds, lambda seconds: seen.append(_watched(market, seconds)))
            began = time.monotonic()
            caught_up = until(lambda: _newest(market) - _length(redis) <= 3, 120, 0.05)
            took = time.monotonic() - began
            after, most = memory_of(run.pid)
            _, stop, status = run.stop(signal.SIGINT)
            [(meanwhile, pause)] = seen
            expected = subprocess.run(
                [sys.executable, EXPECTED, "list", market.db, SYMBOL, PRECISION, str(WINDOW)], check=True, capture_output=True, text=True
            ).stdout.splitlines()
            there = redis.ask("LRANGE", KEY, "0", "-1")
            equal = there == expected
    wrong = [text for text, is_so in [
        ("the list was not caught up within 120 s", not caught_up),
        (f"status {status}", status != 0),
        (f"the list has {len(there)} minutes that are not the {len(expected)} of the file", not equal),
        (f"{meanwhile:.0f} trades a second instead of {before:.0f}", meanwhile < 0.8 * before),
    ] if is_so]
    return [
        kind.__name__, f"{seconds} s", f"{before:,.0f}", f"{meanwhile:,.0f}", f"{pause * 1000:.0f} ms", f"{resident:.1f} MiB",
        f"{after:.1f} MiB", f"{most:.1f} MiB", f"{took:.1f} s", f"{stop * 1000:.0f} ms", str(len(there)), "yes" if equal else "NO",
    ], wrong


def _watched(market, seconds):
    """Trades a second that the file gets, and the longest time without one."""
    first, began = market.count(), time.monotonic()
    last, changed, longest = first, began, 0.0
    while time.monotonic() - began < seconds:
        time.sleep(0.02)
        count, now = market.journaled(), time.monotonic()
        if count != last:
            longest, last, changed = max(longest, now - changed), count, now
    longest = max(longest, time.monotonic() - changed)
    return (market.count() - first) / (time.monotonic() - began), longest


def _newest(market):
    return market.ask("SELECT count(*) FROM minutes")[0][0]


def _length(redis):
    return int(redis.ask("LLEN", KEY))
