#!/usr/bin/env node
// A Port that knows nothing and accepts everything at once (A-MOCK-01…08): what a resync costs without a catalog behind it.
// Prints `listening URL`; GET /__count gives {"upserts":N,"bulks":N}.
import http from 'node:http';

let upserts = 0, bulks = 0;
const integration = { identifier: 'bench', config: {}, installationType: 'OnPrem', resyncState: { status: 'completed', updatedAt: '2026-01-01T00:00:00Z' } };
const json = (res, value) => {
  const text = JSON.stringify(value);
  res.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) });
  res.end(text);
};

const server = http.createServer((req, res) => {
  const chunks = [];
  req.on('data', c => chunks.push(c)).on('end', () => {
    const path = req.url.split('?')[0];
    if (path === '/__count') return json(res, { upserts, bulks });
    if (path.endsWith('/entities/bulk')) {
      const n = JSON.parse(Buffer.concat(chunks)).entities.length;
      upserts += n;
      bulks++;
      return json(res, { entities: Array.from({ length: n }, (_, index) => ({ index, identifier: String(index), created: true })), errors: [] });
    }
    if (path.endsWith('/auth/access_token')) return json(res, { accessToken: 't', expiresIn: 999999999, tokenType: 'Bearer' });
    if (path.endsWith('/entities/search') || path.endsWith('/datasource-entities')) return json(res, { ok: true, entities: [], next: null });
    if (path.endsWith('/entities/delete')) return json(res, { ok: true, deletedEntities: [] });
    if (path.startsWith('/v1/integration')) {
      if (req.method !== 'GET' && chunks.length) Object.assign(integration, JSON.parse(Buffer.concat(chunks)));
      return json(res, { ok: true, integration });
    }
    if (path.startsWith('/v1/blueprints')) {
      const identifier = decodeURIComponent(path.split('/')[3] || 'repository');
      return json(res, { ok: true, blueprint: { identifier, title: identifier, schema: { properties: {}, required: [] }, relations: {} } });
    }
    return json(res, { ok: true });
  });
});
server.keepAliveTimeout = 60000;
server.listen(0, '127.0.0.1', () => console.log(`listening http://127.0.0.1:${server.address().port}`));
