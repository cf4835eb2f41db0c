"""What the collector that `market` replaces would have stored of a file, with nothing but Python's own library.

expected.py list DB SYMBOL PRECISION WINDOW    the entries of `trades_window`, a line each
expected.py depth DB SYMBOL LIMIT              the snapshot
"""

import json
import sqlite3
import sys
from datetime import datetime, timezone
from decimal import ROUND_HALF_UP, Decimal


def time(ms):
    return datetime.fromtimestamp(ms / 1000, timezone.utc).replace(tzinfo=None).isoformat()


def entry(rows, begin, precision, price_places, places):
    levels = {}
    for price, buy, sell, trades in rows:
        steps = (Decimal(price).scaleb(-price_places) / precision).quantize(Decimal(1), rounding=ROUND_HALF_UP)
        level = levels.setdefault((steps * precision).quantize(precision), [Decimal(0), Decimal(0), 0])
        level[0] += Decimal(buy).scaleb(-places)
        level[1] += Decimal(sell).scaleb(-places)
        level[2] += trades
    return {"timestamp": time(begin), "price_levels": {
        str(price): {"price_level": float(price), "buy_volume": float(buy), "sell_volume": float(sell),
                     "total_volume": float(buy + sell), "delta": float(buy - sell), "trade_count": trades}
        for price, (buy, sell, trades) in levels.items()}}


def main(what, db, symbol, *rest):
    file = sqlite3.connect(db)
    if what == "list":
        precision, window = Decimal(rest[0]), int(rest[1])
        minutes = file.execute("SELECT begin_ms, price_places, quantity_places FROM minutes WHERE symbol = ?"
                               " ORDER BY begin_ms DESC LIMIT ?", (symbol, window)).fetchall()
        for begin, *places in minutes:
            rows = file.execute("SELECT price, buy, sell, trades FROM levels WHERE symbol = ? AND begin_ms = ?"
                                " ORDER BY price", (symbol, begin))
            print(json.dumps(entry(rows, begin, precision, *places)))
    else:
        ms, price_places, places, *sides = file.execute(
            "SELECT time_ms, price_places, quantity_places, bids, asks FROM depth WHERE symbol = ?"
            " ORDER BY time_ms DESC LIMIT 1", (symbol,)).fetchone()
        sides = [[[float(Decimal(p).scaleb(-price_places)), float(Decimal(q).scaleb(-places))]
                  for p, q in json.loads(side)[:int(rest[0])]] for side in sides]
        print(json.dumps({"symbol": symbol, "timestamp": time(ms), "bids": sides[0], "asks": sides[1]}))


main(*sys.argv[1:])
