"""Origins that are far away, or that refuse: 50 ms before an answer, and 1,000 requests a second with 429 for the rest."""

import dataclasses

from common import measure
from .bench import say


@dataclasses.dataclass
class Fetch:
    """What the log of the origin says of one run."""

    sample: measure.Sample
    tiles: int
    """There and right at the end."""
    missing: int
    rate: float
    """Tiles a second, from the start of the client to its end."""
    steady: float
    """Tiles a second while the second half came, the last twentieth left out: after any slow start."""
    requests: int
    refused: int


def far(bench, peers, rounds, last_zoom):
    """From the door that waits 50 ms: `{name: [Fetch]}`."""
    return _rounds(bench, peers, rounds, "50ms", last_zoom, 200)


def limited(bench, peers, rounds, last_zoom):
    """From the door that refuses: `{name: [Fetch]}`."""
    return _rounds(bench, peers, rounds, "limited", last_zoom, 300)


def _rounds(bench, peers, rounds, door, last_zoom, limit):
    found = {peer.name: [] for peer in peers}
    for at in range(rounds):
        for peer in peers[at % len(peers) :] + peers[: at % len(peers)]:
            if not bench.over():
                found[peer.name].append(_one(bench, peer, bench.origin.door(door), last_zoom, limit))
                one = found[peer.name][-1]
                say(
                    f"  round {at + 1}, {door}: {peer.name}: {one.rate:,.0f} tiles/s, steady {one.steady:,.0f}, "
                    f"{one.refused:,} refused, {one.missing:,} missing, {one.sample.rss:.0f} MiB"
                )
    return found


def _one(bench, peer, door, last_zoom, limit):
    job = bench.job(door, last_zoom)
    with bench.out() as out:
        argv = peer.command(job, out)
        sample = bench.run(argv, out, limit, peer.env)
        right = peer.stored(out).compare(bench.files).right
    entries = door.entries()
    times = sorted(seconds for seconds, status, whole, _ in entries if status == 200 and whole)
    return Fetch(
        sample=sample,
        tiles=len(right),
        missing=len(set(job.tiles) - right),
        rate=len(right) / sample.wall,
        steady=_steady(times),
        requests=len(entries),
        refused=sum(status == 429 for _, status, _, _ in entries),
    )


def _steady(times):
    first, last = len(times) // 2, len(times) * 19 // 20
    return (last - first) / (times[last] - times[first]) if last > first and times[last] > times[first] else 0.0


