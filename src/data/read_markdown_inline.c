/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Inline Markdown to text: code spans, emphasis, links, images, raw HTML, entities.
 * Every search ahead is bounded, so the pass is linear.
 */
#include <ctype.h>
#include <string.h>

#include "read_markdown.h"
#include "smelt/text.h"

enum { AHEAD_MAX = 2000, LINK_MAX = 600, NEST_MAX = 4 };

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n';
}

static bool is_word(char c)
{
    return isalnum((unsigned char)c) || (unsigned char)c >= 0x80;
}

static size_t run_length(const char *s, size_t n, size_t i)
{
    size_t k = i;
    while (k < n && s[k] == s[i])
        k++;
    return k - i;
}

/* `code`: bytes used, or 0 when the run of backticks is never closed. */
static size_t code_span(doc_writer *w, const char *s, size_t n, size_t i)
{
    size_t ticks = run_length(s, n, i), start = i + ticks;
    size_t limit = start + AHEAD_MAX < n ? start + AHEAD_MAX : n;
    for (size_t k = start; k < limit;) {
        if (s[k] != '`') {
            k++;
            continue;
        }
        size_t run = run_length(s, n, k);
        if (run == ticks) {
            dw_text(w, s + start, k - start);
            return k + run - i;
        }
        k += run;
    }
    return 0;
}

/* Position of the bracket that closes the one at i, or n. */
static size_t closing(const char *s, size_t n, size_t i, char open, char close)
{
    int depth = 0;
    size_t limit = i + LINK_MAX < n ? i + LINK_MAX : n;
    if (!memchr(s + i, close, limit - i))
        return n;
    for (; i < limit; i++) {
        if (s[i] == '\\')
            i++;
        else if (s[i] == open)
            depth++;
        else if (s[i] == close && --depth == 0)
            return i;
    }
    return n;
}

static void inline_text(doc_writer *w, const char *s, size_t n, int nest);

/* [text](url), [text][ref], [^note], ![alt](url) at i ('[').  Returns bytes used or 0. */
static size_t link(doc_writer *w, const char *s, size_t n, size_t i, int nest)
{
    size_t end = closing(s, n, i, '[', ']');
    if (end >= n || nest >= NEST_MAX)
        return 0;
    size_t used = end + 1 - i;
    bool is_note = s[i + 1] == '^';
    if (!is_note && end + 1 < n && s[end + 1] == '(') {
        size_t close = closing(s, n, end + 1, '(', ')');
        if (close >= n)
            return 0;
        used = close + 1 - i;
    } else if (!is_note && end + 1 < n && s[end + 1] == '[') {
        size_t close = closing(s, n, end + 1, '[', ']');
        if (close < n)
            used = close + 1 - i;
    } else if (!is_note) {
        return 0; /* plain brackets, or a reference that reads as its text anyway */
    }
    if (!is_note)
        inline_text(w, s + i + 1, end - i - 1, nest + 1);
    return used;
}

/* <https://...>, <a@b.c> or an HTML tag or comment at i.  Returns bytes used or 0. */
static size_t angle(doc_writer *w, const char *s, size_t n, size_t i)
{
    if (i + 1 >= n || !(isalpha((unsigned char)s[i + 1]) || strchr("/!?", s[i + 1])))
        return 0;
    size_t limit = i + AHEAD_MAX < n ? i + AHEAD_MAX : n, k = i + 1;
    if (n - i >= 4 && memcmp(s + i, "<!--", 4) == 0) {
        for (k = i + 4; k + 2 < limit; k++)
            if (memcmp(s + k, "-->", 3) == 0)
                return k + 3 - i;
        return 0;
    }
    bool has_blank = false, is_address = false;
    for (; k < limit && s[k] != '>' && s[k] != '<'; k++) {
        has_blank |= is_space(s[k]);
        is_address |= s[k] == ':' || s[k] == '@';
    }
    if (k >= limit || s[k] != '>')
        return 0;
    if (is_address && !has_blank)
        dw_text(w, s + i + 1, k - i - 1);
    else if (k - i >= 3 && (s[i + 1] == 'b' || s[i + 1] == 'B') &&
             (s[i + 2] == 'r' || s[i + 2] == 'R'))
        dw_break(w);
    else if (!is_address && !has_blank && s[i + 1] != '/' && s[k - 1] != '/' &&
             memchr(s + i, '=', k - i) == NULL && isupper((unsigned char)s[i + 1]))
        return 0; /* <FILE>: a placeholder, not a tag */
    return k + 1 - i;
}

