"""The downloader that `tiles get` replaces, reconstructed: aiohttp, batches of 2,500, 500 requests at once, a file for each tile.

It does what the original script does, in the same order and with the same limits, but without its two worst faults, so that
it gets to the end: the original asks coroutines whether they are done, which ends every run with an AttributeError after the
first batch, and it retries while it holds its place among the 500, which stops for ever once 500 tiles fail together. A tile
is written with one call as soon as it is there, where the original awaits each write and leaves empty files behind Ctrl+C.
So it is faster and loses less than the original does.
"""

import argparse
import asyncio
import json
import math
import os
import sys
import time

import aiohttp

TRIES = 4  # one, and three retries
PAUSES = (0.5, 1.0, 1.5)


class Downloader:
    def __init__(self, options):
        self.url, self.out, self.batch = options.url, options.out, options.batch
        self.slots = asyncio.Semaphore(options.concurrent)
        self.concurrent = options.concurrent
        self.progress_file = os.path.join(self.out, "progress_async.json")
        self.failed_file = os.path.join(self.out, "failed_tiles_async.json")
        self.began = time.time()
        self.progress = {
            "config": {"url": self.url, "bbox": options.bbox, "zoom": options.zoom, "batch_size": self.batch},
            "completed_batches": [],
            "downloaded": 0,
            "skipped": 0,
            "failed": 0,
            "batch_details": [],
        }
        self.failures = {}
        if options.resume and os.path.exists(self.progress_file):
            with open(self.progress_file) as file:
                self.progress["completed_batches"] = json.load(file)["completed_batches"]

    async def run(self, tiles):
        batches = [tiles[at : at + self.batch] for at in range(0, len(tiles), self.batch)]
        self.progress["total_batches"] = len(batches)
        for number, batch in enumerate(batches, 1):
            if number not in self.progress["completed_batches"]:
                await self.one_batch(number, batch)
                self.save()

    async def one_batch(self, number, batch):
        """A session of its own, and a task for every tile of the batch at once."""
        folder = os.path.join(self.out, f"tiles_batch_{number:03}")
        os.makedirs(folder, exist_ok=True)
        connector = aiohttp.TCPConnector(limit=self.concurrent, limit_per_host=self.concurrent)
        timeout = aiohttp.ClientTimeout(total=30, connect=10)
        began = time.time()
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            tasks = [asyncio.create_task(self.tile(session, number, folder, tile)) for tile in batch]
            try:
                results = await asyncio.gather(*tasks)
            except asyncio.CancelledError:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                raise
        for result in results:
            self.progress[result] += 1
        self.progress["completed_batches"].append(number)
        detail = {"batch": number, "tiles": len(batch), "seconds": time.time() - began}
        self.progress["batch_details"] = (self.progress["batch_details"] + [detail])[-20:]
        print(f"batch {number}/{self.progress['total_batches']}: {self.progress['downloaded']} tiles", flush=True)

    async def tile(self, session, number, folder, tile):
        z, x, y = tile
        path = os.path.join(folder, f"tile_{z}_{x}_{y}.jpg")
        if os.path.exists(path):
            return "skipped"
        url = self.url.format(z=z, x=x, y=y)
        for attempt in range(TRIES):
            try:
                async with self.slots, session.get(url) as response:
                    if response.status == 200:
                        data = await response.read()
                        with open(path, "wb") as file:
                            file.write(data)
                        return "downloaded"
                    error = f"HTTP {response.status}"
            except (aiohttp.ClientError, asyncio.TimeoutError) as problem:
                error = str(problem) or type(problem).__name__
            if attempt < len(PAUSES):
                await asyncio.sleep(PAUSES[attempt])
        failure = {"x": x, "y": y, "error": error, "retries": TRIES - 1}
        self.failures.setdefault(f"batch_{number:03}", []).append(failure)
        return "failed"

    def save(self):
        done, total = len(self.progress["completed_batches"]), self.progress["total_batches"]
        spent = time.time() - self.began
        self.progress["eta_seconds"] = spent / done * (total - done) if done else None
        for path, value in ((self.progress_file, self.progress), (self.failed_file, self.failures)):
            with open(path, "w") as file:
                json.dump(value, file, indent=2)


def tiles_of(bbox, zooms):
    """The rectangle of tiles of each zoom; the original asks for it in numbers of tiles and takes one zoom."""
    west, south, east, north = (float(part) for part in bbox.split(","))
    first, _, last = zooms.partition("-")
    for z in range(int(first), int(last or first) + 1):
        n = 2**z
        left, right = (west + 180) / 360 * n, (east + 180) / 360 * n
        top, bottom = ((1 - math.asinh(math.tan(math.radians(lat))) / math.pi) / 2 * n for lat in (north, south))
        for x in range(int(left), math.ceil(right)):
            for y in range(int(top), math.ceil(bottom)):
                yield z, x, y


async def main(options):
    os.makedirs(options.out, exist_ok=True)
    downloader = Downloader(options)
    try:
        await downloader.run(list(tiles_of(options.bbox, options.zoom)))
    except asyncio.CancelledError:
        print("interrupted, progress saved; continue with --resume")
    downloader.save()
    return 1 if downloader.progress["failed"] else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True, help="with {z}, {x} and {y}")
    parser.add_argument("--bbox", required=True, help="W,S,E,N in degrees")
    parser.add_argument("--zoom", required=True, help="A-B")
    parser.add_argument("--out", default="tiles")
    parser.add_argument("--concurrent", type=int, default=500)
    parser.add_argument("--batch", type=int, default=2_500)
    parser.add_argument("--resume", action="store_true", help="leave out the batches that were completed")
    sys.exit(asyncio.run(main(parser.parse_args())))
