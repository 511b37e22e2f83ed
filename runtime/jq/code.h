/* What a compiled program is made of: instructions, functions, constants, slots. Written by compile*.c, run
 * by machine*.c; private to them. Immutable once mt_compiler_finish has given it out.
 *
 * A function may have two bodies: one that computes values, and one that computes them and their paths
 * (MT_MODE_PATH), which is what runs below path(…) and on the left of assignments. So instructions that track
 * paths cost nothing where nobody asks for paths, and what is evaluated beside a path (conditions, keys,
 * arguments) is simply the other kind of code. */
#ifndef MT_JQ_CODE_H
#define MT_JQ_CODE_H

#include "jq/native.h"

enum { MT_MODE_VALUE, MT_MODE_PATH };

/* Below: "top" is the value stack's. Frame slots are numbered in b unless told otherwise, code addresses and
 * constants in a. E: what happens when the step raises is in the flag (MT_ERROR_*). */
enum mt_op {
    MT_DO_CONST,      /* push constant a */
    MT_DO_POP,        /* drop top */
    MT_DO_SLOT,       /* push the input's slot a; E, also MT_ERROR_CHECK: push nothing, only raise */
    MT_DO_LOAD,       /* push a variable, which is marked shared */
    MT_DO_LOAD_UP,    /* the same of the frame a levels up */
    MT_DO_MOVE,       /* push a variable and forget it */
    MT_DO_STORE,      /* pop into a variable */
    MT_DO_LOAD_INDEX, /* k: push variable b[k] */
    MT_DO_LOAD_KEY,   /* push variable b's member: constant a; E */
    MT_DO_KEY,        /* top[constant a]; E */
    MT_DO_INDEX,      /* v k: v[k]; MT_FLAG_TOP: k v */
    MT_DO_SLICE,      /* from to v: v[from:to] */
    MT_DO_EACH,       /* v: v[]; E */
    MT_DO_PATH_KEY,   /* these five extend the path too */
    MT_DO_PATH_INDEX,
    MT_DO_PATH_SLICE,
    MT_DO_PATH_EACH,
    MT_DO_PATH_GET,   /* p v: v | getpath(p) */
    MT_DO_PATH_BEGIN, /* what follows is tracked from top on */
    MT_DO_PATH_END,   /* pop its result, push its path */
    MT_DO_JUMP,
    MT_DO_UNLESS, /* pop; jump if it is false or null */
    MT_DO_AND,    /* pop; if it is false or null push false and jump */
    MT_DO_OR,
    MT_DO_BOOLEAN, /* top becomes true or false */
    MT_DO_NOT,
    MT_DO_KEEP, /* jump if top is neither false nor null, else pop it */
    MT_DO_FORK, /* when what follows is exhausted, go on at a; MT_FLAG_UNDER: without top */
    MT_DO_BACKTRACK,
    MT_DO_TRY,         /* the same, for an error: a is the handler (error pushed) with MT_FLAG_HANDLER */
    MT_DO_TRY_END,     /* b: as in its TRY. The value has left the body */
    MT_DO_ALT,         /* `//`: a is the right side */
    MT_DO_ALT_END,     /* b: as in its ALT. Top true: leave the left side and jump, else backtrack */
    MT_DO_PATTERN,     /* when what follows raises, go on at a (`?//`) */
    MT_DO_MARK,        /* remember the forks */
    MT_DO_CUT,         /* drop those since */
    MT_DO_BREAK,       /* drop those since the mark a levels up, and backtrack */
    MT_DO_CALL,        /* function a, defined b levels up; its arguments follow as MT_DO_ARG_* */
    MT_DO_CALL_PARAM,  /* the closure in slot b, a levels up */
    MT_DO_ARG_CLOSURE, /* function a closed over this frame */
    MT_DO_ARG_PASS,    /* the closure in slot b, a levels up */
    MT_DO_ARG_VALUE,   /* from the stack, in order below the input */
    MT_DO_RETURN,
    MT_DO_OUTPUT,
    MT_DO_NATIVE, /* native a; its b parameters lie above the input, the last one topmost */
    MT_DO_ERROR,  /* raise top */
    MT_DO_NEGATE,
    MT_DO_ADD, /* l r; MT_FLAG_TOP: r l. MT_FLAG_CONST: l, and r is constant a */
    MT_DO_SUBTRACT,
    MT_DO_MULTIPLY,
    MT_DO_DIVIDE,
    MT_DO_MODULO,
    MT_DO_EQ,
    MT_DO_NE,
    MT_DO_LT,
    MT_DO_LE,
    MT_DO_GT,
    MT_DO_GE,
    MT_DO_ARRAY,      /* the b topmost as an array */
    MT_DO_COLLECT,    /* a new array in a slot, and a FORK */
    MT_DO_APPEND,     /* pop into that array, then backtrack */
    MT_DO_OBJECT,     /* push {} with room for a */
    MT_DO_INSERT,     /* o k v: o with it */
    MT_DO_INSERT_KEY, /* o v: the key is constant a */
    MT_DO_FORMAT,     /* top as the format of constant a writes it */
    MT_DO_JOIN,       /* the b topmost, which are strings, as one; the first is topmost */
    MT_DO_RANGE,      /* from to by: numbers */
    MT_DO_TAKE,       /* k1 … kb v: push v[k1]…[kb], which may be taken out of v: a PUT follows */
    MT_DO_PUT,        /* k1 … kb v new: v with it */
    MT_DO_GET_PATH,   /* push the value in variable b at the path in variable a */
    MT_DO_SET_PATH,   /* pop a value, set it there */
    MT_DO_DROP_PATH,  /* append the path in variable a to the list in variable b */
    MT_DO_DELETE,     /* delete the list of paths in variable a from variable b */
    MT_DO_COUNT
};

