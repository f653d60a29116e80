/* SPDX-License-Identifier: Apache-2.0 */
/* What a peer of the service controls and our code reads: bodies of both completion
 * endpoints, Host, Origin and header framing.  A body that is accepted has a prompt, sound
 * sampling and at most 16 stop strings, none empty. */
/* module: serve */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "internal.h"
#include "smelt/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void want(bool ok)
{
    if (!ok)
        abort();
}

static void check_accepted(const completion_request *r)
{
    int n = 0;
    while (r->stop[n])
        want(*r->stop[n++] != 0);
    want(n <= MAX_STOP);
    want(json_is_object(r->body) && !r->prompt.failed);
    want(r->sampling.max_tokens >= 0 && isfinite(r->sampling.temperature));
    want(sm_sampling_check(&r->sampling, NULL) == SM_OK);
    want(sm_utf8_valid_prefix(r->prompt.data ? r->prompt.data : "", r->prompt.len) ==
         r->prompt.len);
}

static void parse_body(const char *text, size_t len, bool is_chat)
{
    completion_request r;
    exchange x = {.body = {.data = (char *)(uintptr_t)text, .len = len}};
    const char *param = NULL;
    sm_err err = {0};
    sm_status s = request_parse(&r, &x, is_chat, &param, &err);
    if (s) {
        json_t *message = clean_string(err.msg, strlen(err.msg));
        want(message && err.msg[0] && !r.body && !r.prompt.data);
        json_decref(message);
    } else {
        check_accepted(&r);
        request_free(&r);
    }
}

static void read_headers(const char *text, size_t len)
{
    if (host_is_local(text)) /* begins with a name of this machine */
        want(!strncasecmp(text, "localhost", 9) || !strncmp(text, "127.", 4) || *text == '[');
    if (origin_is_local(text))
        want(strstr(text, "://") != NULL);
    size_t n = strcspn(text, ":");
    char *name = sm_strndup(text, n);
    const char *value = text[n] ? text + n + 1 : "";
    if (name && header_is_plain(name, n, value, strlen(value)))
        want(n > 0 && !strpbrk(name, " \t\r\n\"(),/;<=>?@[\\]{}"));
    free(name);
    (void)len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    if (!text)
        return 0;
    if (size > 0)
        memcpy(text, data, size);
    text[size] = 0;
    parse_body(text, size, false);
    parse_body(text, size, true);
    read_headers(text, size);
    free(text);
    return 0;
}
