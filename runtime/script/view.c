/* Views: a document seen from Lua, and what scripts assign to it.
 *
 * A view is a userdata for one container node; the same node is the same userdata while somebody holds it (a
 * weak table in the document's box). What a script assigns is the node's overlay, kept in the box, so that it
 * outlives the view:
 *
 *   registry docs (weak)      box                      view
 *   doc → box  ───────────▶   nodes (weak): at → view  val, user values: box, parent view
 *                             written: at → overlay    (overlay of an object: name → value or mt_removed;
 *                             kept: box → true          of an array: i → value, "n" → length; true: only
 * something below was assigned to)
 *
 * A box holds one reference to its document and its charge to the budget. Runs inside a resume or while
 * loading; loop thread. */
#include "script/state.h"

#include <limits.h>

char mt_removed;

static char docs_key;
static const char view_name[] = "moontide.view", box_name[] = "moontide.document";

struct mt_view *mt_view_test(lua_State *L, int index)
{
    return lua_type(L, index) == LUA_TUSERDATA ? luaL_testudata(L, index, view_name) : NULL;
}

/* ---- boxes ---- */

static int box_gc(lua_State *L)
{
    struct mt_box *box = lua_touserdata(L, 1);
    if (box->doc) {
        mt_vm_uncharge(box->vm, box->charged);
        mt_doc_unref(box->doc);
    }
    box->doc = NULL;
    return 0;
}

static struct mt_box *push_box(lua_State *L, const struct mt_doc *doc)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &docs_key);
    if (lua_rawgetp(L, -1, doc) == LUA_TUSERDATA) {
        lua_remove(L, -2);
        return lua_touserdata(L, -1);
    }
    lua_pop(L, 1);
    struct mt_box *box = lua_newuserdatauv(L, sizeof *box, MT_BOX_UVS);
    memset(box, 0, sizeof *box);
    luaL_setmetatable(L, box_name);
    lua_newtable(L);
    luaL_getmetatable(L, "moontide.weak");
    lua_setmetatable(L, -2);
    lua_setiuservalue(L, -2, MT_BOX_UV_NODES);
    mt_vm_charge(L, mt_doc_bytes(doc));
    box->vm = mt_vm_of(L);
    box->charged = mt_doc_bytes(doc);
    box->doc = mt_doc_ref(doc);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, -3, doc);
    lua_remove(L, -2);
    return box;
}

/* ---- written nodes ---- */

int mt_view_written(lua_State *L, const struct mt_view *view)
{
    if (!view->box->written) {
        lua_pushnil(L);
        return LUA_TNIL;
    }
    lua_rawgetp(L, LUA_REGISTRYINDEX, &docs_key);
    lua_rawgetp(L, -1, view->box->doc);
    lua_getiuservalue(L, -1, MT_BOX_UV_WRITTEN);
    const int type = lua_rawgeti(L, -1, (lua_Integer)view->val.at);
    lua_replace(L, -4);
    lua_pop(L, 2);
    return type;
}

bool mt_doc_written(lua_State *L, struct mt_val v)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &docs_key);
    lua_rawgetp(L, -1, v.doc);
    const struct mt_box *box = lua_touserdata(L, -1);
    const bool written = box && (box->written || box->mixed);
    lua_pop(L, 2);
    return written;
}

/* Pushes the table of the view's box. */
static void push_written(lua_State *L, int view_index)
{
    struct mt_view *view = lua_touserdata(L, view_index);
    lua_getiuservalue(L, view_index, MT_VIEW_UV_BOX);
    if (lua_getiuservalue(L, -1, MT_BOX_UV_WRITTEN) != LUA_TTABLE) {
        lua_pop(L, 1);
        lua_newtable(L);
        lua_pushvalue(L, -1);
        lua_setiuservalue(L, -3, MT_BOX_UV_WRITTEN);
        view->box->written = true;
    }
    lua_remove(L, -2);
}

/* Marks the containers around a written node: what a yield of one of them must look into. */
static void mark_parents(lua_State *L, int view_index)
{
    const int top = lua_gettop(L);
    lua_pushvalue(L, view_index);
    while (lua_getiuservalue(L, -1, MT_VIEW_UV_PARENT) == LUA_TUSERDATA) {
        const struct mt_view *parent = lua_touserdata(L, -1);
        lua_replace(L, top + 1);
        lua_settop(L, top + 1);
        push_written(L, top + 1);
        if (lua_rawgeti(L, -1, (lua_Integer)parent->val.at) != LUA_TNIL)
            break; /* marked before, and so is what is above */
        lua_pop(L, 1);
        lua_pushboolean(L, 1);
        lua_rawseti(L, -2, (lua_Integer)parent->val.at);
        lua_settop(L, top + 1);
    }
    lua_settop(L, top);
}

