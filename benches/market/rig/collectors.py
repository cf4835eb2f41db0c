"""Ours and the one it replaces, as processes that are started, signalled and asked what they have."""

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
PATIENCE = 30


class Run:
    """One run of a collector, from its start to its end. Ended, it knows its status and how long that took."""

    def __init__(self, command, log, env=None):
        self.log = open(log, "ab")
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=subprocess.PIPE,
            env={**os.environ, **(env or {})},
            # A shell that runs this in the background ignores SIGINT, and so would the collector.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        self.pid = self.process.pid

    def running(self):
        return self.process.poll() is None

    def stop(self, *signals, gap=0.0, within=PATIENCE):
        """Sends the signals; returns seconds to its first word after the first of them, seconds to its end, and its status.

        `None` for what did not come; then it is killed.
        """
        os.set_blocking(self.process.stderr.fileno(), False)
        self.process.stderr.read()
        asked, act = time.monotonic(), None
        handle = os.pidfd_open(self.pid)
        try:
            for at, number in enumerate(signals):
                if at:
                    time.sleep(gap)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.pid, number)
            act, gone = self._watch(handle, asked, within)
        finally:
            os.close(handle)
            status = self.end()
        return act, gone, status

    def _watch(self, handle, asked, within):
        import select

        poll = select.poll()
        poll.register(handle, select.POLLIN)
        poll.register(self.process.stderr, select.POLLIN)
        act, gone = None, None
        while gone is None and time.monotonic() - asked < within:
            ready = dict(poll.poll(within * 1000))
            now = time.monotonic() - asked
            if self.process.stderr.fileno() in ready:
                if self.process.stderr.read():
                    act = act or now
                else:
                    poll.unregister(self.process.stderr)
            if handle in ready:
                gone = now
        return act or gone, gone

    def end(self):
        """Kills it if it runs, and returns its status."""
        if self.running():
            self.process.kill()
        status = self.process.wait()
        self.process.stderr.close()
        self.log.close()
        return status


class Market:
    """`market collect`, with its file."""

    name = "market collect"

    def __init__(self, binary, folder, symbols, *options):
        self.binary, self.folder, self.symbols, self.options = binary, folder, symbols, options
        self.db = os.path.join(folder, "market.db")

    def start(self, exchange, *options):
        command = [self.binary, "collect", "--ws", exchange.ws, "--rest", exchange.rest, "--db", self.db]
        command += [f"--symbol={symbol}" for symbol in self.symbols]
        return Run([*command, *self.options, *options], os.path.join(self.folder, "market.log"))

    def ask(self, query, *values):
        """Rows of the file; none while there is no file with tables."""
        try:
            with contextlib.closing(sqlite3.connect(f"file:{self.db}?mode=rw", uri=True, timeout=5)) as file:
                return file.execute(query, values).fetchall()
        except sqlite3.OperationalError:
            return []

    def open_gaps(self):
        return sum(count for (count,) in self.ask("SELECT count(*) FROM gaps WHERE NOT hole"))

    def last_ids(self):
        """By symbol, the last single trade in the file."""
        return {name: last for name, last in self.ask("SELECT name, last_id FROM symbols") if last is not None}

    def journaled(self):
        """The last aggregates in the journal, added up: how many more they are later came meanwhile."""
        return sum(last or 0 for (last,) in self.ask("SELECT max(id) FROM trades GROUP BY symbol"))

    def count(self):
        """Single trades that the minutes count."""
        return sum(count for (count,) in self.ask("SELECT coalesce(sum(trades), 0) FROM levels"))


class Original:
    """original.py, with its Redis."""

    name = "the Python collector"

    def __init__(self, redis, folder, symbol, window):
        self.redis, self.folder, self.symbol, self.window = redis, folder, symbol, window

    @staticmethod
    def missing():
        """Why it cannot run; nothing if it can."""
        packages = subprocess.run(
            [sys.executable, "-c", "import aiohttp, redis"], env=_packages(), capture_output=True, check=False
        )
        return "" if packages.returncode == 0 else "aiohttp or redis is not installed for Python (benches/market/run --install)"

    def start(self, exchange):
        script = os.path.join(REPOSITORY, "benches/market/original.py")
        command = [sys.executable, script, exchange.ws, exchange.rest, self.symbol, self.redis.path, str(self.window)]
        return Run(command, os.path.join(self.folder, "original.log"), _packages())

    def count(self):
        """Aggregated trades in Redis."""
        windows = [json.loads(window) for window in self.redis.ask("LRANGE", "trades_window", "0", "-1")]
        return sum(level["trade_count"] for window in windows for level in window["price_levels"].values())


def _packages():
    return {**os.environ, "PYTHONPATH": os.path.join(REPOSITORY, "target/market-bench/python")}
