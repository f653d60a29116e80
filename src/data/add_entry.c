/* SPDX-License-Identifier: Apache-2.0 */
/* `data add`: what becomes of one entry of a container. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "add.h"
#include "document.h"
#include "hash.h"
#include "names.h"
#include "smelt/extract.h"

/* -------------------------------------------------- packages and licences */

/* Value of a field in a Debian control stanza, malloc'd; NULL when absent. */
static char *control_field(const char *text, const char *field)
{
    size_t n = strlen(field);
    for (const char *p = text; p && *p; p = strchr(p, '\n')) {
        p += *p == '\n';
        if (strncasecmp(p, field, n) != 0 || p[n] != ':')
            continue;
        p += n + 1;
        p += strspn(p, " \t");
        size_t len = strcspn(p, "\r\n");
        while (len > 0 && p[len - 1] == ' ')
            len--;
        return sm_strndup(p, len);
    }
    return NULL;
}

/* Two members of an archive may have one name: what stays does not depend on which was
 * read first.  Takes `value`. */
static void keep_smaller(char **held, char *value)
{
    bool better = value && (!*held || strcmp(value, *held) < 0);
    free(better ? *held : value);
    if (better)
        *held = value;
}

/* The same for a text under a key of an object. */
static void set_smaller(json_t *object, const char *key, const char *value)
{
    const char *held = json_string_value(json_object_get(object, key));
    if (!held || strcmp(value, held) < 0)
        json_object_set_new_nocheck(object, key, json_string_nocheck(value));
}

static void take_control(add_state *a, add_origin *o, const sm_entry *e)
{
    char *package = control_field(e->data, "Package");
    char *version = control_field(e->data, "Version");
    char *architecture = control_field(e->data, "Architecture");
    pthread_mutex_lock(&a->lock);
    keep_smaller(&o->package, package);
    keep_smaller(&o->version, version);
    keep_smaller(&o->architecture, architecture);
    pthread_mutex_unlock(&a->lock);
}

static void keep_licence(add_state *a, add_origin *o, const char *key, size_t key_len,
                         const char *licence)
{
    char *k = sm_strndup(key, key_len);
    pthread_mutex_lock(&a->lock);
    if (k && *licence)
        set_smaller(o->copyright, k, licence);
    pthread_mutex_unlock(&a->lock);
    free(k);
}

/* ".../usr/share/doc/FOLDER/..." -> FOLDER; NULL elsewhere. */
static const char *doc_folder(const char *path, size_t *len)
{
    static const char doc[] = "usr/share/doc/";
    const char *p = strstr(path, doc);
    if (!p)
        return NULL;
    p += sizeof doc - 1;
    *len = strcspn(p, "/");
    return *len ? p : NULL;
}

static void take_copyright(add_state *a, add_origin *o, const sm_entry *e)
{
    sm_buf licence = {0};
    size_t len;
    const char *folder = doc_folder(e->path, &len);
    if (folder && sm_licence_of_copyright(&licence, e->data, e->len))
        keep_licence(a, o, folder, len, licence.data);
    sm_buf_free(&licence);
}

/* usr/share/doc/PACKAGE -> OTHER: its copyright file is OTHER's. */
static void take_alias(add_state *a, add_origin *o, const sm_entry *e)
{
    size_t len;
    const char *folder = doc_folder(e->path, &len);
    const char *slash = strrchr(e->target, '/');
    char *from = folder && folder[len] == 0 ? sm_strndup(folder, len) : NULL;
    pthread_mutex_lock(&a->lock);
    o->n_aliases++;
    if (from)
        set_smaller(o->doc_link, from, slash ? slash + 1 : e->target);
    pthread_mutex_unlock(&a->lock);
    free(from);
}

static bool is_licence_file(const char *path)
{
    static const char *const name[] = {"LICENSE", "LICENCE", "COPYING", NULL};
    const char *base = path + strlen(path);
    while (base > path && base[-1] != '/' && base[-1] != '!')
        base--;
    for (int i = 0; name[i]; i++) {
        size_t n = strlen(name[i]);
        if (strncasecmp(base, name[i], n) == 0 && (base[n] == 0 || base[n] == '.'))
            return true;
    }
    return false;
}

static sm_status take_licence(add_state *a, add_origin *o, const sm_entry *e, sm_err *err)
{
    sm_buf licence = {0};
    bool ok = sm_licence_of_text(&licence, e->data, e->len) &&
              sm_add_folder_licence(a, o, e->path, licence.len > 0 ? licence.data : "");
    sm_buf_free(&licence);
    return ok ? SM_OK : sm_fail(err, SM_ENOMEM, "%s: out of memory", e->path);
}

/* The licence that the file itself states in its first lines; "" when none. */
static void own_licence(sm_buf *out, const char *data, size_t len)
{
    static const char tag[] = "SPDX-License-Identifier:";
    char head[4097];
    size_t n = len < sizeof head - 1 ? len : sizeof head - 1;
    memcpy(head, data, n);
    head[n] = 0;
    if (strstr(head, tag))
        sm_licence_of_text(out, head, n);
}

