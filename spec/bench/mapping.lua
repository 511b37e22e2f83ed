-- The mapping's benchmark: raw items to entities on one core, against gojq, jq and libsimdjson.
--
--   lua5.4 spec/bench/mapping.lua [MEGABYTES [ROUNDS]]   run by the `bench-mapping` target from the top of the repository, MOONTIDE_BIN set
--
-- Data: recorded repositories of GitHub and Jira's issues of Ocean's examples, each repeated to MEGABYTES (200), from the shared
-- data's folder (MOONTIDE_SHARED). The mappings are those that Ocean ships for the two kinds; gojq and jq run one program that
-- writes the same entities. Each program runs ROUNDS (3) times, by turns, and the best counts; gojq's and jq's time is that of a
-- twentieth of the data (their start, measured with no data, is taken off). Figures of one run are comparable, others are not.
package.path = "./?.lua;./?/init.lua;" .. package.path
local support = require "spec.support"

local MEGABYTES, ROUNDS = tonumber(arg[1]) or 200, tonumber(arg[2]) or 3
local SHARED = assert(support.shared(), "the shared data is not there: set MOONTIDE_SHARED")

local KINDS = {
  {
    name = "repositories",
    files = { SHARED .. "/recordings/github-jenkinsci-repos.ndjson" },
    mapping = SHARED .. "/corpus/ocean/github/.port/resources/port-app-config.yml",
    kind = "repository",
    pick = '.body | fromjson | arrays | .[]', -- a line is an exchange, its body a page
    fields = {
      { "identifier", ".name" }, { "title", ".name" }, { "blueprint", '"githubRepository"' },
      properties = {
        { "description", 'if .description then .description else "" end' },
        { "visibility", 'if .private then "private" else "public" end' },
        { "defaultBranch", ".default_branch" },
        { "readme", '.__includedFiles["README.md"]' },
        { "codeowners", '.__includedFiles["CODEOWNERS"]' },
        { "url", ".html_url" },
        { "language", 'if .language then .language else "" end' },
      },
      relations = { { "organization", ".owner.login" } },
    },
  },
  {
    name = "issues",
    files = { "a", "b", "c", "d" },
    mapping = SHARED .. "/corpus/ocean/jira/.port/resources/port-app-config.yaml",
    kind = "issue",
    fields = {
      { "identifier", ".key" }, { "title", ".fields.summary" }, { "blueprint", '"jiraIssue"' },
      properties = {
        { "url", '(.self | split("/") | .[:3] | join("/")) + "/browse/" + .key' },
        { "status", ".fields.status.name" },
        { "issueType", ".fields.issuetype.name" },
        { "components", ".fields.components" },
        { "creator", ".fields.creator.emailAddress" },
        { "priority", ".fields.priority.name" },
        { "labels", ".fields.labels" },
        { "created", ".fields.created" },
        { "updated", ".fields.updated" },
        { "resolutionDate", ".fields.resolutiondate" },
      },
      relations = {
        { "project", ".fields.project.key" },
        { "parentIssue", ".fields.parent.key" },
        { "subtasks", ".fields.subtasks | map(.key)" },
        { "assignee", ".fields.assignee.accountId" },
        { "reporter", ".fields.reporter.accountId" },
      },
    },
  },
}
for i, letter in ipairs(KINDS[2].files) do
  KINDS[2].files[i] = ("%s/corpus/ocean/jira/.port/examples/issue/%s.json"):format(SHARED, letter)
end

-- One object of all fields, as an author of jq would write it.
local function program(fields)
  local function members(list)
    local out = {}
    for i, field in ipairs(list) do
      out[i] = ("%s: (%s)"):format(field[1], field[2])
    end
    return table.concat(out, ", ")
  end
  return ("{%s, properties: {%s}, relations: {%s}}"):format(members(fields), members(fields.properties), members(fields.relations))
end

