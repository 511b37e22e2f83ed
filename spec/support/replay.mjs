// Serves recorded HTTP exchanges on loopback: node replay.mjs RECORDING.ndjson…; prints "listening URL". A line of a recording is
// {method, url, status, headers, body}. https://api.github.com in Link headers becomes this server. Unknown requests get 404;
// GET /__log lists what was asked for.
import http from 'node:http';
import fs from 'node:fs';

const key = (method, url) => {
  const [path, query] = url.split('?');
  return `${method} ${path}?${query ? query.split('&').sort().join('&') : ''}`;
};
const exchanges = new Map();
for (const file of process.argv.slice(2))
  for (const line of fs.readFileSync(file, 'utf8').split('\n'))
    if (line) {
      const exchange = JSON.parse(line);
      exchanges.set(key(exchange.method, exchange.url), exchange);
    }

const log = [];
let self;
const server = http.createServer((request, response) => {
  if (request.url === '/__log') return response.end(JSON.stringify(log));
  log.push({ method: request.method, url: request.url, headers: request.headers });
  const exchange = exchanges.get(key(request.method, request.url)) ??
    { status: 404, headers: { 'content-type': 'application/json' }, body: '{"message":"Not Found"}' };
  const headers = { ...exchange.headers };
  if (headers.link) headers.link = headers.link.replaceAll('https://api.github.com', self);
  response.writeHead(exchange.status, headers);
  response.end(exchange.body);
});
server.listen(0, '127.0.0.1', () => {
  self = `http://127.0.0.1:${server.address().port}`;
  console.log(`listening ${self}`);
});
