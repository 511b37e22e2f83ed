/* Blocks of a Lua state in bins by size: see heap.h. Called by vm.c; owns the regions.
 *
 * A region is a mapping of 64 chunks of 1 KB, aligned to its size, so that a block's address gives its region
 * and its chunk. A chunk holds blocks of one bin: every 16 bytes to 128, then four sizes to each doubling,
 * to 512; a larger block has one for itself. What is known of chunks stands at the begin of their region, so
 * that blocks have no header; a chunk without blocks is free for any bin.
 *
 * Measured with a small bundle, whose state holds 49 KB in 680 blocks: it takes 71 KB of pages (60 from
 * malloc), with chunks of 8 KB 120, with bins to 8 KB 80. Small pieces come and go a quarter faster than
 * malloc's. Sanitizers want to see every block: under them this is malloc. */
#include "script/heap.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define PLAIN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define PLAIN 1
#endif

#ifdef PLAIN

void *mt_heap_resize(struct mt_heap *heap, void *p, size_t old, size_t size)
{
    void *q = realloc(p, size);
    (void)heap;
    return q || size > old ? q : p;
}

void mt_heap_release(struct mt_heap *heap, void *p, size_t size)
{
    (void)heap;
    (void)size;
    free(p);
}

void mt_heap_trim(struct mt_heap *heap)
{
    (void)heap;
}

void mt_heap_close(struct mt_heap *heap)
{
    (void)heap;
}

size_t mt_heap_mapped(const struct mt_heap *heap)
{
    (void)heap;
    return 0;
}

#else

enum {
    CHUNK = 1024,
    CHUNKS = 64, /* bits of a word */
    REGION = CHUNK * CHUNKS,
    GRAIN = 16,  /* the alignment that C promises, and the unit of offsets in a region */
    FINE = 128,  /* up to here a bin is a multiple of GRAIN */
    SMALL = 512, /* up to here several blocks share a chunk */
    LARGEST = CHUNK,
    FINE_BINS = FINE / GRAIN,
    WHOLE = FINE_BINS + 8, /* the bin of a block that has a chunk for itself */
};

/* Blocks are counted from the begin of their region, in GRAIN bytes; 0: none. */
struct mt_heap_chunk {
    LIST_ENTRY(mt_heap_chunk) link; /* of its bin, while it has room */
    uint16_t free;                  /* the block that was given back last: each holds the one before */
    uint16_t fresh;                 /* the first that was never in use */
    uint8_t live, most;             /* blocks */
    uint8_t bin;
};

struct mt_heap_region {
    struct mt_heap_region *prev, *next;
    uint64_t free; /* chunks that no bin has */
    struct mt_heap_chunk chunks[CHUNKS];
};

enum { RECORDS = (sizeof(struct mt_heap_region) + CHUNK - 1) / CHUNK }; /* chunks that they take */
#define ALL_FREE (UINT64_MAX << RECORDS)
_Static_assert(WHOLE + 1 == MT_HEAP_BINS, "a list for each bin");
_Static_assert(CHUNK / GRAIN <= UINT8_MAX && REGION / GRAIN <= UINT16_MAX, "counts fit");

/* ---- sizes ---- */

static unsigned bin_of(size_t size)
{
    const size_t n = size - 1;
    if (size <= FINE)
        return (unsigned)(n / GRAIN);
    if (size > SMALL)
        return WHOLE;
    const unsigned top = 63 - (unsigned)__builtin_clzll(n);
    return FINE_BINS + (top - 7) * 4 + ((n >> (top - 2)) & 3);
}

static size_t size_of(unsigned bin)
{
    if (bin < FINE_BINS)
        return (bin + (size_t)1) * GRAIN;
    if (bin == WHOLE)
        return CHUNK;
    return ((size_t)FINE / 4 << (bin - FINE_BINS) / 4) * (5 + (bin - FINE_BINS) % 4);
}

