-- The resync's benchmark: 50,000 items of about 5 KB, 100 a page, 15 fields, from a local server of 20 ms latency (and of none), into the
-- embedded catalog and into a null Port; pages passed on as they are, and with one field assigned in each item; and mapped by libjq.
--
--   lua5.4 spec/bench/resync.lua [ITEMS [LARGE]]     run by the `bench` target from the top of the repository, MOONTIDE_BIN set
--
-- Figures are wall time, CPU seconds of the process, items a second and peak memory; ratios are against what the slowest stage
-- takes alone, measured in the same run: fetching the pages, mapping them (`moontide map` on the same engine), posting the bulks.
package.path = "./?.lua;./?/init.lua;" .. package.path
local support = require "spec.support"
local sync = require "spec.support.sync"

local ITEMS, LARGE, BYTES = tonumber(arg[1]) or 50000, tonumber(arg[2]) or 200000, 5000

local MAPPING = [[
resources:
  - kind: repository
    selector:
      query: 'true'
    port:
      entity:
        mappings:
          identifier: .full_name
          title: .name
          blueprint: '"repository"'
          properties:
            url: .html_url
            description: if .description then .description else "" end
            language: .language // "none"
            visibility: if .private then "private" else "public" end
            defaultBranch: .default_branch
            stars: .stars
            size: .size
            openIssues: .open_issues
            license: .license.spdx
            createdAt: .created_at
            updatedAt: .updated_at
            topics: .topics
            archived: .archived
            owner: .owner.login
            label: .label
]]
local BLUEPRINTS = [[
[{"identifier":"repository","title":"Repository","relations":{},"schema":{"required":[],"properties":{
 "url":{"type":"string","format":"url"},"description":{"type":"string"},"language":{"type":"string"},"visibility":{"type":"string"},
 "defaultBranch":{"type":"string"},"stars":{"type":"number"},"size":{"type":"number"},"openIssues":{"type":"number"},
 "license":{"type":"string"},"createdAt":{"type":"string","format":"date-time"},"updatedAt":{"type":"string","format":"date-time"},
 "topics":{"type":"array","items":{"type":"string"}},"archived":{"type":"boolean"},"owner":{"type":"string"},"label":{"type":"string"}}}}]
]]
local function main(body)
  return ([[
local tide = require "moontide"
tide.on_resync(function(kind)
  local api = tide.http.client { base_url = tide.config.apiUrl }
  for page in api:pages("/" .. kind, { per_page = 100 }) do
%s
  end
end)
]]):format(body)
end
local PASS = main "    coroutine.yield(page)"
local ASSIGN = main '    for _, item in ipairs(page) do item.label = "platform" end\n    coroutine.yield(page)'
local FETCH_ONLY = main "    assert(#page > 0)"

local function seconds(command, options)
  local timed = [[s=$(date +%s.%N); "$@" >/dev/null || exit $?; e=$(date +%s.%N); echo "$s $e"]]
  local out = support.run({ "sh", "-c", timed, "sh", table.unpack(command) }, options)
  assert(out.code == 0, out.err)
  local from, to = out.out:match "(%S+) (%S+)"
  return to - from
end

-- Wall seconds, CPU seconds, peak MB of one resync.
local function resync(api, body, where, env)
  local cwd = support.tmpdir()
  local path = sync.bundle { dir = cwd .. "/bench", main = body, mapping = MAPPING, blueprints = BLUEPRINTS }
  local command, options = sync.command(path, api, cwd, { port = where, env = env, timeout = 1200 })
  local timed = { "sh", "-c", [["$@"; code=$?; times >&2; exit $code]], "sh", table.unpack(command) }
  local result = support.run(timed, options)
  local report = support.json.decode(result.out:match "([^\n]+)\n?$")
  assert(result.code == 0, result.err)
  local um, us, sm, ss = result.err:match "(%d+)m([%d.]+)s (%d+)m([%d.]+)s%s*$"
  return { wall = report.seconds, cpu = um * 60 + us + sm * 60 + ss, peak = report.peak_rss_bytes / 1e6, report = report, cwd = cwd }
end

local function row(name, items, r, slowest)
  print(("%-58s %8.2f s %8.0f items/s %7.2f s CPU %7.1f MB%s"):format(name, r.wall, items / r.wall, r.cpu, r.peak,
    slowest and ("   %.2f x slowest stage"):format(r.wall / slowest) or ""))
