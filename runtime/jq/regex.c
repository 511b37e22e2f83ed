/* Regular expressions by oniguruma (Perl's syntax with named groups, UTF-8). Called by the machine through
 * mt_regex_natives, on the thread of the heap, which owns the cache of compiled expressions.
 *
 * jq's sub, gsub, scan, capture and split are here in the forms that definition.c's need, because each is one
 * pass over the string this way:
 *   _match(re; flags; test)  all matches as jq's match objects, or whether there is one
 *   _scan(re; flags)         what scan gives, as an array
 *   _captures(re; flags)     what capture gives, as an array
 *   _edits(re; flags)        [text before, captures, text between, captures, …, text behind], for sub
 *   _replace(re; flags; s)   sub with a string that does not look at the captures
 * flags are jq's: null or a string of g i x n p s l. _scan and split/2 add the g themselves. */
#include <limits.h>
#include <oniguruma.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"
#include "jq/text.h"

enum {
    CACHED = 64,             /* a resource's largest mapping has 20 */
    PATTERN_MAX = 64 * 1024, /* bytes */
    DEPTH_MAX = 512,         /* of a pattern's nesting; oniguruma recurses over it when it compiles */
    RETRIES_LEAST = 256,
    RETRIES_MAX = 10 * 1000 * 1000, /* backtracks of one search: about 0.3 s */
    CALLS_MAX = 200 * 1000,         /* of groups by \g<name> in one search: about 0.2 s */
    STACKED = 64,                   /* about what one entry of oniguruma's stack takes */
    STEPS_LEAST = 64,
    STEPS_MOST = 10 * 1000 * 1000,
    COMPILE_STEPS = 100,
    COMPILE_STEPS_A_BYTE = 10,
    NS_A_STEP = 20, /* the machine's budget of 50 million steps is about a second */
    SLOW_NS = 10 * 1000 * 1000,
    LOOK_SEARCHES = 64, /* a look at the processor's time costs 0.3 us, as much as a search in a short text */
    SEARCH_NS = 50 * 1000 * 1000, /* of processor; what was started goes on for up to 4 times as long */
    WALK_MOST = 64 * 1024 * 1024, /* bytes that the first try may walk over, by backtracks to the end */
    SHOWN = 400                   /* bytes of a pattern in a message */
};

struct regex {
    uint64_t hash;
    struct mt_slice pattern; /* owned; NULL: the place is free */
    OnigOptionType options;
    regex_t *compiled;
    struct mt_slice *names; /* of group i + 1; {NULL, 0} has none; they point into compiled */
    int groups;
    bool used; /* since the clock's hand was here */
};

struct mt_regexes {
    struct regex of[CACHED];
    unsigned hand;
    struct regex *last;
    unsigned searches;
    uint64_t looked_ns; /* the thread's processor time at the last look */
    OnigRegion *region;
    OnigMatchParam *limits;
};

static void set_up(void)
{
    OnigEncoding utf8 = ONIG_ENCODING_UTF8;
    onig_initialize(&utf8, 1);
    onig_set_parse_depth_limit(DEPTH_MAX);
    onig_set_subexp_call_limit_in_search(CALLS_MAX);
}

static void forget(struct regex *r)
{
    if (r->compiled)
        onig_free(r->compiled);
    free((void *)(uintptr_t)r->pattern.p);
    free(r->names);
    *r = (struct regex){.compiled = NULL};
}

void mt_regexes_free(struct mt_regexes *regexes)
{
    if (!regexes)
        return;
    for (unsigned i = 0; i < CACHED; i++)
        forget(&regexes->of[i]);
    onig_region_free(regexes->region, 1);
    onig_free_match_param(regexes->limits);
    free(regexes);
}

static struct mt_regexes *cache(struct mt_jv_heap *h)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    if (h->regexes)
        return h->regexes;
    pthread_once(&once, set_up);
    struct mt_regexes *c = mt_alloc(sizeof *c);
    c->region = onig_region_new();
    c->limits = onig_new_match_param();
    onig_initialize_match_param(c->limits);
    return h->regexes = c;
}

