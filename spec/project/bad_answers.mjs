#!/usr/bin/env node
// An API whose every list is wrong in a way of its own, for bad_input_spec.lua. Prints "listening URL" first.
//
//   /good              two pages of three items, by Link
//   /then/KIND         a good first page whose Link leads to /bad/KIND
//   /bad/KIND          what is wrong; see below
import http from 'node:http';
import { gzipSync } from 'node:zlib';

let self = '';
const items = (from, n) => Array.from({ length: n }, (_, i) => ({ id: from + i, name: `item ${from + i}` }));

function json(res, body, headers = {}, status = 200) {
  const bytes = Buffer.isBuffer(body) ? body : Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
  res.writeHead(status, { 'content-type': 'application/json', ...headers, 'content-length': bytes.length });
  res.end(bytes);
}

const next = path => ({ link: `<${self}${path}>; rel="next"` });
const whole = Buffer.from(JSON.stringify(items(100, 500)));

const bad = {
  utf8: res => json(res, Buffer.from('[{"id":1,"name":"caf\xe9"}]', 'latin1')),
  overlong: res => json(res, Buffer.from('[{"id":1,"name":"\xc0\xaf"}]', 'latin1')),
  html: res => json(res, '<html><body>down for maintenance</body></html>', { 'content-type': 'text/html' }),
  syntax: res => json(res, '[{"id":1,\n "name": tru}]'),
  nothing: res => json(res, ''),
  nolist: res => json(res, { message: 'no list here' }),
  numbers: res => json(res, [1, 2, 3]),
  mixed: res => json(res, [{ id: 1 }, null]),
  deep: res => json(res, '['.repeat(20000) + ']'.repeat(20000)),
  deepitem: res => json(res, `[{"id":1,"name":${'['.repeat(9000)}${']'.repeat(9000)}}]`),
  huge: res => json(res, Buffer.from('[' + '{"id":1},'.repeat(300000) + '{"id":2}]')),
  endless: res => {
    res.writeHead(200, { 'content-type': 'application/json' });
    const chunk = Buffer.alloc(65536, 0x20);
    const push = () => { while (!res.destroyed && res.write(chunk)); };
    res.on('drain', push);
    push();
  },
  bomb: res => json(res, gzipSync(Buffer.alloc(64 << 20, 0x20)), { 'content-encoding': 'gzip' }),
  reset: res => {
    res.writeHead(200, { 'content-type': 'application/json', 'content-length': whole.length });
    res.write(whole.subarray(0, whole.length >> 1), () => res.socket.resetAndDestroy());
  },
  truncate: res => {
    res.writeHead(200, { 'content-type': 'application/json', 'content-length': whole.length });
    res.write(whole.subarray(0, whole.length >> 1), () => res.socket.end());
  },
  stall: () => {},
  stallbody: res => {
    res.writeHead(200, { 'content-type': 'application/json', 'content-length': whole.length });
    res.write(whole.subarray(0, 100));
  },
  loop: (res, url) => json(res, '', { location: `/bad/loop?n=${Number(url.searchParams.get('n')) + 1}` }, 302),
  selfloop: res => json(res, '', { location: '/bad/selfloop' }, 302),
  repeat: res => json(res, items(1, 3), next('/bad/repeat')),
  repeatnumber: res => json(res, items(1, 3)),
  emptynext: res => json(res, [], next('/good')),
  badlink: res => json(res, items(1, 3), { link: '<http://[::1:bad/>; rel="next"' }),
  notfound: res => json(res, { message: 'Not Found' }, {}, 404),
  denied: res => json(res, { message: 'Bad credentials' }, {}, 401),
  down: res => json(res, { message: 'oops' }, {}, 500),
  nohttp: res => res.socket.end('this is no HTTP at all\r\n\r\n'),
};

const server = http.createServer((req, res) => {
  const url = new URL(req.url, self);
  const [, place, kind] = url.pathname.split('/');
  if (place === 'good') {
    const second = url.searchParams.get('page') === '2';
    return json(res, items(second ? 4 : 1, 3), second ? {} : next('/good?page=2'));
  }
  if (place === 'then') return json(res, items(1, 3), next(`/bad/${kind}`));
  return bad[kind] ? bad[kind](res, url) : json(res, { message: 'no such kind' }, {}, 404);
});
server.listen(0, '127.0.0.1', () => {
  self = `http://127.0.0.1:${server.address().port}`;
  console.log(`listening ${self}`);
});
