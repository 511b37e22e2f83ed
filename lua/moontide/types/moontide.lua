---@meta moontide
-- luacheck: no unused, no max line length, ignore 241

-- Annotations of moontide's library for lua-language-server (LuaCATS). Not loaded by the program. Times are seconds.

---A JSON array or object of a document. It indexes, measures, iterates and takes assignments like a table; `next`,
---`rawget` and `table.insert` refuse it: `json.copy` makes plain tables. A null member is nil, a null element
---`json.null`.
---@class moontide.View
---@field [any] any

---A value that prints as `***` and goes into headers, queries and bodies of requests only.
---@class moontide.Secret
---@operator concat(string|moontide.Secret): moontide.Secret

---@alias moontide.Text string|moontide.Secret
---@alias moontide.Body string|table|moontide.View|moontide.Secret
---@alias moontide.Query string|table<string, string|number|boolean|moontide.Secret|(string|number|boolean|moontide.Secret)[]>|moontide.View

---What a request that failed gives; `tostring(err)` names method, URL (secrets out), status and cause.
---@class moontide.Error
---@field code "http"|"network"|"data"|"limit"|"invalid"|"memory"|"canceled"|string
---@field status? integer the HTTP status, for `code == "http"`
---@field message string
---@field body? string the answer's body, cut to 4096 bytes
---@field method? string
---@field url? string

---What a resync handler gets beside the kind.
---@class moontide.Context
---@field kind string
---@field selector moontide.View the whole selector of the mapping's resource
---@field index integer position of the resource in the mapping, from 0
local Context = {}

---Narrows a failure to what fn produced before: the author's promise that identifiers do not move between scopes.
---Does not raise.
---@param name string up to 256 bytes; nested names join
---@param fn fun()
---@return true? ok nil when fn raised
---@return any err
function Context:scope(name, fn) end

---@class moontide
---@field config table<string, any> values of the integration's configuration; sensitive ones are secrets; read-only; an unknown name raises
---@field http moontide.http
---@field async moontide.async
---@field cache moontide.cache
---@field kv moontide.kv
---@field json moontide.json
---@field time moontide.time
---@field url moontide.url
---@field base64 moontide.base64
---@field crypto moontide.crypto
---@field log moontide.log
local moontide = {}

---Called once, after the bundle was loaded.
---@param fn fun()
function moontide.on_start(fn) end

---Called before the kinds of each resync. A request that fails in it withholds the deletes of every kind.
---@param fn fun()
function moontide.on_resync_start(fn) end

---Registers a handler of a kind; without a kind, of every kind. `coroutine.yield(items)` in it hands over a batch:
---an array of objects; an array that it returns is its last one.
---@param kind string
---@param fn fun(kind: string, ctx: moontide.Context): (table|moontide.View)?
---@overload fun(fn: fun(kind: string, ctx: moontide.Context): (table|moontide.View)?)
function moontide.on_resync(kind, fn) end

---Called after the kinds of each resync.
---@param fn fun()
function moontide.on_resync_complete(fn) end

---Waits; other tasks go on.
---@param seconds number from 0
function moontide.sleep(seconds) end

---@param text moontide.Text
---@return moontide.Secret
function moontide.secret(text) end

---A jq program as a function that gives its first result. It runs on a worker thread; errors of jq are raised
---(moontide.Error) when it is called.
---@param expression string
---@return fun(value: any): any
function moontide.jq(expression) end

-- http ---------------------------------------------------------------------------------------------------------------

---@class moontide.http
moontide.http = {}

---@class moontide.Auth

---@class moontide.Retries
---@field max? integer how often a request is sent again; 8
---@field base? number seconds of the first back-off; 0.25 (full jitter, doubling)
---@field cap? number seconds of the longest back-off; 20
---@field statuses? integer[] retried statuses; 429 and 500 to 599
---@field announced_cap? number the longest wait that a server may ask for; 65 minutes

---@class moontide.ClientOptions
---@field base_url? string paths are below it; credentials go to its origin only
---@field headers? table<string, string|number|moontide.Secret>
---@field auth? moontide.Auth|moontide.Auth[] what http.bearer, basic, header or query gives
---@field timeout? number seconds of one attempt; 60
---@field deadline? number seconds of a request, attempts and back-off included; 60
---@field retries? integer|moontide.Retries
---@field rate_limit? number requests a second, shared by all clients of the host with the same settings
---@field concurrency? integer requests at once, shared likewise; 10
---@field max_body? integer bytes of a decoded body; 256 MiB

---@class moontide.RequestOptions
---@field headers? table<string, string|number|moontide.Secret>
---@field accept? integer[] statuses that are normal answers here, such as { 404 }
---@field retry? boolean this POST or PATCH may be sent again
---@field timeout? number seconds
---@field deadline? number seconds
---@field expect? "object"|"array" a 200 whose JSON is of another kind is asked for again, then an error
---@field json? boolean the body must be JSON (true), need not be (false); default: when its Content-Type says so
---@field raw? boolean the body is text, never parsed

