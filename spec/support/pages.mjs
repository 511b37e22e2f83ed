#!/usr/bin/env node
// A small paged API for specs and benches: collections of JSON objects, served by Link header, page number or cursor, with faults.
//
//   node pages.mjs [--generate NAME:COUNT:BYTES] [--latency MS] [--port N]
//
//   PUT  /__data/NAME     a JSON array: the collection
//   POST /__fault         [{"path":"regex","every":N,"at":[N…],"kind":K,"last":true}]: every N-th request (or the N-th ones, or
//                         the last page) fails in the way K, until the faults are set anew
//   POST /__latency       [MS, N]: of the answers from now on, or from the N-th request on
//   POST /__reset         counts requests anew
//   GET  /__log           the requests so far
//   GET  /NAME?page=K&per_page=N            an array, with Link: rel=next
//   GET  /plain/NAME?page=K&per_page=N      the same without a Link header
//   GET  /cursor/NAME?cursor=C&per_page=N   {"items":[…],"next":C}
//   GET  /one/NAME/ID                       one object
//
// Kinds of faults: 429 (Retry-After: 1), 403rate, 500, 502, 503, reset (in mid body), truncate, garbage (invalid JSON, 200), empty (200 and
// [], the Link as it was), stall (never answers), 404, 401, html (a 200 that is a page).
import http from 'node:http';

const options = { latency: 0, port: 0, generate: [] };
for (let i = 2; i < process.argv.length; i += 2) {
  const [name, value] = [process.argv[i].slice(2), process.argv[i + 1]];
  if (name === 'generate') options.generate.push(value);
  else options[name] = Number(value);
}

const collections = new Map();
let faults = [], seen = 0, log = [];
const latencies = [[options.latency, 0]]; // the last one whose request has come

// Items of about BYTES bytes whose shape is that of a repository in a forge: nested objects, URLs, numbers, nulls.
function generate(name, count, bytes) {
  const items = [];
  for (let i = 0; i < count; i++) {
    const item = {
      id: 1000000 + i, node_id: `N_${i}`, name: `${name}-${i}`, full_name: `acme/${name}-${i}`, private: i % 3 === 0,
      owner: { login: 'acme', id: 7, type: 'Organization', site_admin: false, url: 'https://api.example.com/users/acme' },
      html_url: `https://example.com/acme/${name}-${i}`, description: i % 5 ? `Service number ${i} of the platform` : null,
      fork: false, language: ['go', 'rust', 'lua', 'c', null][i % 5], default_branch: 'main', stars: i % 977,
      size: i * 7 % 100003, open_issues: i % 31, license: { key: 'apache-2.0', name: 'Apache License 2.0', spdx: 'Apache-2.0' },
      created_at: '2024-01-02T03:04:05Z', updated_at: '2026-05-06T07:08:09Z', topics: ['platform', 'catalog', `team-${i % 40}`],
      permissions: { admin: false, push: i % 2 === 0, pull: true }, archived: i % 50 === 49, visibility: 'public',
      urls: {},
    };
    const links = ['keys', 'teams', 'hooks', 'events', 'assignees', 'branches', 'tags', 'blobs', 'refs', 'trees', 'statuses',
      'languages', 'stargazers', 'contributors', 'subscribers', 'commits', 'comments', 'contents', 'merges', 'archive',
      'downloads', 'issues', 'pulls', 'milestones', 'notifications', 'labels', 'releases', 'deployments'];
    for (let n = 0; JSON.stringify(item).length < bytes - 90 && n < 400; n++)
      item.urls[`${links[n % links.length]}_${n}_url`] =
        `https://api.example.com/repos/acme/${name}-${i}/${links[n % links.length]}{/id}`;
    items.push(item);
  }
  return items;
}
for (const g of options.generate) {
  const [name, count, bytes] = g.split(':');
  collections.set(name, { items: generate(name, Number(count), Number(bytes)), pages: new Map() });
}

function faultFor(n, path, last) {
  for (const f of faults) {
    if (f.path && !new RegExp(f.path).test(path)) continue;
    if (f.last ? last : f.at ? f.at.includes(n) : f.every ? n % f.every === 0 : true) return f.kind;
  }
  return null;
}

