/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Progress: a line on the terminal (share, rate, ETA, the figure that matters), redrawn
 * at most ten times a second; or, for a log that somebody asked for, a line each half
 * minute; and a table of what ran for --log-view.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cmd.h"

#define MAX_PHASES 64
#define REDRAW_NS INT64_C(100000000)
#define LOG_NS INT64_C(30000000000)

typedef struct phase {
    char what[48], unit[24];
    int64_t first_ns, last_ns, first_done, done, n_updates;
} phase;

struct progress {
    pthread_mutex_t mutex;
    progress_form form;
    FILE *out;
    int64_t (*now_ns)(void);
    bool shown;
    int64_t drawn_ns;
    phase phase[MAX_PHASES];
    size_t n;
};

progress *progress_create(progress_form form, FILE *out, int64_t (*now_ns)(void))
{
    progress *p = sm_alloc(1, sizeof *p);
    if (p) {
        pthread_mutex_init(&p->mutex, NULL);
        p->form = form;
        p->out = out;
        p->now_ns = now_ns;
        p->drawn_ns = form == PROGRESS_LOG ? now_ns() : 0;
    }
    return p;
}

static phase *phase_of(progress *p, const char *what, const char *unit, int64_t done,
                       int64_t now)
{
    for (size_t i = p->n; i-- > 0;)
        if (!strncmp(p->phase[i].what, what, sizeof p->phase[i].what - 1))
            return &p->phase[i];
    if (p->n == MAX_PHASES)
        return NULL;
    phase *ph = &p->phase[p->n++];
    *ph = (phase){.first_ns = now, .last_ns = now, .first_done = done};
    snprintf(ph->what, sizeof ph->what, "%s", what);
    snprintf(ph->unit, sizeof ph->unit, "%s", unit ? unit : "");
    return ph;
}

static double rate_of(const phase *ph)
{
    double s = (double)(ph->last_ns - ph->first_ns) / 1e9;
    return s > 0.05 ? (double)(ph->done - ph->first_done) / s : 0;
}

static int terminal_width(FILE *f)
{
    struct winsize w;
    return ioctl(fileno(f), TIOCGWINSZ, &w) == 0 && w.ws_col > 20 ? w.ws_col - 1 : 79;
}

/* What a line leaves out where the terminal is narrow, in this order. */
enum { ALL, NO_RATE, NO_UNIT, NO_SHARE, N_FORM };

static int format(char line[256], int form, const phase *ph, int64_t total,
                  const char *detail)
{
    char share[32] = "", speed[32] = "", eta[32] = "";
    double rate = rate_of(ph);
    if (total > 0 && form < NO_SHARE)
        snprintf(share, sizeof share, " %3.0f%%", 100 * (double)ph->done / (double)total);
    if (rate > 0 && form < NO_RATE)
        snprintf(speed, sizeof speed, "  %.4g/s", rate);
    if (rate > 0 && total > ph->done) {
        int64_t s = (int64_t)((double)(total - ph->done) / rate);
        snprintf(eta, sizeof eta, "  ETA %" PRId64 ":%02d:%02d", s / 3600,
                 (int)(s / 60 % 60), (int)(s % 60));
    }
    char of[32] = "";
    if (total > 0)
        snprintf(of, sizeof of, "/%" PRId64, total);
    return snprintf(line, 256, "%s %" PRId64 "%s%s%s%s%s%s%s%s", ph->what, ph->done, of,
                    form < NO_UNIT ? " " : "", form < NO_UNIT ? ph->unit : "", share,
                    speed, eta, detail && *detail ? "  " : "", detail ? detail : "");
}

static void draw(FILE *f, const phase *ph, int64_t total, const char *detail)
{
    char line[256];
    int form = ALL, width = terminal_width(f);
    while (format(line, form, ph, total, detail) > width && form + 1 < N_FORM)
        form++;
    fprintf(f, "\r\033[K%.*s", width, line);
    fflush(f);
}

static void write_line(FILE *f, const phase *ph, int64_t total, const char *detail)
{
    char line[256];
    format(line, ALL, ph, total, detail);
    fprintf(f, "%s\n", line);
}

static void update(void *self, const char *what, int64_t done, int64_t total,
                   const char *unit, const char *detail)
{
    progress *p = self;
    int64_t now = p->now_ns();
    pthread_mutex_lock(&p->mutex);
    phase *ph = phase_of(p, what, unit, done, now);
    if (ph) {
        ph->last_ns = now;
        ph->done = done;
        ph->n_updates++;
        int64_t since = now - p->drawn_ns;
        if (p->form == PROGRESS_LIVE && (since > REDRAW_NS || done == total)) {
            draw(p->out, ph, total, detail);
            p->drawn_ns = now;
            p->shown = true;
        } else if (p->form == PROGRESS_LOG && since > LOG_NS) {
            write_line(p->out, ph, total, detail);
            p->drawn_ns = now;
        }
    }
    pthread_mutex_unlock(&p->mutex);
}

sm_progress progress_sink(progress *p)
{
    return (sm_progress){.update = update, .self = p};
}

void progress_clear(progress *p)
{
    pthread_mutex_lock(&p->mutex);
    if (p->shown) {
        fputs("\r\033[K", p->out);
        p->shown = false;
    }
    pthread_mutex_unlock(&p->mutex);
}

void progress_report(progress *p)
{
    fprintf(p->out, "%-24s %10s %14s %-10s %12s\n", "phase", "seconds", "done", "unit",
            "per second");
    for (size_t i = 0; i < p->n; i++) {
        const phase *ph = &p->phase[i];
        fprintf(p->out, "%-24s %10.2f %14" PRId64 " %-10s %12.4g\n", ph->what,
                (double)(ph->last_ns - ph->first_ns) / 1e9, ph->done, ph->unit,
                rate_of(ph));
    }
}

void progress_free(progress *p)
{
    if (!p)
        return;
    pthread_mutex_destroy(&p->mutex);
    free(p);
}
