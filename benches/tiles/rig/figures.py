"""The tables: medians, ratios within a round, and what was asked for beside what was measured."""

import datetime
import os
import platform
import signal
import statistics

from .interrupts import broken

PLACES = {"memory": "on tmpfs", "disk": "on the disk"}
BEGIN = "<!-- tiles: written by `benches/tiles/run --write` -->"
END = "<!-- end of the tiles figures -->"


class Results:
    """What was measured; a part that was not is None."""

    def __init__(self, peers, missing):
        self.peers, self.missing = peers, dict(missing)
        self.speed = self.interrupts = self.far = self.limited = self.finished = self.world = None
        self.far_peers = self.limited_peers = ()
        self.whole = True


def document(results, head):
    """Everything between the markers."""
    parts = [head, _targets(results)]
    if results.speed is not None:
        parts += [_speed(results, place) for place in PLACES if any(at == place for at, _ in results.speed)]
    parts += [_interrupts(results), _far(results), _limited(results), _finished(results), _world(results)]
    return "\n\n".join(part for part in parts if part)


def head(versions, command, tiles, rounds, load, minutes, cut):
    """When, where and with what."""
    short = "; the time of the run was used up before all of it was measured" if cut else ""
    listed = ", ".join(f"{name} {version}" for name, version in versions)
    date = datetime.datetime.now(datetime.timezone.utc).date()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{date}, {os.cpu_count()} cores ({_processor()}), {memory:.0f} GiB, Linux {platform.release().split('-')[0]}; {listed}; "
        f"{tiles:,} tiles, {rounds} rounds; load average {load[0]:.2f} before and {load[1]:.2f} after; the run took "
        f"{minutes:.0f} min{short}. `{command}`"
    )


def _processor():
    with open("/proc/cpuinfo") as file:
        return next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), platform.machine())