static int note_name(const OnigUChar *name, const OnigUChar *end, int count, int *groups, OnigRegex compiled,
                     void *ud)
{
    struct regex *r = ud;
    (void)compiled;
    for (int i = 0; i < count; i++)
        if (groups[i] >= 1 && groups[i] <= r->groups)
            r->names[groups[i] - 1] = (struct mt_slice){(const char *)name, (size_t)(end - name)};
    return 0;
}

static struct regex *compile(struct mt_jv_heap *h, struct mt_regexes *c, struct mt_slice pattern,
                             OnigOptionType options, uint64_t hash)
{
    if (!mt_jv_work(h, COMPILE_STEPS + pattern.n * COMPILE_STEPS_A_BYTE))
        return NULL;
    regex_t *compiled = NULL;
    OnigErrorInfo info;
    const OnigUChar *p = (const OnigUChar *)pattern.p;
    int rc = onig_new(&compiled, p, p + pattern.n, options | ONIG_OPTION_CAPTURE_GROUP, ONIG_ENCODING_UTF8,
                      ONIG_SYNTAX_PERL_NG, &info);
    if (rc != ONIG_NORMAL) {
        OnigUChar why[ONIG_MAX_ERROR_MESSAGE_LEN];
        onig_error_code_to_str(why, rc, &info);
        mt_jv_raise(h, "%.*s (at offset 0) is not a valid regex: %s",
                    (int)(pattern.n < SHOWN ? pattern.n : SHOWN), pattern.p, (const char *)why);
        return NULL;
    }
    while (c->of[c->hand].used) {
        c->of[c->hand].used = false;
        c->hand = (c->hand + 1) % CACHED;
    }
    struct regex *r = &c->of[c->hand];
    c->hand = (c->hand + 1) % CACHED;
    forget(r);
    *r = (struct regex){.hash = hash,
                        .pattern = {mt_slice_dup(pattern), pattern.n},
                        .options = options,
                        .compiled = compiled,
                        .groups = onig_number_of_captures(compiled)};
    if (r->groups > 0)
        r->names = mt_alloc((size_t)r->groups * sizeof *r->names);
    onig_foreach_name(compiled, note_name, r);
    return r;
}

static bool is_it(const struct regex *r, struct mt_slice pattern, OnigOptionType options, uint64_t hash)
{
    return r->hash == hash && r->options == options && r->pattern.p && mt_slice_eq(r->pattern, pattern);
}

static struct regex *find(struct mt_jv_heap *h, struct mt_slice pattern, OnigOptionType options)
{
    struct mt_regexes *c = cache(h);
    uint64_t hash = 14695981039346656037u; /* FNV-1a */
    if (pattern.n > PATTERN_MAX) {
        mt_jv_raise(h, "a regex of %zu bytes is longer than the %d that are taken", pattern.n, PATTERN_MAX);
        return NULL;
    }
    if (!mt_jv_work(h, pattern.n / 16))
        return NULL;
    for (size_t i = 0; i < pattern.n; i++)
        hash = (hash ^ (unsigned char)pattern.p[i]) * 1099511628211u;
    if (!c->last || !is_it(c->last, pattern, options, hash)) {
        c->last = NULL;
        for (unsigned i = 0; i < CACHED && !c->last; i++)
            if (is_it(&c->of[i], pattern, options, hash))
                c->last = &c->of[i];
        if (!c->last)
            c->last = compile(h, c, pattern, options, hash);
    }
    if (c->last)
        c->last->used = true;
    return c->last;
}

/* One walk over the matches of a string. */
struct search {
    struct mt_jv_heap *h;
    struct regex *regex;
    struct mt_slice s;
    bool global;
    const char *from; /* where the next search starts; NULL: it is over */
    bool failed;
    OnigRegion *region; /* of the last match */
    /* Bytes to code points: how many there are before `at`. */
    const char *at; /* NULL: not asked yet */
    size_t points;
    bool ascii;
};

