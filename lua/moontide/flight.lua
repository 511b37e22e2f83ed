-- Which memoized call a failed request belongs to. A failure inside cache.memoize withholds deletes in every scope
-- that waits for the call (architecture 3.3), not only where it ran: faults are noted on the call ("flight") that
-- is on its way in the task, and on those it is nested in.
local core = ...

local flight = {}
local current = setmetatable({}, { __mode = "k" }) -- task → flight
local MOST = 16                                    -- faults kept of one flight: one is enough to withhold

--- Makes f the flight of the task at work, nested in the one that it had.
function flight.enter(f)
  local task = core.current()
  f.task, f.outer = task, current[task]
  current[task] = f
end

function flight.leave(f)
  current[f.task] = f.outer
  f.task = nil
end

--- A task started by the one at work works for the same flight.
function flight.inherit(task)
  current[task] = current[core.current()]
end

local function note(text)
  local f = current[core.current()]
  while f do
    f.faults = f.faults or {}
    if #f.faults < MOST then
      f.faults[#f.faults + 1] = text
    end
    f = f.outer
  end
end

--- A fault that the library finds: recorded in the task's scope and in its flights.
function flight.fault(text)
  if not pcall(core.current) then
    return -- a module loads: the error of the load says it all
  end
  core.fault(text)
  note(text)
end

--- What the flights of this task bring back is not whole, though no request failed here: tasks that worked for them
--- were cancelled.
function flight.spoil(text)
  note(text)
end

core.on_fault(note)

return flight
