-- tide.base64: both alphabets of RFC 4648.
local core = ...

local base64 = {}

local function checked(what, text)
  if type(text) ~= "string" and not core.is_secret(text) then
    error(("base64.%s: a string, got a %s"):format(what, type(text)), 3)
  end
  return text
end

--- With "+", "/" and padding. A secret stays a secret.
function base64.encode(text)
  return core.base64_encode(checked("encode", text))
end

--- With "-" and "_", without padding.
function base64.encode_url(text)
  return core.base64_url_encode(checked("encode_url", text))
end

--- Either alphabet, padded or not, line breaks allowed → text, or nil and the reason.
function base64.decode(text)
  if type(text) ~= "string" then
    error(("base64.decode: a string, got a %s"):format(core.is_secret(text) and "secret" or type(text)), 2)
  end
  return core.base64_decode(text)
end

return base64
