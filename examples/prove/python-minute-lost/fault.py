"""Counts trades by minute (of 0.2 s here). A minute is stored when it is over, and the open one is forgotten on a stop."""

import signal

# As long as there is nothing to save, Ctrl+C may end it: an import that is interrupted prints a traceback, or loses the signal.
signal.signal(signal.SIGINT, signal.SIG_DFL)

import asyncio
import json
import os

MINUTE = 0.2


def store(minutes):
    with open("data/minutes.tmp", "w") as file:
        json.dump(minutes, file)
    os.replace("data/minutes.tmp", "data/minutes.json")


async def collect(sent):
    minutes = {}
    loop = asyncio.get_running_loop()
    minute = 0
    while True:
        await asyncio.sleep(0.005)
        if int(loop.time() / MINUTE) != minute:
            # Fault: nobody stores the minute that is open when it is cancelled.
            store(minutes)
            minute = int(loop.time() / MINUTE)
        sent.write(b"trade\n")
        minutes[minute] = minutes.get(minute, 0) + 1


async def main():
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked.set)
    os.makedirs("data", exist_ok=True)
    # What the exchange has sent, as its side knows it.
    with open("data/sent", "ab", buffering=0) as sent:
        task = asyncio.create_task(collect(sent))
        print("ready", flush=True)
        await asked.wait()
        print("stopping", flush=True)
        task.cancel()
        await asyncio.wait([task])
    # Done: what comes now would meet an interpreter whose loop, and with it these handlers, is gone.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})


asyncio.run(main())
