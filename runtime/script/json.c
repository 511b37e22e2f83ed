/* core.json: decode, encode, copy, null, the marks of empty containers, kind. Runs inside a resume or while
 * loading; loop thread. */
#include "script/state.h"

#define DEPTH_MAX 1000

static char null_key;
static const char array_mark[] = "json.array", object_mark[] = "json.object", null_name[] = "json.null";

void mt_null_push(lua_State *L)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &null_key);
}

bool mt_is_null(lua_State *L, int index)
{
    return luaL_testudata(L, index, null_name) != NULL;
}

enum mt_marker mt_json_marker(lua_State *L, int index)
{
    enum mt_marker marker = MT_MARK_NONE;
    if (!lua_getmetatable(L, index))
        return marker;
    luaL_getmetatable(L, object_mark);
    luaL_getmetatable(L, array_mark);
    if (lua_rawequal(L, -3, -2))
        marker = MT_MARK_OBJECT;
    else if (lua_rawequal(L, -3, -1))
        marker = MT_MARK_ARRAY;
    lua_pop(L, 3);
    return marker;
}

void mt_json_mark(lua_State *L, enum mt_marker marker)
{
    luaL_setmetatable(L, marker == MT_MARK_OBJECT ? object_mark : array_mark);
}

static int mark(lua_State *L, enum mt_marker marker)
{
    if (lua_isnoneornil(L, 1)) {
        lua_newtable(L);
    } else {
        luaL_checktype(L, 1, LUA_TTABLE);
        if (lua_getmetatable(L, 1) && mt_json_marker(L, 1) == MT_MARK_NONE)
            return luaL_argerror(L, 1, "a table with a metatable of its own");
        lua_settop(L, 1);
    }
    mt_json_mark(L, marker);
    return 1;
}

static int json_object(lua_State *L)
{
    return mark(L, MT_MARK_OBJECT);
}

static int json_array(lua_State *L)
{
    return mark(L, MT_MARK_ARRAY);
}

static int json_decode(lua_State *L)
{
    struct mt_slice text;
    struct mt_err err = {0};
    text.p = luaL_checklstring(L, 1, &text.n);
    struct mt_scratch *scratch = mt_scratch_push(L);
    if (mt_doc_parse_copy(text, NULL, &scratch->doc, &err) != MT_OK)
        return luaL_error(L, "json.decode: %s", err.text);
    mt_view_push(L, mt_doc_root(scratch->doc));
    if (lua_isnil(L, -1))
        mt_null_push(L);
    mt_scratch_free(scratch);
    return 1;
}

static int json_encode(lua_State *L)
{
    luaL_checkany(L, 1);
    const struct mt_vm *vm = mt_vm_of(L);
    const struct mt_view *view = mt_view_test(L, 1);
    struct mt_scratch *scratch = mt_scratch_push(L);
    mt_buf_init(&scratch->buf, vm->memory_max);
    struct mt_val value;
    if (view && !view->box->written && !view->box->mixed) {
        mt_view_read_all(L, view);
        value = view->val;
    } else {
        scratch->doc = mt_view_to_doc(L, 1);
        value = mt_doc_root(scratch->doc);
    }
    if (!mt_val_write(value, &scratch->buf))
        return luaL_error(L, "json.encode: the text is larger than the memory budget");
    lua_pushlstring(L, scratch->buf.p ? scratch->buf.p : "", scratch->buf.n);
    mt_scratch_free(scratch);
    return 1;
}

/* ---- copy: plain tables, nulls as json.null ---- */

static void copy(lua_State *L, int index, int depth);

