"""A downloader with three workers. On a stop it stops the loop under them."""

import asyncio
import signal


async def worker():
    while True:
        await asyncio.sleep(0.01)


loop = asyncio.new_event_loop()
workers = [loop.create_task(worker()) for _ in range(3)]
for number in (signal.SIGTERM, signal.SIGINT):
    # Fault: the tasks are still waiting when the loop is closed.
    signal.signal(number, lambda *_: loop.call_soon_threadsafe(loop.stop))
print("ready", flush=True)
loop.run_forever()
loop.close()
