"""A signal in the middle, and the same command again: what was thrown away, and what the origin is asked for twice."""

import dataclasses
import signal
import time

from . import origin
from .bench import say

# What is done to a client: the name of the row, and its signals. The second follows at once.
SIGNALS = {
    "SIGINT": (signal.SIGINT,),
    "SIGTERM": (signal.SIGTERM,),
    "SIGINT twice": (signal.SIGINT, signal.SIGINT),
    "SIGKILL": (signal.SIGKILL,),
}
# A client that has not left by then is killed.
PATIENCE = 15


@dataclasses.dataclass
class Interrupt:
    """One interrupted run and the one that went on."""

    status: int
    seconds: float
    """From the signal until the parent had waited for it."""
    served: int
    lost: int
    """Answered whole by the origin before the end, and not stored."""
    wrong: int
    """There, but not as the origin has them: cut or empty."""
    again: int
    """Served before the end, and asked for again."""
    missing: int
    """Not there, or wrong, after the second run."""
    corrupt: str
    fault: str


def interrupts(bench, peers, names, moments, last_zoom, door="plain", limit=120):
    """`{(peer, signal): [Interrupt at each moment]}`; a moment is a share of all tiles."""
    found = {}
    for moment in moments:
        for peer in peers:
            for name in names(peer):
                if bench.over():
                    continue
                one = _one(bench, peer, SIGNALS[name], moment, last_zoom, door, limit)
                found.setdefault((peer.name, name), []).append(one)
                _tell(peer, name, moment, one)
    return found


def _one(bench, peer, signals, moment, last_zoom, door, limit):
    door = bench.origin.door(door)
    job = bench.job(door, last_zoom)
    with bench.out() as out:
        client = bench.start(peer.command(job, out), out, peer.env)
        try:
            reached = _reach(client, door, int(moment * len(job.tiles)), bench.limit(limit))
            asked = time.monotonic()
            for number in signals:
                client.signal(number)
                time.sleep(0.002 if len(signals) > 1 else 0)
            while not client.ended(0.02) and time.monotonic() - asked < PATIENCE:
                pass
            fault = "" if client.sample else f"not gone after {PATIENCE} s"
        finally:
            client.kill()
        seconds = client.began + client.sample.wall - asked
        if not reached:
            fault = "ended before the signal"
        served = origin.served(door.entries())
        stored = peer.stored(out)
        first = stored.compare(bench.files)

        door.forget()
        rerun = bench.run(peer.resume(job, out), out, limit, peer.env)
        again = {tile for *_, tile in door.entries()} & served
        last = stored.compare(bench.files)
        if rerun.late:
            fault = fault or "going on took too long"
        return Interrupt(
            status=client.sample.status,
            seconds=seconds,
            served=len(served),
            lost=len(served - first.right),
            wrong=len(first.wrong),
            again=len(again),
            missing=len(set(job.tiles) - last.right),
            corrupt=first.corrupt or last.corrupt,
            fault=fault,
        )


def _reach(client, door, requests, limit):
    """Waits until so many requests were answered; false if the client ended before."""
    end = time.monotonic() + limit
    while door.requests() < requests:
        if client.ended(0.001) or time.monotonic() > end:
            return False
    return not client.ended(0)


def broken(peer, name, one):
    """What our promises say against this, as sentences; none for the others."""
    if not peer.startswith("tiles get"):
        return []
    # In flight on 64 connections, a group that was not committed, and the channel between them.
    allowed = {"SIGKILL": 64 + 250 + 256, "SIGINT twice": 64}.get(name, 0)
    checks = (
        (one.fault, one.fault),
        (one.again > allowed, f"{one.again} tiles asked for again, {allowed} allowed"),
        (one.lost > allowed, f"{one.lost} served tiles lost, {allowed} allowed"),
        (one.wrong, f"{one.wrong} tiles with other bytes"),
        (one.corrupt, f"the file is corrupt: {one.corrupt}"),
        (one.missing, f"{one.missing} tiles not there after going on"),
        (one.status == 0, "status 0 though it was interrupted"),
    )
    return [text for bad, text in checks if bad]


def _tell(peer, name, moment, one):
    fault = f"; {one.fault}" if one.fault else ""
    say(
        f"  {peer.name}, {name} at {moment:.0%}: status {one.status} after {one.seconds * 1000:.0f} ms; {one.served:,} served, "
        f"{one.lost:,} lost, {one.wrong:,} wrong, {one.again:,} asked again, {one.missing:,} missing at the end{fault}"
    )
