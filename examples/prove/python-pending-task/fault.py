"""A downloader with three workers. On a stop it stops the loop under them."""

import signal

# As long as there is nothing to save, Ctrl+C may end it: an import that is interrupted prints a traceback, or loses the signal.
signal.signal(signal.SIGINT, signal.SIG_DFL)

import asyncio


async def worker():
    while True:
        await asyncio.sleep(0.01)


loop = asyncio.new_event_loop()
workers = [loop.create_task(worker()) for _ in range(3)]
for number in (signal.SIGTERM, signal.SIGINT):
    # Fault: the tasks are still waiting when the loop is closed.
    loop.add_signal_handler(number, loop.stop)
print("ready", flush=True)
loop.run_forever()
# Done: what comes now would meet an interpreter whose loop, and with it these handlers, is gone.
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
loop.close()
