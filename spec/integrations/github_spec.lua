-- The GitHub bundle from the command line into the catalog: against a server of recorded answers. What its handlers and its
-- mapping do is in the bundle's own spec (moontide test integrations/github).
local support = require "spec.support"
local sync = require "spec.support.sync"

local source = support.root .. "/integrations/github"
local acme = source .. "/spec/recordings/acme.ndjson"
local config = "MOONTIDE__INTEGRATION__CONFIG__GITHUB_"

-- A copy of the bundle with another selector for a kind: { kind = "lines of YAML" }.
local function bundle_with(selectors)
  local dir = support.tmpdir() .. "/github"
  os.execute(("cp -r %s %s"):format(source, dir))
  local file = dir .. "/.port/resources/port-app-config.yml"
  local mapping = support.read(file)
  for kind, selector in pairs(selectors) do
    local first, last = mapping:find("- kind: " .. kind .. "\n    selector:\n", 1, true)
    local rest = mapping:find("\n    port:\n", last, true)
    mapping = mapping:sub(first and 1, last) .. selector:gsub("[^\n]+", "      %0") .. mapping:sub(rest)
  end
  support.write(file, mapping)
  return dir
end

local function resync(url, cwd, options)
  local env = { [config .. "HOST"] = url, [config .. "ORGANIZATION"] = "acme" }
  for name, value in pairs(options.env or {}) do
    env[name] = value
  end
  local command = { support.bin, "resync", options.bundle or source, "--json" }
  for _, kind in ipairs(options.kinds or {}) do
    table.insert(command, "--kind")
    table.insert(command, kind)
  end
  local result = support.run(command, { cwd = cwd, env = env, timeout = 300 })
  local line = result.out:match "([^\n]+)\n?$"
  result.report = line and line:sub(1, 1) == "{" and support.json.decode(line) or nil
  return result
end

local function entities(cwd, blueprint)
  return sync.embedded(cwd, blueprint)
end