static void copy_node(lua_State *L, int index, int depth)
{
    struct mt_view *view = lua_touserdata(L, index);
    const int top = lua_gettop(L);
    mt_view_read_all(L, view);
    if (mt_val_is(view->val, MT_ARRAY)) {
        const uint32_t n = mt_view_length(L, view);
        lua_createtable(L, n < 1 << 16 ? (int)n : 0, 0);
        for (uint32_t i = 1; i <= n; i++) {
            lua_geti(L, index, (lua_Integer)i);
            copy(L, lua_gettop(L), depth + 1);
            lua_rawseti(L, top + 1, (lua_Integer)i);
            lua_pop(L, 1);
        }
        lua_settop(L, top + 1);
        return;
    }
    lua_newtable(L);
    bool empty = true;
    struct mt_slice name;
    struct mt_val v;
    const int type = mt_view_written(L, view);
    for (struct mt_iter it = mt_iter_of(view->val); mt_iter_next(&it, &name, &v);) {
        lua_pushlstring(L, name.p, name.n);
        if (type == LUA_TTABLE) {
            lua_pushvalue(L, -1);
            if (lua_rawget(L, top + 2) == LUA_TNIL) {
                lua_pop(L, 1);
                mt_view_child(L, index, v);
            }
        } else {
            mt_view_child(L, index, v);
        }
        if (lua_touserdata(L, -1) == &mt_removed) {
            lua_pop(L, 2);
            continue;
        }
        if (lua_isnil(L, -1))
            mt_null_push(L);
        copy(L, lua_gettop(L), depth + 1);
        lua_pushlstring(L, name.p, name.n);
        lua_insert(L, -2);
        lua_rawset(L, top + 1);
        lua_settop(L, top + 2);
        empty = false;
    }
    if (type == LUA_TTABLE) {
        for (lua_pushnil(L); lua_next(L, top + 2); lua_pop(L, 1)) {
            if (lua_touserdata(L, -1) == &mt_removed)
                continue;
            lua_pushvalue(L, -2);
            copy(L, lua_gettop(L) - 1, depth + 1);
            lua_rawset(L, top + 1);
            empty = false;
        }
    }
    lua_settop(L, top + 1);
    if (empty)
        mt_json_mark(L, MT_MARK_OBJECT);
}

static void copy_table(lua_State *L, int index, int depth)
{
    const enum mt_marker marker = mt_json_marker(L, index);
    lua_newtable(L);
    const int out = lua_gettop(L);
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        lua_pushvalue(L, -2);
        copy(L, lua_gettop(L) - 1, depth + 1);
        lua_rawset(L, out);
    }
    if (marker != MT_MARK_NONE)
        mt_json_mark(L, marker);
}

/* Pushes a copy of what is at index. */
static void copy(lua_State *L, int index, int depth)
{
    luaL_checkstack(L, 16, NULL);
    if (depth > DEPTH_MAX)
        luaL_error(L, "json.copy: nested deeper than %d, or a table that contains itself", DEPTH_MAX);
    if (mt_view_test(L, index))
        copy_node(L, index, depth);
    else if (lua_istable(L, index))
        copy_table(L, index, depth);
    else
        lua_pushvalue(L, index);
}

static int json_copy(lua_State *L)
{
    luaL_checkany(L, 1);
    lua_settop(L, 1);
    copy(L, 1, 0);
    return 1;
}

/* The kind that a conversion would give; nil for what JSON cannot hold. */
static int json_kind(lua_State *L)
{
    static const char *const names[] = {"null", "boolean", "number", "string", "array", "object"};
    const struct mt_view *view = mt_view_test(L, 1);
    if (view) {
        lua_pushstring(L, names[mt_val_kind(view->val)]);
        return 1;
    }
    switch (lua_type(L, 1)) {
    case LUA_TNONE:
    case LUA_TNIL:
        lua_pushliteral(L, "null");
        return 1;
    case LUA_TBOOLEAN:
    case LUA_TNUMBER:
    case LUA_TSTRING:
        lua_pushstring(L, luaL_typename(L, 1));
        return 1;
    case LUA_TTABLE:
        if (mt_json_marker(L, 1) == MT_MARK_OBJECT) {
            lua_pushliteral(L, "object");
            return 1;
        }
        lua_pushnil(L);
        lua_pushstring(L, lua_next(L, 1) && lua_type(L, -2) == LUA_TSTRING ? "object" : "array");
        return 1;
    default:
        if (!mt_is_null(L, 1))
            return 0;
        lua_pushliteral(L, "null");
        return 1;
    }
}

static int null_tostring(lua_State *L)
{
    lua_pushliteral(L, "null");
    return 1;
}

static void new_mark(lua_State *L, const char *name)
{
    luaL_newmetatable(L, name);
    lua_pushstring(L, name);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
}

void mt_json_open(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"decode", json_decode}, {"encode", json_encode}, {"copy", json_copy}, {"object", json_object},
        {"array", json_array},   {"kind", json_kind},     {NULL, NULL},
    };
    new_mark(L, array_mark);
    new_mark(L, object_mark);
    lua_newuserdatauv(L, 0, 0);
    luaL_newmetatable(L, null_name);
    lua_pushcfunction(L, null_tostring);
    lua_setfield(L, -2, "__tostring");
    lua_pushstring(L, null_name);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &null_key);
    luaL_newlib(L, functions);
    lua_pushvalue(L, -2);
    lua_setfield(L, -2, "null");
    lua_setfield(L, -3, "json");
    lua_setfield(L, -2, "null");
}
