-- The smallest integration: one kind, items that need no network.
local tide = require "moontide"

local teams = { "harbour", "lighthouse", "dockyard" }

-- "service" is the kind that the mapping (.port/resources/port-app-config.yml) names.
tide.on_resync("service", function(_, ctx)
  local batch = {}
  for number = 1, ctx.selector.count or 12 do
    batch[#batch + 1] = {
      id = ("service-%02d"):format(number),
      name = ("Service %d"):format(number),
      team = teams[number % #teams + 1],
      tier = number % 4 + 1,
      -- every service needs the one before it
      needs = number > 1 and ("service-%02d"):format(number - 1) or nil,
    }
    if #batch == 5 then
      coroutine.yield(batch) -- a raw batch, straight to the mapping
      batch = {}
    end
  end
  return batch -- an array that a handler returns is its last batch
end)
