"""Jobs that are finished, and jobs that are too large to be listed."""

import dataclasses
import re
import signal
import time

from common import measure
from .bench import say

WORLD = "-180,-90,180,90"
WORLD_TILES = "357913941"


@dataclasses.dataclass
class Again:
    """The same command after everything is there."""

    sample: measure.Sample
    requests: int


@dataclasses.dataclass
class World:
    """Every tile of the world up to zoom 14."""

    plan: measure.Sample
    counted: bool
    """`tiles plan` printed the number that is known."""
    first_request: float
    """Seconds from the start of `tiles get` until the origin had answered once."""
    rss: float
    """Mebibytes, `longer` seconds after that."""
    stop: float
    resumed: float
    """The same for a job that has more than 49,000 tiles and is given a zoom more."""


def finished(bench, peers, last_zoom, limit=120):
    """`{name: Again}`."""
    found = {}
    for peer in peers:
        if bench.over():
            break
        door = bench.origin.door("plain")
        job = bench.job(door, last_zoom)
        with bench.out() as out:
            bench.run(peer.command(job, out), out, limit, peer.env)
            door.forget()
            sample = bench.run(peer.resume(job, out), out, limit, peer.env)
            door.settle()
            found[peer.name] = Again(sample, door.requests())
        say(f"  {peer.name}, once more: status {sample.status}, {found[peer.name].requests:,} requests, {sample.wall:.2f} s")
    return found


def world(bench, tiles, last_zoom, longer):
    """What only ours is asked."""
    door = bench.origin.door("world")
    template = door.base + "/{z}/{x}/{y}.png"
    with bench.out() as out:
        plan = bench.run([tiles.binary, "plan", f"--url={template}", f"--bbox={WORLD}", "--zoom=0-14"], out, 60)
        with open(f"{bench.lists}/client.log") as printed:
            counted = WORLD_TILES in re.sub(r"(?<=\d)[ ,._'\u202f](?=\d{3})", "", printed.read())
        first, rss, stop = _started(bench, door, tiles.area(template, WORLD, "0-14"), out, longer)
    with bench.out() as out:
        job = bench.job(door, last_zoom)
        bench.run(tiles.command(job, out), out, 120)
        resumed, _, _ = _started(bench, door, tiles.area(template, job.bbox, f"0-{last_zoom + 1}"), out, 0)
    say(f"  the world: planned in {plan.wall:.2f} s, first request after {first:.3f} s, {rss:.0f} MiB; resumed {resumed:.3f} s")
    return World(plan, counted, first, rss, stop, resumed)


def _started(bench, door, argv, out, longer):
    """Seconds to the first request, mebibytes `longer` seconds later, and seconds from SIGINT to the end."""
    door.forget()
    client = bench.start(argv, out)
    try:
        end = time.monotonic() + bench.limit(30)
        while not door.requests() and not client.ended(0.001) and time.monotonic() < end:
            pass
        first = time.monotonic() - client.began if door.requests() else float("nan")
        until = time.monotonic() + longer
        while time.monotonic() < until and not client.ended(0.02):
            pass
        asked = time.monotonic()
        client.signal(signal.SIGINT)
        while not client.ended(0.02) and time.monotonic() - asked < 15:
            pass
        stop = time.monotonic() - asked
    finally:
        client.kill()
    return first, client.sample.rss, stop