/* Pushes the node's overlay table, made when it is not there. */
static void push_overlay(lua_State *L, int view_index)
{
    const struct mt_view *view = lua_touserdata(L, view_index);
    push_written(L, view_index);
    if (lua_rawgeti(L, -1, (lua_Integer)view->val.at) != LUA_TTABLE) {
        const bool first = lua_isnil(L, -1);
        lua_pop(L, 1);
        lua_newtable(L);
        lua_pushvalue(L, -1);
        lua_rawseti(L, -3, (lua_Integer)view->val.at);
        if (first)
            mark_parents(L, view_index);
    }
    lua_remove(L, -2);
}

/* ---- making views ---- */

static void push_scalar(lua_State *L, struct mt_val v)
{
    int64_t i;
    struct mt_slice s;
    switch (mt_val_kind(v)) {
    case MT_BOOL:
        lua_pushboolean(L, mt_val_true(v));
        break;
    case MT_NUMBER:
        if (mt_val_int64(v, &i))
            lua_pushinteger(L, i);
        else
            lua_pushnumber(L, mt_val_double(v));
        break;
    case MT_STRING:
        s = mt_val_string(v);
        lua_pushlstring(L, s.p, s.n);
        break;
    case MT_NULL:
    case MT_ARRAY:
    case MT_OBJECT:
        lua_pushnil(L);
        break;
    }
}

static bool is_container(struct mt_val v)
{
    return mt_val_is(v, MT_ARRAY) || mt_val_is(v, MT_OBJECT);
}

/* The view on top has no parent yet: it gets the one at `parent`, which learns of what was written below. */
static void adopt(lua_State *L, int parent)
{
    const int view = lua_gettop(L);
    const struct mt_view *child = lua_touserdata(L, view), *above = lua_touserdata(L, parent);
    if (above->box != child->box)
        above->box->mixed = true;
    if (child == above || lua_getiuservalue(L, view, MT_VIEW_UV_PARENT) != LUA_TNIL) {
        lua_settop(L, view);
        return;
    }
    lua_pushvalue(L, parent);
    lua_setiuservalue(L, view, MT_VIEW_UV_PARENT);
    if (above->box != child->box) {
        /* The document of a part is another one: its overlays live as long as the whole's box. */
        lua_getiuservalue(L, parent, MT_VIEW_UV_BOX);
        if (lua_getiuservalue(L, -1, MT_BOX_UV_KEPT) != LUA_TTABLE) {
            lua_pop(L, 1);
            lua_newtable(L);
            lua_pushvalue(L, -1);
            lua_setiuservalue(L, -3, MT_BOX_UV_KEPT);
        }
        lua_getiuservalue(L, view, MT_VIEW_UV_BOX);
        lua_pushboolean(L, 1);
        lua_rawset(L, -3);
    }
    lua_settop(L, view);
    if (mt_view_written(L, child) != LUA_TNIL)
        mark_parents(L, view);
    lua_settop(L, view);
}

void mt_view_child(lua_State *L, int parent, struct mt_val v)
{
    if (!is_container(v)) {
        push_scalar(L, v);
        return;
    }
    luaL_checkstack(L, 12, NULL);
    parent = parent ? lua_absindex(L, parent) : 0;
    struct mt_box *box = push_box(L, v.doc);
    const int base = lua_gettop(L);
    lua_getiuservalue(L, base, MT_BOX_UV_NODES);
    if (lua_rawgeti(L, -1, (lua_Integer)v.at) != LUA_TUSERDATA) {
        lua_pop(L, 1);
        struct mt_view *view = lua_newuserdatauv(L, sizeof *view, MT_VIEW_UVS);
        memset(view, 0, sizeof *view);
        view->val = v;
        view->box = box;
        luaL_setmetatable(L, view_name);
        lua_pushvalue(L, base);
        lua_setiuservalue(L, -2, MT_VIEW_UV_BOX);
        lua_pushvalue(L, -1);
        lua_rawseti(L, base + 1, (lua_Integer)v.at);
    }
    lua_replace(L, base);
    lua_settop(L, base);
    if (parent)
        adopt(L, parent);
}

void mt_view_push(lua_State *L, struct mt_val value)
{
    mt_view_child(L, 0, value);
}

/* ---- reading ---- */

bool mt_view_element(struct mt_view *view, uint32_t i, struct mt_val *out)
{
    struct mt_slice none;
    if (view->at_next == i && i > 0) { /* the next one of a walk */
        view->at_next++;
        return mt_iter_next(&view->at, &none, out);
    }
    if (i == 0) {
        view->at = mt_iter_of(view->val);
        view->at_next = 1;
        return mt_iter_next(&view->at, &none, out);
    }
    return mt_val_index(view->val, i, out);
}

