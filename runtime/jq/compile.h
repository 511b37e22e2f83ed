/* Inside the compiler: what compile*.c share. Private to them.
 *
 * Code is generated straight from the syntax tree. An expression is compiled for a place where its input is
 * known to be (struct input): on top of the stack, where it is consumed; in a slot; in a variable; or
 * nowhere, when nobody reads it. So `.` is copied only where it is used twice, and moved where it is used
 * last, which is what lets the machine update it in place. */
#ifndef MT_JQ_COMPILE_H
#define MT_JQ_COMPILE_H

#include "jq/code.h"
#include "jq/machine.h"
#include "jq/syntax_tree.h"

/* Where the input of an expression is. */
struct input {
    enum { IN_STACK, IN_NOWHERE, IN_SLOT, IN_VARIABLE, IN_LAST } at; /* IN_LAST: a variable, read no more */
    uint32_t n;
};

enum { GEN_PATH = 1, GEN_TAIL = 2 };

/* How often an expression gives something, and whether it leaves forks behind. */
enum outputs { GIVES_MANY, GIVES_FEW /* at most one, no forks */, GIVES_ONE /* exactly one or an error */ };

/* A function of the program while it is compiled. */
struct unit {
    struct unit *outer; /* where it is defined */
    struct unit *next;  /* in the list of what is to be compiled */
    uint32_t index;
    const struct mt_function *function; /* NULL: a closure over an expression */
    const struct mt_node *node;
    const struct scope *scope; /* where it is defined; of a function: with itself in it */
    struct mt_slice text;      /* that its positions refer to */
    uint32_t size;             /* slots so far */
    bool wanted[2], done[2];
};

/* A name, and what it stands for from here on. The newest first. */
struct scope {
    const struct scope *outer;
    enum { SCOPE_VARIABLE, SCOPE_CONSTANT, SCOPE_CLOSURE, SCOPE_INLINE, SCOPE_FUNCTION, SCOPE_LABEL } kind;
    struct mt_slice name;
    unsigned arity;             /* of a function */
    struct unit *unit;          /* whose frame has it; of a function: itself */
    uint32_t slot;              /* in the frame */
    struct mt_jv value;         /* of a constant */
    const struct mt_node *node; /* of a parameter that is compiled where it is used */
    const struct scope *place;  /* … in the names known where it was written */
    struct mt_slice text;
};

/* Numbers by hash, for what would else be searched from one end to the other. */
struct index {
    uint32_t *v; /* number + 1 */
    uint32_t n, cap;
};

/* What is known about an expression of the entry. */
struct known {
    const struct mt_node *node;
    bool not_constant, reads_known, reads, outputs_known;
    uint8_t outputs;
};

struct builtin; /* a definition that was parsed; compile_call.c */

struct mt_compiler {
    struct mt_program *p;
    struct mt_err *err;
    enum mt_rc rc;                /* of the entry at hand */
    bool broken;                  /* rc is set: nothing more is generated */
    struct mt_slice source, text; /* of the entry; of what is compiled now */
    const struct scope *scope;
    struct unit *unit, *pending;
    struct unit *root;     /* the entry's */
    struct unit *closures; /* all units of the entry that are closures, linked by next once they are done */
    bool path_params;      /* a closure is called for its paths */
    struct builtin *builtins;
    struct index names, slots;
    struct known *known; /* an open table by address */
    uint32_t known_count, known_cap;
    unsigned inlined;  /* depth */
    unsigned analysed; /* depth of calls that are looked into */
    struct arena {
        struct arena *next;
        size_t used, size;
        _Alignas(16) char data[];
    } * arena;
};

#define MT_CODE_ADD(list)                                                                                    \
    ((list).n == (list).cap ? mt_code_grow((void **)&(list).v, &(list).cap, sizeof *(list).v) : (void)0,     \
     &(list).v[(list).n++])

