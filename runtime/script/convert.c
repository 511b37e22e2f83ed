/* From Lua to documents: a view with its overlay (in proportion to what was assigned), or tables, once.
 *
 * {} is [], a table with json.object's mark is {}; 1..n is an array, names are an object; whatever JSON
 * cannot hold is an error that names its path. Members that the script built are written in the order of
 * their names, so that equal values give equal bytes. Runs inside a resume or while loading (mt_view_to_doc);
 * loop thread. Everything that is owned hangs on a scratch userdata, because Lua may raise anywhere. */
#include "script/state.h"

#include <math.h>
#include <stdlib.h>

#define DEPTH_MAX 1000
#define NODE_COST 24 /* bytes of a value in a document being built, for the budget */
#define COST_STEP 65536
#define FEW_NAMES 16

struct frame {
    const struct frame *up;
    struct mt_slice name; /* of the member, or {NULL,0} */
    lua_Integer index;    /* of the element */
    const void *table;    /* where it is in; for circles */
    unsigned depth;
};

struct converting {
    lua_State *L;
    struct mt_builder *builder;
    size_t cost, looked;
    bool secrets; /* may be written as their text: the body of a request */
};

static void convert(struct converting *c, int index, const struct frame *at);

/* ---- scratch ---- */

static const char scratch_name[] = "moontide.scratch";

void mt_scratch_free(struct mt_scratch *scratch)
{
    mt_doc_unref(scratch->doc);
    mt_builder_free(scratch->builder);
    mt_buf_fini(&scratch->buf);
    scratch->doc = NULL;
    scratch->builder = NULL;
    mt_buf_init(&scratch->buf, 0);
}

static int scratch_gc(lua_State *L)
{
    mt_scratch_free(lua_touserdata(L, 1));
    return 0;
}

