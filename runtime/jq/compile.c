/* The compiler: programs and what they are put together from. See machine.h for what is public, compile.h for
 * how the parts work together. Called by whoever builds a program, on any thread; one compiler is one
 * thread's. The program owns its lists and the heap of its constants; everything else goes with the arena. */
#include "jq/compile.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"

enum { ARENA_CHUNK = 16 << 10, CODE_MAX = 4 << 20, SLOTS_MAX = 60000 };

/* Constants are computed within these; what needs more is left to the machine. */
#define FOLD_MEMORY ((size_t)64 << 20)
#define FOLD_BUDGET UINT64_C(20000000)

struct mt_compiler *mt_compiler_new(const struct mt_compile_options *options)
{
    struct mt_compiler *c = mt_alloc(sizeof *c);
    struct mt_program *p = c->p = mt_alloc(sizeof *p);
    p->environment = options && options->environment;
    mt_jv_heap_init(&p->heap, FOLD_MEMORY);
    p->heap.steps = FOLD_BUDGET;
    p->heap.environment = p->environment;
    *MT_CODE_ADD(p->slots) = (struct mt_code_slot){.parent = UINT32_MAX}; /* the input itself */
    c->slots.n = 1;
    return c;
}

static void arena_free(struct mt_compiler *c)
{
    while (c->arena) {
        struct arena *chunk = c->arena;
        c->arena = chunk->next;
        free(chunk);
    }
}

void mt_compiler_free(struct mt_compiler *c)
{
    if (!c)
        return;
    forget_builtins(c, true);
    arena_free(c);
    free(c->names.v);
    free(c->slots.v);
    free(c->known);
    mt_program_free(c->p);
    free(c);
}

void mt_program_free(struct mt_program *p)
{
    if (!p)
        return;
    mt_jv_heap_fini(&p->heap);
    free(p->code.v);
    free(p->functions.v);
    free(p->constants.v);
    free(p->slots.v);
    free(p->entries.v);
    free(p->natives.v);
    free(p->names.v);
    free(p);
}

void mt_code_grow(void **v, uint32_t *cap, size_t size)
{
    *cap = *cap ? 2 * *cap : 32;
    *v = mt_realloc(*v, *cap * size);
}

void *arena_take(struct mt_compiler *c, size_t n)
{
    n = (n + 15) & ~(size_t)15;
    if (!c->arena || c->arena->size - c->arena->used < n) {
        size_t size = n > ARENA_CHUNK ? n : ARENA_CHUNK;
        struct arena *chunk = mt_alloc(sizeof *chunk + size);
        chunk->size = size;
        chunk->next = c->arena;
        c->arena = chunk;
    }
    void *p = c->arena->data + c->arena->used;
    c->arena->used += n;
    return p;
}

void fail_at(struct mt_compiler *c, enum mt_rc rc, uint32_t at, const char *format, ...)
{
    if (c->broken)
        return;
    char what[sizeof((struct mt_syntax_error *)0)->text];
    struct mt_syntax_error where;
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    mt_syntax_error_at(c->text, at, &where, "%s", what);
    c->broken = true;
    c->rc = mt_fail(c->err, rc, "%s", where.text);
}

void fail_memory(struct mt_compiler *c)
{
    if (!c->broken)
        c->rc = mt_fail(c->err, MT_ENOMEM, "no memory is left for the expression");
    c->broken = true;
}

uint32_t here(const struct mt_compiler *c)
{
    return c->p->code.n;
}

uint32_t emit(struct mt_compiler *c, enum mt_op op, unsigned flag, uint32_t a, uint32_t b)
{
    if (here(c) >= CODE_MAX && !c->broken)
        fail_at(c, MT_EINVAL, 0, "the expression is too large: it needs more than %d instructions", CODE_MAX);
    if (c->broken)
        return 0;
    *MT_CODE_ADD(c->p->code) =
        (struct mt_code){.op = (uint8_t)op, .flag = (uint8_t)flag, .b = (uint16_t)b, .a = a};
    return here(c) - 1;
}

