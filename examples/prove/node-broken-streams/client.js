// Reads one answer. Fails if it has begun and does not end; who is not let in any more has lost nothing.
'use strict';
const fs = require('node:fs');
const http = require('node:http');

const port = Number(fs.readFileSync('data/port', 'utf8'));
const request = http.get({ host: '127.0.0.1', port }, (response) => {
  let answer = '';
  response.setEncoding('utf8');
  response.on('data', (text) => (answer += text));
  response.on('error', () => {});
  response.on('close', () => {
    if (answer.endsWith('data: [DONE]\n\n')) return;
    console.log(`the answer ended after ${answer.split('\n\n').length - 1} of 31 parts`);
    process.exit(1);
  });
});
request.on('error', () => {});
