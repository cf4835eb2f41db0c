"""A chat backend that cancels every task on a stop, its own main among them: a traceback, and exit status 1."""

import signal

# As long as there is nothing to save, Ctrl+C may end it: an import that is interrupted prints a traceback, or loses the signal.
signal.signal(signal.SIGINT, signal.SIG_DFL)

import asyncio


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
        loop.add_signal_handler(number, stop, loop)
    sessions = [asyncio.create_task(session()) for _ in range(3)]
    print("ready", flush=True)
    await asyncio.gather(*sessions)


asyncio.run(main())