void patch(struct mt_compiler *c, uint32_t at)
{
    if (!c->broken)
        c->p->code.v[at].a = here(c);
}

uint32_t constant(struct mt_compiler *c, struct mt_jv v)
{
    if (v.tag <= MT_JV_TRUE) /* the first ones are null, false and true */
        for (uint32_t i = 0; i < c->p->constants.n && i < 16; i++)
            if (c->p->constants.v[i].tag == v.tag)
                return i;
    *MT_CODE_ADD(c->p->constants) = mt_jv_share(v);
    return c->p->constants.n - 1;
}

uint32_t string_constant(struct mt_compiler *c, struct mt_slice s)
{
    struct mt_jv v = mt_jv_string(&c->p->heap, s);
    if (mt_jv_is_none(v))
        fail_memory(c);
    return c->broken ? 0 : constant(c, v);
}

uint32_t new_local(struct mt_compiler *c)
{
    if (c->unit->size >= SLOTS_MAX)
        fail_at(c, MT_EINVAL, 0, "the expression is too large: it needs more than %d variables", SLOTS_MAX);
    else
        c->unit->size++;
    return c->unit->size - 1;
}

unsigned level_of(struct mt_compiler *c, const struct unit *target)
{
    unsigned level = 0;
    for (const struct unit *u = c->unit; u && u != target; u = u->outer)
        level++;
    return level;
}

struct unit *new_unit(struct mt_compiler *c, const struct mt_function *function, const struct mt_node *node,
                      const struct scope *scope)
{
    struct unit *u = arena_take(c, sizeof *u);
    *u = (struct unit){.outer = c->unit,
                       .index = c->p->functions.n,
                       .function = function,
                       .node = node,
                       .scope = scope,
                       .text = c->text};
    *MT_CODE_ADD(c->p->functions) = (struct mt_code_function){.size = 0};
    return u;
}

void want(struct mt_compiler *c, struct unit *u, unsigned mode)
{
    bool listed = (u->wanted[0] && !u->done[0]) || (u->wanted[1] && !u->done[1]);
    u->wanted[mode] = true;
    if (!listed && !u->done[mode]) {
        u->next = c->pending;
        c->pending = u;
    }
}

struct scope *push_scope(struct mt_compiler *c, int kind, struct mt_slice name)
{
    struct scope *s = arena_take(c, sizeof *s);
    *s = (struct scope){.outer = c->scope, .name = name, .unit = c->unit, .text = c->text};
    s->kind = kind;
    c->scope = s;
    return s;
}

static uint64_t hash_of(uint64_t seed, struct mt_slice text)
{
    uint64_t h = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15);
    for (size_t i = 0; i < text.n; i++)
        h = (h ^ (unsigned char)text.p[i]) * UINT64_C(0x100000001b3);
    return h ^ h >> 29;
}

/* The place of what is sought, or of the hole where it belongs. */
static uint32_t *find_in(struct index *index, uint64_t hash, bool (*is)(void *ud, uint32_t i), void *ud)
{
    uint32_t at = (uint32_t)hash & (index->cap - 1);
    while (index->v[at] && !is(ud, index->v[at] - 1))
        at = (at + 1) & (index->cap - 1);
    return &index->v[at];
}

static void make_room(struct mt_compiler *c, struct index *index, uint64_t (*hash)(void *ud, uint32_t i))
{
    if (index->cap > 2 * index->n)
        return;
    free(index->v);
    index->cap = index->cap ? 2 * index->cap : 64;
    index->v = mt_alloc(index->cap * sizeof *index->v);
    for (uint32_t i = 0; i < index->n; i++) {
        uint32_t at = (uint32_t)hash(c, i) & (index->cap - 1);
        while (index->v[at])
            at = (at + 1) & (index->cap - 1);
        index->v[at] = i + 1;
    }
}