end

local function server(latency, items)
  return sync.api("--generate", ("repository:%d:%d"):format(items, BYTES), "--latency", tostring(latency))
end

print(("resync of %d items of %d bytes, 100 a page, 15 fields"):format(ITEMS, BYTES))
local slow, fast = server(20, ITEMS), server(0, ITEMS)
local null = support.spawn { "node", "spec/bench/null_port.mjs" }
local null_url = null.line:match "listening (%S+)"

-- The stages alone.
local cwd = support.tmpdir()
local sample = cwd .. "/items.ndjson"
os.execute(("i=1; while [ $i -le %d ]; do curl -s '%s/repository?page='$i'&per_page=100'; i=$((i+1)); done > %s")
  :format(ITEMS // 100, fast.url, sample))
support.write(cwd .. "/mapping.yml", MAPPING)
local mapping = seconds({ support.bin, "map", "--mapping", cwd .. "/mapping.yml", "--kind", "repository", sample }, { timeout = 600 })
support.run({ "sh", "-c", ('"%s" map --mapping mapping.yml --kind repository items.ndjson > entities.ndjson'):format(support.bin) },
  { cwd = cwd, timeout = 600 })
local pages_slow = resync(slow, FETCH_ONLY, null_url)
local pages_fast = resync(fast, FETCH_ONLY, null_url)
local catalog = sync.catalog(cwd .. "/bulk.db")
for _, b in ipairs(support.json.decode(BLUEPRINTS)) do
  b.relations = support.json.object {}
  b.schema.required = setmetatable({}, { __jsontype = "array" })
  assert(support.request("POST", catalog.url .. "/v1/blueprints", b, sync.authorization(catalog.url)).status < 300)
end
local pushed = support.run({ "node", "spec/bench/push_bulks.mjs", catalog.url, "repository", cwd .. "/entities.ndjson" },
  { timeout = 600 })
local bulks = tonumber((pushed.out))
catalog:stop()
row("stage: pages, 20 ms latency", ITEMS, pages_slow)
row("stage: pages, no latency", ITEMS, pages_fast)
print(("%-58s %8.2f s %8.0f items/s"):format("stage: mapping, all cores", mapping, ITEMS / mapping))
print(("%-58s %8.2f s %8.0f items/s"):format("stage: bulks of 20 on 5 connections into the catalog", bulks, ITEMS / bulks))

local slow_stage, fast_stage = math.max(pages_slow.wall, mapping, bulks), math.max(pages_fast.wall, mapping, bulks)
local null_stage_slow, null_stage_fast = math.max(pages_slow.wall, mapping), math.max(pages_fast.wall, mapping)
for _, body in ipairs { { "as they are", PASS }, { "one field assigned", ASSIGN } } do
  row(("20 ms latency, embedded catalog, pages %s"):format(body[1]), ITEMS, resync(slow, body[2]), slow_stage)
  row(("20 ms latency, null Port, pages %s"):format(body[1]), ITEMS, resync(slow, body[2], null_url), null_stage_slow)
  row(("no latency, embedded catalog, pages %s"):format(body[1]), ITEMS, resync(fast, body[2]), fast_stage)
  row(("no latency, null Port, pages %s"):format(body[1]), ITEMS, resync(fast, body[2], null_url), null_stage_fast)
end
local libjq = { MOONTIDE__ENGINE = "libjq" }
row("no latency, embedded catalog, mapped by libjq", ITEMS, resync(fast, PASS, nil, libjq), fast_stage)
row("no latency, null Port, mapped by libjq", ITEMS, resync(fast, PASS, null_url, libjq), null_stage_fast)
slow:stop()
fast:stop()

if LARGE > 0 then
  local small_peak = 0
  for _, items in ipairs { ITEMS, LARGE } do
    local api = server(0, items)
    local r = resync(api, PASS, null_url)
    row(("memory: %d items, null Port"):format(items), items, r)
    if items == ITEMS then
      small_peak = r.peak
    else
      print(("memory: %.1f bytes for each further item"):format((r.peak - small_peak) * 1e6 / (LARGE - ITEMS)))
    end
    api:stop()
  end
end
null:stop()