/* ------------------------------------------------------------- documents */

typedef struct written {
    sm_buf head, tail, licence;
} written;

static void written_free(written *w)
{
    sm_buf_free(&w->head);
    sm_buf_free(&w->tail);
    sm_buf_free(&w->licence);
}

/* `in`: the file that holds it; "" in a package, which is one folder. */
static sm_status spool_document(add_state *a, add_origin *o, const char *in,
                                sm_document *d, bool complete, written *w, sm_err *err)
{
    char id[33];
    const add_folder *f = sm_add_folder_of(a, o, in);
    if (!f)
        return sm_fail(err, SM_ENOMEM, "%s: out of memory", d->path);
    if (!sm_document_id(id, d->source, d->path, d->text, d->text_len))
        return sm_fail(err, SM_ENOMEM, "%s: SHA-256 failed", d->path);
    d->id = id;
    sm_document_write_head(&w->head, d);
    if (complete)
        sm_document_write_package(&w->head, d->package, d->version, d->licence);
    sm_document_write_tail(&w->tail, d);
    if (w->head.failed || w->tail.failed)
        return sm_fail(err, SM_ENOMEM, "%s: no memory to write it", d->path);
    sm_spool_record r = {
        .folder = f->index, .is_complete = complete, .text_bytes = d->text_len};
    memcpy(r.key, id, sizeof r.key);
    sm_status s = sm_spool_put(a->spool, r, &w->head, &w->tail, err);
    if (s)
        return s;
    pthread_mutex_lock(&a->lock);
    o->n_documents++;
    o->text_bytes += (int64_t)d->text_len;
    pthread_mutex_unlock(&a->lock);
    sm_add_origin_count(a, o, d->format, false);
    return SM_OK;
}

static const char *or_empty(const char *s)
{
    return s ? s : "";
}

/* The ISO 639-1 code that a declared language begins with ("en-GB", "EN"); NULL where it
 * has none ("eng_Latn", "english"). */