/* compile.c */
void mt_code_grow(void **v, uint32_t *cap, size_t size);
void *arena_take(struct mt_compiler *c, size_t n);
void fail_at(struct mt_compiler *c, enum mt_rc rc, uint32_t at, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void fail_memory(struct mt_compiler *c);
uint32_t emit(struct mt_compiler *c, enum mt_op op, unsigned flag, uint32_t a, uint32_t b); /* its address */
void patch(struct mt_compiler *c,
           uint32_t at); /* a of the instruction there is the address of what follows */
uint32_t here(const struct mt_compiler *c);
uint32_t constant(struct mt_compiler *c, struct mt_jv v);
uint32_t string_constant(struct mt_compiler *c, struct mt_slice s);
uint32_t new_local(struct mt_compiler *c);
unsigned level_of(struct mt_compiler *c, const struct unit *target);
struct unit *new_unit(struct mt_compiler *c, const struct mt_function *function, const struct mt_node *node,
                      const struct scope *scope);
void want(struct mt_compiler *c, struct unit *u, unsigned mode);
struct scope *push_scope(struct mt_compiler *c, int kind, struct mt_slice name);
void note_name(struct mt_compiler *c, struct mt_slice name);
uint32_t slot_below(struct mt_compiler *c, uint32_t parent, struct mt_jv key);

/* compile_look.c: looking at expressions. */
/* What is known about n, to be filled in; NULL: n is small, or stands in a builtin, where what its names mean
 * depends on the call. */
struct known *known_about(struct mt_compiler *c, const struct mt_node *n);
bool reads_input(struct mt_compiler *c, const struct mt_node *n);
enum outputs outputs_of(struct mt_compiler *c, const struct mt_node *n);
const struct scope *find_variable(const struct mt_compiler *c, struct mt_slice name);
const struct scope *find_function(const struct mt_compiler *c, struct mt_slice name, size_t arity);
bool pattern_gives_one(struct mt_compiler *c, const struct mt_pattern *p);
bool calls(const struct mt_node *n, struct mt_slice name, unsigned arity);

/* compile_fold.c: the value of an expression that needs no input, or only *input (NULL: none is known). */
bool fold(struct mt_compiler *c, const struct mt_node *n, const struct mt_jv *input, struct mt_jv *out);

/* compile_expression.c */
void gen(struct mt_compiler *c, const struct mt_node *n, struct input in, unsigned how);
void put_input(struct mt_compiler *c, struct input in);
struct input spill(struct mt_compiler *c, struct input in);
struct input last_use(struct input before, struct input spilled, bool no_forks);
void drop_input(struct mt_compiler *c, struct input in);
/* The slot that n stands for when its input is slot `from`. */
bool slot_of(struct mt_compiler *c, const struct mt_node *n, uint32_t from, uint32_t *out);
/* Steps of constant keys, as values; flag: MT_ERROR_*, what happens when one raises, and MT_FLAG_PEEK. false:
 * n is more than such steps, and nothing is generated. */
bool gen_quiet(struct mt_compiler *c, const struct mt_node *n, struct input in, unsigned flag);

/* compile_flow.c: conditions, generators, handlers. */
void gen_comma(struct mt_compiler *c, const struct mt_node *n, struct input in, unsigned how);
void gen_if(struct mt_compiler *c, const struct mt_node *n, struct input in, unsigned how);
void gen_logic(struct mt_compiler *c, const struct mt_node *n, struct input in);
void gen_alternative(struct mt_compiler *c, const struct mt_node *n, struct input in, unsigned how);
void gen_try(struct mt_compiler *c, const struct mt_node *n, struct input in, unsigned how);
void gen_label(struct mt_compiler *c, const struct mt_node *n, struct input in, unsigned how);
void gen_break(struct mt_compiler *c, const struct mt_node *n, struct input in);
void fail_no_label(struct mt_compiler *c, const struct mt_node *n);
void gen_collect(struct mt_compiler *c, const struct mt_node *n, struct input in);
void gen_first(struct mt_compiler *c, const struct mt_node *n, struct input in, unsigned how);
void gen_is_empty(struct mt_compiler *c, const struct mt_node *n, struct input in);

/* compile_bind.c: variables. */
void gen_bind(struct mt_compiler *c, const struct mt_node *n, struct input in, unsigned how);
void gen_reduce(struct mt_compiler *c, const struct mt_node *n, struct input in, unsigned how);
void gen_foreach(struct mt_compiler *c, const struct mt_node *n, struct input in, unsigned how);
void gen_variable(struct mt_compiler *c, const struct mt_node *n);

/* compile_update.c: assignments. */
void gen_assign(struct mt_compiler *c, const struct mt_node *n, struct input in);

/* compile_names.c: fails for a name that stands for nothing, also where no code is generated. */
void check_names(struct mt_compiler *c, const struct mt_node *root);

/* compile_call.c: names of functions. */
bool is_builtin(const struct mt_node *n); /* a call of what jq brings along */
void fail_unknown(struct mt_compiler *c, const struct mt_node *n);
void gen_call(struct mt_compiler *c, const struct mt_node *n, struct input in, unsigned how);
void gen_function(struct mt_compiler *c, const struct mt_node *n, struct input in, unsigned how);
void gen_recurse(struct mt_compiler *c, struct input in, unsigned how);
/* The definition of a builtin, parsed; NULL: there is none. */
const struct mt_function *builtin_function(struct mt_compiler *c, struct mt_slice name, size_t arity,
                                           struct mt_slice *out_text);
bool is_recursive(struct mt_compiler *c, struct mt_slice name, size_t arity);
void forget_builtins(struct mt_compiler *c, bool all);
/* The names known in a function's body when its parameters are compiled where they are used. */
const struct scope *inline_scope(struct mt_compiler *c, const struct mt_function *f, struct mt_node **args);

#endif
