"""A chat backend that cancels every task on a stop, its own main among them: a traceback, and exit status 1."""

import asyncio
import signal


async def session():
    while True:
        await asyncio.sleep(0.01)


def stop(loop):
    print("stopping", flush=True)
    # Fault: main is among them, and nobody expects its CancelledError.
    for task in asyncio.all_tasks(loop):
        task.cancel()


async def main():
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop, loop))
    sessions = [asyncio.create_task(session()) for _ in range(3)]
    print("ready", flush=True)
    await asyncio.gather(*sessions)


asyncio.run(main())
