-- tide.crypto: digests and signatures in hexadecimal. Texts may be secrets.
local core = ...

local crypto = {}

local function checked(what, text)
  if type(text) ~= "string" and not core.is_secret(text) then
    error(("crypto.%s: a string or a secret, got a %s"):format(what, type(text)), 3)
  end
  return text
end

--- SHA-256 of a text, 64 hexadecimal digits.
function crypto.sha256(text)
  return core.sha256(checked("sha256", text))
end

--- HMAC-SHA-256 (RFC 2104) of a text under a key, 64 hexadecimal digits.
function crypto.hmac_sha256(key, text)
  return core.hmac_sha256(checked("hmac_sha256", key), checked("hmac_sha256", text))
end

return crypto
