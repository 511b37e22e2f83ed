-- GitHub's REST API as the kinds need it (https://docs.github.com/rest): the client, the owners of
-- repositories, their repositories.
local tide = require "moontide"

local config = tide.config

-- What is set decides, whatever authenticationMode says: Ocean's default for it is the App, also for those
-- who gave a token.
local function is_set(value)
  return value ~= nil and value ~= "" and value ~= tide.secret ""
end

if is_set(config.githubAppId) or is_set(config.githubAppPrivateKey) then
  error("githubAppId or githubAppPrivateKey is set, but GitHub App credentials are not supported yet. What works: "
    .. "unset both and set githubToken to a personal access token (or leave it out, to read what is public)", 0)
end

local github = {}

local client
function github.client()
  client = client or tide.http.client {
    base_url = config.githubHost,
    auth = tide.http.bearer(config.githubToken),
    headers = { Accept = "application/vnd.github+json", ["X-GitHub-Api-Version"] = "2022-11-28" },
    concurrency = 10, -- GitHub's secondary limits start at 100 requests at once, for everything a token does
  }
  return client
end

local function path_of(...)
  local parts = { ... }
  for i, part in ipairs(parts) do
    parts[i] = tide.url.escape(part)
  end
  return "/" .. table.concat(parts, "/")
end

-- An organization, or a user where there is no organization of that name.
local owner_named = tide.cache.memoize(function(login)
  local res = assert(github.client():get(path_of("orgs", login), nil, { accept = { 404 }, expect = "object" }))
  if res.status == 404 then
    res = assert(github.client():get(path_of("users", login), nil, { accept = { 404 }, expect = "object" }))
    if res.status == 404 then
      error(("githubOrganization: no organization or user %q, or the token may not see it"):format(login), 0)
    end
  end
  return res:json()
end)

local owners_of_token = tide.cache.memoize(function()
  if not is_set(config.githubToken) then
    error("set githubOrganization (what to read) or githubToken (to read all organizations of its user)", 0)
  end
  local list = {}
  for page in github.client():pages("/user/orgs", { per_page = 100 }) do
    for _, owner in ipairs(page) do
      list[#list + 1] = owner
    end
  end
  return list
end)

--- Calls visit(owner) for each owner. One that fails does not keep the others from being read; its error is
-- raised at the end.
function github.each_owner(visit)
  local failed
  local function try(fn, ...)
    local ok, err = pcall(fn, ...)
    if not ok then
      failed = failed or err
    end
  end
  local names = config.githubOrganization
  if names and names:find "%S" then
    for name in names:gmatch "[^,%s]+" do
      try(function()
        visit(owner_named(name))
      end)
    end
  else
    for _, owner in ipairs(owners_of_token()) do
      try(visit, owner)
    end
  end
  if failed then
    error(failed, 0)
  end
end

--- Pages of the owner's repositories.
function github.repositories(owner)
  if owner.type == "User" then
    return github.client():pages(path_of("users", owner.login, "repos"), { per_page = 100, type = "owner" })
  end
  return github.client():pages(path_of("orgs", owner.login, "repos"), { per_page = 100, type = "all" })
end

function github.repository(owner, name)
  return assert(github.client():get(path_of("repos", owner.login, name), nil, { expect = "object" })):json()
end

-- What the kinds below a repository have to know of it: a few bytes each instead of 6 KB, since they are
-- kept for the whole resync.
local function summary(repository)
  return {
    id = repository.id,
    name = repository.name,
    path = path_of("repos", repository.owner.login, repository.name),
    has_issues = repository.has_issues ~= false,
    open = repository.open_issues_count or 1, -- issues and pull requests
  }
end

local summaries = tide.cache.memoize(function(owner)
  local list = {}
  for page in github.repositories(owner) do
    for _, repository in ipairs(page) do
      list[#list + 1] = summary(repository)
    end
  end
  return list
end, { key = function(owner) return owner.login end })

--- Names of the owner's repositories that a selector's `repos` chooses ("name", "owner/name" or {name = …});
-- nil: all of them.
function github.chosen(selector, owner)
  if not selector.repos then
    return nil
  end
  local names = {}
  for _, entry in ipairs(selector.repos) do
    local text = type(entry) == "string" and entry or entry.name
    local login, name = text:match "^([^/]+)/([^/]+)$"
    if not login or login:lower() == owner.login:lower() then
      names[#names + 1] = name or text
    end
  end
  return names
end

--- Summaries of the repositories that a selector means.
function github.summaries(selector, owner)
  local chosen = github.chosen(selector, owner)
  if not chosen then
    return summaries(owner)
  end
  return tide.async.map(chosen, 10, function(name)
    return summary(github.repository(owner, name))
  end)
end

--- Contents of the named files of a repository's default branch, by their paths; those that do not exist, are
-- folders, are no text or have more than 1 MB (GitHub leaves their content out) are left out.
function github.files(repository, paths)
  local contents = tide.json.object()
  for _, path in ipairs(paths) do
    local parts = {}
    for part in path:gmatch "[^/]+" do
      parts[#parts + 1] = part
    end
    local url = path_of("repos", repository.owner.login, repository.name, "contents", table.unpack(parts))
    local res = assert(github.client():get(url, nil, { accept = { 404 } }))
    local file = res.status ~= 404 and res:json()
    if file and file.encoding == "base64" then
      local text = tide.base64.decode(file.content)
      if text and utf8.len(text) then
        contents[path] = text
      else
        tide.log.warn("%s of %s is no UTF-8 text; it is left out", path, repository.full_name)
      end
    end
  end
  return contents
end

return github
