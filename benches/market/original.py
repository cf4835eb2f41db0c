"""The collector that `market collect` replaces, reconstructed: one symbol, price levels of one dollar, a window in Redis.

  original.py WS REST SYMBOL REDIS_SOCKET WINDOW_SECONDS

It takes the steps of the original in the same order: a depth snapshot over REST, trades over a WebSocket, `Decimal`, an object per
trade and level, a blocking Redis client within the event loop, windows by the clock on the wall, a limit of 1,000 levels, five tries to
connect. A signal sets a flag, cancels the tasks, saves the open window and closes. What it leaves out is what makes the original worse:
the tight loop of connections when it is stopped during its first request, and the client's own retries, which count trades twice.
"""

import asyncio
import contextlib
import json
import logging
import signal
import sys
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal

import aiohttp
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

MAX_LEVELS = 1000
KEPT = 2880
TRIES = 5
log = logging.getLogger("original")


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

    def take(self, trade):
        if trade.is_buyer_maker:
            self.sell_volume += trade.quantity
        else:
            self.buy_volume += trade.quantity
        self.total_volume += trade.quantity
        self.delta = self.buy_volume - self.sell_volume
        self.trade_count += 1

    def plain(self):
        return {
            "price_level": float(self.price_level),
            "buy_volume": float(self.buy_volume),
            "sell_volume": float(self.sell_volume),
            "total_volume": float(self.total_volume),
            "delta": float(self.delta),
            "trade_count": self.trade_count,
        }


class Collector:
    def __init__(self, ws, rest, symbol, socket, window):
        self.ws, self.rest, self.symbol, self.window = ws, rest, symbol, window
        self.redis = redis.Redis(unix_socket_path=socket, socket_timeout=5, retry=Retry(NoBackoff(), 0))
        self.lock = asyncio.Lock()
        self.running = True
        self.begin()

    def begin(self):
        self.began, self.levels = datetime.now(), {}

    async def run(self):
        loop = asyncio.get_running_loop()
        tasks = [asyncio.create_task(work()) for work in (self.depth, self.trades, self.windows)]

        def stop():
            self.running = False
            log.info("stopping")
            for task in tasks:
                task.cancel()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop)
        await asyncio.gather(*tasks, return_exceptions=True)
        async with self.lock:
            self.save()
        self.redis.close()

    async def depth(self):
        timeout = aiohttp.ClientTimeout(total=30)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while self.running:
                with contextlib.suppress(aiohttp.ClientError, asyncio.TimeoutError, redis.RedisError):
                    async with session.get(f"{self.rest}/api/v3/depth?symbol={self.symbol}&limit=5000") as answer:
                        book = json.loads(await answer.text())
                    sides = {side: [[float(p), float(q)] for p, q in book[side]] for side in ("bids", "asks")}
                    snapshot = {"symbol": self.symbol, "timestamp": datetime.now().isoformat(), **sides}
                    self.redis.set("depth_snapshot_5000", json.dumps(snapshot))
                await asyncio.sleep(60)

    async def trades(self):
        tries = 0
        async with aiohttp.ClientSession() as session:
            while self.running and tries < TRIES:
                try:
                    async with session.ws_connect(f"{self.ws}/ws/{self.symbol.lower()}@aggTrade") as socket:
                        tries = 0
                        async for message in socket:
                            if message.type == aiohttp.WSMsgType.TEXT:
                                await self.take(message.data)
                except aiohttp.ClientError as error:
                    log.error("connection failed: %s", error)
                tries += 1
                await asyncio.sleep(min(2**tries, 30))

    async def take(self, text):
        message = json.loads(text)
        if message.get("e") != "aggTrade" or any(key not in message for key in ("s", "p", "q", "m", "T", "a")):
            return
        trade = Trade(
            symbol=message["s"],
            price=Decimal(str(message["p"])),
            quantity=Decimal(str(message["q"])),
            is_buyer_maker=bool(message["m"]),
            timestamp=datetime.fromtimestamp(message["T"] / 1000),
            trade_id=str(message["a"]),
        )
        if trade.price <= 0 or trade.quantity <= 0:
            return
        price = trade.price.quantize(Decimal(1), rounding=ROUND_HALF_UP)
        async with self.lock:
            if len(self.levels) < MAX_LEVELS:
                self.levels.setdefault(price, Level(price)).take(trade)

    async def windows(self):
        while self.running:
            await asyncio.sleep(1)
            if (datetime.now() - self.began).total_seconds() >= self.window:
                async with self.lock:
                    self.save()

    def save(self):
        if self.levels:
            levels = {str(price): level.plain() for price, level in self.levels.items()}
            window = {"timestamp": self.began.isoformat(), "price_levels": levels}
            try:
                self.redis.lpush("trades_window", json.dumps(window))
                self.redis.ltrim("trades_window", 0, KEPT - 1)
            except redis.RedisError as error:
                log.error("window not stored: %s", error)
        self.begin()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    *places, seconds = sys.argv[1:]
    asyncio.run(Collector(*places, float(seconds)).run())