struct mt_scratch *mt_scratch_push(lua_State *L)
{
    struct mt_scratch *scratch = lua_newuserdatauv(L, sizeof *scratch, 0);
    memset(scratch, 0, sizeof *scratch);
    mt_buf_init(&scratch->buf, 0);
    if (luaL_newmetatable(L, scratch_name)) {
        lua_pushcfunction(L, scratch_gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    return scratch;
}

/* ---- errors ---- */

static void add_path(struct mt_buf *b, const struct frame *f)
{
    if (!f->up) /* the value itself has no name */
        return;
    add_path(b, f->up);
    if (f->name.p)
        mt_buf_printf(b, "%s%.*s", b->n ? "." : "", (int)(f->name.n < 60 ? f->name.n : 60), f->name.p);
    else
        mt_buf_printf(b, "[%lld]", (long long)f->index);
}

/* The path is cut to its first 200 bytes. */
static void refuse(struct converting *c, const struct frame *at, const char *what)
{
    char text[MT_FOREIGN + 4];
    struct mt_buf b;
    mt_buf_init(&b, 1 << 16);
    add_path(&b, at);
    const size_t n = b.n < MT_FOREIGN ? b.n : MT_FOREIGN;
    if (n > 0)
        memcpy(text, b.p, n);
    memcpy(text + n, b.n > n ? "..." : "", b.n > n ? 4 : 1);
    mt_buf_fini(&b);
    luaL_error(c->L, "%s%s%s", text, n ? ": " : "", what);
}

/* What is built lies outside of Lua's allocator until it is done. */
static void pay(struct converting *c, size_t bytes)
{
    c->cost += NODE_COST + bytes;
    if (c->cost - c->looked < COST_STEP)
        return;
    c->looked = c->cost;
    mt_vm_grow(c->L, c->cost);
}

/* ---- scalars ---- */

static bool is_utf8(const unsigned char *p, size_t n)
{
    for (size_t i = 0; i < n;) {
        const unsigned char b = p[i++];
        if (b < 0x80)
            continue;
        const unsigned more = b >= 0xC2 && b <= 0xDF   ? 1
                              : (b & 0xF0) == 0xE0     ? 2
                              : b >= 0xF0 && b <= 0xF4 ? 3
                                                       : 0;
        if (more == 0 || n - i < more)
            return false;
        const unsigned char low = b == 0xE0 ? 0xA0 : b == 0xF0 ? 0x90 : 0x80;
        const unsigned char high = b == 0xED ? 0x9F : b == 0xF4 ? 0x8F : 0xBF;
        if (p[i] < low || p[i] > high) /* overlong forms, surrogates, beyond U+10FFFF (RFC 3629) */
            return false;
        for (unsigned k = 1; k < more; k++)
            if ((p[i + k] & 0xC0) != 0x80)
                return false;
        i += more;
    }
    return true;
}

static void convert_string(struct converting *c, struct mt_slice s, const struct frame *at)
{
    pay(c, s.n);
    if (!is_utf8((const unsigned char *)s.p, s.n))
        refuse(c, at, "a string that is not UTF-8: encode it first (base64)");
    mt_build_string(c->builder, s);
}

static void convert_number(struct converting *c, int index, const struct frame *at)
{
    pay(c, 8);
    if (lua_isinteger(c->L, index)) {
        mt_build_int(c->builder, lua_tointeger(c->L, index));
        return;
    }
    const double d = lua_tonumber(c->L, index);
    if (isnan(d))
        refuse(c, at, "NaN is no JSON number");
    if (isinf(d))
        refuse(c, at, "infinity is no JSON number");
    if (d == floor(d) && fabs(d) <= 9007199254740992.0)
        mt_build_int(c->builder, (int64_t)d);
    else
        mt_build_double(c->builder, d);
}

/* ---- tables ---- */

struct shape {
    lua_Integer names, numbers, largest;
    struct mt_slice a_name;
};

static struct shape shape_of(struct converting *c, int index, const struct frame *at)
{
    lua_State *L = c->L;
    struct shape s = {0};
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        if (lua_type(L, -2) == LUA_TSTRING) {
            if (s.names++ == 0)
                s.a_name.p = lua_tolstring(L, -2, &s.a_name.n);
        } else if (lua_isinteger(L, -2) && lua_tointeger(L, -2) >= 1) {
            s.numbers++;
            if (lua_tointeger(L, -2) > s.largest)
                s.largest = lua_tointeger(L, -2);
        } else {
            char text[120];
            const char *key = lua_type(L, -2) == LUA_TNUMBER ? "a number that is no index (1, 2, ...)"
                                                             : luaL_typename(L, -2);
            snprintf(text, sizeof text, "a table with a key that is %s cannot be JSON", key);
            refuse(c, at, text);
        }
        pay(c, 0);
    }
    return s;
}

static void convert_array(struct converting *c, int index, const struct shape *s, const struct frame *at)
{
    lua_State *L = c->L;
    char text[160];
    if (s->largest > s->numbers) {
        lua_Integer hole = 1;
        while (lua_rawgeti(L, index, hole) != LUA_TNIL) {
            lua_pop(L, 1);
            hole++;
        }
        snprintf(text, sizeof text,
                 "an array with a hole: [%lld] is nil, [%lld] is not (json.null is a null)", (long long)hole,
                 (long long)s->largest);
        refuse(c, at, text);
    }
    mt_build_array(c->builder);
    for (lua_Integer i = 1; i <= s->largest; i++) {
        const struct frame down = {at, {NULL, 0}, i, lua_topointer(L, index), at->depth + 1};
        lua_rawgeti(L, index, i);
        convert(c, lua_gettop(L), &down);
        lua_pop(L, 1);
    }
    mt_build_end(c->builder);
}

static int by_name(const void *a, const void *b)
{
    const struct mt_slice *x = a, *y = b;
    const int order = memcmp(x->p, y->p, x->n < y->n ? x->n : y->n);
    return order ? order : (x->n > y->n) - (x->n < y->n);
}

/* Pushes a buffer with the names of the table at index, sorted; they stay valid while the table holds them,
 * which it does: nothing of the script runs in a conversion. */
static struct mt_slice *push_names(lua_State *L, int index, lua_Integer count)
{
    struct mt_slice *names = lua_newuserdatauv(L, (size_t)count * sizeof *names, 0);
    size_t n = 0;
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1))
        if (lua_type(L, -2) == LUA_TSTRING) {
            names[n].p = lua_tolstring(L, -2, &names[n].n);
            n++;
        }
    qsort(names, n, sizeof *names, by_name);
    return names;
}

static void convert_member(struct converting *c, struct mt_slice name, const void *table,
                           const struct frame *at)
{
    const struct frame down = {at, name, 0, table, at->depth + 1};
    if (!is_utf8((const unsigned char *)name.p, name.n))
        refuse(c, at, "a member's name that is not UTF-8");
    mt_build_name(c->builder, name);
    convert(c, lua_gettop(c->L), &down);
    lua_pop(c->L, 1);
}