static bool read_flags(struct mt_jv_heap *h, struct mt_jv flags, OnigOptionType *options, bool *global)
{
    struct mt_slice s = mt_jv_text(flags);
    *options = ONIG_OPTION_NONE;
    if (!mt_jv_is(flags, MT_STRING) && !mt_jv_is(flags, MT_NULL)) {
        mt_text_refuse(h, flags, "is not a string");
        return false;
    }
    if (!mt_jv_work(h, s.n))
        return false;
    for (size_t i = 0; i < s.n; i++) {
        switch (s.p[i]) {
        case 'g':
            *global = true;
            break;
        case 'i':
            *options |= ONIG_OPTION_IGNORECASE;
            break;
        case 'x':
            *options |= ONIG_OPTION_EXTEND;
            break;
        case 'n':
            *options |= ONIG_OPTION_FIND_NOT_EMPTY;
            break;
        case 's':
            *options |= ONIG_OPTION_SINGLELINE;
            break;
        case 'p':
            *options |= ONIG_OPTION_MULTILINE | ONIG_OPTION_SINGLELINE;
            break;
        case 'l':
            *options |= ONIG_OPTION_FIND_LONGEST;
            break;
        default:
            mt_jv_raise(h, "%.*s is not a valid modifier string", (int)(s.n < SHOWN ? s.n : SHOWN), s.p);
            return false;
        }
    }
    return true;
}

static bool begin(struct search *w, struct mt_jv_heap *h, struct mt_jv input, struct mt_jv pattern,
                  struct mt_jv flags, bool global)
{
    *w = (struct search){.h = h, .global = global};
    OnigOptionType options;
    if (!mt_jv_is(input, MT_STRING) || !mt_jv_is(pattern, MT_STRING)) {
        mt_text_refuse(h, mt_jv_is(input, MT_STRING) ? pattern : input,
                       "cannot be matched, as it is not a string");
        return false;
    }
    if (!read_flags(h, flags, &options, &w->global))
        return false;
    w->regex = find(h, mt_jv_text(pattern), options);
    w->s = mt_jv_text(input);
    if (w->s.n == 0)
        w->s.p = "";
    w->from = w->s.p;
    return w->regex != NULL;
}

/* What a search of that time by the wall's clock took of the processor, at most: all that the thread took
 * since the last look. The machine may have kept it waiting, which must not fail an item. */
static uint64_t processor_ns(struct mt_regexes *c, uint64_t wall_ns)
{
    uint64_t now = mt_cpu_ns(), since = now - c->looked_ns;
    c->looked_ns = now;
    return since < wall_ns ? since : wall_ns;
}

/* oniguruma does not tell what a search has cost, it only stops at a limit of backtracks, and a backtrack may
 * cost 10 ns or a walk to the string's end (x*x*x*\d on a run of x: 10 million took 30 s for 2,000 bytes). So
 * a search is tried with a low limit and done again with higher ones, as long as they did not take long; what
 * the limits stand for is taken from the budget. */
static int search(struct search *w, OnigRegion *region)
{
    struct mt_regexes *c = w->h->regexes;
    size_t room = (w->h->max > w->h->used ? w->h->max - w->h->used : 0) / STACKED;
    const OnigUChar *start = (const OnigUChar *)w->s.p, *end = start + w->s.n;
    uint64_t began = mt_now_ns(), cpu_began = 0, steps = STEPS_LEAST + (uint64_t)w->regex->groups;
    unsigned long retries = w->s.n < WALK_MOST / RETRIES_LEAST ? RETRIES_LEAST : 1 + WALK_MOST / w->s.n;
    int found;
    if (c->searches++ % LOOK_SEARCHES == 0)
        c->looked_ns = mt_cpu_ns();
    onig_set_match_stack_limit_size_of_match_param(c->limits, room < 1000      ? 1000
                                                              : room > INT_MAX ? INT_MAX
                                                                               : (unsigned)room);
    for (;; retries = retries * 4 < RETRIES_MAX ? retries * 4 : RETRIES_MAX) {
        onig_set_retry_limit_in_match_of_match_param(c->limits, retries);
        onig_set_retry_limit_in_search_of_match_param(c->limits, retries);
        found = onig_search_with_param(w->regex->compiled, start, end, (const OnigUChar *)w->from, end,
                                       region, ONIG_OPTION_NONE, c->limits);
        if ((found != ONIGERR_RETRY_LIMIT_IN_MATCH_OVER && found != ONIGERR_RETRY_LIMIT_IN_SEARCH_OVER) ||
            retries == RETRIES_MAX)
            break;
        steps += retries * 2; /* half of the next limit */
        if (cpu_began == 0)
            cpu_began = mt_cpu_ns();
        else if (mt_cpu_ns() - cpu_began > SEARCH_NS)
            break;
    }
    uint64_t took = mt_now_ns() - began;
    if (took > SLOW_NS)
        took = processor_ns(c, took);
    if (took > SLOW_NS)
        steps += took / NS_A_STEP < STEPS_MOST ? took / NS_A_STEP : STEPS_MOST;
    if (mt_jv_work(w->h, steps))
        return found;
    w->failed = true;
    return ONIG_MISMATCH;
}

