/* The differences of jq 1.8 to libjq 1.6 that definitions in jq itself can mend: see prelude.h.
 *
 * An entry is written only when a program mentions one of its names, since each costs parse time (about 0.1
 * ms). A built-in that is replaced is reached through an alias defined before its replacement. Names that
 * start with mt_ are ours. */
#include "jq/prelude.h"

struct entry {
    const char *names; /* what wants it, blank separated: names, operators, formats */
    const char *text;
};

/* Order matters: an entry may use those above it that are written for the same names. */
static const struct entry entries[] = {
    /* Nothing of an expression may reach the process or its input, and 1.6 asserts on some of these. */
    {"halt", "def halt: error(\"halt is not allowed here\");"},
    {"halt_error", "def halt_error: error(\"halt_error is not allowed here\");"
                   "def halt_error($c): halt_error;"},
    {"input inputs", "def input: error(\"No more inputs\");"
                     "def inputs: empty;"},
    {"input_line_number", "def input_line_number: 0;"},
    {"input_filename", "def input_filename: null;"},
    {"stderr", "def stderr: .;"},
    {"debug", "def debug: .;"
              "def debug(f): (f | empty), .;"},
    {"modulemeta", "def modulemeta: error(\"modulemeta is not allowed here\");"},
    {"get_search_list", "def get_search_list: [];"},
    {"get_jq_origin get_prog_origin", "def get_jq_origin: null;"
                                      "def get_prog_origin: null;"},
    /* $mt_big: integers of the input from 2^53 on, by the text that 1.6 makes of them (libjq.c). */
    {"tostring join",
     "def mt_tostring: tostring;"
     "def tostring: if $mt_big == null or type != \"number\" then mt_tostring else mt_tostring as $mt_t | "
     "$mt_big[$mt_t] // $mt_t end;"},
    {"@text",
     "def mt_format_text($f): format($f);"
     "def mt_text: tostring;"
     "def format($f): if $f == \"text\" and $mt_big != null and type == \"number\" then mt_text as $mt_t | "
     "$mt_big[$mt_t] // $mt_t else mt_format_text($f) end;"},
    {"join",
     "def join($mt_x): reduce .[] as $mt_i (null; (if . == null then \"\" else . + $mt_x end) + ($mt_i | if "
     "type == \"boolean\" or type == \"number\" then tostring else . // \"\" end)) // \"\";"},
    /* 1.6 asserts that a code point is one. */
    {"implode ascii @urid @base32d format",
     "def mt_implode: implode;"
     "def implode: if type != \"array\" then error(\"implode input must be an array\") else map(if type != "
     "\"number\" then error(\"Unicode codepoint must be numeric\") elif isnan or . < 0 or . >= 1114112 or "
     "(. >= 55296 and . < 57344) then 65533 else floor end) | mt_implode end;"
     "def ascii: [.] | implode;"},
    /* New in 1.7 and 1.8. */
    {"abs",
     "def abs: if type != \"number\" then error(\"\\(type) (\\(tojson)) has no absolute value\") elif . < 0 "
     "then -. else . end;"},
    {"toboolean",
     "def toboolean: if type == \"boolean\" then . elif . == \"true\" then true elif . == \"false\" then "
     "false else error(\"\\(type) (\\(tojson)) cannot be parsed as a boolean\") end;"},
    {"toarray", "def toarray: if type == \"array\" then . else [.] end;"},
    {"pick",
     "def pick(f): . as $mt_in | reduce path(f) as $mt_p (null; setpath($mt_p; $mt_in | getpath($mt_p)));"},
    {"add", "def add(f): reduce f as $mt_x (null; . + $mt_x);"},
    {"have_literal_numbers", "def have_literal_numbers: true;"},
    {"have_decnum", "def have_decnum: false;"},
    {"dateadd", "def dateadd(u; n): . + n;"},
    {"datesub", "def datesub(u; n): . - n;"},
    {"trim ltrim rtrim",
     "def mt_blank: (. >= 9 and . <= 13) or . == 32 or . == 133 or . == 160 or . == 5760 or (. >= 8192 and "
     ". <= 8202) or . == 8232 or . == 8233 or . == 8239 or . == 8287 or . == 12288;"
     "def mt_string: if type == \"string\" then . else error(\"\\(type) (\\(tojson)) cannot be trimmed\") "
     "end;"
     "def ltrim: mt_string | explode as $mt_c | ($mt_c | length) as $mt_n | .[([label $mt_o | range(0; "
     "$mt_n) | select($mt_c[.] | mt_blank | not) | ., break $mt_o] + [$mt_n])[0]:];"
     "def rtrim: mt_string | explode as $mt_c | ($mt_c | length) as $mt_n | .[0:([label $mt_o | "
     "range($mt_n; 0; -1) | select($mt_c[. - 1] | mt_blank | not) | ., break $mt_o] + [0])[0]];"
     "def trim: ltrim | rtrim;"},
    {"ltrimstr rtrimstr trimstr",
     "def ltrimstr($x): if startswith($x) then .[($x | length):] else . end;"
     "def rtrimstr($x): if endswith($x) and $x != \"\" then .[:length - ($x | length)] else . end;"
     "def trimstr($x): ltrimstr($x) | rtrimstr($x);"},
    /* Generators: 1.6 takes limit(0; f) as no limit, swallows errors in isempty, and catches in `?` the break
     * of what comes after it, so that more may follow. */
    {"limit",
     "def limit($mt_n; f): if $mt_n > 0 then label $mt_o | foreach f as $mt_x (0; . + 1; (if . <= $mt_n "
     "then $mt_x else empty end), if . >= $mt_n then break $mt_o else empty end) elif $mt_n == 0 then "
     "empty else error(\"Invalid arguments: limit doesn't support negative count\") end;"},
    {"skip",
     "def skip($mt_n; f): if $mt_n > 0 then foreach f as $mt_x ($mt_n; . - 1; if . < 0 then $mt_x else "
     "empty end) elif $mt_n == 0 then f else error(\"Invalid arguments: skip doesn't support negative "
     "count\") end;"},
    {"nth",
     "def nth($mt_n): .[$mt_n];"
     "def nth($mt_n; f): if $mt_n < 0 then error(\"nth doesn't support negative indices\") else label $mt_o "
     "| foreach f as $mt_x (-1; . + 1; if . == $mt_n then $mt_x, break $mt_o else empty end) end;"},
    {"first?", "def first: .[0];"
               "def first(f): [label $mt_o | f | ., break $mt_o] | .[0:1] | .[];"},
    {"last", "def last: .[-1];"
             "def last(f): reduce f as $mt_x ([]; [$mt_x]) | .[];"},
    {"isempty all any IN", "def isempty(f): [label $mt_o | f | 0, break $mt_o] == [];"
                           "def all(f; c): isempty(f | if c then empty else 0 end);"
                           "def any(f; c): isempty(f | if c then 0 else empty end) | not;"
                           "def all(c): all(.[]; c);"
                           "def any(c): any(.[]; c);"
                           "def all: all(.);"
                           "def any: any(.);"
                           "def IN(s): . as $mt_x | any(s; . == $mt_x);"
                           "def IN(f; s): any(f | IN(s); .);"},
    /* Updates: 1.6 skips members when an update gives nothing. */
    {"|= map_values",
     "def _modify(paths; update): reduce path(paths) as $mt_p ([., []]; . as $mt_s | [label $mt_o | "
     "$mt_s[0] | getpath($mt_p) | update | ., break $mt_o] as $mt_v | if $mt_v == [] then [$mt_s[0], "
     "$mt_s[1] + [$mt_p]] else [($mt_s[0] | setpath($mt_p; $mt_v[0])), $mt_s[1]] end) | . as $mt_s | "
     "$mt_s[0] | delpaths($mt_s[1]);"
     "def map_values(f): .[] |= f;"},
    {"walk",
     "def walk(f): def mt_w: if type == \"object\" then . as $mt_in | reduce keys_unsorted[] as $mt_k ({}; "
     ". + ([label $mt_o | $mt_in[$mt_k] | mt_w | {($mt_k): .}, break $mt_o] | map(objects) | add // {})) "
     "elif type == \"array\" then map(mt_w) else . end | f; mt_w;"},
    {"from_entries with_entries",
     "def from_entries: reduce .[] as $mt_x ({}; . + {($mt_x | (if .key == null then .k // .name // .Name "
     "// .K // .Key else .key end) | if type == \"string\" then . else tojson end): ($mt_x | if "
     "has(\"value\") then .value elif has(\"v\") then .v else .Value end)});"
     "def with_entries(f): to_entries | map(f) | from_entries;"},
    {"setpath =",
     "def mt_setpath($p; $v): setpath($p; $v);"
     "def setpath($p; $v): if ($p | type) == \"array\" and ([$p[] | numbers | select(. > 16777215)] != []) "
     "then error(\"Array index too large\") else mt_setpath($p; $v) end;"
     "def _assign(paths; $v): reduce path(paths) as $mt_p (.; setpath($mt_p; $v));"},
    {"mt_bound", "def mt_bound: if type == \"number\" and isnan then null else . end;"},
    {"del delpaths",
     "def mt_delpaths($p): delpaths($p);"
     "def delpaths($p): mt_delpaths(if ($p | type) == \"array\" then [$p[] | select(type != \"array\" or "
     "([.[] | numbers | select(isnan)] == []))] else $p end);"
     "def del(f): delpaths([path(f)]);"},
    /* Arithmetic that ends the process: INT64_MIN % -1 raises SIGFPE, a long repetition overflows an int. */
    {"%",
     "def mt_whole: if . >= 9223372036854774784 then 9223372036854774784 elif . <= -9223372036854774784 "
     "then -9223372036854774784 else trunc end;"
     "def mt_mod($a; $b): $a % $b;"
     "def _mod(a; b): b as $b | a as $a | if ($a | type) == \"number\" and ($b | type) == \"number\" then "
     "if ($a | isnan) or ($b | isnan) then nan else ($b | mt_whole | if . < 0 then -. else . end) as $d | "
     "if $d == 0 then error(\"number (\\($a)) and number (\\($b)) cannot be divided because the divisor "
     "is zero\") else mt_mod($a | mt_whole; $d) end end else mt_mod($a; $b) end;"},
    {"* *=",
     "def mt_multiply($a; $b): $a * $b;"
     "def mt_repeat($s; $n): if ($n | isnan) or $n < 0 then null elif $s == \"\" then $s elif ($s | length) "
     "* $n > 67108864 then error(\"Repeat string result too long\") elif $n < 1 then (if $n > 0 then $s "
     "else \"\" end) else mt_multiply($s; $n) end;"
     "def _multiply(a; b): b as $b | a as $a | ($a | type) as $ta | ($b | type) as $tb | if $ta == "
     "\"string\" and $tb == \"number\" then mt_repeat($a; $b) elif $ta == \"number\" and $tb == "
     "\"string\" then mt_repeat($b; $a) else mt_multiply($a; $b) end;"},
    /* Text. 1.6 counts bytes in indices and never ends on an empty needle; its tonumber takes blanks and
       more. */
    {"indices index rindex _strindices",
     "def indices($i): if type == \"array\" and ($i | type) == \"array\" then .[$i] elif type == \"array\" "
     "then .[[$i]] elif type == \"string\" and ($i | type) == \"string\" then (if $i == \"\" then [] else "
     "explode | .[$i | explode] end) else .[$i] end;"
     "def index($i): indices($i) | .[0];"
     "def rindex($i): indices($i) | .[-1:][0];"},
    {"tonumber",
     "def mt_tonumber: tonumber;"
     "def tonumber: if type == \"string\" and "
     "(test(\"\\\\A[-+]?([0-9]+\\\\.?[0-9]*|\\\\.[0-9]+)([eE][-+]?[0-9]+)?\\\\z|\\\\A-?nan\\\\z\") | not) "
     "then error(\"string (\\(tojson)) cannot be parsed as a number\") else mt_tonumber end;"},
    /* 1.6 never ends on an empty match in a string with a character beyond ASCII, reports empty matches twice
     * and loses their captures. So expressions that may match nothing are searched step by step, from
     * character p on. */
    {"match capture scan split splits sub gsub",
     "def mt_flags: (. // \"\") | if type == \"string\" then explode | map(select(. != 103)) | implode else "
     "error(\"\\(tojson) (\\(type)) is not a string\") end;"
     "def mt_group($re; $f): \"(?:\" + $re + (if $f | contains(\"x\") then \"\\n)\" else \")\" end);"
     "def mt_captures($re; $f): . as $mt_s | if $re | contains(\"(\") | not then [] elif $mt_s == \"\" then "
     "[(\"x\" | match(\"\\\\Ax\" + mt_group($re; $f); $f)).captures[] | if .offset > 0 then .offset -= 1 "
     "else . end] else [match(\"\\\\A\" + mt_group($re; $f) + \"[\\\\s\\\\S]\"; $f)][0].captures // [] "
     "end;"
     "def mt_step($re; $f; $p): . as $mt_s | [match(\"\\\\A[\\\\s\\\\S]{\\($p)}[\\\\s\\\\S]*?\\\\K\" + "
     "mt_group($re; $f); $f)][0] | if . == null or .length > 0 then . elif .offset == 0 then .captures = "
     "($mt_s | mt_captures($re; $f)) else .offset as $o | .captures = ([$mt_s | "
     "match(\"\\\\A[\\\\s\\\\S]{\\($o)}\" + mt_group($re; $f); $f)][0].captures // []) end;"
     "def mt_empty($re; $f): (\"\" | test($re; $f)) or ($re | "
     "test(\"(^|[^\\\\[])[\\\\^$]|\\\\\\\\[bBAzZGK]|\\\\(\\\\?<?[=!]\"));"
     "def mt_match($re; $flags): . as $mt_s | if type != \"string\" then match($re; $flags) else ($flags | "
     "mt_flags) as $f | ($re | type == \"string\") and mt_empty($re; $f) | if . and ($f | contains(\"n\") "
     "| not) then if $flags != null and ($flags | contains(\"g\")) then ($mt_s | length) as $n | label "
     "$mt_o | foreach range(0; $n + 1) as $mt_i ([0, null]; if .[0] > $n then [.[0], null] else .[0] as "
     "$p | ($mt_s | mt_step($re; $f; $p)) | if . == null then [$p, null] elif .length == 0 then [.offset "
     "+ 1, .] else [.offset + .length, .] end end; if .[1] == null then break $mt_o else .[1] end) else "
     "$mt_s | mt_step($re; $f; 0) | select(. != null) end else $mt_s | match($re; $flags) end end;"
     "def match($re; $flags): mt_match($re; $flags);"
     "def match($re): if ($re | type) == \"array\" then ($re[0] as $r | mt_match($r; $re[1])) else "
     "mt_match($re; null) end;"
     "def mt_named: reduce (.captures[] | select(.name != null)) as $mt_c ({}; .[$mt_c.name] = "
     "$mt_c.string);"
     "def capture($re; $flags): match($re; $flags) | mt_named;"
     "def capture($re): match($re) | mt_named;"
     "def mt_all($re; $flags): match($re; ($flags // \"\") + \"g\");"
     "def scan($re; $flags): mt_all($re; $flags) | if (.captures | length) > 0 then [.captures[].string] "
     "else .string end;"
     "def scan($re): scan($re; null);"
     "def split($re; $flags): . as $mt_s | [foreach (mt_all($re; $flags), null) as $mt_m ([0, null]; if "
     "$mt_m == null then [0, $mt_s[.[0]:]] else [$mt_m.offset + $mt_m.length, $mt_s[.[0]:$mt_m.offset]] "
     "end; .[1])];"
     "def splits($re; $flags): split($re; $flags) | .[];"
     "def splits($re): splits($re; null);"
     "def sub($re; str; $flags): . as $mt_s | reduce match($re; $flags) as $mt_m ([0, []]; "
     "$mt_s[.[0]:$mt_m.offset] as $mt_gap | [$mt_m | mt_named | str] as $mt_new | .[1] as $mt_r | "
     "[$mt_m.offset + $mt_m.length, ($mt_r | reduce range(0; $mt_new | length) as $mt_i (.; .[$mt_i] = "
     "((.[$mt_i] // \"\") + $mt_gap + $mt_new[$mt_i])))]) | if .[1] == [] then $mt_s else $mt_s[.[0]:] as "
     "$mt_rest | .[1][] + $mt_rest end;"
     "def sub($re; str): sub($re; str; null);"
     "def gsub($re; str; $flags): sub($re; str; ($flags // \"\") + \"g\");"
     "def gsub($re; str): sub($re; str; \"g\");"},
    /* Time: 1.6 ends the process on 1e300 | todate. The bounds are the years that an int holds. */
    {"gmtime localtime strftime strflocaltime todate todateiso8601 date mktime",
     "def mt_seconds: if isnan or . > 67767976233532799 or . < -67768040609740800 then error(\"error "
     "converting number of seconds since epoch to datetime\") else . end;"
     "def mt_broken($who): if type == \"array\" then . + [0, 0, 0, 0, 0, 0, 0, 0][length:] else . end | if "
     "type == \"array\" and ([.[] | type == \"number\" and . > -2147483648 and . < 2147483648] | all) "
     "then . else error($who + \" requires parsed datetime inputs\") end;"
     "def mt_gmtime: gmtime;"
     "def mt_localtime: localtime;"
     "def mt_mktime: mktime;"
     "def mt_strftime($f): strftime($f);"
     "def mt_strflocaltime($f): strflocaltime($f);"
     "def gmtime: if type == \"number\" then mt_seconds | mt_gmtime else error(\"gmtime() requires a "
     "number\") end;"
     "def localtime: if type == \"number\" then mt_seconds | mt_localtime else error(\"localtime() requires "
     "a number\") end;"
     "def mktime: if type == \"array\" then . else error(\"mktime requires array of 6 numbers\") end | "
     "mt_broken(\"mktime\") | mt_mktime;"
     "def strftime($f): (if type == \"number\" then gmtime else . end) | mt_broken(\"strftime/1\") | if ($f "
     "| type) != \"string\" then error(\"strftime/1 requires a string format\") elif $f == \"\" then \"\" "
     "else mt_strftime($f) end;"
     "def strflocaltime($f): (if type == \"number\" then localtime else . end) | "
     "mt_broken(\"strflocaltime/1\") | if ($f | type) != \"string\" then error(\"strflocaltime/1 requires "
     "a string format\") elif $f == \"\" then \"\" else mt_strflocaltime($f) end;"
     "def todate: strftime(\"%Y-%m-%dT%H:%M:%SZ\");"
     "def todateiso8601: todate;"
     "def date: todate;"},
    /* Formats go through the function format: @uri of 1.6 leaves !*'() alone, and two formats are new. */
    {"@uri @urid @base32d format",
     "def mt_format($f): format($f);"
     "def mt_utf8: . as $b | ($b | length) as $n | [{i: 0} | recurse(if .i >= $n then empty else .i as $i | "
     "$b[$i] as $c | (if $c < 128 then 1 elif $c >= 194 and $c < 224 then 2 elif $c >= 224 and $c < 240 "
     "then 3 elif $c >= 240 and $c < 245 then 4 else 0 end) as $k | [$b[$i + 1:$i + $k][]? | select(. >= "
     "128 and . < 192)] as $t | if $k == 1 then {i: ($i + 1), c: $c} elif $k == 0 or ($t | length) != $k "
     "- 1 then {i: ($i + 1), c: 65533} else {i: ($i + $k), c: (reduce $t[] as $x ($c - [0, 0, 192, 224, "
     "240][$k]; . * 64 + $x - 128))} end end) | .c | numbers] | implode;"
     "def mt_hex: if . >= 48 and . <= 57 then . - 48 elif . >= 65 and . <= 70 then . - 55 elif . >= 97 and "
     ". <= 102 then . - 87 else null end;"
     "def mt_bytes: mt_format(\"uri\") | explode as $s | ($s | length) as $n | [{i: 0} | recurse(if .i >= "
     "$n then empty elif $s[.i] == 37 then {i: (.i + 3), c: (($s[.i + 1] | mt_hex) * 16 + ($s[.i + 2] | "
     "mt_hex))} else {i: (.i + 1), c: $s[.i]} end) | .c | numbers];"
     "def mt_urid: . as $text | mt_bytes as $s | ($s | length) as $n | [{i: 0} | recurse(if .i >= $n then "
     "empty elif $s[.i] == 37 then ($s[.i + 1] // 0 | mt_hex) as $h | ($s[.i + 2] // 0 | mt_hex) as $l | "
     "if $h == null or $l == null then error(\"string (\\($text | tojson)) is not a valid uri encoding\") "
     "else {i: (.i + 3), c: ($h * 16 + $l)} end else {i: (.i + 1), c: $s[.i]} end) | .c | numbers] | "
     "mt_utf8;"
     "def mt_base32d: . as $text | [explode[] | if . >= 65 and . <= 90 then . - 65 elif . >= 50 and . <= 55 "
     "then . - 24 elif . == 61 then empty else error(\"string (\\($text | tojson)) is not valid base32 "
     "data\") end] | [foreach .[] as $x ({v: 0, n: 0, o: null}; .v = .v * 32 + $x | .n += 5 | if .n >= 8 "
     "then pow(2; .n - 8) as $d | .o = (.v / $d | floor) | .v -= .o * $d | .n -= 8 else .o = null end; .o "
     "| numbers)] | mt_utf8;"
     "def format($f): if $f == \"uri\" then mt_format(\"uri\") | split(\"!\") | join(\"%21\") | "
     "split(\"*\") | join(\"%2A\") | split(\"'\") | join(\"%27\") | split(\"(\") | join(\"%28\") | "
     "split(\")\") | join(\"%29\") elif $f == \"urid\" then tostring | mt_urid elif $f == \"base32d\" "
     "then tostring | mt_base32d else mt_format($f) end;"},
};

enum { COUNT = sizeof entries / sizeof *entries };
_Static_assert(COUNT <= MT_PRELUDE_MAX, "struct mt_prelude is too small");

static bool listed(const char *list, struct mt_slice name)
{
    while (*list) {
        size_t n = strcspn(list, " ");
        if (n == name.n && memcmp(list, name.p, n) == 0)
            return true;
        list += n + (list[n] == ' ');
    }
    return false;
}

void mt_prelude_note(struct mt_prelude *p, struct mt_slice name)
{
    for (size_t i = 0; i < COUNT; i++)
        p->wanted[i] = p->wanted[i] || listed(entries[i].names, name);
}

void mt_prelude_join(struct mt_prelude *p, const struct mt_prelude *other)
{
    for (size_t i = 0; i < COUNT; i++)
        p->wanted[i] = p->wanted[i] || other->wanted[i];
}

void mt_prelude_write(const struct mt_prelude *p, struct mt_buf *out)
{
    for (size_t i = 0; i < COUNT; i++)
        if (p->wanted[i])
            mt_buf_puts(out, entries[i].text);
}