static void convert_object(struct converting *c, int index, const struct shape *s, const struct frame *at)
{
    lua_State *L = c->L;
    const struct mt_slice *names = push_names(L, index, s->names);
    mt_build_object(c->builder);
    for (lua_Integer i = 0; i < s->names; i++) {
        pay(c, names[i].n);
        lua_pushlstring(L, names[i].p, names[i].n);
        lua_rawget(L, index);
        convert_member(c, names[i], lua_topointer(L, index), at);
    }
    mt_build_end(c->builder);
    lua_pop(L, 1);
}

static void convert_table(struct converting *c, int index, const struct frame *at)
{
    char text[200];
    const enum mt_marker marker = mt_json_marker(c->L, index);
    const struct shape s = shape_of(c, index, at);
    if (s.names > 0 && (s.numbers > 0 || marker == MT_MARK_ARRAY)) {
        snprintf(text, sizeof text, "a table with the member \"%.*s\" beside %s",
                 (int)(s.a_name.n < 60 ? s.a_name.n : 60), s.a_name.p,
                 s.numbers > 0 ? "numbered elements: JSON has arrays and objects, not both"
                               : "json.array's mark");
        refuse(c, at, text);
    }
    if (marker == MT_MARK_OBJECT && s.numbers > 0)
        refuse(c, at, "a table with json.object's mark and numbered elements: use strings as keys");
    if (s.names > 0 || marker == MT_MARK_OBJECT)
        convert_object(c, index, &s, at);
    else
        convert_array(c, index, &s, at);
}

/* ---- views ---- */

static void convert_node(struct converting *c, struct mt_val v, const struct frame *at);

/* A child of a node that is written anew: by reference, unless something was assigned in it or below it. */
static void convert_child(struct converting *c, struct mt_val v, const struct frame *at)
{
    pay(c, 0);
    if ((mt_val_is(v, MT_ARRAY) || mt_val_is(v, MT_OBJECT)) && mt_doc_written(c->L, v))
        convert_node(c, v, at);
    else
        mt_build_ref(c->builder, v);
}

static void convert_written_array(struct converting *c, struct mt_val v, int overlay, const void *self,
                                  const struct frame *at)
{
    lua_State *L = c->L;
    struct mt_iter it = mt_iter_of(v);
    struct mt_val child = {NULL, 0};
    struct mt_slice none;
    lua_Integer n = (lua_Integer)mt_val_count(v);
    if (overlay) {
        lua_getfield(L, overlay, "n");
        n = lua_tointeger(L, -1);
        lua_pop(L, 1);
    }
    mt_build_array(c->builder);
    for (lua_Integer i = 1; i <= n; i++) {
        const struct frame down = {at, {NULL, 0}, i, self, at->depth + 1};
        const bool there = mt_iter_next(&it, &none, &child);
        if (overlay && lua_rawgeti(L, overlay, i) != LUA_TNIL)
            convert(c, lua_gettop(L), &down);
        else if (there)
            convert_child(c, child, &down);
        if (overlay)
            lua_pop(L, 1);
    }
    mt_build_end(c->builder);
}

/* Which of the few assigned names is it; -1: none. Comparing bytes beats interning each of the document's
 * names. */
static int find_name(const struct mt_slice *names, lua_Integer count, struct mt_slice name)
{
    for (lua_Integer i = 0; i < count; i++)
        if (mt_slice_eq(names[i], name))
            return (int)i;
    return -1;
}

static void convert_written_object(struct converting *c, struct mt_val v, int overlay, const void *self,
                                   const struct frame *at)
{
    lua_State *L = c->L;
    struct mt_slice name;
    struct mt_val child;
    lua_Integer count = 0;
    const int top = lua_gettop(L);
    if (overlay)
        for (lua_pushnil(L); lua_next(L, overlay); lua_pop(L, 1))
            count++;
    const struct mt_slice *names = overlay ? push_names(L, overlay, count) : NULL;
    mt_build_object(c->builder);
    for (struct mt_iter it = mt_iter_of(v); mt_iter_next(&it, &name, &child);) {
        const struct frame down = {at, name, 0, self, at->depth + 1};
        const bool few = count <= FEW_NAMES;
        bool assigned = false;
        if (count > 0 && (!few || find_name(names, count, name) >= 0)) {
            lua_pushlstring(L, name.p, name.n);
            assigned = lua_rawget(L, overlay) != LUA_TNIL;
            if (!assigned)
                lua_pop(L, 1);
        }
        if (!assigned) {
            mt_build_name(c->builder, name);
            convert_child(c, child, &down);
        } else if (lua_touserdata(L, -1) == &mt_removed) {
            lua_pop(L, 1);
        } else {
            convert_member(c, name, self, at);
        }
    }
    for (lua_Integer i = 0; i < count; i++) {
        if (mt_val_member(v, names[i], &child))
            continue;
        lua_pushlstring(L, names[i].p, names[i].n);
        lua_rawget(L, overlay);
        if (lua_touserdata(L, -1) == &mt_removed)
            lua_pop(L, 1);
        else
            convert_member(c, names[i], self, at);
    }
    mt_build_end(c->builder);
    lua_settop(L, top);
}

