#!/usr/bin/env node
// Serves the exchanges of a recording as they are, in order, the last one for ever, gzipped; others are 404.
// /binary: a body that is no UTF-8.
import http from 'node:http';
import fs from 'node:fs';
import zlib from 'node:zlib';

const exchanges = new Map();
for (const line of fs.readFileSync(process.argv[2], 'utf8').split('\n').filter(Boolean)) {
  const r = JSON.parse(line), key = `${r.method} ${r.url}`;
  exchanges.set(key, [...(exchanges.get(key) ?? []), r]);
}
const server = http.createServer((req, res) => {
  req.resume().on('end', () => {
    if (req.url === '/binary') return res.end(Buffer.from([0x61, 0xff, 0xfe, 0x62, 0, 0x63]));
    const list = exchanges.get(`${req.method} ${req.url}`);
    const r = list?.length > 1 ? list.shift() : list?.[0];
    if (!r) return res.writeHead(404).end('{}');
    const body = r.status === 304 ? '' : zlib.gzipSync(r.body);
    res.writeHead(r.status, { ...r.headers, 'content-encoding': 'gzip', 'content-length': body.length }).end(body);
  });
});
server.listen(0, '127.0.0.1', () => console.log(`listening http://127.0.0.1:${server.address().port}`));
