// Streams answers of a model, word by word for 100 ms. On a stop the answers that have begun are finished.
'use strict';
const fs = require('node:fs');
const http = require('node:http');

const folder = process.argv[2] ?? 'data';

const server = http.createServer((request, response) => {
  response.writeHead(200, { 'Content-Type': 'text/event-stream', Connection: 'close' });
  let left = 10;
  const timer = setInterval(() => {
    response.write(`data: word ${left}\n\n`);
    if (--left === 0) {
      clearInterval(timer);
      response.end('data: [DONE]\n\n');
    }
  }, 10);
});

for (const signal of ['SIGTERM', 'SIGINT']) {
  process.on(signal, () => {
    console.log('stopping');
    server.close(() => process.exit(0));
  });
}
server.listen(0, '127.0.0.1', () => {
  fs.mkdirSync(folder, { recursive: true });
  fs.writeFileSync(`${folder}/port`, `${server.address().port}`);
  console.log('ready');
});