---@class moontide.PagesOptions: moontide.RequestOptions
---@field style? "link"|"page"|"cursor" default: link, the Link header's rel=next
---@field items? string|fun(body: any, res: moontide.Response): any where the list is in the body ("data.items"); default: the body
---@field param? string name in the query: of the page's number ("page"), of the cursor
---@field start? integer the first page's number; 1 (style page)
---@field size? integer items a page, sent as size_param (style page)
---@field size_param? string "per_page" (style page)
---@field total_pages? string|fun(body: any, res: moontide.Response): integer where the number of pages is (style page)
---@field next? string|fun(body: any, res: moontide.Response): string|integer|nil where the next cursor is (style cursor)
---@field max_pages? integer more are an error; 100,000
---@field confirm_empty? boolean false: an empty list is not asked for again before it counts as empty

---@class moontide.Request: moontide.RequestOptions
---@field method? string "GET"
---@field path? string below base_url
---@field url? string absolute
---@field query? moontide.Query
---@field body? moontide.Body

---@class moontide.Response
---@field status integer
---@field headers table<string, string> by names in any case
---@field body string
---@field url string after redirects
local Response = {}

---The body as JSON: parsed once, the same view each time. Raises moontide.Error for another body, which counts as a
---failed request.
---@return any
function Response:json() end

---@class moontide.Client
local Client = {}

---A client of an API. An unknown option raises.
---@param options moontide.ClientOptions
---@return moontide.Client
function moontide.http.client(options) end

---`Authorization: Bearer …`; nil or "" sends nothing.
---@param token moontide.Text?
---@return moontide.Auth
function moontide.http.bearer(token) end

---`Authorization: Basic …`; a nil user sends nothing.
---@param user moontide.Text?
---@param password moontide.Text?
---@return moontide.Auth
function moontide.http.basic(user, password) end

---A credential in a header; a nil value sends nothing.
---@param name string
---@param value moontide.Text?
---@return moontide.Auth
function moontide.http.header(name, value) end

---A credential in the query; a nil value sends nothing.
---@param name string
---@param value moontide.Text?
---@return moontide.Auth
function moontide.http.query(name, value) end

---A status of 400 or more, a failure of the network, or a body that is not what it should be gives nil and the
---error, and withholds the deletes of the kind (or scope), also when the script goes on: statuses that are expected
---belong into `accept`.
---@param path string? below base_url, or an absolute URL
---@param query moontide.Query?
---@param options moontide.RequestOptions?
---@return moontide.Response?
---@return moontide.Error? err
function Client:get(path, query, options) end

---@param path string?
---@param body moontide.Body? tables and views are sent as JSON
---@param options moontide.RequestOptions?
---@return moontide.Response?
---@return moontide.Error? err
function Client:post(path, body, options) end

---@param path string?
---@param body moontide.Body?
---@param options moontide.RequestOptions?
---@return moontide.Response?
---@return moontide.Error? err
function Client:put(path, body, options) end

---@param path string?
---@param body moontide.Body?
---@param options moontide.RequestOptions?
---@return moontide.Response?
---@return moontide.Error? err
function Client:patch(path, body, options) end

---@param path string?
---@param body moontide.Body?
---@param options moontide.RequestOptions?
---@return moontide.Response?
---@return moontide.Error? err
function Client:delete(path, body, options) end

---@param request moontide.Request
---@return moontide.Response?
---@return moontide.Error? err
function Client:request(request) end

---@class moontide.Pages
---@operator call: moontide.View?
local Pages = {}

---The rest is not wanted: leaving the pages now withholds nothing.
function Pages:stop() end

---`for page, res in client:pages(path) do … end`: the pages of a list. Raises moontide.Error when a page cannot be
---had, repeats, or is empty where it must not be. Left by break it has not reached its end and withholds deletes,
---unless stop() was called.
---@param path string?
---@param query moontide.Query?
---@param options moontide.PagesOptions?
---@return (fun(): moontide.View, moontide.Response)|moontide.Pages
function Client:pages(path, query, options) end

-- async, cache -------------------------------------------------------------------------------------------------------

---@class moontide.async
moontide.async = {}

---@class moontide.Task
local Task = {}

---Waits for the task; its results, or its error raised.
---@return any ...
function Task:await() end

---Starts fn(…) beside the caller. The handler ends when it has ended; an error that nobody awaits fails the handler.
---@param fn function
---@param ... any
---@return moontide.Task
function moontide.async.spawn(fn, ...) end

---The results of fn in the order of items, their count in `n`; at most n run at once. An error cancels the rest and
---is raised.
---@generic T, R
---@param items T[]|moontide.View
---@param n integer
---@param fn fun(item: T, i: integer): R
---@return R[]
function moontide.async.map(items, n, fn) end

---Runs functions side by side: their first results in order, their count in `n`. An error cancels the others and is
---raised.
---@param functions (fun(): any)[]
---@return any[]
function moontide.async.gather(functions) end

