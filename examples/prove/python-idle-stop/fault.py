"""A chat backend that gives its streams 2.5 s to end, also when there is none."""

import asyncio
import signal


async def main():
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(asked.set))
    streams = set()
    print("ready", flush=True)
    await asked.wait()
    print(f"stopping, {len(streams)} streams", flush=True)
    # Fault: it waits for the time, not for the streams.
    await asyncio.sleep(2.5)


asyncio.run(main())
