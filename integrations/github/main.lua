-- Organizations, repositories, pull requests and issues of GitHub, by its REST API.
--
-- Items are passed on as the API gives them; as in Ocean's integration, pull requests and issues also carry __organization and
-- __repository, and repositories __includedFiles when the selector names files.
local tide = require "moontide"
local github = require "github"

-- The repositories that a selector means: [{owner, name}]. selector.repos names them ("name", "owner/name" or {name = …});
-- otherwise all of every owner.
local function each_repository(selector, owner, visit)
  local names = {}
  if selector.repos then
    for _, entry in ipairs(selector.repos) do
      local text = type(entry) == "string" and entry or entry.name
      local prefix, name = text:match "^([^/]+)/([^/]+)$"
      if not prefix or prefix:lower() == owner.login:lower() then
        names[#names + 1] = name or text
      end
    end
  else
    names = github.repository_names(owner)
  end
  tide.async.map(names, 10, visit)
end

-- Walks a list of every repository, ten at a time; a repository that fails keeps what it has, the others go on.
local function of_repositories(ctx, walk)
  for owner in github.owners() do
    each_repository(ctx.selector, owner, function(name)
      ctx:scope(owner.login .. "/" .. name, function()
        walk("/repos/" .. tide.url.escape(owner.login) .. "/" .. tide.url.escape(name), function(page)
          for _, item in ipairs(page) do
            item.__organization = owner.login
            item.__repository = name
          end
          coroutine.yield(page)
        end)
      end)
    end)
  end
end

tide.on_resync("organization", function()
  for owner in github.owners() do
    coroutine.yield { owner }
  end
end)

tide.on_resync("repository", function(_, ctx)
  local files = ctx.selector.includedFiles
  local function pass(page)
    if files and #files > 0 then
      tide.async.map(page, 10, function(repository)
        repository.__includedFiles = github.files(repository.full_name, files)
      end)
    end
    coroutine.yield(page)
  end
  for owner in github.owners() do
    if ctx.selector.repos then
      each_repository(ctx.selector, owner, function(name)
        pass { github.repository(owner, name) }
      end)
    else
      for page in github.repositories(owner) do
        pass(page)
      end
    end
  end
end)

-- Closed pull requests only grow: the newest of each repository are read (maxResults, 100) that moved in the last days (since, 60).
local function closed_pull_requests(path, selector, each)
  local left = selector.maxResults or 100
  local oldest = tide.time.iso(tide.time.now() - (selector.since or 60) * 86400)
  local pages = github.client():pages(path, { state = "closed", sort = "updated", direction = "desc", per_page = 100 })
  for page in pages do
    local kept = {}
    for _, item in ipairs(page) do
      if left > 0 and item.updated_at >= oldest then
        kept[#kept + 1] = item
        left = left - 1
      else
        left = 0
      end
    end
    each(kept)
    if left == 0 then
      pages:stop()
      break
    end
  end
end

tide.on_resync("pull-request", function(_, ctx)
  of_repositories(ctx, function(path, each)
    for _, state in ipairs(ctx.selector.states or { "open" }) do
      if state == "closed" then
        closed_pull_requests(path .. "/pulls", ctx.selector, each)
      else
        for page in github.client():pages(path .. "/pulls", { state = state, per_page = 100 }, { confirm_empty = false }) do
          each(page)
        end
      end
    end
  end)
end)

tide.on_resync("issue", function(_, ctx)
  local labels = ctx.selector.labels
  local query = { state = ctx.selector.state or "open", labels = labels and table.concat(labels, ","), per_page = 100 }
  of_repositories(ctx, function(path, each)
    -- 410: issues are switched off for this repository
    for page in github.client():pages(path .. "/issues", query, { accept = { 410 }, confirm_empty = false }) do
      each(page)
    end
  end)
end)
