/* The heap of one Lua state: memory that only this state uses, given back as a whole when it ends.
 *
 * A service loads and closes thousands of states beside a resync that keeps what it fetches. In the C
 * library's heap the pieces of both come to lie between each other, and what a closed state leaves are holes
 * that fit nothing: ten thousand reloads grew the process by 7 to 10 %. Called by vm.c; one thread at a time,
 * which may change between calls. Zeroed memory is an empty heap; who owns the state owns it. */
#ifndef MT_SCRIPT_HEAP_H
#define MT_SCRIPT_HEAP_H

#include <stddef.h>
#include <sys/queue.h>

#define MT_HEAP_BINS 17 /* for blocks to 1 KB; what is larger comes from malloc */

struct mt_heap_chunk;
struct mt_heap_region;

struct mt_heap {
    LIST_HEAD(, mt_heap_chunk) open[MT_HEAP_BINS]; /* chunks of a bin that have room */
    struct mt_heap_region *first, *last;           /* those with free chunks are in front */
    size_t regions, free_chunks;
    size_t strays; /* blocks of malloc that were shrunk to a size of a bin when no chunk could be had */
};

/* realloc for those who know the old size, as Lua does; p NULL: old is 0. NULL: the system refused, p is as
 * it was. A block that shrinks is never refused. size is not 0. */
void *mt_heap_resize(struct mt_heap *heap, void *p, size_t old, size_t size);
void mt_heap_release(struct mt_heap *heap, void *p, size_t size); /* p may be NULL */
void mt_heap_trim(struct mt_heap *heap); /* gives back what is free: for a state that comes to rest */
/* Every block of a bin is gone with it, those of malloc are not. */
void mt_heap_close(struct mt_heap *heap);
size_t mt_heap_mapped(const struct mt_heap *heap); /* bytes of addresses; 0 under a sanitizer */

#endif