static struct mt_heap_region *region_of(const void *p)
{
    return (struct mt_heap_region *)((uintptr_t)p & ~(uintptr_t)(REGION - 1));
}

static struct mt_heap_chunk *chunk_of(const void *p)
{
    return &region_of(p)->chunks[((uintptr_t)p & (REGION - 1)) / CHUNK];
}

/* ---- regions ---- */

static void unlink_region(struct mt_heap *heap, struct mt_heap_region *r)
{
    *(r->prev ? &r->prev->next : &heap->first) = r->next;
    *(r->next ? &r->next->prev : &heap->last) = r->prev;
}

static void put_in_front(struct mt_heap *heap, struct mt_heap_region *r)
{
    r->prev = NULL;
    r->next = heap->first;
    *(r->next ? &r->next->prev : &heap->last) = r;
    heap->first = r;
}

static void put_at_end(struct mt_heap *heap, struct mt_heap_region *r)
{
    r->next = NULL;
    r->prev = heap->last;
    *(r->prev ? &r->prev->next : &heap->first) = r;
    heap->last = r;
}

static void *map(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

/* The kernel places a mapping below the one before, so that most are aligned at once. */
static char *map_aligned(void)
{
    char *p = map(REGION);
    if (!p || (uintptr_t)p % REGION == 0)
        return p;
    munmap(p, REGION);
    p = map(2 * (size_t)REGION);
    if (!p)
        return NULL;
    const size_t before = (REGION - (uintptr_t)p % REGION) % REGION;
    if (before)
        munmap(p, before);
    munmap(p + before + REGION, REGION - before);
    return p + before;
}

static struct mt_heap_region *new_region(struct mt_heap *heap)
{
    struct mt_heap_region *r = (struct mt_heap_region *)(void *)map_aligned();
    if (!r)
        return NULL;
    r->free = ALL_FREE;
    heap->regions++;
    heap->free_chunks += CHUNKS - RECORDS;
    put_in_front(heap, r);
    return r;
}

static void drop_region(struct mt_heap *heap, struct mt_heap_region *r)
{
    unlink_region(heap, r);
    heap->regions--;
    heap->free_chunks -= CHUNKS - RECORDS;
    munmap(r, REGION);
}

/* ---- chunks ---- */

static struct mt_heap_chunk *open_chunk(struct mt_heap *heap, unsigned bin)
{
    struct mt_heap_region *r = heap->free_chunks ? heap->first : new_region(heap);
    if (!r)
        return NULL;
    const unsigned i = (unsigned)__builtin_ctzll(r->free);
    struct mt_heap_chunk *c = &r->chunks[i];
    c->free = 0;
    c->fresh = (uint16_t)(i * (CHUNK / GRAIN));
    c->live = 0;
    c->most = (uint8_t)(CHUNK / size_of(bin));
    c->bin = (uint8_t)bin;
    LIST_INSERT_HEAD(&heap->open[bin], c, link);
    r->free &= r->free - 1;
    heap->free_chunks--;
    if (!r->free) {
        unlink_region(heap, r);
        put_at_end(heap, r);
    }
    return c;
}

/* A region that is all free goes back unless a third of the heap or less is free: the collector lets go of
 * half a heap at a time, which the script fills again. */
static void close_chunk(struct mt_heap *heap, struct mt_heap_chunk *c)
{
    struct mt_heap_region *r = region_of(c);
    LIST_REMOVE(c, link);
    if (!r->free) {
        unlink_region(heap, r);
        put_in_front(heap, r);
    }
    r->free |= UINT64_C(1) << (c - r->chunks);
    heap->free_chunks++;
    if (r->free == ALL_FREE && heap->free_chunks > CHUNKS + heap->regions * CHUNKS / 3)
        drop_region(heap, r);
}

/* ---- blocks ---- */

static void *take(struct mt_heap *heap, unsigned bin)
{
    struct mt_heap_chunk *c = LIST_FIRST(&heap->open[bin]);
    if (!c && !(c = open_chunk(heap, bin)))
        return NULL;
    char *region = (char *)region_of(c), *p;
    if (c->free) {
        p = region + (size_t)c->free * GRAIN;
        memcpy(&c->free, p, sizeof c->free);
    } else {
        p = region + (size_t)c->fresh * GRAIN;
        c->fresh = (uint16_t)(c->fresh + size_of(bin) / GRAIN);
    }
    if (++c->live == c->most)
        LIST_REMOVE(c, link);
    return p;
}

static void give_back(struct mt_heap *heap, void *p)
{
    struct mt_heap_chunk *c = chunk_of(p);
    memcpy(p, &c->free, sizeof c->free);
    c->free = (uint16_t)(((uintptr_t)p & (REGION - 1)) / GRAIN);
    if (c->live-- == c->most)
        LIST_INSERT_HEAD(&heap->open[c->bin], c, link);
    if (!c->live)
        close_chunk(heap, c);
}

static bool is_inside(const struct mt_heap *heap, const void *p)
{
    const struct mt_heap_region *r = heap->first;
    while (r && r != region_of(p))
        r = r->next;
    return r;
}

/* Is it a block of malloc though its size is one of a bin? */
static bool is_stray(const struct mt_heap *heap, const void *p)
{
    return __builtin_expect(heap->strays != 0, 0) && !is_inside(heap, p);
}

void mt_heap_release(struct mt_heap *heap, void *p, size_t size)
{
    if (!p)
        return;
    if (size > LARGEST) {
        free(p);
    } else if (is_stray(heap, p)) {
        heap->strays--;
        free(p);
    } else {
        give_back(heap, p);
    }
}

static void *move(struct mt_heap *heap, void *p, size_t old, size_t size)
{
    void *q = size > LARGEST ? malloc(size) : take(heap, bin_of(size));
    if (q && p) {
        memcpy(q, p, old < size ? old : size);
        mt_heap_release(heap, p, old);
    }
    return q;
}

void *mt_heap_resize(struct mt_heap *heap, void *p, size_t old, size_t size)
{
    if (!p)
        return move(heap, NULL, 0, size);
    if (old > LARGEST) {
        void *q = size > LARGEST ? realloc(p, size) : move(heap, p, old, size);
        if (q || size > old)
            return q;
        heap->strays += size <= LARGEST;
        return p;
    }
    if (is_stray(heap, p))
        return size > old ? move(heap, p, old, size) : p;
    const struct mt_heap_chunk *c = chunk_of(p); /* its bin may be above that of old: see below */
    if (size <= LARGEST && bin_of(size) == c->bin)
        return p;
    void *q = move(heap, p, old, size);
    return q || size > size_of(c->bin) ? q : p;
}

/* ---- giving back ---- */

/* Pages of free chunks, those in a row at once. */
static void clean(struct mt_heap_region *r, size_t page)
{
    const unsigned step = (unsigned)(page / CHUNK);
    for (unsigned i = 0, from = 0; step && step < CHUNKS && i <= CHUNKS; i += step) {
        const uint64_t chunks = i < CHUNKS ? ((UINT64_C(1) << step) - 1) << i : 0;
        if (chunks && (r->free & chunks) == chunks)
            continue;
        if (i > from)
            madvise((char *)r + (size_t)from * CHUNK, (size_t)(i - from) * CHUNK, MADV_DONTNEED);
        from = i + step;
    }
}

void mt_heap_trim(struct mt_heap *heap)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (struct mt_heap_region *r = heap->first, *next; r && r->free; r = next) {
        next = r->next;
        if (r->free == ALL_FREE)
            drop_region(heap, r);
        else
            clean(r, page);
    }
}

void mt_heap_close(struct mt_heap *heap)
{
    while (heap->first)
        drop_region(heap, heap->first);
    memset(heap, 0, sizeof *heap);
}

size_t mt_heap_mapped(const struct mt_heap *heap)
{
    return heap->regions * REGION;
}

#endif