---@class moontide.cache
moontide.cache = {}

---@class moontide.MemoizeOptions
---@field ttl? number seconds; default: until the resync ends
---@field key? fun(...): string|integer names the combination of arguments; needed for tables

---Remembers the results of fn. One call of a key runs at a time, others wait for it. Errors are not kept, nor
---results that came about with a failed request, which is a fault in every scope that waited.
---@generic F: function
---@param fn F
---@param options moontide.MemoizeOptions?
---@return F
function moontide.cache.memoize(fn, options) end

-- kv -----------------------------------------------------------------------------------------------------------------

---Small values that outlive a resync, a reload and a restart, kept in the state file for each integration. Every call
---waits, and raises when the file cannot be used. 10,000 values of an integration.
---@class moontide.kv
moontide.kv = {}

---The value as plain tables (nulls as `json.null`), nil when there is none.
---@param key string 1 to 256 bytes
---@return any
function moontide.kv.get(key) end

---Keeps a value; it survives the end of the process once this has returned.
---@param key string
---@param value any what JSON can hold, up to 64 KB as JSON; nil removes it
function moontide.kv.set(key, value) end

---@param key string
function moontide.kv.delete(key) end

-- json, time, url ----------------------------------------------------------------------------------------------------

---@class moontide.json
---@field null userdata null as an element or an assigned member
moontide.json = {}

---Raises for what is not JSON, with the offset.
---@param text string
---@return any
function moontide.json.decode(text) end

---Raises for what JSON cannot hold, with its path. `{}` is `[]`.
---@param value any
---@return string
function moontide.json.encode(value) end

---Plain tables of a view; nulls are json.null.
---@param value any
---@return any
function moontide.json.copy(value) end

---Marks a table as an object, so that an empty one is `{}`.
---@param members table?
---@return table
function moontide.json.object(members) end

---Marks a table as an array.
---@param elements table?
---@return table
function moontide.json.array(elements) end

---What it is as JSON; nil for what JSON cannot hold.
---@param value any
---@return "null"|"boolean"|"number"|"string"|"array"|"object"|nil
function moontide.json.kind(value) end

---@class moontide.time
moontide.time = {}

---@return number seconds since the epoch
function moontide.time.now() end

---@return number seconds of a clock that only goes forward
function moontide.time.monotonic() end

---@param text string ISO 8601
---@return number? seconds since the epoch
---@return string? reason
function moontide.time.parse(text) end

---@param text string an HTTP date (RFC 9110)
---@return number? seconds since the epoch
---@return string? reason
function moontide.time.parse_http(text) end

---@param seconds number? since the epoch; now
---@param fraction boolean? with milliseconds
---@return string text "2024-05-01T12:00:00Z"
function moontide.time.format(seconds, fraction) end

---@param span number|{seconds?: number, minutes?: number, hours?: number, days?: number, weeks?: number}
---@return number seconds since the epoch
function moontide.time.ago(span) end

---@class moontide.url
moontide.url = {}

---@param text string|integer|moontide.Secret
---@return moontide.Text
function moontide.url.escape(text) end

---@param text string
---@param form boolean? "+" is a blank
---@return string
function moontide.url.unescape(text, form) end

---@param parameters table<string, any>
---@return moontide.Text
function moontide.url.query(parameters) end

---@param base string
---@param ... string|integer segments, escaped here
---@return string
function moontide.url.join(base, ...) end

---@param base string absolute
---@param reference string
---@return string? url
---@return string? reason
function moontide.url.resolve(base, reference) end

---@class moontide.ParsedUrl
---@field scheme string
---@field host string
---@field port? integer
---@field path string
---@field query table<string, string>
---@field raw_query? string
---@field fragment? string

---@param text string
---@return moontide.ParsedUrl?
---@return string? reason
function moontide.url.parse(text) end

-- base64, crypto, log ------------------------------------------------------------------------------------------------

---@class moontide.base64
moontide.base64 = {}

---@param text moontide.Text
---@return moontide.Text
function moontide.base64.encode(text) end

---@param text moontide.Text
---@return moontide.Text text with "-" and "_", without padding
function moontide.base64.encode_url(text) end

---@param text string either alphabet
---@return string?
---@return string? reason
function moontide.base64.decode(text) end

---@class moontide.crypto
moontide.crypto = {}

---@param text moontide.Text
---@return string hexadecimal
function moontide.crypto.sha256(text) end

---@param key moontide.Text
---@param text moontide.Text
---@return string hexadecimal
function moontide.crypto.hmac_sha256(key, text) end

---@class moontide.log
moontide.log = {}

---@param text any a format as string.format has it; tables and views are written as JSON, secrets as ***
---@param ... any
function moontide.log.debug(text, ...) end

---@param text any
---@param ... any
function moontide.log.info(text, ...) end

---@param text any
---@param ... any
function moontide.log.warn(text, ...) end

---@param text any
---@param ... any
function moontide.log.error(text, ...) end

return moontide