struct sought {
    struct mt_program *p;
    struct mt_slice name;
    uint32_t parent;
    struct mt_jv key;
};

static bool is_name(void *ud, uint32_t i)
{
    const struct sought *s = ud;
    return mt_slice_eq(s->p->names.v[i], s->name);
}

static uint64_t hash_name(void *ud, uint32_t i)
{
    const struct mt_compiler *c = ud;
    return hash_of(0, c->p->names.v[i]);
}

void note_name(struct mt_compiler *c, struct mt_slice name)
{
    struct sought sought = {.p = c->p, .name = name};
    make_room(c, &c->names, hash_name);
    uint32_t *place = find_in(&c->names, hash_of(0, name), is_name, &sought);
    struct mt_jv kept = *place ? MT_NONE : mt_jv_string(&c->p->heap, name);
    if (mt_jv_is_none(kept))
        return;
    *MT_CODE_ADD(c->p->names) = mt_jv_text(kept);
    *place = ++c->names.n;
}

static uint64_t hash_step(uint32_t parent, struct mt_jv key)
{
    double number = mt_jv_is(key, MT_NUMBER) ? mt_jv_double(key) : 0;
    if (mt_jv_is(key, MT_STRING))
        return hash_of(parent, mt_jv_text(key));
    return hash_of(parent, (struct mt_slice){(const char *)&number, sizeof number});
}

static bool is_slot(void *ud, uint32_t i)
{
    const struct sought *s = ud;
    const struct mt_code_slot *slot = &s->p->slots.v[i];
    return slot->parent == s->parent && mt_jv_equal(slot->key, s->key);
}

static uint64_t hash_slot(void *ud, uint32_t i)
{
    const struct mt_compiler *c = ud;
    return hash_step(c->p->slots.v[i].parent, c->p->slots.v[i].key);
}

uint32_t slot_below(struct mt_compiler *c, uint32_t parent, struct mt_jv key)
{
    struct sought sought = {.p = c->p, .parent = parent, .key = key};
    make_room(c, &c->slots, hash_slot);
    uint32_t *place = find_in(&c->slots, hash_step(parent, key), is_slot, &sought);
    if (!*place) {
        *MT_CODE_ADD(c->p->slots) = (struct mt_code_slot){.parent = parent, .key = mt_jv_share(key)};
        *place = c->slots.n = c->p->slots.n;
    }
    return *place - 1;
}

/* The parameters of a function that is called: slots of its frame from 0 on, in the order of the arguments; a
 * "$name" that the body also calls as a function has two. */
static void bind_parameters(struct mt_compiler *c, struct unit *u)
{
    const struct mt_function *f = u->function;
    uint32_t slot = 0;
    for (unsigned i = 0; i < f->count; i++) {
        const struct mt_parameter *p = &f->parameters[i];
        if (p->value)
            push_scope(c, SCOPE_VARIABLE, p->name)->slot = slot++;
        if (!p->value || calls(f->body, p->name, 0))
            push_scope(c, SCOPE_CLOSURE, p->name)->slot = slot++;
    }
    if (u->size < slot)
        u->size = slot;
    c->p->functions.v[u->index].params = slot;
}

static void compile_unit(struct mt_compiler *c, struct unit *u, unsigned mode)
{
    c->unit = u;
    c->scope = u->scope;
    c->text = u->text;
    if (u->function)
        bind_parameters(c, u);
    c->p->functions.v[u->index].start[mode] = here(c);
    u->done[mode] = true;
    gen(c, u->function ? u->function->body : u->node, (struct input){IN_STACK, 0},
        GEN_TAIL | (mode == MT_MODE_PATH ? GEN_PATH : 0));
    emit(c, MT_DO_RETURN, 0, 0, 0);
    c->p->functions.v[u->index].size = u->size;
}