/* Finds the next match. */
static bool next(struct search *w, bool with_region)
{
    if (!w->from)
        return false;
    w->region = w->h->regexes->region;
    int found = search(w, with_region ? w->region : NULL);
    size_t walked = w->s.n;
    if (found >= 0 && with_region)
        walked = (size_t)w->region->end[0] - (size_t)(w->from - w->s.p);
    w->from = NULL;
    if (w->failed || !mt_text_work(w->h, walked)) {
        w->failed = true;
        return false;
    }
    if (found == ONIG_MISMATCH)
        return false;
    if (found < 0) {
        OnigUChar why[ONIG_MAX_ERROR_MESSAGE_LEN];
        onig_error_code_to_str(why, found);
        struct mt_slice pattern = w->regex->pattern;
        mt_jv_raise(w->h, "%.*s cannot be matched against this string of %zu bytes: %s",
                    (int)(pattern.n < SHOWN ? pattern.n : SHOWN), pattern.p, w->s.n, (const char *)why);
        w->failed = true;
        return false;
    }
    if (w->global && with_region) {
        const char *stop = w->s.p + w->region->end[0];
        if (w->region->end[0] > w->region->beg[0])
            w->from = stop;
        else if (stop < w->s.p + w->s.n)
            w->from = stop + mt_text_step(*stop);
    }
    return true;
}

/* Code points before the byte at p. Counts from where it was asked before: matches come in order. */
static size_t points_before(struct search *w, const char *p)
{
    if (!w->at) {
        if (!mt_text_work(w->h, w->s.n))
            w->failed = true;
        w->at = w->s.p;
        w->ascii = mt_text_points(w->s.p, w->s.n) == w->s.n;
    }
    if (w->ascii)
        return (size_t)(p - w->s.p);
    if (p >= w->at)
        w->points += mt_text_points(w->at, (size_t)(p - w->at));
    else
        w->points -= mt_text_points(p, (size_t)(w->at - p));
    w->at = p;
    return w->points;
}

static struct mt_slice group(const struct search *w, int i)
{
    int from = w->region->beg[i], to = w->region->end[i];
    return from < 0 ? (struct mt_slice){NULL, 0} : (struct mt_slice){w->s.p + from, (size_t)(to - from)};
}

/* The string of a group, null when it took no part. */
static struct mt_jv group_text(const struct search *w, int i)
{
    struct mt_slice s = group(w, i);
    if (!s.p)
        return mt_jv_null();
    return mt_text_work(w->h, s.n) ? mt_text_copy(w->h, s) : MT_NONE;
}

/* Names of the members of match objects, made once a call. */
struct words {
    struct mt_jv offset, length, string, captures, name;
};

static bool say(struct mt_jv_heap *h, struct mt_jv *word, const char *text)
{
    *word = mt_text_copy(h, mt_slice_of(text));
    return !mt_jv_is_none(*word);
}

static bool words(struct mt_jv_heap *h, struct words *w)
{
    return say(h, &w->offset, "offset") && say(h, &w->length, "length") && say(h, &w->string, "string") &&
           say(h, &w->captures, "captures") && say(h, &w->name, "name");
}

/* object[name] = value, unless one of them could not be made. */
static struct mt_jv with(struct mt_jv_heap *h, struct mt_jv object, struct mt_jv name, struct mt_jv value)
{
    return mt_jv_is_none(object) || mt_jv_is_none(value) ? MT_NONE : mt_jv_set(h, object, name, value);
}

