/* SPDX-License-Identifier: Apache-2.0 */
/* The state of one run: threads, kernels, workspace, log and progress, signals, errors.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"
#include "smelt/kern.h"

enum { EVENTS_KEPT = 1 << 18 }; /* a thread, 8 MB */

volatile int app_stop = 0;

/* ---------------------------------------------------- the standard descriptors */

/* A descriptor that was closed before the start would go to the next file opened, and what
 * is said on it into that file.  Each is taken by one that refuses its use. */
void app_hold_standard_files(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
            open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

bool app_reader_left(void)
{
    struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};
    return poll(&out, 1, 0) >= 0 && (out.revents & (POLLERR | POLLHUP)) != 0;
}

/* ----------------------------------------------------------------- signals */

static atomic_bool ends_at_once; /* lock-free, so that the handler may read it */

void app_end_at_once(bool yes)
{
    atomic_store(&ends_at_once, yes);
}

static void on_signal(int sig)
{
    static const char once[] =
        "\nsmelt: finishing the current unit of work; once more stops at once\n";
    if (app_stop || atomic_load(&ends_at_once)) {
        signal(sig, SIG_DFL);
        raise(sig);
        return;
    }
    sm_stop_set(&app_stop, 1);
    if (write(STDERR_FILENO, once, sizeof once - 1) < 0)
        sm_stop_set(&app_stop, 1); /* nobody to tell; the request stands */
}

void app_catch_signals(void)
{
    struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigemptyset(&sa.sa_mask);
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a write past the limit fails, and says which file */
}

/* ------------------------------------------------------------ log, context */

static void emit(void *self, sm_log_level level, const char *line)
{
    static const char *const prefix[] = {"smelt: error: ", "smelt: warning: ", "", ""};
    const app *a = self;
    app_settle(a);
    fprintf(stderr, "%s%s\n", prefix[level], line);
}

static void set_sinks(app *a)
{
    a->log = (sm_log){.emit = emit, .self = a, .level = SM_LOG_INFO};
    if (a->quiet)
        a->log.level = SM_LOG_ERROR;
    else if (a->verbose)
        a->log.level = SM_LOG_DEBUG;
    a->progress = progress_create(a->quiet                ? PROGRESS_NONE
                                  : isatty(STDERR_FILENO) ? PROGRESS_LIVE
                                  : a->verbose            ? PROGRESS_LOG
                                                          : PROGRESS_NONE,
                                  stderr, sm_clock_ns);
    if (a->progress)
        a->progress_sink = progress_sink(a->progress);
}

/* The event log: sums for --log-view, events as well for a profile. */
static sm_status create_trace(app *a, sm_err *err)
{
    bool profile = a->profile && *a->profile;
    if (!profile && !a->log_view)
        return SM_OK;
    sm_status s = sm_trace_create(&a->trace, sm_pool_n_threads(a->pool),
                                  profile ? EVENTS_KEPT : 0, err);
    a->ctx.trace = a->trace;
    return s;
}

sm_status app_ctx(const sm_ctx **out, app *a, sm_err *err)
{
    *out = &a->ctx;
    if (!a->ctx.kern) {
        sm_status s = sm_pool_create(&a->pool, a->threads, err);
        if (!s)
            s = sm_kern_get(&a->ctx.kern, NULL, err);
        if (s)
            return s;
        set_sinks(a);
        a->ctx.pool = a->pool;
        a->ctx.comm = sm_comm_self();
        a->ctx.log = &a->log;
        a->ctx.progress = a->progress ? &a->progress_sink : NULL;
        a->ctx.stop = &app_stop;
        return create_trace(a, err);
    }
    return SM_OK;
}

sm_status app_store(sm_store **out, app *a, sm_err *err)
{
    if (!a->store) {
        sm_status s = sm_store_open(&a->store, a->workspace, err);
        if (s)
            return s;
    }
    *out = a->store;
    return SM_OK;
}

void app_close(app *a)
{
    if (a->progress) {
        progress_clear(a->progress);
        if (a->log_view)
            progress_report(a->progress);
        if (a->log_view && a->trace)
            profile_print(stderr, a->trace, (profile_ceiling){0});
        progress_free(a->progress);
    }
    sm_store_close(a->store);
    sm_trace_free(a->trace);
    sm_pool_free(a->pool);
}

/* ------------------------------------------------------------------ output */

void app_settle(const app *a)
{
    if (a->progress)
        progress_clear(a->progress);
}

int app_fail(const app *a, sm_status s, const sm_err *err)
{
    app_settle(a);
    fprintf(stderr, "smelt: %s\n", err->msg);
    if (a->json)
        app_print_json(json_pack("{s:{s:s, s:o}}", "error", "status", sm_status_name(s),
                                 "message", sm_json_string(err->msg)));
    return s == SM_EINVAL ? EXIT_USAGE : EXIT_FAILED;
}

int app_usage(const app *a, const char *fmt, ...)
{
    sm_err err;
    char text[SM_ERR_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return app_fail(a, sm_fail(&err, SM_EINVAL, "%s", text), &err);
}

int app_print_json(json_t *value)
{
    sm_buf out = {0};
    sm_err err = {.msg = "out of memory"};
    sm_status s = value ? sm_json_pretty(&out, value, &err) : SM_ENOMEM;
    if (s)
        fprintf(stderr, "smelt: result as JSON: %s\n", err.msg);
    else
        fwrite(out.data, 1, out.len, stdout);
    sm_buf_free(&out);
    json_decref(value);
    return s ? EXIT_FAILED : EXIT_GOOD;
}

sm_status app_write(const char *path, const sm_buf *text, sm_err *err)
{
    if (strcmp(path, "-") != 0)
        return sm_file_write_named(path, text->data ? text->data : "", text->len, 0644,
                                   err);
    if (text->len > 0)
        fwrite(text->data, 1, text->len, stdout); /* main says so where it was lost */
    return SM_OK;
}

const char *human_bytes(char out[32], int64_t bytes)
{
    static const char *const unit[] = {"B", "kB", "MB", "GB", "TB"};
    double x = (double)bytes;
    int u = 0;
    while (x >= 1000 && u < 4) {
        x /= 1000;
        u++;
    }
    snprintf(out, 32, u == 0 ? "%.0f %s" : "%.1f %s", x, unit[u]);
    return out;
}
