"""Whether what a collector has in its file is what happened: check.py FILE REST, the second the requests' address of exchange-sim.

However it ended: what the file says it has counted is counted there anew from the truth, by minute and price, and what only stands in the
journal is held against it row by row. Says what is wrong, status 1. A file that is not there or has no tables yet has nothing wrong in it.
"""

import json
import os
import sqlite3
import sys
import urllib.request
from decimal import Decimal

MINUTE_MS = 60_000


def main(path, rest):
    if not os.path.exists(path) or not os.path.getsize(path):
        return []
    file = sqlite3.connect(f"file:{path}?mode=rw", uri=True, timeout=10, isolation_level=None)
    # All of it as it stands at one moment: a collector may be writing.
    file.execute("BEGIN")
    if not file.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
        return []
    wrong = [row[0] for row in file.execute("PRAGMA integrity_check") if row[0] != "ok"]
    rows = file.execute("SELECT symbol, name, first_id, last_id, coalesce(counted, -1) FROM symbols").fetchall()
    for number, name, first, last, counted in rows:
        journal = file.execute("SELECT min(first_id), max(last_id) FROM trades WHERE symbol = ?", [number]).fetchone()
        begins, ends = ([id for id in ids if id is not None] for ids in ((first, journal[0]), (last, journal[1])))
        if not begins:
            continue
        truth = trades(rest, name, min(begins), max(ends))
        # A file that is killed before its first minute is counted has only a journal.
        wrong += counts(file, number, name, first if first is not None else sys.maxsize, counted, truth)
        wrong += journaled(file, number, name, counted, truth)
    return wrong


def trades(rest, symbol, first, last):
    """What happened between two single trades; no more than what is asked for has to be sent and read."""
    with urllib.request.urlopen(f"{rest}/truth/trades?symbol={symbol}&from={first}&to={last}", timeout=30) as answer:
        return {trade["a"]: trade for trade in json.load(answer)}


def counts(file, number, name, first, counted, truth):
    gaps = file.execute("SELECT first_id, last_id FROM gaps WHERE symbol = ? ORDER BY first_id", [number]).fetchall()
    expected = {}
    for trade in truth.values():
        missing = any(begin <= trade["f"] and trade["l"] <= end for begin, end in gaps)
        if trade["f"] >= first and trade["a"] <= counted and not missing:
            key = (trade["T"] // MINUTE_MS * MINUTE_MS, Decimal(trade["p"]))
            level = expected.setdefault(key, [Decimal(0), Decimal(0), 0])
            level[trade["m"]] += Decimal(trade["q"])
            level[2] += trade["l"] - trade["f"] + 1
    found = {}
    for begin, price, buy, sell, many, price_places, quantity_places in file.execute(
        "SELECT begin_ms, price, buy, sell, trades, price_places, quantity_places FROM levels JOIN minutes USING (symbol, begin_ms)"
        " WHERE symbol = ?",
        [name],
    ):
        volumes = [Decimal(volume).scaleb(-quantity_places) for volume in (buy, sell)]
        found[(begin, Decimal(price).scaleb(-price_places))] = [*volumes, many]
    other = sorted(key for key in expected.keys() | found.keys() if expected.get(key) != found.get(key))
    return [f"{name} at {key}: {found.get(key)} is stored, {expected.get(key)} happened" for key in other[:3]]


def journaled(file, number, name, counted, truth):
    wrong = []
    for id, first, last, time, price, quantity, price_places, quantity_places, maker in file.execute(
        "SELECT id, first_id, last_id, time_ms, price, quantity, price_places, quantity_places, buyer_is_maker FROM trades"
        " WHERE symbol = ? AND id > ?",
        [number, counted],
    ):
        stored = (first, last, time, Decimal(price).scaleb(-price_places), Decimal(quantity).scaleb(-quantity_places), bool(maker))
        true = truth.get(id)
        happened = true and (true["f"], true["l"], true["T"], Decimal(true["p"]), Decimal(true["q"]), true["m"])
        if stored != happened:
            wrong.append(f"{name}, trade {id}: {stored} is in the journal, {happened} happened")
    return wrong[:3]


if __name__ == "__main__":
    found = main(*sys.argv[1:])
    print("\n".join(found))
    sys.exit(bool(found))