static struct mt_jv and_then(struct mt_jv_heap *h, struct mt_jv array, struct mt_jv value)
{
    return mt_jv_is_none(array) || mt_jv_is_none(value) ? MT_NONE : mt_jv_append(h, array, value);
}

static struct mt_jv place(struct search *w, const struct words *n, int i)
{
    struct mt_slice s = group(w, i);
    struct mt_jv o = mt_jv_object(w->h, 4);
    double offset = s.p ? (double)points_before(w, s.p) : -1;
    double length = s.p ? (double)(w->ascii ? s.n : mt_text_points(s.p, s.n)) : 0;
    o = with(w->h, o, n->offset, mt_jv_number(offset));
    o = with(w->h, o, n->length, mt_jv_number(length));
    return with(w->h, o, n->string, group_text(w, i));
}

static struct mt_jv match_object(struct search *w, const struct words *n)
{
    struct mt_jv o = place(w, n, 0), captures = mt_jv_array(w->h, (size_t)w->regex->groups);
    for (int i = 1; i <= w->regex->groups; i++) {
        struct mt_slice name = w->regex->names[i - 1];
        struct mt_jv c = place(w, n, i);
        c = with(w->h, c, n->name, name.p ? mt_text_copy(w->h, name) : mt_jv_null());
        captures = and_then(w->h, captures, c);
    }
    return with(w->h, o, n->captures, captures);
}

/* {name: string} of the named groups. */
static struct mt_jv captures_object(struct search *w, const struct words *n)
{
    (void)n;
    struct mt_jv o = mt_jv_object(w->h, (size_t)w->regex->groups);
    for (int i = 1; i <= w->regex->groups; i++) {
        struct mt_slice name = w->regex->names[i - 1];
        if (name.p)
            o = with(w->h, o, mt_text_copy(w->h, name), group_text(w, i));
    }
    return o;
}

/* The match, or its groups when it has any. */
static struct mt_jv scanned(struct search *w, const struct words *n)
{
    (void)n;
    if (w->regex->groups == 0)
        return group_text(w, 0);
    struct mt_jv out = mt_jv_array(w->h, (size_t)w->regex->groups);
    for (int i = 1; i <= w->regex->groups; i++)
        out = and_then(w->h, out, group_text(w, i));
    return out;
}

static struct mt_jv all(struct search *w, struct mt_jv (*make)(struct search *w, const struct words *n))
{
    struct words n;
    if (!words(w->h, &n))
        return MT_NONE;
    struct mt_jv out = mt_jv_array(w->h, 0);
    while (!mt_jv_is_none(out) && next(w, true))
        out = and_then(w->h, out, make(w, &n));
    return w->failed ? MT_NONE : out;
}

static struct mt_jv match(struct mt_jv_heap *h, struct mt_jv *args)
{
    struct search w;
    if (!begin(&w, h, args[0], args[1], args[2], false))
        return MT_NONE;
    if (!mt_jv_truthy(args[3]))
        return all(&w, match_object);
    bool found = next(&w, false);
    return w.failed ? MT_NONE : mt_jv_bool(found);
}

static struct mt_jv test_2(struct mt_jv_heap *h, struct mt_jv *args)
{
    struct search w;
    if (!begin(&w, h, args[0], args[1], args[2], false))
        return MT_NONE;
    bool found = next(&w, false);
    return w.failed ? MT_NONE : mt_jv_bool(found);
}

/* The argument may hold the flags: ["re", "flags"]. */
static struct mt_jv test_1(struct mt_jv_heap *h, struct mt_jv *args)
{
    struct mt_jv full[] = {args[0], args[1], mt_jv_null()};
    if (mt_jv_is(args[1], MT_ARRAY) && mt_jv_count(args[1]) > 0) {
        full[1] = mt_jv_index(args[1], 0);
        if (mt_jv_count(args[1]) > 1)
            full[2] = mt_jv_index(args[1], 1);
    } else if (!mt_jv_is(args[1], MT_STRING)) {
        return mt_jv_raise(h, "%s not a string or array", mt_jv_kind_name(args[1]));
    }
    return test_2(h, full);
}

static struct mt_jv captures(struct mt_jv_heap *h, struct mt_jv *args)
{
    struct search w;
    return begin(&w, h, args[0], args[1], args[2], false) ? all(&w, captures_object) : MT_NONE;
}

