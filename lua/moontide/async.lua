-- tide.async: concurrency inside a handler. Tasks are structured: a handler or scope ends when all that it started
-- has ended, and an error that nobody takes cancels the siblings. A yield in a task is a batch of the same kind and
-- scope.
local core = ...
local flight = require "moontide.flight"

local async = {}

local Task = { __name = "moontide.task", __metatable = "moontide.task" }
Task.__index = Task
local handles = setmetatable({}, { __mode = "k" })

local function start(fn, ...)
  local task = core.spawn(fn, ...)
  flight.inherit(task)
  return task
end

--- Starts fn(…) beside the caller; :await() waits for it and gives its results, or raises its error.
function async.spawn(fn, ...)
  if type(fn) ~= "function" then
    error(("async.spawn: a function, got a %s"):format(type(fn)), 2)
  end
  local handle = setmetatable({}, Task)
  handles[handle] = start(fn, ...)
  return handle
end

local function give(ok, ...)
  if not ok then
    error((...), 0)
  end
  return ...
end

--- The results of the task's function; raises its error, or "canceled".
function Task.await(handle)
  local task = handles[handle]
  if not task then
    error("call it with a colon: handle:await()", 2)
  end
  return give(core.join(task))
end

-- A worker that ends with an error takes the others with it. In a close handler, because there the error's own
-- traceback is told already.
local Worker = {
  __close = function(own, err)
    local group = own.group
    if err == nil or group.failed then
      return
    end
    group.failed = true
    local self = core.current()
    for _, task in ipairs(group) do
      if task ~= self then
        core.cancel(task)
      end
    end
  end,
}

local function worker(group, work)
  local _ <close> = setmetatable({ group = group }, Worker)
  work()
end

-- Starts n tasks and waits for all; the error of the one that failed is raised when every one has ended.
local function all(n, work_of)
  local group = {}
  for i = 1, n do
    local work = work_of(i)
    group[i] = start(worker, group, work)
  end
  local failure, failed, canceled
  for _, task in ipairs(group) do
    local ok, err = core.join(task)
    if not ok and core.status(task) == "failed" then
      if not failed then
        failed, failure = true, err
      end
    elseif not ok then
      canceled = true
    end
  end
  if canceled then
    flight.spoil "async: tasks were cancelled before their end"
  end
  if failed then
    error(failure, 0)
  elseif canceled then
    error("canceled", 0)
  end
end

local function is_list(items)
  return (type(items) == "table" or type(items) == "userdata") and core.json.kind(items) == "array"
end

--- fn(item, i) for each item, at most n at once. Gives the results (one an item) in the order of the items, with
--- their count in n; an error cancels the rest and is raised.
function async.map(items, n, fn)
  if not is_list(items) then
    error(("async.map: a list of items, got %s"):format(core.json.kind(items) or type(items)), 2)
  elseif math.type(n) ~= "integer" or n < 1 then
    error("async.map: the second argument is how many at once, an integer from 1", 2)
  elseif type(fn) ~= "function" then
    error(("async.map: the third argument is a function, got a %s"):format(type(fn)), 2)
  end
  local count, at = #items, 0
  local results = { n = count }
  local function work()
    while at < count do
      at = at + 1
      local i = at
      results[i] = fn(items[i], i)
    end
  end
  all(math.min(n, count), function()
    return work
  end)
  return results
end

--- Runs the functions side by side. Gives their first results in order, with their count in n; an error cancels the
--- rest and is raised.
function async.gather(functions)
  if type(functions) ~= "table" then
    error(("async.gather: a list of functions, got a %s"):format(type(functions)), 2)
  end
  for i, fn in ipairs(functions) do
    if type(fn) ~= "function" then
      error(("async.gather: element %d is a %s, not a function"):format(i, type(fn)), 2)
    end
  end
  local results = { n = #functions }
  all(results.n, function(i)
    return function()
      results[i] = functions[i]()
    end
  end)
  return results
end

return async
