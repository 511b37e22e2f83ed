#!/usr/bin/env node
// A small Port for the specs of port/: tokens, an ingest address for log lines, and answers as ordered.
//
//   node port.mjs [--token LIST] [--ingest LIST]    prints `listening URL`
//
// LIST: what comes one after another, the last one for ever: a status, "text" (200, no JSON), "hold" (never answered), "reset".
//   POST /v1/auth/access_token, POST /ingest
//   ANY  /v1/status/LIST         answers by the list, one a request to this very path
//   GET  /__await?records=N | uploads=N    answers when so many records were taken with 2xx, or uploads were asked for
//   GET  /__log                  { tokens: N, uploads: [{ ms, status, agent, authorization, body }] }
import http from 'node:http';

const option = (name) => {
  const at = process.argv.indexOf(name);
  return at < 0 ? ['200'] : process.argv[at + 1].split(',');
};
const lists = { token: option('--token'), ingest: option('--ingest') };
const began = Date.now();
const uploads = [];
let tokens = 0, records = 0, waiting = [];

const next = (name) => lists[name].length > 1 ? lists[name].shift() : lists[name][0];

function give(req, res, how, body) {
  if (how === 'hold') return;
  if (how === 'reset') return req.socket.destroy();
  const text = how === 'text' ? 'thanks' : JSON.stringify(body);
  res.writeHead(how === 'text' ? 200 : Number(how), { 'content-type': how === 'text' ? 'text/plain' : 'application/json' });
  res.end(text);
}

function look() {
  waiting = waiting.filter(({ url, res }) => {
    const wanted = url.searchParams;
    if (wanted.has('records') ? records < Number(wanted.get('records')) : uploads.length < Number(wanted.get('uploads'))) return true;
    res.end('{}');
    return false;
  });
}

const server = http.createServer((req, res) => {
  const chunks = [];
  req.on('error', () => {});
  req.on('data', (c) => chunks.push(c)).on('end', () => {
    const url = new URL(req.url, 'http://x');
    const body = Buffer.concat(chunks).toString();
    if (url.pathname === '/__log') return res.end(JSON.stringify({ tokens, uploads }));
    if (url.pathname === '/__await') { waiting.push({ url, res }); return look(); }
    if (url.pathname === '/v1/auth/access_token') {
      tokens++;
      return give(req, res, next('token'), { ok: true, accessToken: `token-number-${tokens}`, expiresIn: 3600, tokenType: 'Bearer' });
    }
    if (url.pathname === '/ingest') {
      const how = next('ingest');
      uploads.push({ ms: Date.now() - began, status: how, agent: req.headers['user-agent'], authorization: req.headers.authorization, body });
      if (how === 'text' || /^2/.test(how)) records += JSON.parse(body).logs.length;
      give(req, res, how, { ok: how[0] === '2', message: `the answer is ${how}` });
      return look();
    }
    const list = url.pathname.match(/^\/v1\/status\/(.*)$/);
    if (list) {
      lists[req.url] ??= list[1].split(',');
      const how = next(req.url);
      return give(req, res, how, { ok: how[0] === '2', message: `ordered: ${how} with the token-number-1` });
    }
    give(req, res, '404', { ok: false });
  });
});
server.listen(0, '127.0.0.1', () => console.log(`listening http://127.0.0.1:${server.address().port}`));
