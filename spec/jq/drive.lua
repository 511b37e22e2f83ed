--- Talks to spec/jq/jq_driver.c: requests in, answers out, in one process.
local support = require "spec.support"

--- A list of requests (tables, or JSON text) → a list of answers, and what was written to stderr. env: for the driver.
return function(requests, env)
  local lines = {}
  for i, request in ipairs(requests) do
    lines[i] = type(request) == "string" and request or support.json.encode(request)
  end
  local result = support.run({ support.driver "jq_driver" }, {
    stdin = table.concat(lines, "\n") .. "\n",
    env = env,
  })
  assert(result.code == 0, "jq_driver: exit " .. result.code .. ": " .. result.err)
  local answers = support.json.lines(result.out)
  assert(#answers == #requests, "jq_driver gave " .. #answers .. " answers to " .. #requests)
  return answers, result.err
end