static const char *declared_language(const char *lang, char code[3])
{
    size_t n = strspn(lang, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
    if (n != 2)
        return NULL;
    for (size_t i = 0; i < n; i++)
        code[i] = (char)(lang[i] | 0x20);
    code[n] = 0;
    return code;
}

/* The detector decides; what the document declares counts only where it cannot. */
static const char *language(const sm_extract *x, char code[3])
{
    const char *lang = sm_lang_detect(x->text.data, x->text.len);
    if (strcmp(lang, "und") != 0 || !x->lang)
        return lang;
    const char *declared = declared_language(x->lang, code);
    return declared ? declared : lang;
}

static bool only_space(const sm_buf *text)
{
    return !text->data || strspn(text->data, " \t\r\n") == text->len;
}

static sm_status take_document(add_state *a, add_origin *o, const sm_entry *e,
                               sm_err *err)
{
    sm_format format = sm_format_detect(e->path, e->data, e->len);
    if (format == SM_FORMAT_UNKNOWN) {
        sm_add_origin_count(a, o, e->len ? "binary" : "empty", true);
        return SM_OK;
    }
    sm_err problem = {0};
    sm_extract x = {0};
    written w = {0};
    sm_status s =
        sm_extract_document(&x, format, e->data, e->len, e->path, NULL, &problem);
    if (s == SM_ENOMEM) {
        if (err)
            *err = problem;
        goto done;
    }
    if (s) {
        sm_add_origin_error(a, o, e->path, problem.msg);
        s = SM_OK;
        goto done;
    }
    if (x.link_to) {
        pthread_mutex_lock(&a->lock);
        o->n_aliases++;
        pthread_mutex_unlock(&a->lock);
        goto done;
    }
    if (only_space(&x.text)) {
        sm_add_origin_count(a, o, "empty", true);
        goto done;
    }
    char lang[3];
    if (!e->package_at)
        own_licence(&w.licence, e->data, e->len);
    bool own = w.licence.len > 0;
    sm_document d = {.source = a->name,
                     .path = e->path,
                     .title = or_empty(x.title),
                     .format =
                         format == SM_FORMAT_PLAIN ? "text" : sm_format_name(format),
                     .summary = or_empty(x.summary),
                     .section = or_empty(x.section),
                     .package = "",
                     .version = "",
                     .licence = own ? w.licence.data : "",
                     .lang = language(&x, lang),
                     .reason = "",
                     .detail = "",
                     .text = x.text.data,
                     .text_len = x.text.len};
    s = spool_document(a, o, e->package_at ? "" : e->path, &d, own, &w, err);
    if (!s && x.warning) /* kept, and listed with what could not be read */
        sm_add_origin_error(a, o, e->path, x.warning);
done:
    written_free(&w);
    sm_extract_free(&x);
    return s;
}

/* ------------------------------------------------------------------ JSONL */

static const char *first_string(const json_t *j, const char *a, const char *b,
                                const char *c)
{
    const char *v = json_string_value(json_object_get(j, a));
    if (!v && b)
        v = json_string_value(json_object_get(j, b));
    if (!v && c)
        v = json_string_value(json_object_get(j, c));
    return v;
}

static sm_status take_record(add_state *a, add_origin *o, const json_t *j,
                             const char *path, sm_err *err)
{
    const char *text = first_string(j, "text", "content", "body");
    if (!text) {
        sm_add_origin_error(a, o, path, "no string in \"text\", \"content\" or \"body\"");
        return SM_OK;
    }
    size_t len = strlen(text);
    if (strspn(text, " \t\r\n") == len) {
        sm_add_origin_count(a, o, "empty", true);
        return SM_OK;
    }
    const char *licence = first_string(j, "licence", "license", NULL);
    char code[3];
    const char *lang =
        declared_language(or_empty(first_string(j, "lang", "language", NULL)), code);
    written w = {0};
    if (licence)
        sm_licence_of_text(&w.licence, licence, strlen(licence));
    if (w.licence.len > 0)
        licence = w.licence.data;
    sm_document d = {.source = a->name,
                     .path = path,
                     .format = "jsonl",
                     .title = or_empty(first_string(j, "title", NULL, NULL)),
                     .summary = or_empty(first_string(j, "summary", NULL, NULL)),
                     .section = or_empty(first_string(j, "section", NULL, NULL)),
                     .package = or_empty(first_string(j, "package", NULL, NULL)),
                     .version = or_empty(first_string(j, "version", NULL, NULL)),
                     .licence = licence && *licence ? licence : a->licence,
                     .lang = lang ? lang : sm_lang_detect(text, len),
                     .reason = "",
                     .detail = "",
                     .text = text,
                     .text_len = len};
    sm_status s = spool_document(a, o, "", &d, true, &w, err);
    written_free(&w);
    return s;
}

/* One line as JSON; NULL, with the error noted, when it is none, and of a blank one.
 * Numbers are not used: one beyond 64 bits (a hash) is no reason to lose the record. */
static json_t *parse_line(add_state *a, add_origin *o, const char *line, size_t len,
                          const char *path)
{
    json_error_t why;
    if (strspn(line, " \t\r") >= len)
        return NULL;
    json_t *j =
        json_loadb(line, len, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, &why);
    bool is_nul = !j && json_error_code(&why) == json_error_null_character;
    if (!j)
        sm_add_origin_error(a, o, path, is_nul ? "NUL (\\u0000) in a string" : why.text);
    else if (!json_is_object(j))
        sm_add_origin_error(a, o, path, "got JSON of another kind, want an object");
    if (json_is_object(j))
        return j;
    json_decref(j);
    return NULL;
}

/* Bytes of the mark that some programs put before the first line of UTF-8. */
static size_t byte_order_mark(const sm_entry *e)
{
    static const char mark[] = "\xEF\xBB\xBF";
    size_t n = sizeof mark - 1;
    return e->line == 1 && e->len >= n && memcmp(e->data, mark, n) == 0 ? n : 0;
}

static sm_status take_lines(add_state *a, add_origin *o, const sm_entry *e, sm_err *err)
{
    sm_status s = SM_OK;
    sm_buf path = {0};
    int64_t number = e->line;
    const char *p = e->data + byte_order_mark(e), *end = e->data + e->len;
    for (; p < end && !s; number++) {
        const char *nl = memchr(p, '\n', (size_t)(end - p));
        size_t len = (size_t)((nl ? nl : end) - p);
        sm_buf_clear(&path);
        if (!sm_buf_printf(&path, "%s#%lld", e->path, (long long)number)) {
            s = sm_fail(err, SM_ENOMEM, "%s: out of memory", e->path);
            break;
        }
        json_t *j = parse_line(a, o, p, len, path.data);
        if (j)
            s = take_record(a, o, j, path.data, err);
        json_decref(j);
        p += len + 1;
    }
    sm_buf_free(&path);
    return s;
}

sm_status sm_add_entry(add_state *a, const add_item *item, const sm_entry *e, sm_err *err)
{
    add_origin *o = sm_add_origin_of(a, item, e->package_at);
    if (!o)
        return sm_fail(err, SM_ENOMEM, "%s: out of memory", e->path);
    switch (e->kind) {
    case SM_ENTRY_CONTROL:
        take_control(a, o, e);
        return SM_OK;
    case SM_ENTRY_COPYRIGHT:
        take_copyright(a, o, e);
        return SM_OK;
    case SM_ENTRY_ALIAS:
        take_alias(a, o, e);
        return SM_OK;
    case SM_ENTRY_SKIPPED:
        sm_add_origin_count(a, o, e->why, true);
        return SM_OK;
    case SM_ENTRY_PROBLEM:
        sm_add_origin_error(a, o, e->path, e->data);
        return SM_OK;
    case SM_ENTRY_LINES:
        return take_lines(a, o, e, err);
    case SM_ENTRY_FILE:
        break;
    }
    sm_status s = SM_OK;
    if (!e->package_at && is_licence_file(e->path))
        s = take_licence(a, o, e, err);
    return s ? s : take_document(a, o, e, err);
}