local function ids(found)
  local list = {}
  for id in pairs(found) do
    list[#list + 1] = id
  end
  table.sort(list)
  return list
end

describe("the GitHub bundle", function()
  local server, cwd
  before_each(function()
    server = support.recorded(acme)
    cwd = support.tmpdir()
  end)
  after_each(function()
    server:stop()
  end)

  it("passes validate", function()
    local result = support.run({ support.bin, "validate", source })
    assert.equal(0, result.code, result.out .. result.err)
  end)

  it("reads an organization, its repositories page by page, its open pull requests and issues", function()
    local result = resync(server.url, cwd, {})
    assert.equal(0, result.code, result.err)
    assert.equal("acme", entities(cwd, "githubOrganization").acme.properties.login)
    local repositories = entities(cwd, "githubRepository")
    assert.same({ "anchor", "buoy", "chart" }, ids(repositories))
    local url = "https://github.com/acme/buoy"
    assert.same({ description = "", visibility = "private", defaultBranch = "main", url = url, language = "" },
      repositories.buoy.properties)
    assert.equal("acme", repositories.buoy.relations.organization)
    local pulls = entities(cwd, "githubPullRequest")
    assert.same({ "904", "anchor901", "chart905" }, ids(pulls)) -- 904: its fork is gone
    assert.equal("renovate-bot", pulls.anchor901.properties.creator)
    assert.same({ "grace" }, pulls.anchor901.properties.reviewers)
    assert.equal("anchor", pulls["904"].relations.repository)
    local issues = entities(cwd, "githubIssue")
    assert.same({ "anchor801" }, ids(issues)) -- 802 is a pull request
    assert.same({ "bug" }, issues.anchor801.properties.labels)
  end)

  it("does not ask repositories without open issues and pull requests for them", function()
    assert.equal(0, resync(server.url, cwd, { kinds = { "pull-request", "issue" } }).code)
    for _, request in ipairs(server.log()) do
      assert.falsy(request.url:find("/repos/acme/buoy", 1, true), request.url)
      assert.falsy(request.url:find("/repos/acme/chart/issues", 1, true), request.url) -- switched off there
    end
  end)

  it("sends the token as Bearer, with the API's version, and never prints it", function()
    local env = { [config .. "TOKEN"] = "ghp_verysecret" }
    local result = resync(server.url, cwd, { kinds = { "organization" }, env = env })
    assert.equal(0, result.code, result.err)
    local headers = server.log()[1].headers
    assert.equal("Bearer ghp_verysecret", headers.authorization)
    assert.equal("2022-11-28", headers["x-github-api-version"])
    assert.not_matches("verysecret", result.out .. result.err)
  end)

  it("says what works instead of GitHub App credentials, and exits 2", function()
    for _, name in ipairs { "APP_ID", "APP_PRIVATE_KEY" } do
      local result = resync(server.url, cwd, { env = { [config .. name] = "12345" } })
      assert.equal(2, result.code, result.err)
      assert.matches("set githubToken to a personal access token", result.err, 1, true)
    end
    assert.same({}, server.log())
  end)

  it("names an owner that does not exist, reads the others, exits 1 and deletes nothing", function()
    assert.equal(0, resync(server.url, cwd, {
      kinds = { "repository" }, env = { [config .. "ORGANIZATION"] = "acme,ada" },
    }).code)
    local result = resync(server.url, cwd, {
      kinds = { "repository" }, env = { [config .. "ORGANIZATION"] = "acme,nobody" },
    })
    assert.equal(1, result.code)
    assert.matches('no organization or user "nobody"', result.err, 1, true)
    assert.same({ "anchor", "buoy", "chart", "notes" }, ids(entities(cwd, "githubRepository")))
  end)

  it("reads the files that includedFiles names; an absent, binary or folder one is null", function()
    local bundle = bundle_with { repository = "query: 'true'\nincludedFiles: [README.md, docs]" }
    local mapping = bundle .. "/.port/resources/port-app-config.yml"
    support.write(mapping, (support.read(mapping):gsub("            language: .language // \"\"\n",
      "%0            readme: .__includedFiles[\"README.md\"]\n            codeowners: .__includedFiles.docs\n")))
    local result = resync(server.url, cwd, { bundle = bundle, kinds = { "repository" } })
    assert.equal(0, result.code, result.err)
    local found = entities(cwd, "githubRepository")
    assert.equal(("# Anchor – holds fast\n"):rep(4), found.anchor.properties.readme)
    assert.equal(support.json.null, found.anchor.properties.codeowners)
    assert.equal(support.json.null, found.buoy.properties.readme)
    assert.equal(support.json.null, found.chart.properties.readme)
  end)

  it("keeps the issues of a repository that failed, and says so; the others go on", function()
    local text = support.read(acme)
    local function serve(recording)
      server:stop()
      server = support.recorded(support.write(support.tmpdir() .. "/acme.ndjson", recording))
    end
    assert.equal(0, resync(server.url, cwd, { kinds = { "pull-request" } }).code)
    local line = '("url": "/repos/acme/anchor/pulls%?state=open&per_page=100", "status": )200'
    local broken, count = text:gsub(line, "%1403")
    assert.equal(1, count)
    serve(broken)
    local result = resync(server.url, cwd, { kinds = { "pull-request" } })
    assert.equal(1, result.code)
    assert.matches("/repos/acme/anchor/pulls", result.err, 1, true)
    assert.same({ "904", "anchor901", "chart905" }, ids(entities(cwd, "githubPullRequest")))
  end)
end)

if not support.shared() then
  return
end

describe("the GitHub bundle with recorded real organizations", function()
  local recordings = support.shared() .. "/recordings/"

  it("lands the 2,204 repositories of jenkinsci; a second run writes nothing", function()
    local server, cwd = support.replay(recordings .. "github-jenkinsci-repos.ndjson"), support.tmpdir()
    finally(function() server:stop() end)
    local options = { kinds = { "organization", "repository" }, env = { [config .. "ORGANIZATION"] = "jenkinsci" } }
    local result = resync(server.url, cwd, options)
    assert.equal(0, result.code, result.err)
    local kind = sync.kind(result, "repository")
    assert.same({ 23, 2204, 2204 }, { kind.pages, kind.items, kind.created })
    kind = sync.kind(resync(server.url, cwd, options), "repository")
    assert.same({ 0, 0, 2204, 0 }, { kind.created, kind.updated, kind.unchanged, kind.deleted })
  end)

  it("reads the closed issues of hub4j/github-api", function()
    local server, cwd = support.replay(recordings .. "github-hub4j-issues.ndjson"), support.tmpdir()
    finally(function() server:stop() end)
    local bundle = bundle_with { issue = "query: 'true'\nstate: closed\nrepos: [hub4j/github-api]" }
    local result = resync(server.url, cwd, {
      bundle = bundle, kinds = { "issue" }, env = { [config .. "ORGANIZATION"] = "hub4j" },
    })
    assert.equal(0, result.code, result.err)
    local kind = sync.kind(result, "issue")
    assert.same({ 21, 606, 606 }, { kind.pages, kind.items, kind.created })
  end)

  it("reads the pull requests of hub4j-test-org", function()
    local server, cwd = support.replay(recordings .. "github-hub4j-test-org.ndjson"), support.tmpdir()
    finally(function() server:stop() end)
    local bundle = bundle_with { ["pull-request"] = "query: 'true'\nstates: [open]\nrepos: [github-api]" }
    local result = resync(server.url, cwd, {
      bundle = bundle, kinds = { "pull-request" }, env = { [config .. "ORGANIZATION"] = "hub4j-test-org" },
    })
    assert.equal(0, result.code, result.err)
    assert.equal(0, sync.kind(result, "pull-request").items)
  end)
end)
