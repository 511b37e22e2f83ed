/* Watching a bundle: see watch.h. Loop thread; everything is owned by struct mt_watch.
 *
 * Two sorts of folders are watched. On the way: each folder that holds a part of the path (after symbolic
 * links were followed), for that name only; so the bundle is found again after a part was removed, renamed or
 * turned to elsewhere. Inside: the bundle's folder and all below it, for every name.
 *
 * There is no bookkeeping of moves: after each burst the way is walked and the tree listed anew. Adding a
 * watch for a folder that has one gives the same number again, and those that were not met are removed. This
 * comes before `changed`, so that what is written to a new folder before its watch exists is read by the
 * callback, and what is written after it makes another burst. */
#include "service/watch.h"

#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"

enum {
    QUIET_MS = 40,
    LATEST_MS = 150,
    MAX_LINKS = 40, /* as the kernel has it */
    MAX_DEPTH = 32, /* folders below the bundle's: its Lua lies one or two deep */

    /* IN_MODIFY is not among them: a file is half written until it is closed. */
    STRUCTURE = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF,
    CONTENT = STRUCTURE | IN_CLOSE_WRITE | IN_ATTRIB,
};

struct folder {
    int number; /* inotify's */
    bool met;   /* in the walk that is under way */
    bool inside;
    char *path;
    char *names; /* on the way: those that count, each between slashes; NULL: none */
};

struct mt_watch {
    struct mt_loop *loop;
    void (*changed)(void *ud);
    void *ud;
    char *path; /* absolute */
    int fd;
    struct event *readable;
    struct mt_timer *timer; /* NULL: nothing is pending */
    uint64_t first_ns;      /* of the pending burst */
    struct folder *folders; /* by number */
    size_t count, room;
};

/* ---- names that never run ---- */

static bool ends_with(const char *name, size_t n, const char *end)
{
    size_t e = strlen(end);
    return n >= e && memcmp(name + n - e, end, e) == 0;
}

static bool is_skipped_folder(const char *name)
{
    return strcmp(name, ".git") == 0 || strcmp(name, ".moontide") == 0 || strcmp(name, "node_modules") == 0;
}

/* vim: 4913 (can a file be made here?), .NAME.swp, .swo, .swx and NAME~. emacs: .#NAME (a dangling link),
 * #NAME#, NAME~. JetBrains: NAME___jb_tmp___ and NAME___jb_old___. GNOME: .goutputstream-XXXXXX. sqlite3: a
 * state file that lies in the bundle. */
static bool is_ignored(const char *name)
{
    static const char *const ends[] = {"~",        ".swp", ".swo", ".swx", "___jb_tmp___", "___jb_old___",
                                       "-journal", "-wal", "-shm", ".db",  ".sqlite",      NULL};
    size_t n = strlen(name);
    if (is_skipped_folder(name) || strcmp(name, "4913") == 0 || strncmp(name, ".#", 2) == 0 ||
        strncmp(name, ".goutputstream-", 15) == 0 || (n > 1 && name[0] == '#' && name[n - 1] == '#'))
        return true;
    for (const char *const *end = ends; *end; end++)
        if (ends_with(name, n, *end))
            return true;
    return false;
}

/* ---- the watched folders ---- */

