// A server that closes on each signal. The second time there is nothing to close: an unhandled rejection, and exit status 1.
'use strict';
const http = require('node:http');
const { promisify } = require('node:util');
const { setTimeout: sleep } = require('node:timers/promises');

const server = http.createServer((request, response) => response.end('ok\n'));

async function stop() {
  console.log('stopping');
  // Fault: the second signal closes what the first has closed, while that still saves.
  await promisify(server.close.bind(server))();
  await sleep(50);
  process.exit(0);
}

for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, stop);
server.listen(0, '127.0.0.1', () => console.log('ready'));
