"""Reads messages from standard input and counts them by minute and price, in several ways; prints the processor time of each.

`as the original` takes the steps of the collector that market replaces: json, a check of each field, Decimal, a datetime and an object
per trade, a lock, an object per level. `lean` takes as few as it can with exact numbers.
"""

import asyncio
import json
import sys
import time
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

UNITS = 100_000_000


def event(message):
    return message.get("data", message)


def json_alone(lines):
    for line in lines:
        json.loads(line)
    return None


def lean(lines):
    minutes, last, missing = {}, None, 0
    for line in lines:
        trade = event(json.loads(line))
        if last is not None and trade["f"] != last + 1:
            missing += trade["f"] - last - 1
        last = trade["l"]
        levels = minutes.setdefault(trade["T"] // 60_000, {})
        price = trade["p"]
        level = levels.get(price)
        if level is None:
            level = levels[price] = [Decimal(0), Decimal(0), 0]
        level[trade["m"]] += Decimal(trade["q"])
        level[2] += last - trade["f"] + 1
    levels = [level for levels in minutes.values() for level in levels.values()]
    return summed(levels, missing)


@dataclass
class Trade:
    symbol: str
    price: Decimal
    quantity: Decimal
    is_buyer_maker: bool
    timestamp: datetime
    trade_id: str


@dataclass
class Level:
    price_level: Decimal
    buy_volume: Decimal = field(default_factory=lambda: Decimal(0))
    sell_volume: Decimal = field(default_factory=lambda: Decimal(0))
    total_volume: Decimal = field(default_factory=lambda: Decimal(0))
    delta: Decimal = field(default_factory=lambda: Decimal(0))
    trade_count: int = 0


async def as_the_original_in_a_loop(lines):
    lock, minutes, last, missing = asyncio.Lock(), {}, None, 0
    for line in lines:
        message = event(json.loads(line))
        if message.get("e") != "aggTrade" or any(key not in message for key in ("s", "p", "q", "m", "T", "a")):
            raise ValueError(line)
        trade = Trade(
            symbol=message["s"],
            price=Decimal(str(message["p"])),
            quantity=Decimal(str(message["q"])),
            is_buyer_maker=bool(message["m"]),
            timestamp=datetime.fromtimestamp(message["T"] / 1000),
            trade_id=str(message["a"]),
        )
        if trade.price <= 0 or trade.quantity <= 0:
            raise ValueError(line)
        if last is not None and message["f"] != last + 1:
            missing += message["f"] - last - 1
        last = message["l"]
        async with lock:
            levels = minutes.setdefault(message["T"] // 60_000, {})
            level = levels.get(trade.price)
            if level is None:
                level = levels[trade.price] = Level(trade.price)
            if trade.is_buyer_maker:
                level.sell_volume += trade.quantity
            else:
                level.buy_volume += trade.quantity
            level.total_volume += trade.quantity
            level.delta = level.buy_volume - level.sell_volume
            level.trade_count += message["l"] - message["f"] + 1
    levels = [level for levels in minutes.values() for level in levels.values()]
    return summed([[level.buy_volume, level.sell_volume, level.trade_count] for level in levels], missing)


def as_the_original(lines):
    return asyncio.run(as_the_original_in_a_loop(lines))


def summed(levels, missing):
    buy = int(sum(level[0] for level in levels) * UNITS)
    sell = int(sum(level[1] for level in levels) * UNITS)
    return [buy, sell, sum(level[2] for level in levels), len(levels), missing]


def main():
    lines = sys.stdin.read().split("\n")
    ways = {"Python, json.loads alone": json_alone, "Python, lean": lean, "Python, as the original": as_the_original}
    times = {name: [] for name in ways}
    counted = {}
    for _ in range(int(sys.argv[1])):
        for name, way in ways.items():
            began = time.process_time()
            counted[name] = way(lines)
            times[name].append(time.process_time() - began)
    for name, seconds in times.items():
        print(name, sorted(seconds)[len(seconds) // 2], counted[name] or "-", sep="\t")


main()