/* jq computes "g" + flags for scan and flags + "g" for split; what is no string fails there. */
static bool can_add(struct mt_jv_heap *h, struct mt_jv flags, bool in_front)
{
    if (mt_jv_is(flags, MT_STRING) || mt_jv_is(flags, MT_NULL))
        return true;
    struct mt_jv g = mt_text_copy(h, MT_SLICE("g"));
    if (!mt_jv_is_none(g))
        mt_jv_add(h, in_front ? g : flags, in_front ? flags : g);
    return false;
}

static struct mt_jv scan(struct mt_jv_heap *h, struct mt_jv *args)
{
    struct search w;
    return can_add(h, args[2], true) && begin(&w, h, args[0], args[1], args[2], true) ? all(&w, scanned)
                                                                                      : MT_NONE;
}

/* The pieces between the matches; with what `between` makes of each match, if it is there. */
static struct mt_jv pieces(struct search *w, struct mt_jv (*between)(struct search *w, const struct words *n))
{
    const char *from = w->s.p, *end = w->s.p + w->s.n;
    struct mt_jv out = mt_jv_array(w->h, 0);
    while (!mt_jv_is_none(out) && next(w, true)) {
        struct mt_slice m = group(w, 0);
        struct mt_slice gap = {from, m.p > from ? (size_t)(m.p - from) : 0};
        out = and_then(w->h, out, mt_text_copy(w->h, gap));
        if (between)
            out = and_then(w->h, out, between(w, NULL));
        from = m.p + m.n > from ? m.p + m.n : from;
    }
    if (w->failed || mt_jv_is_none(out))
        return MT_NONE;
    return and_then(w->h, out, mt_text_copy(w->h, (struct mt_slice){from, (size_t)(end - from)}));
}

static struct mt_jv split_2(struct mt_jv_heap *h, struct mt_jv *args)
{
    struct search w;
    return can_add(h, args[2], false) && begin(&w, h, args[0], args[1], args[2], true) ? pieces(&w, NULL)
                                                                                       : MT_NONE;
}

static struct mt_jv edits(struct mt_jv_heap *h, struct mt_jv *args)
{
    struct search w;
    return begin(&w, h, args[0], args[1], args[2], false) ? pieces(&w, captures_object) : MT_NONE;
}

static struct mt_jv replace(struct mt_jv_heap *h, struct mt_jv *args)
{
    struct search w;
    if (!begin(&w, h, args[0], args[1], args[2], false))
        return MT_NONE;
    struct mt_slice by = mt_jv_text(args[3]);
    const char *from = w.s.p, *end = w.s.p + w.s.n;
    struct mt_buf out;
    mt_buf_init(&out, h->max);
    bool any = false;
    while (next(&w, true)) {
        struct mt_slice m = group(&w, 0);
        if (!mt_jv_is(args[3], MT_STRING)) { /* jq adds it to the text before the match */
            struct mt_jv before = mt_text_copy(h, (struct mt_slice){from, (size_t)(m.p - from)});
            mt_buf_fini(&out);
            return mt_jv_is_none(before) ? before : mt_jv_add(h, before, args[3]);
        }
        any = true;
        if (m.p > from)
            mt_buf_add(&out, from, (size_t)(m.p - from));
        mt_buf_put(&out, by);
        from = m.p + m.n > from ? m.p + m.n : from;
        if (out.failed || !mt_text_work(h, by.n)) {
            w.failed = !out.failed;
            break;
        }
    }
    if (w.failed || !any) {
        mt_buf_fini(&out);
        return w.failed ? MT_NONE : args[0];
    }
    mt_buf_add(&out, from, (size_t)(end - from));
    return mt_text_take(h, &out);
}

const struct mt_native mt_regex_natives[] = {
    {"_match", 3, true, match},  {"test", 1, true, test_1},      {"test", 2, true, test_2},
    {"split", 2, true, split_2}, {"_scan", 2, true, scan},       {"_captures", 2, true, captures},
    {"_edits", 2, true, edits},  {"_replace", 3, true, replace}, {NULL, 0, false, NULL},
};