-- Raw items, one a line, repeated to a size; returns path and number of items.
local function data(kind, bytes, dir)
  local lines = {}
  for _, path in ipairs(kind.files) do
    local text = support.run({ "jq", "-c", kind.pick or ".", path }, { timeout = 120 }).out
    for line in text:gmatch "[^\n]+" do
      lines[#lines + 1] = line
    end
  end
  local once = table.concat(lines, "\n") .. "\n"
  local path = ("%s/%s-%d.ndjson"):format(dir, kind.name, bytes)
  local file, items, written = assert(io.open(path, "wb")), 0, 0
  if bytes < #once then
    local i = 1
    while written < bytes do
      file:write(lines[i], "\n")
      items, written, i = items + 1, written + #lines[i] + 1, i % #lines + 1
    end
  else
    while written < bytes do
      file:write(once)
      items, written = items + #lines, written + #once
    end
  end
  file:close()
  return path, items, written
end

local function seconds(command)
  local timed = [[s=$(date +%s.%N); "$@" >/dev/null || exit $?; e=$(date +%s.%N); echo "$s $e"]]
  local out = support.run({ "sh", "-c", timed, "sh", table.unpack(command) }, { timeout = 900 })
  assert(out.code == 0, table.concat(command, " ") .. ": " .. out.err)
  local from, to = out.out:match "(%S+) (%S+)"
  return to - from
end

local function best(commands)
  local least = {}
  for _ = 1, ROUNDS do
    for name, command in pairs(commands) do
      local taken = seconds(command)
      least[name] = math.min(least[name] or math.huge, taken)
    end
  end
  return least
end

local function measure(kind)
  local dir = support.tmpdir()
  local all, items, bytes = data(kind, MEGABYTES * 1000000, dir)
  local few, few_items = data(kind, MEGABYTES * 1000000 // 20, dir)
  local none = support.write(dir .. "/none.ndjson", "") or dir .. "/none.ndjson"
  local function map(engine, threads, path)
    return { support.bin, "map", "--mapping", kind.mapping, "--kind", kind.kind, "--engine", engine, "--threads", threads, path }
  end
  local text = program(kind.fields)
  local commands = {
    native = map("native", "1", all), ["native, no data"] = map("native", "1", none), ["two threads"] = map("native", "2", all),
    libjq = map("libjq", "1", few), ["libjq, no data"] = map("libjq", "1", none),
  }
  -- What this machine gives two threads that share nothing: the ceiling of the ratio above.
  commands["two processes"] = { "sh", "-c", [["$@" & p=$!; "$@"; c=$?; wait $p && exit $c]], "sh", table.unpack(commands.native) }
  for _, tool in ipairs { "gojq", "jq" } do
    if support.run({ tool, "--version" }).code == 0 then
      commands[tool] = { tool, "-c", text, few }
      commands[tool .. ", no data"] = { tool, "-c", text, none }
    end
  end
  local taken = best(commands)
  local rate = items / taken.native
  print(("%s: %d items, %.0f MB, %d fields"):format(kind.name, items, bytes / 1e6,
    #kind.fields + #kind.fields.properties + #kind.fields.relations))
  print(("  native       %9.0f items/s  %7.1f MB/s"):format(rate, bytes / taken.native / 1e6))
  for _, other in ipairs { "libjq", "gojq", "jq" } do
    if taken[other] then
      local its = few_items / (taken[other] - taken[other .. ", no data"])
      print(("  %-12s %9.0f items/s   native is %5.1f times as fast"):format(other, its, rate / its))
    end
  end
  local start = taken["native, no data"]
  print(("  two threads  %9.0f items/s   %.2f times one, %.2f without the start of the process (%.0f ms)"):format(
    items / taken["two threads"], taken.native / taken["two threads"], (taken.native - start) / (taken["two threads"] - start),
    start * 1000))
  print(("  two processes of one thread each %17.2f times one"):format(2 * taken.native / taken["two processes"]))
  local bench = support.bin:gsub("[^/]+$", "parse_bench")
  if support.exists(bench) then
    local out = support.run({ bench, all }, { timeout = 600 })
    local dom = tonumber(out.out:match "items:.-simdjson DOM%s+([%d.]+) MB/s")
    assert(dom, out.out .. out.err)
    print(("  simdjson DOM %22.1f MB/s  native mapping is %.2f of it"):format(dom, bytes / taken.native / 1e6 / dom))
  end
  local function peak(path)
    local watch = [["$@" >/dev/null & p=$!; m=0
      while r=$(sed -n 's/^VmHWM:[^0-9]*\([0-9]*\).*/\1/p' /proc/$p/status 2>/dev/null); [ -n "$r" ]; do m=$r; done; echo $m]]
    local out = support.run({ "sh", "-c", watch, "sh", table.unpack(map("native", "1", path)) }, { timeout = 600 })
    return tonumber(out.out)
  end
  print(("  peak memory  %d kB for %d items, %d kB for %d"):format(peak(few), few_items, peak(all), items))
end

for _, kind in ipairs(KINDS) do
  measure(kind)
end