function send(res, status, headers, body) {
  const bytes = Buffer.isBuffer(body) ? body : Buffer.from(body);
  res.writeHead(status, { 'content-type': 'application/json', ...headers, 'content-length': bytes.length });
  res.end(bytes);
}

function fail(kind, res, headers, body) {
  const b = Buffer.from(body);
  switch (kind) {
    case '429': return send(res, 429, { 'retry-after': '1' }, '{"message":"slow down"}');
    case '403rate': return send(res, 403, { 'x-ratelimit-remaining': '0',
      'x-ratelimit-reset': String(Math.floor(Date.now() / 1000) + 1) }, '{"message":"rate limit exceeded"}');
    case 'garbage': return send(res, 200, {}, '{"truncated": [1, 2,');
    case 'html': return send(res, 200, { 'content-type': 'text/html' }, '<html>maintenance</html>');
    case 'empty': return send(res, 200, headers, '[]');
    case 'stall': return undefined;
    case 'reset': case 'truncate':
      res.writeHead(200, { 'content-type': 'application/json', ...headers, 'content-length': b.length });
      return res.write(b.subarray(0, b.length >> 1), () =>
        kind === 'reset' ? res.socket.resetAndDestroy() : res.socket.destroy());
    default: return send(res, Number(kind), {}, '{"message":"fault"}');
  }
}

function page(name, collection, number, size) {
  const key = `${number}/${size}`;
  let text = collection.pages.get(key);
  if (!text) {
    text = Buffer.from(JSON.stringify(collection.items.slice((number - 1) * size, number * size)));
    collection.pages.set(key, text);
  }
  return text;
}

function control(req, res, body) {
  const path = req.url.slice(1);
  if (path === '__log') return send(res, 200, {}, JSON.stringify(log));
  if (path === '__reset') { seen = 0; log = []; return send(res, 200, {}, '{}'); }
  if (path === '__fault') { faults = JSON.parse(body); return send(res, 200, {}, '{}'); }
  if (path === '__latency') { latencies.push(JSON.parse(body)); return send(res, 200, {}, '{}'); }
  collections.set(path.slice('__data/'.length), { items: JSON.parse(body), pages: new Map() });
  return send(res, 200, {}, '{}');
}

let self = '';
const server = http.createServer((req, res) => {
  let body = '';
  req.on('data', d => { body += d; }).on('end', () => {
    if (req.url.startsWith('/__')) return control(req, res, body);
    const url = new URL(req.url, self);
    const parts = url.pathname.split('/').filter(Boolean);
    const style = ['plain', 'cursor', 'one'].includes(parts[0]) ? parts.shift() : 'link';
    const name = parts[0], collection = collections.get(name);
    const size = Number(url.searchParams.get('per_page') || 100);
    const number = style === 'cursor' ? Number(url.searchParams.get('cursor') || 1) : Number(url.searchParams.get('page') || 1);
    const pages = collection ? Math.max(1, Math.ceil(collection.items.length / size)) : 0;
    const fault = faultFor(++seen, req.url, number === pages);
    log.push({ method: req.method, url: req.url, fault, authorization: req.headers.authorization });
    if (log.length > 100000) log = [];
    const answer = () => {
      const headers = {};
      let text;
      if (style === 'one') {
        const item = collection && collection.items.find(i => String(i.id) === parts[1]);
        if (item) text = JSON.stringify(item);
      } else if (collection && style === 'cursor') {
        text = JSON.stringify({ items: collection.items.slice((number - 1) * size, number * size), next: number < pages ? String(number + 1) : null });
      } else if (collection) {
        text = page(name, collection, number, size);
        if (style === 'link' && number < pages)
          headers.link = `<${self}/${name}?page=${number + 1}&per_page=${size}>; rel="next", <${self}/${name}?page=${pages}&per_page=${size}>; rel="last"`;
      }
      if (fault) return fail(fault, res, headers, text || '[]');
      return text === undefined ? send(res, 404, {}, '{"message":"Not Found"}') : send(res, 200, headers, text);
    };
    const [latency] = latencies.findLast(([, from]) => seen >= (from ?? 0));
    return latency ? setTimeout(answer, latency) : answer();
  });
});
server.keepAliveTimeout = 60000;
server.listen(options.port, '127.0.0.1', () => {
  self = `http://127.0.0.1:${server.address().port}`;
  console.log(`listening ${self}`);
});