static size_t position(const struct mt_watch *w, int number)
{
    size_t low = 0, high = w->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (w->folders[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct folder *find(const struct mt_watch *w, int number)
{
    size_t at = position(w, number);
    return at < w->count && w->folders[at].number == number ? &w->folders[at] : NULL;
}

static void forget(struct mt_watch *w, struct folder *f)
{
    free(f->path);
    free(f->names);
    w->count--;
    memmove(f, f + 1, (size_t)(w->folders + w->count - f) * sizeof *f);
}

static struct folder *add(struct mt_watch *w, int number)
{
    if (w->count == w->room) {
        w->room = w->room ? 2 * w->room : 16;
        w->folders = mt_realloc(w->folders, w->room * sizeof *w->folders);
    }
    struct folder *f = &w->folders[position(w, number)];
    memmove(f + 1, f, (size_t)(w->folders + w->count - f) * sizeof *f);
    *f = (struct folder){.number = number};
    w->count++;
    return f;
}

/* Watches one folder; *out NULL without an error: it cannot be, which may be a race or a lack of permission.
 */
static enum mt_rc watch_folder(struct mt_watch *w, const char *path, uint32_t mask, struct folder **out,
                               struct mt_err *err)
{
    *out = NULL;
    /* IN_MASK_ADD: a folder may be watched for two reasons. */
    int number = inotify_add_watch(w->fd, path, mask | IN_MASK_ADD | IN_ONLYDIR | IN_EXCL_UNLINK);
    if (number < 0 && (errno == ENOSPC || errno == ENOMEM))
        return mt_fail(err, MT_EIO,
                       "cannot watch %.200s: %s; the system's inotify watches are used up: raise "
                       "fs.inotify.max_user_watches (sysctl), or take --watch away",
                       path, strerrordesc_np(errno));
    if (number < 0)
        return MT_OK;
    struct folder *f = find(w, number);
    if (!f)
        f = add(w, number);
    if (!f->met) {
        free(f->path);
        free(f->names);
        *f = (struct folder){.number = number, .met = true, .path = mt_strdup(path)};
    }
    *out = f;
    return MT_OK;
}

/* ---- the walk ---- */

static enum mt_rc walk_tree(struct mt_watch *w, const char *path, unsigned depth, struct mt_err *err)
{
    struct folder *f;
    enum mt_rc rc = watch_folder(w, path, CONTENT, &f, err);
    if (rc != MT_OK)
        return rc;
    if (!f) {
        int cause = errno;
        if (cause == EACCES)
            mt_log_repeat(MT_WARN, path, "changes of %.200s are not noticed: it cannot be watched: %s", path,
                          strerrordesc_np(cause));
        return MT_OK;
    }
    f->inside = true;
    DIR *dir = opendir(path);
    const struct dirent *entry;
    while (dir && rc == MT_OK && (entry = readdir(dir))) {
        const char *name = entry->d_name;
        bool maybe_folder = entry->d_type == DT_DIR || entry->d_type == DT_UNKNOWN;
        if (!maybe_folder || strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || is_skipped_folder(name))
            continue;
        if (depth == MAX_DEPTH) {
            mt_log_repeat(MT_WARN, path,
                          "changes below %.200s are not noticed: it lies more than %d folders deep", path,
                          MAX_DEPTH);
            break;
        }
        char *inner = mt_format("%s/%s", path, name);
        struct stat st;
        if (entry->d_type == DT_DIR || (lstat(inner, &st) == 0 && S_ISDIR(st.st_mode)))
            rc = walk_tree(w, inner, depth + 1, err);
        free(inner);
    }
    if (dir)
        closedir(dir);
    return rc;
}

static enum mt_rc watch_name(struct mt_watch *w, const char *folder, const char *name, bool last,
                             struct mt_err *err)
{
    struct folder *f;
    enum mt_rc rc = watch_folder(w, *folder ? folder : "/", last ? CONTENT : STRUCTURE, &f, err);
    if (rc == MT_OK && f) {
        char *names = mt_format("%s%s/", f->names ? f->names : "/", name);
        free(f->names);
        f->names = names;
    }
    return rc;
}

/* Takes the first part off *rest; the caller frees it. NULL: there is none. */
static char *next_part(char **rest)
{
    char *p = *rest + strspn(*rest, "/");
    size_t n = strcspn(p, "/");
    *rest = p + n + strspn(p + n, "/");
    return n ? mt_slice_dup((struct mt_slice){p, n}) : NULL;
}

struct way {
    char *at;   /* so far, without a link in it; "": / */
    char *left; /* owns what rest points into */
    char *rest; /* still to go */
    unsigned links;
};

/* One part further. False: the way ends here, in a file or in nothing. */
static bool step(struct mt_watch *w, struct way *way, const char *name, enum mt_rc *rc, struct mt_err *err)
{
    if (strcmp(name, ".") == 0)
        return true;
    if (strcmp(name, "..") == 0) {
        char *slash = strrchr(way->at, '/');
        if (slash)
            *slash = '\0';
        return true;
    }
    *rc = watch_name(w, way->at, name, !*way->rest, err);
    char *inner = mt_format("%s/%s", way->at, name), target[PATH_MAX];
    struct stat st;
    bool further = *rc == MT_OK && lstat(inner, &st) == 0;
    if (further && S_ISLNK(st.st_mode)) {
        ssize_t n = readlink(inner, target, sizeof target - 1);
        further = n > 0 && ++way->links <= MAX_LINKS;
        if (further) {
            target[n] = '\0';
            char *then = mt_format("%s/%s", target, way->rest);
            free(way->left);
            way->left = way->rest = then;
            if (target[0] == '/')
                *way->at = '\0';
        }
    } else if (further) {
        further = S_ISDIR(st.st_mode);
        free(way->at);
        way->at = inner;
        inner = NULL;
    }
    free(inner);
    return further;
}

/* From / to the bundle, part by part. Each folder is watched before it is looked into. */
static enum mt_rc walk(struct mt_watch *w, struct mt_err *err)
{
    enum mt_rc rc = MT_OK;
    struct way way = {.at = mt_strdup(""), .left = mt_strdup(w->path)};
    char *name;
    bool further = true;
    way.rest = way.left;
    while (further && (name = next_part(&way.rest))) {
        further = step(w, &way, name, &rc, err);
        free(name);
    }
    if (further)
        rc = walk_tree(w, *way.at ? way.at : "/", 0, err);
    free(way.at);
    free(way.left);
    return rc;
}

static enum mt_rc renew(struct mt_watch *w, struct mt_err *err)
{
    for (size_t i = 0; i < w->count; i++)
        w->folders[i].met = false;
    enum mt_rc rc = walk(w, err);
    for (size_t i = w->count; i-- > 0;)
        if (!w->folders[i].met && rc == MT_OK) {
            inotify_rm_watch(w->fd, w->folders[i].number);
            forget(w, &w->folders[i]);
        }
    return rc;
}

/* ---- events ---- */

static void on_quiet(void *arg)
{
    struct mt_watch *w = arg;
    struct mt_err err;
    mt_timer_free(w->timer);
    w->timer = NULL;
    if (renew(w, &err) != MT_OK)
        mt_log_repeat(MT_WARN, w->path, "not every change of %.200s is noticed any more: %s", w->path,
                      err.text);
    w->changed(w->ud);
}

static bool matters(struct mt_watch *w, const struct inotify_event *event)
{
    if (event->mask & IN_Q_OVERFLOW)
        return true;
    struct folder *f = find(w, event->wd);
    if (!f)
        return false;
    if (event->mask & IN_IGNORED) { /* the kernel took the watch away: deleted, unmounted */
        forget(w, f);
        return false;
    }
    if (!event->len) /* of the folder itself; its ATTRIB comes with each removal of a folder in it */
        return (event->mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT)) && f->inside;
    char part[NAME_MAX + 3];
    snprintf(part, sizeof part, "/%s/", event->name);
    bool named = f->names && strstr(f->names, part);
    if (!named && (!f->inside || is_ignored(event->name)))
        return false;
    /* A new plain file with one name is open for writing, and counts when it is closed. */
    struct stat st;
    if ((event->mask & IN_CREATE) && !(event->mask & IN_ISDIR)) {
        char *path = mt_format("%s/%s", f->path, event->name);
        bool written = lstat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 1;
        free(path);
        return !written;
    }
    return true;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct mt_watch *w = arg;
    _Alignas(struct inotify_event) char events[16 << 10];
    bool any = false;
    ssize_t n;
    (void)what;
    while ((n = read(fd, events, sizeof events)) > 0)
        for (const char *p = events; p < events + n;) {
            const struct inotify_event *event = (const struct inotify_event *)(const void *)p;
            any = matters(w, event) || any;
            p += sizeof *event + event->len;
        }
    if (!any)
        return;
    uint64_t now = mt_now_ns(), wait = QUIET_MS;
    if (!w->timer)
        w->first_ns = now;
    uint64_t waited = (now - w->first_ns) / 1000000;
    if (waited + wait > LATEST_MS)
        wait = waited < LATEST_MS ? LATEST_MS - waited : 0;
    mt_timer_free(w->timer);
    w->timer = mt_timer_new(w->loop, wait, on_quiet, w);
}

enum mt_rc mt_watch_new(struct mt_loop *loop, const char *path, void (*changed)(void *ud), void *ud,
                        struct mt_watch **out, struct mt_err *err)
{
    char here[PATH_MAX];
    if (path[0] != '/' && !getcwd(here, sizeof here))
        return mt_fail(err, MT_EIO, "cannot watch %.200s: the working directory is gone", path);
    int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (fd < 0)
        return mt_fail(
            err, MT_EIO,
            "cannot watch %.200s: %s; raise fs.inotify.max_user_instances (sysctl) or the limit of "
            "open files (ulimit -n), or take --watch away",
            path, strerrordesc_np(errno));
    struct mt_watch *w = mt_alloc(sizeof *w);
    *w = (struct mt_watch){.loop = loop, .changed = changed, .ud = ud, .fd = fd};
    w->path = path[0] == '/' ? mt_strdup(path) : mt_format("%s/%s", here, path);
    w->readable = event_new(mt_loop_base(loop), fd, EV_READ | EV_PERSIST, on_readable, w);
    if (!w->readable || event_add(w->readable, NULL) != 0)
        abort(); /* only memory can be missing */
    enum mt_rc rc = renew(w, err);
    if (rc == MT_OK)
        *out = w;
    else
        mt_watch_free(w);
    return rc;
}

void mt_watch_free(struct mt_watch *w)
{
    if (!w)
        return;
    mt_timer_free(w->timer);
    event_free(w->readable);
    close(w->fd);
    while (w->count)
        forget(w, &w->folders[w->count - 1]);
    free(w->folders);
    free(w->path);
    free(w);
}
