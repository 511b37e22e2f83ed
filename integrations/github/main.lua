-- Organizations, repositories, pull requests and issues of GitHub.
--
-- Items are passed on as the API gives them. As in Ocean's integration, pull requests and issues also carry
-- __organization and __repository, and repositories __includedFiles when the selector names files.
local tide = require "moontide"
local github = require "github"

tide.on_resync("organization", function()
  github.each_owner(function(owner)
    coroutine.yield { owner }
  end)
end)

tide.on_resync("repository", function(_, ctx)
  local files = ctx.selector.includedFiles
  local function pass(page)
    if files and #files > 0 then
      tide.async.map(page, 10, function(repository)
        repository.__includedFiles = github.files(repository, files)
      end)
    end
    coroutine.yield(page)
  end
  github.each_owner(function(owner)
    local chosen = github.chosen(ctx.selector, owner)
    if chosen then
      local page = tide.async.map(chosen, 10, function(name)
        return github.repository(owner, name)
      end)
      page.n = nil -- a batch is a plain list
      return pass(page)
    end
    for page in github.repositories(owner) do
      pass(page)
    end
  end)
end)

-- Walks a list of every repository, ten at a time. A repository is a scope, named by its id, which survives
-- renames and transfers: one that fails keeps what it has, the others go on.
local function of_repositories(ctx, wanted, walk)
  github.each_owner(function(owner)
    local login = owner.login
    tide.async.map(github.summaries(ctx.selector, owner), 10, function(repository)
      if not wanted(repository) then
        return
      end
      ctx:scope(tostring(repository.id), function()
        walk(repository.path, function(page)
          for _, item in ipairs(page) do
            item.__organization = login
            item.__repository = repository.name
          end
          coroutine.yield(page)
        end)
      end)
    end)
  end)
end

-- Closed pull requests only ever grow in number: the newest of each repository are read (maxResults, 100)
-- that changed in the last days (since, 60).
local function closed_pull_requests(path, selector, each)
  local left = selector.maxResults or 100
  local oldest = tide.time.format(tide.time.ago { days = selector.since or 60 })
  local pages = github.client():pages(path, { state = "closed", sort = "updated", direction = "desc", per_page = 100 })
  for page in pages do
    local kept = {}
    for _, item in ipairs(page) do
      if left == 0 or item.updated_at < oldest then
        left = 0
        break
      end
      kept[#kept + 1] = item
      left = left - 1
    end
    each(kept)
    if left == 0 then
      pages:stop()
      break
    end
  end
end

tide.on_resync("pull-request", function(_, ctx)
  local states = ctx.selector.states or { "open" }
  local only_open = #states == 1 and states[1] == "open"
  of_repositories(ctx, function(repository)
    return not only_open or repository.open > 0
  end, function(path, each)
    for _, state in ipairs(states) do
      if state == "closed" then
        closed_pull_requests(path .. "/pulls", ctx.selector, each)
      else
        for page in github.client():pages(path .. "/pulls", { state = state, per_page = 100 }) do
          each(page)
        end
      end
    end
  end)
end)

tide.on_resync("issue", function(_, ctx)
  local state, labels = ctx.selector.state or "open", {}
  for _, label in ipairs(ctx.selector.labels or {}) do
    labels[#labels + 1] = label
  end
  local query = { state = state, labels = #labels > 0 and table.concat(labels, ",") or nil, per_page = 100 }
  of_repositories(ctx, function(repository)
    return repository.has_issues and (state ~= "open" or repository.open > 0)
  end, function(path, each)
    for page in github.client():pages(path .. "/issues", query) do
      each(page)
    end
  end)
end)
