-- The mask: what must not be printed is replaced as a whole, and what only resembles it stays.
local support = require "spec.support"

local R = "[REDACTED]"

local function run(words, text)
  local result = support.run({ support.driver "mask_driver", table.unpack(words) }, { stdin = text })
  assert.equal(0, result.code, result.err)
  return result.out
end

local function mask(text, ...)
  local put = run({ "put", "--", ... }, text)
  local inplace = run({ "inplace", "--", ... }, text)
  assert.is_true(#inplace <= #text)
  if put == text then assert.equal(text, inplace) end
  if #put <= #text then assert.equal(put, inplace) end
  return put
end

local key32 = ("a1B2"):rep(8)
local aws = "AKIA" .. ("Z9"):rep(8)
local google = "AIza" .. ("b_-7"):rep(8) .. "xyz"

describe("R-LOG-09 the mask knows credentials by their looks:", function()
  -- what, text, what becomes of it
  local cases = {
    { "1 a URL's password, with the path", "at https://user:hunter@host.example/path?x=1 then", "at " .. R .. " then" },
    { "1 in quotes", [[url="https://user:hunter@host/p" x]], [[url="]] .. R .. [[" x]] },
    { "1 without a user", "redis://:hunter2@cache:6379", R },
    { "1 with @ in the password", "amqp://u:p@ss@mq/vhost", R },
    { "1 behind a scheme with signs", "mongodb+srv://u:pw@cluster0.mongodb.net/db", R },
    { "10 a connection string", "x postgres://app:pa$$w0rd@db.local/app y", "x " .. R .. " y" },
    { "2 api_key", "api_key = '" .. key32 .. "' end", R .. " end" },
    { "2 APIKEY", [[{"APIKEY":"]] .. key32 .. [["}]], [[{"]] .. R .. "}" },
    { "2 up to the last quote of its line", "apikey 'x' '" .. key32 .. "' and '" .. key32 .. "' end\nnext", R .. " end\nnext" },
    { "3 secret", [[my_Secret: "]] .. key32 .. [[";]], "my_" .. R .. ";" },
    { "3 of 45", "secret|" .. ("x"):rep(45) .. "|", R },
    { "4 a Google key", "key " .. google .. ".", "key " .. R .. "." },
    { "5 a Firebase address",
      "a line\nsee https://x.firebaseio.com or y.firebaseio.com, ok\nfirebase", "a line\n" .. R .. ", ok\nfirebase" },
    { "6 a private key, all of it",
      "k:\n-----BEGIN RSA PRIVATE KEY-----\nMIIB\nAAAA\n-----END RSA PRIVATE KEY-----\nend", "k:\n" .. R .. "\nend" },
    { "6 with escaped line ends", [["-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n"]], '"' .. R .. [[\n"]] },
    { "6 cut short", "-----BEGIN EC PRIVATE KEY-----\n" .. ("Ab1+"):rep(16) .. "\n" .. ("Ab1+"):rep(10), R },
    { "6 the header alone", "there is a -----BEGIN DSA PRIVATE KEY----- in that file", "there is a " .. R .. " in that file" },
    { "6 of PGP", "-----BEGIN PGP PRIVATE KEY BLOCK-----\nVersion: 1\n\nx\n-----END PGP PRIVATE KEY BLOCK-----", R },
    { "7 an AWS key id", "id=" .. aws .. ";", "id=" .. R .. ";" },
    { "8 GitHub's older tokens", "GitHub token '" .. ("0f"):rep(20) .. "' used", R .. " used" },
    { "GitHub's newer tokens", "with ghp_" .. ("a1"):rep(18) .. ".", "with " .. R .. "." },
    { "GitHub's fine-grained tokens", "github_pat_" .. ("A1_b"):rep(20) .. " x", R .. " x" },
    { "9 a service account", [[{"type": "service_account","project":1}]], "{" .. R .. [[,"project":1}]] },
    { "MWS tokens (flaw mended)", "amzn.mws.4ea38b7b-f563-7709-4bae-87aea15c0000 x", R .. " x" },
    { "Google OAuth client ids (flaw mended)", "id 1234567-" .. ("a_9Z"):rep(8) .. ".apps.googleusercontent.com.", "id " .. R .. "." },
    { "ya29 tokens (flaw mended)", "Bearer ya29.a0AfH6SMBx-y_z more", "Bearer " .. R .. " more" },
  }
  for _, case in ipairs(cases) do
    it(case[1], function()
      assert.equal(case[3], mask(case[2]))
    end)
  end

  local misses = {
    { "a URL with a port", "http://127.0.0.1:8080/a@b and https://host:443" },
    { "a URL with a user only", "ssh://git@github.com:22/org/repo" },
    { "an e-mail behind a path", "https://host/a:b@c" },
    { "an empty password", "https://user:@host/" },
    { "nothing before the sign", "://user:pw@host/" },
    { "nothing behind the at", "http://user:pw@ host" },
    { "a short quoted text", "secret 'abc', api_key '" .. ("x"):rep(31) .. "'" },
    { "a long quoted text", "secret '" .. ("x"):rep(46) .. "'" },
    { "a quoted text that stands before the word", "'" .. key32 .. "' is no secret" },
    { "another line's quoted text", "a secret\n'" .. key32 .. "'" },
    { "a commit that is not quoted", "github " .. ("0f"):rep(20) },
    { "a short text near GitHub", "github '" .. key32 .. "'" },
    { "api and key apart", "api key '" .. key32 .. "'" },
    { "a short Google key", "AIza" .. ("b"):rep(34) },
    { "AKIA in small letters", "AKIA" .. ("z9"):rep(8) },
    { "a short AWS id", "AKIA" .. ("Z"):rep(15) },
    { "a public key", "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----" },
    { "a certificate", "-----BEGIN CERTIFICATE-----\nMIIB" },
    { "firebase elsewhere", "firebase.google.com" },
    { "a service account spelled otherwise", [[{"type":"service_account"} {"type":  "service_account"}]] },
    { "an MWS token cut short", "amzn.mws.4ea38b7b-f563-7709-4bae-87aea15c" },
    { "an OAuth client without a number", "x-" .. ("a"):rep(32) .. ".apps.googleusercontent.com" },
    { "the domain alone", "see .apps.googleusercontent.com" },
    { "ya29 alone", "ya29. and ya29" },
    { "a short GitHub token", "ghp_" .. ("a"):rep(35) },
    { "prose", "None of the secrets in the api were keyed; see https://docs.example/a:b" },
  }
  for _, case in ipairs(misses) do
    it("and leaves " .. case[1], function()
      assert.equal(case[2], mask(case[2]))
    end)
  end

  it("leaves data whose shape must stay to the known secrets (mt_mask_put_known)", function()
    local text = [[{"github":"x","sha":"]] .. ("0f"):rep(20) .. [[","a":"hunter22"}]]
    assert.equal((text:gsub("hunter22", "[REDACTED]")), run({ "known", "--", "hunter22" }, text))
  end)
end)

describe("R-LOG-06, R-LOG-07 the mask hides what it was told:", function()
  it("everywhere, as a whole", function()
    assert.equal("a " .. R .. R .. " b" .. R, mask("a hunter22hunter22 bhunter22", "hunter22"))
  end)
  it("the longest of those that begin at a place, and the end of one that another overlaps", function()
    assert.equal(R .. " " .. R, mask("hunter2222 hunter22", "hunter22", "hunter2222"))
    assert.equal("x" .. R .. "y", mask("xabcdefghiy", "abcdef", "defghi"))
  end)
  it("together with what looks like one", function()
    assert.equal("a " .. R .. " b", mask("a https://u:hunter22@h/p-and-more b", "more", "hunter22"))
    assert.equal(R .. " b", mask("tail-" .. aws .. "-head b", "tail-AKIA", "Z9-head"))
  end)
  it("in the forms of URLs and JSON", function()
    local secret = [[p/s "w\d]]
    assert.equal(("<%s> <%s> <%s>"):format(R, R, R),
      mask([[<p%2Fs%20%22w%5Cd> <p%2fs%20%22w%5cd> <p/s \"w\\d>]], secret))
    assert.equal(R, mask("line1\\nline2", "line1\nline2"))
  end)
  it("across bytes of any kind, NUL included", function()
    assert.equal("\0\255" .. R .. "\0", run({ "put", "--", "hunter22" }, "\0\255hunter22\0"))
  end)
  it("nothing shorter than 4 bytes, none of the words of unset settings, no blanks around", function()
    local text = "None null true false abc x "
    assert.equal(text .. R, mask(text .. "hunter22", "", "  ", "abc", "x", "None", "null", "true", "false", " hunter22\n"))
  end)
  it("with a list that does not grow when a service reloads its configuration", function()
    assert.equal("5\n", run { "again", "10000", "--", "hunter22", "p/s", "p/sw", "other-secret" })
  end)
  it("tokens while they are in use, of those that were replaced the last 300", function()
    assert.equal(("300 token-0-of-port %s %s\n"):format(R, R), run { "tokens", "2000" })
  end)
  it("while other threads add", function()
    assert.equal("wrong 0 known 301\n", run { "threads" })
  end)
end)

describe("the mask is linear in the text", function()
  local units = {
    "api_key", "secret '", "github \"", "://", "a://", "http://u:", "http://u:p@h ", "x://a:b", "@", "-----BEGIN PRIVATE KEY-----",
    "-----BEGIN PRIVATE KEY-----\n-----END ", "-----END ", "firebaseio.com", "firebaseio.com\n", "AIza", "ya29.", "AKIA",
    ".apps.googleusercontent.com", "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "amzn.mws.", "hunter22", "hunter2", "hunt", "\n", "secret\n",
    "\"type\": \"service_account\"", "ghp_", "1", "a", "secret'" .. key32 .. "'",
  }
  for _, unit in ipairs(units) do
    it(("of %s"):format(unit:gsub("\n", "\\n"):sub(1, 40)), function()
      local function took(bytes)
        return tonumber(run({ "hostile", unit, tostring(bytes), "--", "hunter22", ("hunter2"):rep(50) }):match "(%S+)\n")
      end
      local small, large = took(250000), took(1000000)
      -- Four times the text: quadratic work would be sixteen times the time, and seconds.
      assert.is_true(large < 250 or large < 9 * small, ("%.3f ms, then %.3f ms"):format(small, large))
    end)
  end
end)
