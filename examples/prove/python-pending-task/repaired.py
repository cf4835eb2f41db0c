"""A downloader with three workers. On a stop it cancels them and waits for them."""

import signal

# As long as there is nothing to save, Ctrl+C may end it: an import that is interrupted prints a traceback, or loses the signal.
signal.signal(signal.SIGINT, signal.SIG_DFL)

import asyncio


async def worker():
    while True:
        await asyncio.sleep(0.01)


async def main():
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        # Not `loop.add_signal_handler`: that ends with the loop, and a second Ctrl+C would find none.
        signal.signal(number, lambda *_: loop.is_closed() or loop.call_soon_threadsafe(asked.set))
    workers = [asyncio.create_task(worker()) for _ in range(3)]
    print("ready", flush=True)
    await asked.wait()
    for task in workers:
        task.cancel()
    await asyncio.gather(*workers, return_exceptions=True)


asyncio.run(main())
