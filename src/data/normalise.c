/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Normal form of a text: NFC (utf8proc), '\n' line ends, no control characters but tab, no
 * invisible marks, every kind of blank a plain one, no trailing blanks, at most one blank
 * line between lines, none at the start, one '\n' at the end.  Indentation is kept: it is
 * what says "code" in a manual.
 */
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "curate.h"

/* 0 = drop, '\n', ' ', or the character itself. */
static uint32_t plain(uint32_t c)
{
    if (c == '\t' || c == '\n')
        return c;
    if (c < 0x20)
        return c == 11 || c == 12 || c == '\r' ? '\n' : 0;
    if (c < 0x7f)
        return c;
    if (c == 0x85 || c == 0x2028 || c == 0x2029)
        return '\n';
    if (c < 0xa0 || c == 0xad || c == 0xfeff)
        return 0;
    if (c >= 0x200b && c <= 0x200f)
        return c == 0x200c || c == 0x200d ? c : 0;
    if ((c >= 0x202a && c <= 0x202e) || (c >= 0x2060 && c <= 0x2064))
        return 0;
    return sm_is_space(c) ? ' ' : c;
}

/* From here on NFC may change a text: nothing below composes or reorders. */
#define FIRST_UNSTABLE 0x300

static bool needs_nfc(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] >= 0xcc) { /* U+0300 is CC 80 */
            uint32_t c;
            if (sm_utf8_decode(&c, text + i, len - i) == 0 || c >= FIRST_UNSTABLE)
                return true;
        }
    return false;
}

typedef struct writer {
    sm_buf *out;
    size_t start;    /* where this text starts in out */
    size_t pending;  /* line ends not yet written   */
    size_t line_end; /* out->len after the last non-blank of this line */
} writer;

static void end_line(writer *w)
{
    w->out->len = w->line_end; /* trailing blanks go */
    w->pending++;
}

static void put(writer *w, const char *bytes, size_t n, bool blank)
{
    if (w->pending > 0) {
        if (w->out->len > w->start)
            sm_buf_put(w->out, "\n\n", w->pending > 1 ? 2 : 1);
        w->pending = 0;
    }
    sm_buf_put(w->out, bytes, n);
    if (!blank)
        w->line_end = w->out->len;
}

/* Bytes of a whole line of printable ASCII and tabs at p, its '\n' not counted;
 * SIZE_MAX when it holds anything else or does not end in '\n'. */
static size_t easy_line(const char *p, size_t n)
{
    const char *nl = memchr(p, '\n', n);
    if (!nl)
        return SIZE_MAX;
    size_t len = (size_t)(nl - p);
    unsigned odd = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)p[i];
        odd |= (c < 0x20 && c != '\t') | (c >= 0x7f);
    }
    return odd ? SIZE_MAX : len;
}

static void put_easy(writer *w, const char *p, size_t n)
{
    while (n > 0 && (p[n - 1] == ' ' || p[n - 1] == '\t'))
        n--;
    if (n > 0)
        put(w, p, n, false);
    end_line(w);
}

static bool clean(sm_buf *out, const char *text, size_t len)
{
    writer w = {out, out->len, 0, out->len};
    sm_buf blanks = {0}; /* indentation of a line that may turn out empty */
    bool at_start = true;
    for (size_t i = 0; i < len;) {
        size_t easy =
            at_start && blanks.len == 0 ? easy_line(text + i, len - i) : SIZE_MAX;
        if (easy != SIZE_MAX) {
            put_easy(&w, text + i, easy);
            i += easy + 1;
            continue;
        }
        uint32_t c;
        int used = sm_utf8_decode(&c, text + i, len - i);
        if (used == 0) {
            c = 0xfffd;
            used = 1;
        }
        if (c == '\r' && i + 1 < len && text[i + 1] == '\n')
            used = 2;
        i += (size_t)used;
        c = plain(c);
        if (c == 0)
            continue;
        if (c == '\n') {
            end_line(&w);
            sm_buf_clear(&blanks);
            at_start = true;
            continue;
        }
        char utf8[4];
        size_t n = (size_t)sm_utf8_encode(utf8, c);
        bool blank = c == ' ' || c == '\t';
        if (blank && at_start) {
            sm_buf_put(&blanks, utf8, n);
            continue;
        }
        if (at_start && blanks.len > 0)
            put(&w, blanks.data, blanks.len, true);
        at_start = false;
        put(&w, utf8, n, blank);
    }
    out->len = w.line_end;
    if (out->len > w.start)
        sm_buf_putc(out, '\n');
    bool ok = !out->failed && !blanks.failed;
    sm_buf_free(&blanks);
    return ok;
}

bool sm_normalise_text(sm_buf *out, const char *text, size_t len)
{
    if (!needs_nfc(text, len))
        return clean(out, text, len);
    /* clean first: marks that are dropped must not keep others from composing */
    sm_buf first = {0};
    utf8proc_uint8_t *composed = NULL;
    bool ok = clean(&first, text, len);
    if (ok && first.len > 0) {
        utf8proc_ssize_t n = utf8proc_map((const utf8proc_uint8_t *)first.data,
                                          (utf8proc_ssize_t)first.len, &composed,
                                          UTF8PROC_STABLE | UTF8PROC_COMPOSE);
        ok = n >= 0 && sm_buf_put(out, composed, (size_t)n);
    }
    free(composed);
    sm_buf_free(&first);
    return ok;
}

sm_status sm_step_normalise(const curate_params *p, curate_doc *d,
                            curate_scratch *scratch, sm_err *err)
{
    (void)p;
    sm_buf_clear(&scratch->a);
    if (!sm_normalise_text(&scratch->a, d->doc.text, d->doc.text_len))
        return sm_fail(err, SM_ENOMEM, "%s: no memory to normalise it", d->doc.id);
    return sm_curate_set_text(d, &scratch->a, err);
}
