#!/usr/bin/env node
// A proxy in front of Port (the catalog) that misbehaves on request.
//
//   node proxy.mjs --target URL      prints `listening URL`
//   POST /__fault   [{"path":"regex","method":"POST","times":N,"skip":N,"kind":K}]: after SKIP matching requests the next N (all, when
//                   absent) fail in the way K: a status, "429" (Retry-After: 1), reset (after the request was passed on, in mid answer),
//                   refuse (before it is passed on), html (502 with a page), stall, hold (passed on, answered only after POST /__release)
//   GET  /__log     requests so far: [{method,url,status}]
//   GET  /__held    answers once a request is held or stalled: {"count":N}
import http from 'node:http';

const target = new URL(process.argv[process.argv.indexOf('--target') + 1]);
let faults = [], log = [], held = [], waiting = [], holding = 0;
const agent = new http.Agent({ keepAlive: true });

function faultFor(req) {
  for (const f of faults) {
    if ((f.method && f.method !== req.method) || !new RegExp(f.path || '.').test(req.url)) continue;
    if (f.skip > 0) { f.skip--; continue; }
    if (f.times === 0) continue;
    if (f.times > 0) f.times--;
    return f.kind;
  }
  return null;
}

function noteHeld() {
  holding++;
  for (const res of waiting) res.end(JSON.stringify({ count: holding }));
  waiting = [];
}

function pass(req, body, done) {
  const out = http.request({ host: target.hostname, port: target.port, method: req.method, path: req.url, headers: req.headers, agent }, res => {
    const chunks = [];
    res.on('data', c => chunks.push(c)).on('end', () => done(res.statusCode, res.headers, Buffer.concat(chunks)));
  });
  out.on('error', () => done(502, {}, Buffer.from('{"error":"bad_gateway"}')));
  out.end(body);
}

const server = http.createServer((req, res) => {
  const chunks = [];
  req.on('data', c => chunks.push(c)).on('end', () => {
    const body = Buffer.concat(chunks);
    if (req.url === '/__log') return res.end(JSON.stringify(log));
    if (req.url === '/__fault') { faults = JSON.parse(body); holding = 0; return res.end('{}'); }
    if (req.url === '/__held') return holding ? res.end(JSON.stringify({ count: holding })) : waiting.push(res);
    if (req.url === '/__release') { for (const go of held) go(); held = []; return res.end('{}'); }
    const kind = faultFor(req);
    const entry = { method: req.method, url: req.url, agent: req.headers['user-agent'], body: body.length < 100000 ? body.toString() : '' };
    log.push(entry);
    const reply = (status, headers, bytes) => {
      entry.status = status;
      res.writeHead(status, { ...headers, 'content-length': bytes.length });
      res.end(bytes);
    };
    switch (kind) {
      case null: return pass(req, body, reply);
      case 'refuse': entry.status = 'refused'; return req.socket.resetAndDestroy();
      case 'stall': entry.status = 'stalled'; return noteHeld();
      case 'html': return reply(502, { 'content-type': 'text/html' }, Buffer.from('<html>bad gateway</html>'));
      case 'reset': return pass(req, body, (status, headers, bytes) => {
        entry.status = 'reset';
        res.writeHead(status, { ...headers, 'content-length': bytes.length + 100 });
        res.write(bytes, () => req.socket.resetAndDestroy());
      });
      case 'hold': return pass(req, body, (status, headers, bytes) => { held.push(() => reply(status, headers, bytes)); noteHeld(); });
      default: return reply(Number(kind), { 'content-type': 'application/json', ...(kind === '429' ? { 'retry-after': '1' } : {}) },
        Buffer.from('{"ok":false,"error":"fault","message":"injected fault"}'));
    }
  });
});
server.listen(0, '127.0.0.1', () => console.log(`listening http://127.0.0.1:${server.address().port}`));
