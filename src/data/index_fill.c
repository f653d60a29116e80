/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fill the full-text tables.
 *   page(title, head, lead, body): one row a document; rowid = ordinal + 1
 *   beginning(title, summary, lead): one row a document
 *   passage(title, head, body): one row a passage; rowid = index + 1
 *   spaceless(title, head, body): the same, of passages with Han or Kana alone, whose
 *     characters stand apart there
 *   plain(body): the whole page in one field with FTS5's default tokenizer: the baseline,
 *     made only without names, that is for evaluation
 * head holds the headings, lead the beginning of DESCRIPTION (or of the page).
 */
#include <string.h>
#include <strings.h>

#include "index_internal.h"

enum { LEAD_BYTES = 600 };

static sm_status bind_row(sqlite3_stmt *q, sqlite3_int64 rowid, const char *const *text,
                          int n, sm_err *err)
{
    sqlite3_bind_int64(q, 1, rowid);
    for (int i = 0; i < n; i++)
        sqlite3_bind_text(q, i + 2, text[i], -1, SQLITE_STATIC);
    int rc = sqlite3_step(q);
    sqlite3_reset(q);
    if (rc == SQLITE_DONE)
        return SM_OK;
    return sm_index_fail(err, sqlite3_db_handle(q));
}

static bool is_hidden(const sm_index *x, const sm_passage *p)
{
    return !x->with_names && sm_index_is_name(p->heading);
}

typedef struct page_text {
    sm_buf head, lead, body;
} page_text;

static void gather(page_text *t, const sm_index *x, size_t doc)
{
    sm_buf_clear(&t->head);
    sm_buf_clear(&t->lead);
    sm_buf_clear(&t->body);
    const char *heading = "", *lead = NULL, *fallback = "";
    for (size_t i = x->first[doc]; i < x->first[doc + 1]; i++) {
        const sm_passage *p = &x->passage[i];
        if (is_hidden(x, p))
            continue;
        if (strcmp(heading, p->heading) != 0) {
            heading = p->heading;
            sm_buf_printf(&t->head, "%s\n", heading);
            sm_buf_printf(&t->body, "%s\n", heading);
        }
        sm_buf_printf(&t->body, "%s\n", p->text);
        if (!lead && !strncasecmp(heading, "description", 11))
            lead = p->text;
        if (!*fallback && !sm_index_is_name(heading))
            fallback = p->text;
    }
    if (x->with_names)
        sm_buf_printf(&t->lead, "%s\n", x->passage[x->first[doc]].summary);
    if (!lead)
        lead = fallback;
    size_t n = strlen(lead);
    sm_buf_put(&t->lead, lead, n > LEAD_BYTES ? LEAD_BYTES : n);
}

static const char *text_of(const sm_buf *b)
{
    return b->data ? b->data : "";
}

static sm_status fill_pages(sm_index *x, sqlite3_stmt *page, sqlite3_stmt *lead,
                            sqlite3_stmt *plain, sm_err *err)
{
    page_text t = {0};
    sm_status s = SM_OK;
    for (size_t d = 0; d < x->n_doc && !s; d++) {
        gather(&t, x, d);
        if (t.head.failed || t.lead.failed || t.body.failed) {
            s = sm_fail(err, SM_ENOMEM, "index: out of memory");
            break;
        }
        const char *title = x->passage[x->first[d]].title;
        const char *row[] = {title, text_of(&t.head), text_of(&t.lead), text_of(&t.body)};
        const char *summary = x->with_names ? x->passage[x->first[d]].summary : "";
        const char *beginning[] = {title, summary, text_of(&t.lead)};
        s = bind_row(page, (sqlite3_int64)d + 1, row, 4, err);
        if (!s)
            s = bind_row(lead, (sqlite3_int64)d + 1, beginning, 3, err);
        if (!s && plain) {
            sm_buf_printf(&t.body, "%s\n", title);
            const char *whole[] = {text_of(&t.body)};
            s = bind_row(plain, (sqlite3_int64)d + 1, whole, 1, err);
        }
    }
    sm_buf_free(&t.head);
    sm_buf_free(&t.lead);
    sm_buf_free(&t.body);
    return s;
}