def write(path, text):
    """Replaces what is between the markers of the document."""
    with open(path) as file:
        before, _, rest = file.read().partition(BEGIN)
        _, _, after = rest.partition(END)
    if not rest or END not in rest:
        raise ValueError(f"{path} has no place for the figures: {BEGIN}")
    with open(path, "w") as file:
        file.write(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")


def _table(title, columns, rows, note=""):
    lines = [f"### {title}", ""] + ([note, ""] if note else [])
    lines += ["| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def _named(name):
    return f"**{name}**" if name.startswith("tiles get") else name


def _row(results, peer, count, make):
    """The row of a peer: its figures, or why there are none."""
    reason = results.missing.get(peer.name)
    if reason:
        return [_named(peer.name), reason] + [""] * (count - 2)
    return [_named(peer.name), *make(peer)]


# The whole set.


def _good(runs):
    return [run for run in runs if run and not run.fault]


def _per_cpu(run):
    return run.tiles / max(run.sample.cpu, 0.001)


def _ratios(results, place, name, other, what):
    """Ours to another's, in the rounds in which both came through."""
    pairs = zip(results.speed.get((place, name), ()), results.speed.get((place, other), ()))
    return [what(a) / what(b) for a, b in pairs if a and b and not a.fault and not b.fault]


def _speed(results, place):
    def cells(peer):
        runs = results.speed[place, peer.name]
        good = _good(runs)
        faults = [run.fault for run in runs if run and run.fault]
        if not good:
            return [f"no run came through: {faults[0] if faults else 'no time was left'}"] + [""] * 6
        rates = [_per_cpu(run) for run in good]
        ratios = _ratios(results, place, "tiles get", peer.name, _per_cpu)
        wall = statistics.median(run.sample.wall for run in good)
        return [
            f"{statistics.median(rates):,.0f} ({min(rates):,.0f} to {max(rates):,.0f})",
            f"{statistics.median(ratios):.1f} x" if ratios else "",
            f"{statistics.median(run.sample.cpu for run in good):.2f}",
            f"{wall:.2f}",
            f"{good[0].tiles / wall:,.0f}",
            f"{max(run.sample.rss for run in good):.0f}",
            f"{len(good)}" + (f", not counted: {len(faults)} ({faults[0]})" if faults else ""),
        ]

    columns = ["", "tiles per CPU second (least to most)", "`tiles get` to it", "CPU s", "wall s", "tiles/s", "RSS MiB", "runs"]
    rows = [_row(results, peer, len(columns), cells) for peer in results.peers]
    return _table(f"The whole set, {PLACES[place]}", columns, rows)


# Interrupts.


def _interrupts(results):
    if results.interrupts is None:
        return ""
    columns = ["", "signal", "status", "gone after, ms", "served", "lost", "cut or empty", "asked again", "missing at the end"]
    rows = []
    for peer in results.peers:
        if results.missing.get(peer.name):
            rows.append(_row(results, peer, len(columns), None))
        for (name, sign), ones in results.interrupts.items():
            if name == peer.name:
                rows.append([_named(name), sign, *_interrupt_cells(ones)])
    note = (
        "The signal comes in the middle, and the worst of its moments is told. *Served* is what the origin had answered whole by then, "
        "at the last of them."
    )
    return _table("Interrupted", columns, rows, note)


def _statuses(numbers):
    """Exit statuses, or the signals that ended it."""
    names = {signal.Signals(-number).name if number < 0 else str(number) for number in numbers}
    return "/".join(sorted(names))


def _interrupt_cells(ones):
    statuses = _statuses(one.status for one in ones)
    worst = [max(getattr(one, what) for one in ones) for what in ("served", "lost", "wrong", "again", "missing")]
    notes = sorted({one.fault for one in ones if one.fault} | {one.corrupt for one in ones if one.corrupt})
    cells = [statuses, f"{max(one.seconds for one in ones) * 1000:,.0f}", *(f"{value:,}" for value in worst)]
    cells[-1] += "".join(f"; {note}" for note in notes)
    return cells


# Far away, and refused.


def _fetches(results, title, peers, found, columns, cells, note):
    if found is None:
        return ""
    reason = results.missing.get("delayed origin")
    if reason:
        return _table(title, ["", ""], [["not measured", reason]])

    def row(peer):
        ones = found.get(peer.name)
        return cells(ones) if ones else ["no time was left"] + [""] * (len(columns) - 2)

    return _table(title, columns, [_row(results, peer, len(columns), row) for peer in peers], note)


def _median(ones, what):
    return statistics.median(getattr(one, what) for one in ones)


def _far(results):
    def cells(ones):
        rss = max(one.sample.rss for one in ones)
        values = [_median(ones, "steady"), _median(ones, "rate"), rss, max(one.missing for one in ones)]
        return [f"{value:,.0f}" for value in values]

    note = "*Steady* is the rate while the second half of the tiles came, so after any slow start."
    columns = ["", "steady tiles/s", "tiles/s in all", "RSS MiB", "missing"]
    return _fetches(results, "50 ms before every answer", results.far_peers, results.far, columns, cells, note)


def _limited(results):
    def cells(ones):
        refused = max(one.refused for one in ones)
        share = max(one.refused / max(one.requests, 1) for one in ones)
        return [
            f"{_median(ones, 'rate'):,.0f}",
            f"{refused:,} ({share:.2%})",
            f"{max(one.missing for one in ones):,}",
            _statuses(one.sample.status for one in ones),
        ]

    note = "And 50 ms before every answer; a burst of 200, then 429 with `Retry-After: 1`."
    columns = ["", "tiles/s", "refused", "given up", "status"]
    return _fetches(results, "1,000 requests a second", results.limited_peers, results.limited, columns, cells, note)


# Finished, and the world.


def _finished(results):
    if results.finished is None:
        return ""

    def cells(peer):
        one = results.finished.get(peer.name)
        return [f"{one.requests:,}", f"{one.sample.wall:.2f}", _statuses([one.sample.status])] if one else ["no time was left", "", ""]

    columns = ["", "requests", "wall s", "status"]
    return _table("A finished job, once more", columns, [_row(results, peer, 4, cells) for peer in results.peers])


def _world(results):
    world = results.world
    if world is None:
        return ""
    rows = [
        ["`tiles plan`, status", str(world.plan.status)],
        ["it counts 357,913,941 tiles", "yes" if world.counted else "no"],
        ["it takes, s", f"{world.plan.wall:.3f}"],
        ["its memory, MiB", f"{world.plan.rss:.0f}"],
        ["`tiles get`: the first request after, s", f"{world.first_request:.3f}"],
        ["its memory a few seconds later, MiB", f"{world.rss:.0f}"],
        ["gone after Ctrl+C, s", f"{world.stop:.3f}"],
        ["the box with a zoom more: the first request after, s", f"{world.resumed:.3f}"],
    ]
    return _table("The world up to zoom 14", ["", ""], rows)


# What was asked for.


def _targets(results):
    rows = [row for row in _all_targets(results) if row]
    if not rows:
        return ""
    lines = [] if results.whole else ["What is asked for is asked of all 49,502 tiles; these were fewer.", ""]
    lines += ["| what | asked for | `tiles get` |  |", "|" + " --- |" * 4]
    return "\n".join(lines + [f"| {what} | {asked} | {got} | {'met' if met else '**missed**'} |" for what, asked, got, met in rows])


def _all_targets(results):
    if results.missing.get("tiles get"):
        return
    for place in PLACES if results.speed is not None else ():
        good = _good(results.speed.get((place, "tiles get"), ()))
        if not good:
            continue
        rate = statistics.median(_per_cpu(run) for run in good)
        yield _at_least(f"tiles per CPU second, {PLACES[place]}", 18_000, rate, "{:,.0f}")
        script, martin = "original.py, 500 at once", "martin-cp, 64 at once"
        ratios = ((script, 6 if place == "memory" else 12, _per_cpu, "CPU"), (martin, 3, _per_cpu, "CPU"))
        ratios += ((martin, 2, lambda run: 1 / run.sample.wall, "wall"),) if place == "memory" else ()
        for other, asked, what, unit in ratios:
            found = _ratios(results, place, "tiles get", other, what)
            if found:
                yield _at_least(f"{unit}, to {other}, {PLACES[place]}", asked, statistics.median(found), "{:.1f} x")
        if place == "disk":
            yield _at_most("resident memory, 64 at once, MiB", 64, max(run.sample.rss for run in good), "{:.0f}")
    for (name, sign), ones in (results.interrupts or {}).items():
        if name == "tiles get":
            wrong = [text for one in ones for text in broken(name, sign, one)]
            allowed = {"SIGKILL": "570", "SIGINT twice": "64"}.get(sign, "0")
            got = f"{max(one.again for one in ones):,}" + ("" if not wrong else f"; {wrong[0]}")
            yield f"{sign}: asked for again; all there and sound at the end", f"at most {allowed}", got, not wrong
            if sign == "SIGINT":
                yield _at_most("SIGINT: gone after, ms", 100, max(one.seconds for one in ones) * 1000, "{:.0f}")
    yield from _network_targets(results)
    once_more = (results.finished or {}).get("tiles get")
    if once_more:
        yield _at_most("a finished job: requests", 0, once_more.requests, "{:,}")
        yield _at_most("a finished job: seconds", 0.5, once_more.sample.wall, "{:.2f}")
    if results.world:
        seconds = results.world.plan.wall if results.world.counted else float("inf")
        yield _at_most("the world to zoom 14: counted, s", 1, seconds, "{:.2f}")
        yield _at_most("the world to zoom 14: first request, s", 1, results.world.first_request, "{:.2f}")
        yield _at_most("the world to zoom 14: memory, MiB", 64, results.world.rss, "{:.0f}")
        yield _at_most("resumed: first request, s", 0.3, results.world.resumed, "{:.2f}")


def _network_targets(results):
    ours = next((ones for name, ones in (results.far or {}).items() if name.startswith("tiles get") and ones), None)
    others = [ones for name, ones in (results.far or {}).items() if not name.startswith("tiles get") and ones]
    if ours:
        if others:
            best = max(_median(ones, "steady") for ones in others)
            share = _median(ours, "steady") / best * 100
            yield _at_least("50 ms away: steady rate, of the best fixed number at once", 90, share, "{:.0f} %")
        yield _at_most("50 ms away, ceiling 500: memory, MiB", 100, max(one.sample.rss for one in ours), "{:.0f}")
    ours = next((ones for name, ones in (results.limited or {}).items() if name.startswith("tiles get") and ones), None)
    if ours:
        yield _at_least("1,000 a second: tiles/s", 900, _median(ours, "rate"), "{:,.0f}")
        share = max(one.refused / max(one.requests, 1) for one in ours) * 100
        yield _at_most("1,000 a second: refused, % of the requests", 0.5, share, "{:.2f}")
        yield _at_most("1,000 a second: given up", 0, max(one.missing for one in ours), "{:,}")


def _at_least(what, asked, got, form):
    return what, f"at least {form.format(asked)}", form.format(got), got >= asked


def _at_most(what, asked, got, form):
    return what, f"at most {asked:g}", form.format(got), got <= asked
