/* SPDX-License-Identifier: Apache-2.0 */
/* A damaged catalog: put aside, made again by open, metrics carried over. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

/* The nearest workspace, as open would find it, without opening its catalog. */
static sm_status find_dir(char **out, const char *dir, sm_err *err)
{
    char *root = store_find_root(dir ? dir : ".");
    if (!root)
        return sm_fail(err, SM_ENOENT, "no workspace (.smelt) in %s or above it",
                       dir ? dir : "the current directory");
    *out = sm_path_join(root, ".smelt");
    free(root);
    return *out ? SM_OK : store_nomem(err);
}

static sm_status move_aside(char **aside, const char *dir, sm_err *err)
{
    static const char *const suffix[] = {"", "-wal", "-shm"};
    sm_buf to = {0};
    sm_status st = SM_OK;
    sm_buf_printf(&to, "%s/catalog-damaged-%lld.db", dir, (long long)sm_wall_ns());
    for (size_t i = 0; i < 3 && !st; i++) {
        sm_buf a = {0}, b = {0};
        sm_buf_printf(&a, "%s/catalog.db%s", dir, suffix[i]);
        sm_buf_printf(&b, "%s%s", to.failed ? "" : to.data, suffix[i]);
        if (a.failed || b.failed || to.failed)
            st = store_nomem(err);
        else if (rename(a.data, b.data) != 0 && errno != ENOENT)
            st = sm_fail_errno(err, errno, "%s: rename", a.data);
        sm_buf_free(&a);
        sm_buf_free(&b);
    }
    if (st)
        sm_buf_free(&to);
    else
        *aside = to.data;
    return st;
}

/* Metrics are in no log: what the damaged file still yields is better than nothing. */
static void carry_metrics(sm_store *s, const char *aside)
{
    if (!sm_path_exists(aside))
        return;
    if (catalog_run(s->db, NULL, "ATTACH DATABASE ? AS old", "s", aside) != SM_OK)
        return;
    sqlite3_exec(s->db, "INSERT OR IGNORE INTO metric SELECT * FROM old.metric", NULL,
                 NULL, NULL);
    sqlite3_exec(s->db, "DETACH DATABASE old", NULL, NULL, NULL);
}

static sm_status refuse_busy(const char *at, sm_err *err)
{
    char *tmp = sm_path_join(at, "tmp");
    if (!tmp)
        return store_nomem(err);
    bool busy = store_has_session(tmp);
    free(tmp);
    return busy ? sm_fail(err, SM_EDENIED,
                          "%s: another process is making something in it; want none", at)
                : SM_OK;
}

/* A catalog that still says where the log ended is a witness: without it, a log that was
 * cut or written anew would look whole. */
static sm_status refuse_bad_log(const char *dir, sm_err *err)
{
    sm_err why = {0};
    audit_head head;
    sm_store *s = NULL;
    sm_status st = sm_store_open(&s, dir, NULL);
    bool knows = !st && !catalog_head(&head, s->db, NULL);
    st = knows ? sm_audit_verify(s, NULL, NULL, &why) : SM_OK;
    sm_store_close(s);
    if (st != SM_ECORRUPT)
        return SM_OK;
    return sm_fail(err, SM_EDENIED,
                   "refused: the catalog is a witness that the log is not whole: %.300s; "
                   "to go on without it, move catalog.db away",
                   why.msg);
}

sm_status sm_store_rebuild(const char *dir, sm_err *err)
{
    char *at = NULL, *aside = NULL;
    sm_store *s = NULL;
    sm_status st = find_dir(&at, dir, err);
    if (!st)
        st = refuse_busy(at, err);
    if (!st)
        st = refuse_bad_log(dir, err);
    if (!st)
        st = move_aside(&aside, at, err);
    if (!st)
        st = sm_store_open(&s, dir, err);
    if (!st)
        carry_metrics(s, aside);
    sm_store_close(s);
    free(aside);
    free(at);
    return st;
}