static sm_status fill_passages(sm_index *x, sqlite3_stmt *q, sm_err *err)
{
    sm_status s = SM_OK;
    for (size_t i = 0; i < x->n_passage && !s; i++) {
        const sm_passage *p = &x->passage[i];
        const char *row[] = {p->title, p->heading, p->text};
        if (!is_hidden(x, p))
            s = bind_row(q, (sqlite3_int64)i + 1, row, 3, err);
    }
    return s;
}

static bool has_spaceless(const sm_passage *p)
{
    return sm_index_has_spaceless(p->title) || sm_index_has_spaceless(p->heading) ||
           sm_index_has_spaceless(p->text);
}

static sm_status fill_spaceless(sm_index *x, sqlite3_stmt *q, sm_err *err)
{
    sm_buf field[3] = {{0}};
    sm_status s = SM_OK;
    for (size_t i = 0; i < x->n_passage && !s; i++) {
        const sm_passage *p = &x->passage[i];
        const char *row[] = {p->title, p->heading, p->text};
        if (is_hidden(x, p) || !has_spaceless(p))
            continue;
        for (int k = 0; k < 3; k++) {
            sm_buf_clear(&field[k]);
            sm_index_space_out(&field[k], row[k]);
            row[k] = text_of(&field[k]);
        }
        if (field[0].failed || field[1].failed || field[2].failed)
            s = sm_fail(err, SM_ENOMEM, "index: out of memory");
        else
            s = bind_row(q, (sqlite3_int64)i + 1, row, 3, err);
    }
    for (int k = 0; k < 3; k++)
        sm_buf_free(&field[k]);
    return s;
}

static sm_status prepare(sqlite3_stmt **out, sqlite3 *db, const char *sql, sm_err *err)
{
    if (sqlite3_prepare_v2(db, sql, -1, out, NULL) == SQLITE_OK)
        return SM_OK;
    return sm_index_fail(err, db);
}

sm_status sm_index_fill(sm_index *x, sm_err *err)
{
    sqlite3_stmt *page = NULL, *lead = NULL, *passage = NULL, *plain = NULL,
                 *spaceless = NULL;
    sm_status s = sm_index_sql(
        x->db,
        "CREATE VIRTUAL TABLE page USING fts5(title, head, lead, body, content='',"
        " tokenize='porter unicode61');"
        "CREATE VIRTUAL TABLE beginning USING fts5(title, summary, lead, content='',"
        " tokenize='porter unicode61');"
        "CREATE VIRTUAL TABLE passage USING fts5(title, head, body, content='',"
        " tokenize='porter unicode61');"
        "CREATE VIRTUAL TABLE spaceless USING fts5(title, head, body, content='',"
        " tokenize='porter unicode61');"
        "CREATE VIRTUAL TABLE plain USING fts5(body, content='', tokenize='unicode61')",
        err);
    if (!s)
        s = prepare(&page, x->db, "INSERT INTO page(rowid,title,head,lead,body) "
                                  "VALUES(?,?,?,?,?)", err);
    if (!s)
        s = prepare(&lead, x->db, "INSERT INTO beginning(rowid,title,summary,lead) "
                                  "VALUES(?,?,?,?)", err);
    if (!s)
        s = prepare(&passage, x->db, "INSERT INTO passage(rowid,title,head,body) "
                                     "VALUES(?,?,?,?)", err);
    if (!s)
        s = prepare(&spaceless, x->db,
                    "INSERT INTO spaceless(rowid,title,head,body) "
                    "VALUES(?,?,?,?)",
                    err);
    if (!s && !x->with_names)
        s = prepare(&plain, x->db, "INSERT INTO plain(rowid,body) VALUES(?,?)", err);
    if (!s)
        s = fill_pages(x, page, lead, plain, err);
    if (!s)
        s = fill_passages(x, passage, err);
    if (!s)
        s = fill_spaceless(x, spaceless, err);
    sqlite3_finalize(page);
    sqlite3_finalize(lead);
    sqlite3_finalize(passage);
    sqlite3_finalize(spaceless);
    sqlite3_finalize(plain);
    return s;
}
