/* The heap of a Lua state (script/heap.h) by itself; a failed check ends the process.
 *
 *   heap_driver sizes   blocks of every size around the borders of bins grow and shrink to every other one,
 * then 400,000 random steps over 3,000 blocks; the content is checked
 *   heap_driver back    what 16 MB of blocks take, and what is left when they go in three orders
 *   heap_driver refuse  the system has no more memory to give: growing fails, shrinking does not, all goes on
 *   heap_driver lua     the same below a Lua state
 *
 * Prints {"plain":true} where sanitizers see every block (sizes is checked all the same), else figures. */
#undef NDEBUG /* its checks count in every build */
#include <assert.h>
#include <lauxlib.h>
#include <lualib.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "script/heap.h"

enum { BLOCKS = 200000, MB = 1 << 20 };

static struct mt_heap heap;
static struct block {
    unsigned char *p;
    size_t size;
} blocks[BLOCKS];
static bool plain;

static unsigned random_below(unsigned n)
{
    static uint64_t state = 42;
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(state >> 33) % n;
}

/* Every block holds its own bytes: two that lie on each other are found. */
static unsigned char byte_of(const struct block *b, size_t i)
{
    return (unsigned char)((size_t)(b - blocks) * 31 + i * 7 + 1);
}

static void fill(struct block *b, size_t from)
{
    for (size_t i = from; i < b->size; i++)
        b->p[i] = byte_of(b, i);
}

static void check(const struct block *b, size_t size)
{
    for (size_t i = 0; i < size; i++)
        assert(b->p[i] == byte_of(b, i));
}

static bool resize(struct block *b, size_t size)
{
    const size_t old = b->p ? b->size : 0;
    void *p = mt_heap_resize(&heap, b->p, old, size);
    assert(p || size > old);
    if (!p)
        return false;
    assert((uintptr_t)p % 16 == 0);
    b->p = p;
    b->size = size;
    check(b, old < size ? old : size);
    fill(b, old < size ? old : size);
    return true;
}

static void release(struct block *b)
{
    if (b->p)
        check(b, b->size);
    mt_heap_release(&heap, b->p, b->size);
    *b = (struct block){0};
}

static void release_all(void)
{
    for (size_t i = 0; i < BLOCKS; i++)
        release(&blocks[i]);
}

static long anonymous_kb(void)
{
    char line[128];
    long kb = 0;
    FILE *f = fopen("/proc/self/status", "re");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "RssAnon: %ld", &kb) == 1)
            break;
    if (f)
        fclose(f);
    return kb;
}

/* ---- sizes ---- */

static int run_sizes(void)
{
    static const size_t middles[] = {1,   16,  32,  112, 128, 160, 192,  224,  256,  320,  384,
                                     448, 512, 640, 768, 896, 960, 1024, 2048, 4096, 20000};
    size_t sizes[3 * sizeof middles / sizeof *middles], n = 0;
    for (size_t i = 0; i < sizeof middles / sizeof *middles; i++)
        for (size_t s = middles[i] - 1; s <= middles[i] + 1; s++)
            if (s)
                sizes[n++] = s;
    for (size_t from = 0; from < n; from++)
        for (size_t to = 0; to < n; to++) {
            assert(resize(&blocks[0], sizes[from]) && resize(&blocks[1], sizes[from]));
            assert(resize(&blocks[0], sizes[to]));
            check(&blocks[1], sizes[from]);
            assert(resize(&blocks[0], sizes[from]));
            release(&blocks[from % 2]);
            release(&blocks[1 - from % 2]);
        }
    for (int i = 0; i < 400000; i++) {
        struct block *b = &blocks[random_below(3000)];
        const unsigned limit = 1u << (3 + random_below(10));
        if (b->p && random_below(2))
            release(b);
        else
            assert(resize(b, 1 + random_below(limit)));
    }
    release_all();
    mt_heap_trim(&heap);
    assert(mt_heap_mapped(&heap) == 0 && heap.strays == 0);
    mt_heap_close(&heap);
    printf("{\"ok\":true}\n");
    return 0;
}

/* ---- giving back ---- */

static void take_many(void)
{
    for (size_t i = 0; i < BLOCKS; i++)
        assert(resize(&blocks[i], 1 + (i * 37) % 160));
}

static int run_back(void)
{
    take_many();
    const size_t full = mt_heap_mapped(&heap);
    for (size_t i = 0; i < BLOCKS; i++)
        release(&blocks[i]);
    const size_t forward = mt_heap_mapped(&heap);
    take_many();
    const size_t again = mt_heap_mapped(&heap);
    for (size_t i = BLOCKS; i--;)
        release(&blocks[i]);
    take_many();
    const long kb_full = anonymous_kb();
    for (size_t i = 0; i < BLOCKS; i++) /* one block in 400 stays: no region is free, but most pages are */
        if (i % 400)
            release(&blocks[i]);
    const long kb_before = anonymous_kb();
    mt_heap_trim(&heap);
    const long kb_trimmed = anonymous_kb();
    const size_t sparse = mt_heap_mapped(&heap);
    for (size_t i = 0; i < BLOCKS; i += 400)
        check(&blocks[i], blocks[i].size);
    take_many(); /* what was given back is had again */
    release_all();
    mt_heap_trim(&heap);
    const size_t empty = mt_heap_mapped(&heap);
    take_many();
    memset(blocks, 0, sizeof blocks);
    mt_heap_close(&heap); /* with all of them */
    printf("{\"full\":%zu,\"forward\":%zu,\"again\":%zu,\"sparse\":%zu,\"empty\":%zu,\"closed\":%zu,"
           "\"kb_full\":%ld,\"kb_before\":%ld,\"kb_trimmed\":%ld}\n",
           full, forward, again, sparse, empty, mt_heap_mapped(&heap), kb_full, kb_before, kb_trimmed);
    return 0;
}

