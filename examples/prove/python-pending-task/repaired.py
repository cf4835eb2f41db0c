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
        loop.add_signal_handler(number, asked.set)
    workers = [asyncio.create_task(worker()) for _ in range(3)]
    print("ready", flush=True)
    await asked.wait()
    for task in workers:
        task.cancel()
    await asyncio.gather(*workers, return_exceptions=True)
    # Done: what comes now would meet an interpreter whose loop, and with it these handlers, is gone.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})


asyncio.run(main())
