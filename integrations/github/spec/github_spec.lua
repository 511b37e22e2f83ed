-- The GitHub bundle against a small organization of our own making (recordings/acme.ndjson).
local test = require "moontide.test"

local function acme(config, answers)
  config = config or {}
  config.githubOrganization = config.githubOrganization or "acme"
  return test.bundle { config = config, recordings = { "spec/recordings/acme.ndjson" }, answers = answers }
end

local function resync(kind, selector, config)
  local result = acme(config):resync(kind, { selector = selector })
  assert.is_true(result.ok, result.error)
  return result
end

local function ids(result)
  local list = {}
  for i, entity in ipairs(result.entities) do
    list[i] = entity.identifier
  end
  table.sort(list)
  return list
end

local function asked_for(result, text)
  for _, request in ipairs(result.requests) do
    if request.url:find(text, 1, true) then
      return true
    end
  end
  return false
end

describe("organizations and repositories", function()
  it("reads an organization, and its repositories page by page", function()
    local bundle = acme()
    local organization = bundle:resync "organization"
    assert.same({ "acme" }, ids(organization))
    assert.equal("acme", organization:entity("acme").properties.login)
    local repositories = bundle:resync "repository"
    assert.is_true(repositories.ok, repositories.error)
    assert.equal(2, #repositories.batches)
    assert.same({ "anchor", "buoy", "chart" }, ids(repositories))
    local buoy = repositories:entity "buoy"
    assert.same({
      description = "", visibility = "private", defaultBranch = "main", url = "https://github.com/acme/buoy", language = "",
    }, buoy.properties)
    assert.equal("acme", buoy.relations.organization)
  end)

  it("asks for the organization once, whatever kinds need it", function()
    local bundle = acme()
    assert.is_true(asked_for(bundle:resync "organization", "/orgs/acme"))
    assert.equal(2, #bundle:resync("repository").requests)
  end)

  it("reads only the repositories that repos names", function()
    local result = resync("repository", { repos = { "anchor", "acme/chart", "other/buoy" } })
    assert.same({ "anchor", "chart" }, ids(result))
    assert.is_false(asked_for(result, "/orgs/acme/repos"))
  end)

  it("reads the files that includedFiles names; an absent, binary or folder one is left out", function()
    local absent = { status = 404, json = { message = "Not Found" } }
    local result = acme(nil, {
      ["GET /repos/acme/buoy/contents/docs"] = absent,
      ["GET /repos/acme/chart/contents/README.md"] = absent,
      ["GET /repos/acme/chart/contents/docs"] = absent,
    }):resync("repository", { selector = { includedFiles = { "README.md", "docs" } } })
    assert.is_true(result.ok, result.error)
    local found = {}
    for _, batch in ipairs(result.batches) do
      for _, repository in ipairs(batch) do
        found[repository.name] = repository.__includedFiles
      end
    end
    assert.equal(("# Anchor – holds fast\n"):rep(4), found.anchor["README.md"])
    assert.is_nil(found.anchor.docs)
    assert.is_nil(found.buoy["README.md"])
  end)

  it("reads a user's repositories where there is no organization of that name", function()
    local bundle = acme({ githubOrganization = "acme, ada" }, { ["GET /orgs/ada"] = { status = 404, json = {} } })
    assert.same({ "acme", "ada" }, ids(bundle:resync "organization"))
    assert.same({ "anchor", "buoy", "chart", "notes" }, ids(bundle:resync "repository"))
  end)

  it("names an owner that does not exist, and reads the others", function()
    local missing = { status = 404, json = { message = "Not Found" } }
    local result = acme({ githubOrganization = "nobody,acme" }, {
      ["GET /orgs/nobody"] = missing, ["GET /users/nobody"] = missing,
    }):resync "repository"
    assert.is_false(result.ok)
    assert.matches('no organization or user "nobody"', result.error, 1, true)
    assert.same({ "anchor", "buoy", "chart" }, ids(result))
  end)

  it("reads the organizations of the token's user when none is named", function()
    local bundle = test.bundle { config = { githubToken = "ghp_verysecret" } }
    assert.same({ "acme" }, ids(bundle:resync "organization"))
    assert.same({ "anchor", "buoy", "chart" }, ids(bundle:resync "repository"))
  end)

  it("asks for an organization or a token when there is neither", function()
    local result = test.bundle():resync "organization"
    assert.is_false(result.ok)
    assert.matches("set githubOrganization", result.error, 1, true)
    assert.same({}, result.requests)
  end)
end)

describe("pull requests and issues", function()
  it("reads those that are open, of repositories that have some", function()
    local bundle = acme()
    local pulls = bundle:resync "pull-request"
    assert.is_true(pulls.ok, pulls.error)
    assert.same({ "904", "anchor901", "chart905" }, ids(pulls)) -- 904: its fork is gone
    assert.equal("renovate-bot", pulls:entity("anchor901").properties.creator)
    assert.same({ "grace" }, pulls:entity("anchor901").properties.reviewers)
    assert.equal("anchor", pulls:entity("904").relations.repository)
    assert.is_false(asked_for(pulls, "/repos/acme/buoy"))
    local issues = bundle:resync "issue"
    assert.is_true(issues.ok, issues.error)
    assert.same({ "anchor801" }, ids(issues)) -- 802 is a pull request
    assert.same({ "bug" }, issues:entity("anchor801").properties.labels)
    assert.is_false(asked_for(issues, "/repos/acme/chart/issues")) -- switched off there
  end)

  it("reads closed issues of the repositories that repos names", function()
    assert.same({ "anchor803" }, ids(resync("issue", { query = "true", state = "closed", repos = { { name = "anchor" } } })))
  end)

  it("reads closed pull requests as far back as since says, and no further pages", function()
    local result = resync("pull-request", { states = { "open", "closed" }, repos = { "anchor" } })
    assert.same({ "904", "anchor901", "anchor903" }, ids(result)) -- 902 was updated in 2020
    assert.equal(73.5, result:entity("anchor903").properties.leadTimeHours)
    assert.is_false(asked_for(result, "page=2"))
  end)

  it("names the repository whose pull requests could not be read; the others go on", function()
    local bundle = acme(nil, {
      ["GET /repos/acme/anchor/pulls?state=open&per_page=100"] = { status = 403, json = { message = "no" } },
    })
    local result = bundle:resync "pull-request"
    assert.is_false(result.ok)
    assert.same({ "chart905" }, ids(result))
    assert.equal("101", result.faults[1].scope) -- the repository's id: what it has already stays
    assert.matches("/repos/acme/anchor/pulls", result.faults[1].message, 1, true)
  end)
end)

describe("credentials", function()
  it("go as Bearer, with the API's version, and are in no log line", function()
    local result = resync("organization", nil, { githubToken = "ghp_verysecret" })
    local headers = result.requests[1].headers
    assert.equal("Bearer ghp_verysecret", headers.authorization)
    assert.equal("2022-11-28", headers["x-github-api-version"])
    assert.not_matches("verysecret", table.concat(result.log, "\n"))
  end)

  it("are not needed, also with the default authenticationMode (Github App)", function()
    assert.is_nil(resync("organization").requests[1].headers.authorization)
  end)

  it("of a GitHub App are refused when the bundle loads, with what works instead", function()
    for _, name in ipairs { "githubAppId", "githubAppPrivateKey" } do
      local ok, err = pcall(acme, { [name] = "12345" })
      assert.is_false(ok)
      assert.matches("set githubToken to a personal access token", err, 1, true)
    end
  end)
end)