uint32_t mt_view_length(lua_State *L, struct mt_view *view)
{
    uint32_t n = mt_val_count(view->val);
    if (mt_view_written(L, view) == LUA_TTABLE && mt_val_is(view->val, MT_ARRAY)) {
        lua_getfield(L, -1, "n");
        if (lua_isinteger(L, -1))
            n = (uint32_t)lua_tointeger(L, -1);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return n;
}

void mt_view_read_all(lua_State *L, const struct mt_view *view)
{
    struct mt_slice key;
    struct mt_val value;
    if (!view->tracked)
        return;
    for (struct mt_iter it = mt_iter_of(view->val); mt_iter_next(&it, &key, &value);)
        mt_view_read(mt_vm_of(L), key);
}

/* Element i (from 1) of the array view at index 1; a null is json.null. */
static void push_element(lua_State *L, struct mt_view *view, lua_Integer i)
{
    struct mt_val v;
    if (i < 1 || i > (lua_Integer)mt_view_length(L, view)) {
        lua_pushnil(L);
        return;
    }
    if (mt_view_written(L, view) == LUA_TTABLE && lua_rawgeti(L, -1, i) != LUA_TNIL)
        return;
    if (!mt_view_element(view, (uint32_t)(i - 1), &v))
        lua_pushnil(L);
    else if (mt_val_is(v, MT_NULL))
        mt_null_push(L);
    else
        mt_view_child(L, 1, v);
}

/* Is the member assigned? Then its value (nil when removed) is on top. */
static bool push_assigned(lua_State *L, const struct mt_view *view, int key)
{
    if (mt_view_written(L, view) != LUA_TTABLE)
        return false;
    lua_pushvalue(L, key);
    if (lua_rawget(L, -2) == LUA_TNIL)
        return false;
    if (lua_touserdata(L, -1) == &mt_removed)
        lua_pushnil(L);
    return true;
}

static int view_index(lua_State *L)
{
    struct mt_view *view = luaL_checkudata(L, 1, view_name);
    struct mt_val v;
    struct mt_slice name;
    lua_settop(L, 2);
    if (mt_val_is(view->val, MT_ARRAY)) {
        int exact = 0;
        const lua_Integer i = lua_type(L, 2) == LUA_TNUMBER ? lua_tointegerx(L, 2, &exact) : 0;
        push_element(L, view, exact ? i : 0);
        return 1;
    }
    if (lua_type(L, 2) != LUA_TSTRING)
        return 0;
    name.p = lua_tolstring(L, 2, &name.n);
    if (view->tracked)
        mt_view_read(mt_vm_of(L), name);
    if (push_assigned(L, view, 2))
        return 1;
    if (!mt_val_member(view->val, name, &v))
        return 0;
    mt_view_child(L, 1, v);
    return 1;
}

static int view_len(lua_State *L)
{
    struct mt_view *view = luaL_checkudata(L, 1, view_name);
    lua_pushinteger(L, mt_val_is(view->val, MT_ARRAY) ? (lua_Integer)mt_view_length(L, view) : 0);
    return 1;
}

static int view_tostring(lua_State *L)
{
    struct mt_view *view = luaL_checkudata(L, 1, view_name);
    const bool array = mt_val_is(view->val, MT_ARRAY);
    lua_pushfstring(L, "view of %s of %d %s", array ? "an array" : "an object", (int)mt_view_length(L, view),
                    array ? "elements" : "members");
    return 1;
}

/* ---- writing ---- */

static int write_element(lua_State *L, struct mt_view *view)
{
    int exact = 0;
    const lua_Integer i = lua_type(L, 2) == LUA_TNUMBER ? lua_tointegerx(L, 2, &exact) : 0;
    lua_Integer n = (lua_Integer)mt_view_length(L, view);
    const bool removes = lua_isnil(L, 3);
    if (!exact)
        return luaL_error(L, "an array view is assigned by number, not by %s", luaL_tolstring(L, 2, NULL));
    if (removes && i == n + 1)
        return 0;
    if (i < 1 || i > (removes ? n : n + 1) || i >= INT_MAX)
        return luaL_error(L, "index %d of an array view of %d: assign at 1 to %d",
                          (int)(i > INT_MAX || i < INT_MIN ? -1 : i), (int)n, (int)n + 1);
    if (removes && i < n)
        return luaL_error(L,
                          "element [%d] of an array view of %d cannot be removed: only the last one can; use "
                          "json.copy(view)",
                          (int)i, (int)n);
    push_overlay(L, 1);
    lua_pushvalue(L, 3);
    lua_rawseti(L, 4, i);
    n = removes ? n - 1 : i > n ? i : n;
    lua_pushinteger(L, n);
    lua_setfield(L, 4, "n");
    return 0;
}

static int view_newindex(lua_State *L)
{
    struct mt_view *view = luaL_checkudata(L, 1, view_name);
    struct mt_val v;
    struct mt_slice name;
    lua_settop(L, 3);
    if (mt_val_is(view->val, MT_ARRAY))
        return write_element(L, view);
    if (lua_type(L, 2) != LUA_TSTRING)
        return luaL_error(L, "an object view is assigned by name, not by a %s", luaL_typename(L, 2));
    push_overlay(L, 1);
    name.p = lua_tolstring(L, 2, &name.n);
    lua_pushvalue(L, 2);
    if (!lua_isnil(L, 3))
        lua_pushvalue(L, 3);
    else if (mt_val_member(view->val, name, &v))
        lua_pushlightuserdata(L, &mt_removed);
    else
        lua_pushnil(L);
    lua_rawset(L, 4);
    return 0;
}

/* ---- pairs ---- */

struct walk {
    struct mt_iter it;
    lua_Integer i;
    bool added; /* the document's members are done, the assigned new ones follow */
};

static int walk_array(lua_State *L, struct walk *w)
{
    struct mt_view *view = lua_touserdata(L, lua_upvalueindex(1));
    lua_settop(L, 0);
    lua_pushvalue(L, lua_upvalueindex(1));
    if (++w->i > (lua_Integer)mt_view_length(L, view))
        return 0;
    lua_pushinteger(L, w->i);
    push_element(L, view, w->i);
    lua_replace(L, 3);
    lua_settop(L, 3);
    return 2;
}

static int walk_added(lua_State *L, const struct mt_view *view)
{
    struct mt_val v;
    struct mt_slice name;
    lua_settop(L, 1);
    if (mt_view_written(L, view) != LUA_TTABLE)
        return 0;
    lua_pushvalue(L, lua_upvalueindex(3));
    while (lua_next(L, 2)) {
        name.p = lua_tolstring(L, 3, &name.n);
        if (lua_touserdata(L, 4) != &mt_removed && !mt_val_member(view->val, name, &v)) {
            lua_pushvalue(L, 3);
            lua_replace(L, lua_upvalueindex(3));
            return 2;
        }
        lua_pop(L, 1);
    }
    return 0;
}

static int walk_next(lua_State *L)
{
    const struct mt_view *view = lua_touserdata(L, lua_upvalueindex(1));
    struct walk *w = lua_touserdata(L, lua_upvalueindex(2));
    struct mt_slice name;
    struct mt_val v;
    if (mt_val_is(view->val, MT_ARRAY))
        return walk_array(L, w);
    while (!w->added && mt_iter_next(&w->it, &name, &v)) {
        lua_settop(L, 0);
        lua_pushvalue(L, lua_upvalueindex(1));
        lua_pushlstring(L, name.p, name.n);
        if (!push_assigned(L, view, 2))
            mt_view_child(L, 1, v);
        if (!lua_isnil(L, -1)) {
            lua_pushvalue(L, 2);
            lua_insert(L, -2);
            return 2;
        }
    }
    w->added = true;
    return walk_added(L, view);
}

static int view_pairs(lua_State *L)
{
    struct mt_view *view = luaL_checkudata(L, 1, view_name);
    mt_view_read_all(L, view);
    lua_settop(L, 1);
    struct walk *w = lua_newuserdatauv(L, sizeof *w, 0);
    memset(w, 0, sizeof *w);
    w->it = mt_iter_of(view->val);
    lua_pushnil(L);
    lua_pushcclosure(L, walk_next, 3);
    return 1;
}

void mt_bind_view(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"__index", view_index}, {"__newindex", view_newindex}, {"__len", view_len},
        {"__pairs", view_pairs}, {"__tostring", view_tostring}, {NULL, NULL},
    };
    luaL_newmetatable(L, view_name);
    luaL_setfuncs(L, methods, 0);
    lua_pushstring(L, view_name);
    lua_setfield(L, -2, "__metatable");
    luaL_newmetatable(L, box_name);
    lua_pushcfunction(L, box_gc);
    lua_setfield(L, -2, "__gc");
    luaL_newmetatable(L, "moontide.weak");
    lua_pushliteral(L, "v");
    lua_setfield(L, -2, "__mode");
    lua_newtable(L);
    lua_pushvalue(L, -2);
    lua_setmetatable(L, -2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &docs_key);
    lua_pop(L, 3);
    mt_json_open(L);
}
