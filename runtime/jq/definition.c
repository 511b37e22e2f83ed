/* Builtins written in jq: see definition.h. What takes closures, or has to work as a path, is here; what only
 * computes values is a native. Called by the compiler on any thread; immutable. */
#include "jq/definition.h"

#include <stddef.h>

/* jq's own parameters and variables are seen by the closures that are passed in, never the other way round:
 * the compiler resolves names where they stand. */
static const struct definition {
    const char *name; /* with its arity */
    const char *text;
} definitions[] = {
    /* sorted by name and arity, as strcmp has it */
    {"IN/1", "def IN(s): any(s == .; .);"},
    {"IN/2", "def IN(f; s): any(f == s; .);"},
    {"INDEX/1", "def INDEX(k): INDEX(.[]; k);"},
    {"INDEX/2", "def INDEX(f; k): reduce f as $x ({}; .[$x | k | tostring] = $x);"},
    {"JOIN/2", "def JOIN($i; k): [.[] | [., $i[k]]];"},
    {"JOIN/3", "def JOIN($i; f; k): f | [., $i[k]];"},
    {"JOIN/4", "def JOIN($i; f; k; g): f | [., $i[k]] | g;"},
    {"_nwise/1", "def _nwise($n): def n: if length <= $n then . else .[:$n], (.[$n:] | n) end; n;"},
    {"_pattern/0",
     "def _pattern: if type == \"string\" then [., null] elif type == \"array\" and length > 0 then "
     "[.[0], .[1]] else error(\"\\(type) not a string or array\") end;"},
    {"add/1", "def add(f): reduce f as $x (null; . + $x);"},
    {"all/1", "def all(f): all(.[]; f);"},
    {"all/2", "def all(f; g): isempty(f | g and empty);"},
    {"any/1", "def any(f): any(.[]; f);"},
    {"any/2", "def any(f; g): isempty(f | g or empty) | not;"},
    {"arrays/0", "def arrays: select(type == \"array\");"},
    {"ascii/0", "def ascii: [.] | implode;"},
    {"booleans/0", "def booleans: select(type == \"boolean\");"},
    {"capture/1", "def capture($r): ($r | _pattern) as [$re, $flags] | _captures($re; $flags)[];"},
    {"capture/2", "def capture($re; $flags): _captures($re; $flags)[];"},
    {"combinations/0",
     "def combinations: if length == 0 then [] else .[0][] as $x | (.[1:] | combinations) as $rest | [$x] "
     "+ $rest end;"},
    {"combinations/1", "def combinations(n): [range(n) as $i | .] | combinations;"},
    {"date/0", "def date: todate;"},
    {"dateadd/2", "def dateadd(u; n): . + n;"},
    {"datesub/2", "def datesub(u; n): . - n;"},
    {"del/1", "def del(f): delpaths([path(f)]);"},
    {"finites/0", "def finites: select(isinfinite or isnan | not);"},
    {"first/0", "def first: .[0];"},
    {"first/1", "def first(f): label $out | f | ., break $out;"},
    {"fromdate/0", "def fromdate: fromdateiso8601;"},
    {"fromdateiso8601/0", "def fromdateiso8601: strptime(\"%Y-%m-%dT%H:%M:%SZ\") | mktime;"},
    {"fromstream/1",
     "def fromstream(f): foreach f as $e ({done: true}; if .done then {value: null} else . end | if ($e | "
     "length) == 2 then .done = ($e[0] == []) | setpath([\"value\"] + $e[0]; $e[1]) else .done = (($e[0] "
     "| length) == 1) end; if .done then .value else empty end);"},
    {"get_search_list/0", "def get_search_list: [];"},
    {"group_by/1", "def group_by(f): _group_by(map([f]));"},
    {"gsub/2", "def gsub($re; f): sub($re; f; \"g\");"},
    {"gsub/3", "def gsub($re; f; $flags): sub($re; f; $flags + \"g\");"},
    {"have_decnum/0", "def have_decnum: true;"},
    {"have_literal_numbers/0", "def have_literal_numbers: true;"},
    {"in/1", "def in(f): . as $x | f | has($x);"},
    {"input_filename/0", "def input_filename: null;"},
    {"inside/1", "def inside(f): . as $x | f | contains($x);"},
    {"isempty/1", "def isempty(f): label $out | (f | false, break $out), true;"},
    {"iterables/0", "def iterables: select(type | . == \"array\" or . == \"object\");"},
    {"last/0", "def last: .[-1];"},
    {"last/1", "def last(f): reduce f as $x ([]; .[0] = $x) | .[];"},
    {"leaf_paths/0", "def leaf_paths: paths(scalars);"},
    {"limit/2",
     "def limit($n; f): if $n > 0 then label $out | foreach f as $x ($n; . - 1; $x, if . <= 0 then break "
     "$out else empty end) elif $n == 0 then empty else error(\"limit doesn't support negative count\") "
     "end;"},
    {"map/1", "def map(f): [.[] | f];"},
    {"map_values/1", "def map_values(f): .[] |= f;"},
    {"match/1", "def match($r): ($r | _pattern) as [$re, $flags] | _match($re; $flags; false)[];"},
    {"match/2", "def match($re; $flags): _match($re; $flags; false)[];"},
    {"max_by/1", "def max_by(f): _max_by(map([f]));"},
    {"min_by/1", "def min_by(f): _min_by(map([f]));"},
    {"normals/0", "def normals: select(isnormal);"},
    {"not/0", "def not: if . then false else true end;"},
    {"nth/1", "def nth($n): .[$n];"},
    {"nth/2",
     "def nth($n; f): if $n < 0 then error(\"nth doesn't support negative indices\") else first(skip($n; "
     "f)) end;"},
    {"nulls/0", "def nulls: select(. == null);"},
    {"numbers/0", "def numbers: select(type == \"number\");"},
    {"objects/0", "def objects: select(type == \"object\");"},
    {"paths/0", "def paths: path(..) | select(. != []);"},
    {"paths/1", "def paths(f): path(.. | select(f)) | select(. != []);"},
    {"pick/1", "def pick(f): . as $in | reduce path(f) as $p (null; setpath($p; $in | getpath($p)));"},
    {"range/1", "def range($to): range(0; $to);"},
    {"range/2", "def range($from; $to): $from | while(. < $to; . + 1);"},
    {"range/3",
     "def range($from; $to; $by): if $by > 0 then $from | while(. < $to; . + $by) elif $by < 0 then $from "
     "| while(. > $to; . + $by) else empty end;"},
    {"recurse/0", "def recurse: ..;"},
    {"recurse/1", "def recurse(f): def r: ., (f | r); r;"},
    {"recurse/2", "def recurse(f; g): def r: ., (f | select(g) | r); r;"},
    {"repeat/1", "def repeat(f): def r: f, r; r;"},
    {"scalars/0", "def scalars: select(type | . != \"array\" and . != \"object\");"},
    {"scan/1", "def scan($re): _scan($re; null)[];"},
    {"scan/2", "def scan($re; $flags): _scan($re; $flags)[];"},
    {"select/1", "def select(f): if f then . else empty end;"},
    {"skip/2",
     "def skip($n; f): if $n > 0 then foreach f as $x ($n; . - 1; if . < 0 then $x else empty end) elif "
     "$n == 0 then f else error(\"skip doesn't support negative count\") end;"},
    {"sort_by/1", "def sort_by(f): _sort_by(map([f]));"},
    {"splits/1", "def splits($re): split($re; null)[];"},
    {"splits/2", "def splits($re; $flags): split($re; $flags)[];"},
    {"strings/0", "def strings: select(type == \"string\");"},
    {"sub/2", "def sub($re; f): sub($re; f; \"\");"},
    /* the n-th output of f at each match makes the n-th result */
    {"sub/3",
     "def sub($re; f; $flags): _edits($re; $flags) as $e | [range(1; $e | length; 2) as $i | foreach "
     "($e[$i] | f) as $s (-1; . + 1; [., $e[$i - 1] + $s])] as $all | if $all == [] then . else "
     "range(($all | map(.[0]) | max) + 1) as $n | ([$all[] | select(.[0] == $n) | .[1]] | join(\"\")) + "
     "$e[-1] end;"},
    {"todate/0", "def todate: todateiso8601;"},
    {"todateiso8601/0", "def todateiso8601: strftime(\"%Y-%m-%dT%H:%M:%SZ\");"},
    {"tostream/0",
     "def tostream: def t($p): if (type | . == \"array\" or . == \"object\") and length > 0 then . as $in "
     "| keys_unsorted as $k | ($k[] as $x | $in[$x] | t($p + [$x])), [$p + [$k[-1]]] else [$p, .] end; "
     "t([]);"},
    {"truncate_stream/1",
     "def truncate_stream(f): . as $n | null | f | if (.[0] | length) > $n then .[0] |= .[$n:] else empty "
     "end;"},
    {"unique_by/1", "def unique_by(f): _unique_by(map([f]));"},
    {"until/2", "def until(f; g): def r: if f then . else g | r end; r;"},
    {"values/0", "def values: select(. != null);"},
    {"walk/1",
     "def walk(f): def w: if type == \"object\" then map_values(w) elif type == \"array\" then map(w) "
     "else . end | f; w;"},
    {"while/2", "def while(f; g): def r: if f then ., (g | r) else empty end; r;"},
    {"with_entries/1", "def with_entries(f): to_entries | map(f) | from_entries;"},
};

enum { COUNT = sizeof definitions / sizeof *definitions };

/* Order of a name and arity against an entry's "name/arity"; arities have one digit. */
static int compare(struct mt_slice name, unsigned arity, const char *entry)
{
    size_t n = strlen(entry) - 2, shorter = name.n < n ? name.n : n;
    int order = shorter ? memcmp(name.p, entry, shorter) : 0;
    /* '/' sorts before the letters and digits of a longer name, as the end of a name does */
    if (order == 0)
        order = name.n < n ? -1 : name.n > n;
    return order ? order : (int)arity - (entry[n + 1] - '0');
}

struct mt_slice mt_definition_find(struct mt_slice name, unsigned arity)
{
    size_t low = 0, high = COUNT;
    while (arity < 10 && low < high) {
        size_t middle = (low + high) / 2;
        int order = compare(name, arity, definitions[middle].name);
        if (order == 0)
            return mt_slice_of(definitions[middle].text);
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return (struct mt_slice){NULL, 0};
}

const char *mt_definition_name(unsigned i)
{
    for (unsigned k = 0; k < COUNT; k++)
        if (definitions[k].name[0] != '_' && i-- == 0)
            return definitions[k].name;
    return NULL;
}
