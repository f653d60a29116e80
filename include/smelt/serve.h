/* SPDX-License-Identifier: Apache-2.0 */
/**
 * serve (L7): the HTTP service: an OpenAI-compatible API, questions with citations, the
 * page.  Listens on loopback unless told otherwise.
 *
 *   GET  /v1/models, /v1/models/NAME
 *   POST /v1/completions, /v1/chat/completions   plain, or server-sent events
 *   POST /v1/ask                                 {"question": "...", "k": 5}
 *   GET  /health, /metrics                       JSON; Prometheus text format
 *   GET  /, assets, /api/about, curves, live, lineage.svg         the page
 *
 * Errors are OpenAI's: {"error": {"message", "type", "param", "code"}}.
 */
#ifndef SMELT_SERVE_H
#define SMELT_SERVE_H

#include "smelt/base.h"
#include "smelt/conf.h"
#include "smelt/index.h"
#include "smelt/infer.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A file of the page, embedded in the program. */
typedef struct sm_asset {
    const char *path; /* "/app.js"; "/" is the page itself */
    const char *type; /* media type                        */
    const unsigned char *data;
    size_t len;
} sm_asset;

enum { SM_SERVE_SPARE = 32 }; /* connections held beside max_connections, see there */

/** All borrowed until sm_serve_stop. */
typedef struct sm_serve_config {
    const char *address;    /* numeric, default "127.0.0.1"                            */
    int port;               /* 0: any free one                                         */
    const char *model_name; /* what /v1/models lists; requests for another are refused */
    sm_engine *engine;
    sm_index *index;        /* NULL: /v1/ask answers 404                               */
    sm_rank rank;
    const sm_scorer *scorer; /* for rank.w_model; may be NULL                          */
    const json_t *about;    /* shown by the page; may be NULL                          */
    const json_t *curves;   /* {"loss": [[step, value], ...], ...}; may be NULL        */
    json_t *(*live)(void *self); /* {"runs": [{"id", "curves"}]} of runs under way, a new
                                  * reference; called from any thread; may be NULL     */
    void *live_self;
    const char *lineage_svg; /* may be NULL                                            */
    const sm_asset *asset;
    size_t n_asset;
    int max_connections;    /* default 512; SM_SERVE_SPARE more are told that it is full */
    size_t max_body_bytes;  /* default 1 MiB                                           */
    int silence_s;          /* a peer that is silent for longer is cut off, default 30; a
                             * stream that waits for text says so three times as often */
    int64_t created_s;      /* model's birth, seconds since 1970                       */
    const char *fingerprint; /* "system_fingerprint" of completions; NULL: none        */
} sm_serve_config;

typedef struct sm_server sm_server;

/** Start listening; requests are answered from threads of the server.
 * @return SM_EINVAL (address, port), SM_EIO (cannot listen: names address, port and why;
 * another server's port is refused, never shared) */
SM_API sm_status sm_serve_start(sm_server **out, const sm_ctx *ctx,
                                const sm_serve_config *config, sm_err *err);
SM_API int sm_serve_port(const sm_server *s);
/** Stop: connections are refused; answers under way end with 503, streams with an error
 * event, within three seconds; then all is closed. NULL-safe. */
SM_API void sm_serve_stop(sm_server *s);

/** Whether a run is under way, told from the step that it has reached: the step has changed
 * since the run was seen first, and within the last minute.
 * @param seen  an object, empty at first, that remembers the runs asked about */
SM_API bool sm_serve_run_is_moving(json_t *seen, const char *run, int64_t step, int64_t now_ns);

#ifdef __cplusplus
}
#endif
#endif