/* ---- refusals ---- */

static size_t address_space(void)
{
    unsigned long pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    assert(f && fscanf(f, "%lu", &pages) == 1);
    fclose(f);
    return (size_t)pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* more than is in use now; 0: no limit */
static void limit(size_t more)
{
    struct rlimit as;
    assert(getrlimit(RLIMIT_AS, &as) == 0);
    as.rlim_cur = more ? address_space() + more : as.rlim_max;
    assert(setrlimit(RLIMIT_AS, &as) == 0);
}

enum { LARGE = 2000 }; /* blocks of malloc; those behind are of bins */

static int run_refuse(void)
{
    size_t taken = LARGE;
    for (size_t i = 0; i < LARGE; i++)
        assert(resize(&blocks[i], 1025 + i * 3));
    limit(4 * MB);
    while (taken < BLOCKS && resize(&blocks[taken], 1 + taken % 1024))
        taken++;
    assert(taken < BLOCKS);
    while (resize(&blocks[taken], 16)) /* until no bin has room */
        taken++;
    for (size_t i = LARGE; i < taken; i++)
        if (blocks[i].size > 16)
            assert(resize(&blocks[i], 1 + i % 16)); /* to a bin that is full: its block stays where it is */
    for (size_t i = 0; i < LARGE; i++)
        assert(resize(&blocks[i], 1 + i % 1024));
    const size_t strays = heap.strays;
    for (size_t i = 0; i < LARGE; i += 2)
        assert(resize(&blocks[i], 1));
    const size_t mapped = mt_heap_mapped(&heap);
    for (size_t i = 1; i < LARGE; i += 2) /* some can grow by now */
        resize(&blocks[i], blocks[i].size + random_below(2000));
    limit(0);
    for (size_t i = 0; i < taken; i += 3)
        assert(resize(&blocks[i], 1 + (i * 7) % 1500));
    release_all();
    assert(heap.strays == 0);
    mt_heap_trim(&heap);
    printf("{\"taken\":%zu,\"strays\":%zu,\"mapped\":%zu,\"empty\":%zu}\n", taken, strays, mapped,
           mt_heap_mapped(&heap));
    mt_heap_close(&heap);
    return 0;
}

static void *allocate(void *ud, void *p, size_t osize, size_t nsize)
{
    if (nsize)
        return mt_heap_resize(ud, p, p ? osize : 0, nsize);
    mt_heap_release(ud, p, p ? osize : 0);
    return NULL;
}

static int run_lua(void)
{
    static const char text[] = "local kept, last = {}, nil\n"
                               "for i = 1, 1000 do kept[i] = { i, tostring(i) } end\n"
                               "for round = 1, 20 do\n"
                               "  local ok, why = pcall(function()\n"
                               "    local list for i = 1, 1e9 do list = { list, i .. '' } end end)\n"
                               "  assert(not ok) last = why\n"
                               "  for i = 1, 1000 do local t = { i } end\n"
                               "end\n"
                               "for i = 1, 1000 do assert(kept[i][1] == i and kept[i][2] == i .. '') end\n"
                               "return last";
    lua_State *L = lua_newstate(allocate, &heap);
    assert(L);
    luaL_openlibs(L);
    const size_t before = mt_heap_mapped(&heap);
    limit(16 * MB);
    if (luaL_dostring(L, text) != LUA_OK)
        fprintf(stderr, "%s\n", lua_tostring(L, -1));
    const size_t mapped = mt_heap_mapped(&heap);
    printf("{\"error\":\"%s\",\"before\":%zu,\"mapped\":%zu,", lua_tostring(L, -1), before, mapped);
    limit(0);
    lua_settop(L, 0);
    lua_gc(L, LUA_GCCOLLECT);
    mt_heap_trim(&heap);
    printf("\"collected\":%zu,", mt_heap_mapped(&heap));
    lua_close(L);
    mt_heap_trim(&heap); /* a closed state has given back every block */
    printf("\"closed\":%zu}\n", mt_heap_mapped(&heap));
    assert(heap.strays == 0);
    mt_heap_close(&heap);
    return 0;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(void);
    } cases[] = {{"sizes", run_sizes}, {"back", run_back}, {"refuse", run_refuse}, {"lua", run_lua}};
    assert(resize(&blocks[0], 100));
    plain = mt_heap_mapped(&heap) == 0;
    release(&blocks[0]);
    for (size_t i = 0; argc == 2 && i < sizeof cases / sizeof *cases; i++) {
        if (strcmp(argv[1], cases[i].name) != 0)
            continue;
        if (!plain || i == 0)
            return cases[i].run();
        printf("{\"plain\":true}\n");
        return 0;
    }
    return 2;
}