static size_t entity(doc_writer *w, const char *s, size_t n, size_t i)
{
    static const struct {
        const char *name, *text;
    } named[] = {{"amp", "&"},
                 {"lt", "<"},
                 {"gt", ">"},
                 {"quot", "\""},
                 {"apos", "'"},
                 {"nbsp", " "},
                 {"copy", "\xc2\xa9"},
                 {"reg", "\xc2\xae"},
                 {"mdash", "\xe2\x80\x94"},
                 {"ndash", "\xe2\x80\x93"},
                 {"hellip", "\xe2\x80\xa6"},
                 {"rarr", "\xe2\x86\x92"},
                 {"larr", "\xe2\x86\x90"},
                 {"times", "\xc3\x97"},
                 {"trade", "\xe2\x84\xa2"},
                 {"middot", "\xc2\xb7"}};
    size_t end = i + 1;
    while (end < n && end - i < 12 && s[end] != ';')
        end++;
    if (end >= n || s[end] != ';')
        return 0;
    size_t len = end - i - 1;
    for (size_t k = 0; k < sizeof named / sizeof *named; k++)
        if (strlen(named[k].name) == len && memcmp(named[k].name, s + i + 1, len) == 0) {
            dw_puts(w, named[k].text);
            return end + 1 - i;
        }
    if (len < 2 || s[i + 1] != '#')
        return 0;
    uint32_t cp = 0;
    bool hex = s[i + 2] == 'x' || s[i + 2] == 'X';
    for (size_t k = i + 2 + hex; k < end; k++) {
        char c = s[k];
        if (!(hex ? isxdigit((unsigned char)c) : isdigit((unsigned char)c)))
            return 0;
        uint32_t v = isdigit((unsigned char)c) ? (uint32_t)(c - '0')
                                               : (uint32_t)((c | 32) - 'a' + 10);
        cp = cp * (hex ? 16 : 10) + v;
        if (cp > 0x10ffff)
            return 0;
    }
    char u[4];
    int bytes = cp >= 0x20 ? sm_utf8_encode(u, cp) : 0;
    if (bytes <= 0)
        return 0;
    dw_text(w, u, (size_t)bytes);
    return end + 1 - i;
}

/* Is the run of * or _ or ~ at i a mark of emphasis?  By the flanking rules, without
 * pairing: a run with a word on just one side, or * between words. */
static bool is_emphasis(const char *s, size_t n, size_t i, size_t run)
{
    char before = i > 0 ? s[i - 1] : ' ', after = i + run < n ? s[i + run] : ' ';
    bool opens = !is_space(after), closes = !is_space(before);
    if (s[i] == '~')
        return run == 2 && (opens || closes);
    if (!opens && !closes)
        return false;
    if (s[i] == '_')
        return !(is_word(before) && is_word(after));
    if (is_word(before) && is_word(after))
        return run >= 2; /* a*b is more often a product or a pattern */
    /* "*.c" and "(*)": a lone star before punctuation is a pattern */
    return run > 3 ? false : opens != closes || is_word(before) || is_word(after);
}

/* Does a closing run of the same mark follow within reach?  Else it is a character. */
static bool has_partner(const char *s, size_t n, size_t i, size_t run)
{
    size_t limit = i + AHEAD_MAX / 4 < n ? i + AHEAD_MAX / 4 : n;
    for (size_t k = i + run + 1; k < limit; k++)
        if (s[k] == s[i] && !is_space(s[k - 1]))
            return true;
    return false;
}

typedef struct emphasis {
    size_t open[3]; /* runs open of '*', '_' and '~' */
} emphasis;

static size_t emphasis_run(doc_writer *w, emphasis *m, const char *s, size_t n, size_t i)
{
    size_t run = run_length(s, n, i);
    size_t *open = &m->open[s[i] == '*' ? 0 : s[i] == '_' ? 1 : 2];
    bool can_close = *open > 0 && i > 0 && !is_space(s[i - 1]);
    bool can_open = i + run < n && !is_space(s[i + run]) && has_partner(s, n, i, run);
    if (is_emphasis(s, n, i, run) && can_close)
        --*open;
    else if (is_emphasis(s, n, i, run) && can_open)
        ++*open;
    else
        dw_text(w, s + i, run);
    return run;
}

static void inline_text(doc_writer *w, const char *s, size_t n, int nest)
{
    emphasis marks = {{0}};
    size_t start = 0, i = 0;
    while (i < n) {
        size_t used = 0;
        if (!strchr("\\`[!<&*_~", s[i]) || s[i] == 0) {
            i++;
            continue;
        }
        dw_text(w, s + start, i - start);
        start = i;
        if (s[i] == '\\' && i + 1 < n && ispunct((unsigned char)s[i + 1])) {
            dw_text(w, s + i + 1, 1);
            used = 2;
        } else if (s[i] == '`') {
            used = code_span(w, s, n, i);
            if (used == 0) {
                used = run_length(s, n, i);
                dw_text(w, s + i, used);
            }
        } else if (s[i] == '[') {
            used = link(w, s, n, i, nest);
        } else if (s[i] == '!' && i + 1 < n && s[i + 1] == '[') {
            used = link(w, s, n, i + 1, nest);
            used += used > 0;
        } else if (s[i] == '<') {
            used = angle(w, s, n, i);
        } else if (s[i] == '&') {
            used = entity(w, s, n, i);
        } else if (s[i] == '*' || s[i] == '_' || s[i] == '~') {
            used = emphasis_run(w, &marks, s, n, i);
        }
        i += used ? used : 1;
        start = used ? i : start;
    }
    dw_text(w, s + start, n - start);
}

void markdown_inline(doc_writer *w, const char *s, size_t n)
{
    inline_text(w, s, n, 0);
}