enum { MT_ERROR_RAISE, MT_ERROR_BACKTRACK, MT_ERROR_CHECK, MT_ERROR_BITS = 3 };
enum {
    MT_FLAG_PEEK = 16, /* of steps: only the next step sees the value, which is not marked shared for it */
    MT_FLAG_TOP = 4,
    MT_FLAG_CONST = 8,
    MT_FLAG_UNDER = 4,
    MT_FLAG_HANDLER = 8,
    MT_FLAG_PATH = 1, /* of calls */
    MT_FLAG_TAIL = 2
};

struct mt_code {
    uint8_t op, flag;
    uint16_t b;
    uint32_t a;
};

struct mt_code_function {
    uint32_t start[2]; /* by mode */
    uint32_t size;     /* slots of its frame */
    uint32_t params;   /* slots that arguments fill, from 0 on */
};

/* A step of a path from the input. Slot 0 is the input itself. */
struct mt_code_slot {
    uint32_t parent;
    struct mt_jv key; /* a string or number of the program */
};

struct mt_code_entry {
    uint32_t function;
    bool constant, slot;
    struct mt_jv value;
    uint32_t at; /* the slot */
};

#define MT_CODE_LIST(type)                                                                                   \
    struct {                                                                                                 \
        type *v;                                                                                             \
        uint32_t n, cap;                                                                                     \
    }

struct mt_program {
    MT_CODE_LIST(struct mt_code) code;
    MT_CODE_LIST(struct mt_code_function) functions;
    MT_CODE_LIST(struct mt_jv) constants;
    MT_CODE_LIST(struct mt_code_slot) slots;
    MT_CODE_LIST(struct mt_code_entry) entries;
    MT_CODE_LIST(const struct mt_native *) natives;
    MT_CODE_LIST(struct mt_slice) names;
    struct mt_jv_heap heap; /* of the constants */
    bool environment;
};

/* All natives, sorted by name; NULL behind the last. native.c. */
const struct mt_native *mt_native_at(unsigned i);

#endif
