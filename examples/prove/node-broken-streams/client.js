// Reads one answer after the other until the server lets it in no more. Fails if an answer has begun and does not end.
'use strict';
const fs = require('node:fs');
const http = require('node:http');

const port = Number(fs.readFileSync(`${process.argv[2] ?? 'data'}/port`, 'utf8'));

function read() {
  const request = http.get({ host: '127.0.0.1', port }, (response) => {
    let answer = '';
    response.setEncoding('utf8');
    response.on('data', (text) => (answer += text));
    response.on('error', () => {});
    response.on('close', () => {
      if (answer.endsWith('data: [DONE]\n\n')) return read();
      console.log(`the answer ended after ${answer.split('\n\n').length - 1} of 11 parts`);
      process.exit(1);
    });
  });
  // Who is not let in has lost nothing.
  request.on('error', () => {});
}

read();
