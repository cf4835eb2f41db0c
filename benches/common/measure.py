"""A client as a process: its wall and processor time, its memory, and its end. Only processes started here are ever signalled."""

import dataclasses
import os
import select
import signal
import subprocess
import time

running = set()


@dataclasses.dataclass
class Sample:
    """What one run of a client took."""

    wall: float
    cpu: float
    """Seconds, user and system, of the process and of those it waited for."""
    rss: float
    """Mebibytes: the most that was resident, the processes of the client added up."""
    status: int
    """The exit status; -N if signal N ended it."""
    late: bool
    """It was killed because its time was over."""


class Client:
    """A running client, in a process group of its own."""

    def __init__(self, argv, cwd, log, env=None):
        self.log = log
        with open(log, "ab") as output:
            self.began = time.monotonic()
            self.process = subprocess.Popen(
                argv,
                cwd=cwd,
                env={**os.environ, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self.pid = self.process.pid
        self.handle = os.pidfd_open(self.pid)
        self.peaks = {}
        self.sample = None
        running.add(self)

    def signal(self, number):
        """To the process alone, as `kill` would."""
        if self.sample is None:
            os.kill(self.pid, number)

    def wait(self, limit):
        """Waits for the end, kills the group after `limit` seconds, and returns the sample."""
        late = False
        while not self.ended(0.02):
            if not late and time.monotonic() - self.began > limit:
                late = True
                os.killpg(self.pid, signal.SIGKILL)
        self.sample.late = late
        return self.sample

    def ended(self, within):
        """Whether it ended, waiting so many seconds at most; looks at its memory each time.

        The peak is the kernel's own mark of this program. `ru_maxrss` would not do: it begins with the memory of the rig,
        because a child is a copy of its parent until it becomes another program.
        """
        if self.sample is not None:
            return True
        for pid in _family(self.pid):
            peak = _peak(pid)
            if peak:
                self.peaks[pid] = max(peak, self.peaks.get(pid, 0))
        poll = select.poll()
        poll.register(self.handle, select.POLLIN)
        if not poll.poll(within * 1000):
            return False
        end = time.monotonic()
        _, status, usage = os.wait4(self.pid, 0)
        status = os.waitstatus_to_exitcode(status)
        self.process.returncode = status
        os.close(self.handle)
        running.discard(self)
        cpu = usage.ru_utime + usage.ru_stime
        self.sample = Sample(end - self.began, cpu, sum(self.peaks.values()) / 1024, status, False)
        return True

    def kill(self):
        """Ends the whole group at once, if it has not ended."""
        if self.sample is None:
            os.killpg(self.pid, signal.SIGKILL)
            while not self.ended(1):
                pass

    def last_words(self):
        """The end of what it printed."""
        with open(self.log, "rb") as output:
            output.seek(max(0, os.path.getsize(self.log) - 2_000))
            return output.read().decode(errors="replace").strip()


def end_all():
    """Ends every client that still runs."""
    for client in list(running):
        client.kill()


def _family(pid):
    found = [pid]
    for parent in found:
        try:
            with open(f"/proc/{parent}/task/{parent}/children") as children:
                found += [int(child) for child in children.read().split()]
        except OSError:
            pass
    return found


def _peak(pid):
    """The high-water mark of a process in kilobytes; 0 if it is gone or not yet the program it will be."""
    try:
        with open(f"/proc/{pid}/status") as status:
            for line in status:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1])
    except OSError:
        pass
    return 0


def flush(folder):
    """Waits until what was written to the file system of `folder` is on it, so that no client pays for the one before."""
    try:
        subprocess.run(["sync", "-f", folder], check=False, timeout=120)
    except (OSError, subprocess.TimeoutExpired):
        pass