/* Compiles what was called and is not compiled yet. */
static void compile_pending(struct mt_compiler *c)
{
    for (bool again = true; again && !c->broken;) {
        while (c->pending && !c->broken) {
            struct unit *u = c->pending;
            c->pending = u->next;
            for (unsigned mode = 0; mode < 2; mode++)
                if (u->wanted[mode] && !u->done[mode])
                    compile_unit(c, u, mode);
            if (!u->function && !u->done[MT_MODE_PATH]) {
                u->next = c->closures;
                c->closures = u;
            }
        }
        /* a closure may be any that is called for its paths */
        again = c->path_params && c->closures;
        while (again && c->closures) {
            struct unit *u = c->closures;
            c->closures = u->next;
            want(c, u, MT_MODE_PATH);
        }
    }
}

/* An entry that is only a path of constant steps, or a constant, needs no code at all. */
static bool is_trivial(struct mt_compiler *c, const struct mt_node *n, struct mt_code_entry *e)
{
    if (fold(c, n, NULL, &e->value)) {
        e->constant = true;
        mt_jv_share(e->value);
        return true;
    }
    e->slot = slot_of(c, n, 0, &e->at);
    return e->slot;
}

static void compile_entry(struct mt_compiler *c, const struct mt_node *root)
{
    struct mt_code_entry entry = {.function = 0};
    c->unit = NULL;
    struct unit *u = new_unit(c, NULL, root, NULL);
    c->unit = c->root = u;
    check_names(c, root);
    if (!c->broken && !is_trivial(c, root, &entry)) {
        entry.function = u->index;
        c->p->functions.v[u->index].start[0] = here(c);
        gen(c, root, (struct input){IN_SLOT, 0}, 0);
        emit(c, MT_DO_OUTPUT, 0, 0, 0);
        c->p->functions.v[u->index].size = u->size;
        compile_pending(c);
        c->p->functions.v[u->index].size = u->size;
    }
    if (!c->broken)
        *MT_CODE_ADD(c->p->entries) = entry;
}

enum mt_rc mt_compiler_add(struct mt_compiler *c, struct mt_slice expression, unsigned *out_entry,
                           struct mt_err *err)
{
    struct mt_syntax_error where;
    struct mt_syntax_tree *tree = mt_jq_parse(expression, &where);
    if (!tree)
        return mt_fail(err, strstr(where.text, "modules are not supported") ? MT_ENOENT : MT_EINVAL, "%s",
                       where.text);
    uint32_t code = here(c), functions = c->p->functions.n;
    c->err = err;
    c->rc = MT_OK;
    c->broken = false;
    c->source = c->text = expression;
    c->pending = c->closures = NULL;
    c->path_params = false;
    c->inlined = c->analysed = 0;
    if (c->known_count)
        memset(c->known, 0, c->known_cap * sizeof *c->known);
    c->known_count = 0;
    compile_entry(c, mt_syntax_tree_root(tree));
    mt_syntax_tree_free(tree);
    forget_builtins(c, false);
    arena_free(c);
    c->err = NULL;
    if (c->rc) {
        c->p->code.n = code;
        c->p->functions.n = functions;
        return c->rc;
    }
    *out_entry = c->p->entries.n - 1;
    return MT_OK;
}

struct mt_program *mt_compiler_finish(struct mt_compiler *c)
{
    struct mt_program *p = c->p;
    mt_jv_heap_freeze(&p->heap);
    c->p = NULL;
    return p;
}

bool mt_program_constant(const struct mt_program *p, unsigned entry, struct mt_jv *out)
{
    if (entry >= p->entries.n || !p->entries.v[entry].constant)
        return false;
    *out = p->entries.v[entry].value;
    return true;
}

bool mt_program_slot(const struct mt_program *p, unsigned entry, unsigned *out_slot)
{
    if (entry >= p->entries.n || !p->entries.v[entry].slot)
        return false;
    *out_slot = p->entries.v[entry].at;
    return true;
}

struct mt_slice mt_program_name(const struct mt_program *p, unsigned i)
{
    return i < p->names.n ? p->names.v[i] : (struct mt_slice){NULL, 0};
}