static void check_depth(struct converting *c, const struct frame *at, const void *table)
{
    if (at->depth < DEPTH_MAX)
        return;
    for (const struct frame *f = at; f; f = f->up)
        if (table && f->table == table)
            refuse(c, at, "a table that contains itself cannot be JSON");
    refuse(c, at, "nested deeper than 1000");
}

static void convert_node(struct converting *c, struct mt_val v, const struct frame *at)
{
    lua_State *L = c->L;
    luaL_checkstack(L, 16, NULL);
    const int top = lua_gettop(L);
    mt_view_push(L, v);
    const struct mt_view *view = lua_touserdata(L, -1);
    check_depth(c, at, view);
    const int type = mt_view_written(L, view);
    const int overlay = type == LUA_TTABLE ? lua_gettop(L) : 0;
    if (type == LUA_TNIL && !view->box->mixed)
        mt_build_ref(c->builder, v);
    else if (mt_val_is(v, MT_ARRAY))
        convert_written_array(c, v, overlay, view, at);
    else
        convert_written_object(c, v, overlay, view, at);
    lua_settop(L, top);
}

static void convert_userdata(struct converting *c, int index, const struct frame *at)
{
    const struct mt_view *view = mt_view_test(c->L, index);
    if (view) {
        mt_view_read_all(c->L, view);
        pay(c, 0);
        convert_node(c, view->val, at);
    } else if (mt_is_null(c->L, index)) {
        mt_build_null(c->builder);
    } else if (mt_is_secret(c->L, index)) {
        if (!c->secrets)
            refuse(c, at,
                   "a secret cannot become data: it is usable as header, query or body of a request only");
        convert_string(c, mt_secret_check(c->L, index, NULL), at);
    } else {
        refuse(c, at, "a userdata cannot be JSON");
    }
}

static void convert(struct converting *c, int index, const struct frame *at)
{
    lua_State *L = c->L;
    char text[60];
    struct mt_slice s;
    luaL_checkstack(L, 16, NULL);
    switch (lua_type(L, index)) {
    case LUA_TNIL:
        mt_build_null(c->builder);
        break;
    case LUA_TBOOLEAN:
        mt_build_bool(c->builder, lua_toboolean(L, index));
        break;
    case LUA_TNUMBER:
        convert_number(c, index, at);
        break;
    case LUA_TSTRING:
        s.p = lua_tolstring(L, index, &s.n);
        convert_string(c, s, at);
        break;
    case LUA_TTABLE:
        check_depth(c, at, lua_topointer(L, index));
        convert_table(c, index, at);
        break;
    case LUA_TUSERDATA:
        convert_userdata(c, index, at);
        break;
    default:
        snprintf(text, sizeof text, "a %s cannot be JSON", luaL_typename(L, index));
        refuse(c, at, text);
    }
}

static struct mt_doc *to_doc(lua_State *L, int index, bool secrets)
{
    index = lua_absindex(L, index);
    luaL_checkstack(L, 16, NULL);
    const struct mt_view *view = mt_view_test(L, index);
    if (view && !view->box->written && !view->box->mixed) {
        const struct mt_val root = mt_doc_root(view->box->doc);
        if (root.doc == view->val.doc && root.at == view->val.at) {
            mt_view_read_all(L, view);
            return mt_doc_ref(view->box->doc);
        }
    }
    struct mt_scratch *scratch = mt_scratch_push(L);
    struct converting c = {L, mt_builder_new(), 0, 0, secrets};
    const struct frame at = {NULL, {NULL, 0}, 0, NULL, 0};
    struct mt_doc *doc = NULL;
    struct mt_err err = {0};
    scratch->builder = c.builder;
    convert(&c, index, &at);
    if (mt_builder_finish(c.builder, &doc, &err) != MT_OK)
        luaL_error(L, "%s", err.text);
    mt_scratch_free(scratch);
    lua_pop(L, 1);
    return doc;
}

struct mt_doc *mt_view_to_doc(lua_State *L, int index)
{
    return to_doc(L, index, false);
}

struct mt_doc *mt_view_to_body(lua_State *L, int index)
{
    return to_doc(L, index, true);
}
