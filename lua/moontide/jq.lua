-- tide.jq: a jq program as a function. It is compiled once for each worker thread, where it also runs.
local core = ...

local MOST = 256
local programs, count = {}, 0 -- by text: a handler that asks for the same program for every item compiles it once

--- jq(expression) → function(value) → the program's first result (nil for none and for null). Errors of jq are
--- raised when it is called.
return function(expression)
  if type(expression) ~= "string" then
    error(("jq: a program as a string, got a %s"):format(type(expression)), 2)
  end
  local program = programs[expression]
  if not program then
    program = core.jq_program(expression)
    if count >= MOST then
      programs, count = {}, 0
    end
    programs[expression], count = program, count + 1
  end
  return function(value)
    if value == nil then
      value = core.json.null
    end
    return core.jq_run(program, value)
  end
end
