"""The whole set from a loopback origin: the clients take turns, round by round, and each has every tile at the end or no figure."""

import dataclasses
import os

from common import measure
from .bench import say


# Of the time of the whole run, so that a slow disk leaves some for the other parts.
SHARE = 0.6


@dataclasses.dataclass
class Run:
    """One run of one client; `fault` says why it does not count."""

    sample: measure.Sample
    tiles: int
    fault: str


def speed(bench, peers, rounds, last_zoom, places=("memory", "disk"), limit=240):
    """Runs by place and name: `{(place, name): [Run of round 0, …]}`. A round that had no time has None."""
    door = bench.origin.door("plain")
    job = bench.job(door, last_zoom)
    total = sum(os.path.getsize(os.path.join(bench.files, "{}/{}/{}.png".format(*tile))) for tile in job.tiles)
    found = {(place, peer.name): [] for place in places for peer in peers}
    for at in range(rounds):
        for place in places:
            turn = peers[at % len(peers) :] + peers[: at % len(peers)]
            for peer in turn:
                runs = found[place, peer.name]
                if bench.over(SHARE) or (len(runs) >= 2 and not any(run and not run.fault for run in runs)):
                    runs.append(None)
                    continue
                door.forget()
                runs.append(_one(bench, peer, job, place, total, limit))
                failures = door.failures()
                if failures:
                    runs[-1].fault = f"the origin failed {failures:,} times"
                _tell(at, place, peer, runs[-1])
    return found


def _one(bench, peer, job, place, total, limit):
    with bench.out(place) as out:
        argv = peer.command(job, out)
        measure.flush(bench.places[place])
        sample = bench.run(argv, out, limit, peer.env)
        stored = peer.stored(out)
        # Ours byte for byte; the others by their number and their size.
        if peer.name.startswith("tiles get"):
            compared = stored.compare(bench.files)
            count, whole = len(compared.right), not compared.wrong and not compared.corrupt
        else:
            count, whole = stored.count(), stored.bytes() == total
    fault = ""
    if sample.late:
        fault = "took too long"
    elif sample.status != 0:
        fault = f"status {sample.status}"
    elif count != len(job.tiles) or not whole:
        fault = f"{count:,} of {len(job.tiles):,} tiles" if whole else f"other bytes in its {count:,} tiles"
    return Run(sample, count, fault)


def _tell(at, place, peer, run):
    rate = run.tiles / max(run.sample.cpu, 0.001)
    verdict = f", {run.fault}" if run.fault else ""
    say(
        f"  round {at + 1}, {place}: {peer.name}: {run.sample.wall:.2f} s, CPU {run.sample.cpu:.2f} s, "
        f"{rate:,.0f} tiles per CPU second, {run.sample.rss:.0f} MiB{verdict}"
    )
