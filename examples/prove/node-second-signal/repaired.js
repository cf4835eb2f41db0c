// A server that closes on the first signal; later ones find that it does.
'use strict';
const http = require('node:http');
const { promisify } = require('node:util');
const { setTimeout: sleep } = require('node:timers/promises');

const server = http.createServer((request, response) => response.end('ok\n'));
let stopping = false;

async function stop() {
  if (stopping) return;
  stopping = true;
  console.log('stopping');
  if (server.listening) await promisify(server.close.bind(server))();
  await sleep(50);
  process.exit(0);
}

for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, stop);
server.listen(0, '127.0.0.1', () => console.log('ready'));
