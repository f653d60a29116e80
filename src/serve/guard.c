/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may ask a server on loopback.  A browser on this machine may be made to send requests
 * here by a page from elsewhere: directly (then Origin names that page) or under a name
 * that the page's owner points at 127.0.0.1 (DNS rebinding; then Host is that name).  Both
 * are refused.  A server on another address is meant to be reached under names that it
 * cannot know, so it asks neither.
 *
 * Headers that two readers could take differently (RFC 9112, 11.2: request smuggling) are
 * refused too: libmicrohttpd is lenient about them.
 */
#include <string.h>
#include <strings.h>

#include "internal.h"

static bool is_loopback_address(const char *address)
{
    return !strncmp(address, "127.", 4) || !strcmp(address, "::1");
}

/* "" or ":" and digits. */
static bool is_port(const char *s)
{
    return *s == 0 || (*s == ':' && strspn(s + 1, "0123456789") == strlen(s + 1));
}

static bool is_own_authority(const char *address, const char *authority)
{
    const char *const names[] = {"localhost", "127.0.0.1", "[::1]", address};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t n = strlen(names[i]);
        if (!strncmp(authority, names[i], n) && is_port(authority + n))
            return true;
    }
    return false;
}

bool host_is_allowed(const char *address, const char *host)
{
    return !is_loopback_address(address) || (host && is_own_authority(address, host));
}

bool origin_is_allowed(const char *address, const char *origin)
{
    if (!origin || !is_loopback_address(address))
        return true;
    const char *authority = strstr(origin, "://");
    return authority && is_own_authority(address, authority + 3);
}

/* ----------------------------------------------------------------- headers */

bool header_is_plain(const char *name, size_t name_len, const char *value, size_t value_len)
{
    static const char token[] = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
                                "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    if (name_len == 0 || strspn(name, token) != name_len || strlen(name) != name_len)
        return false;
    if (memchr(value, 0, value_len))
        return false;
    if (!strcasecmp(name, "Transfer-Encoding"))
        return !strcasecmp(value, "chunked");
    if (!strcasecmp(name, "Content-Length"))
        return value_len > 0 && value_len < 20 && strspn(value, "0123456789") == value_len;
    return true;
}

typedef struct framing {
    int n_length, n_coding;
    bool is_plain;
} framing;

static mhd_result look(void *cls, enum MHD_ValueKind kind, const char *name,
                       size_t name_len, const char *value, size_t value_len)
{
    framing *f = cls;
    (void)kind;
    if (!value) {
        value = "";
        value_len = 0;
    }
    f->is_plain = f->is_plain && header_is_plain(name, name_len, value, value_len);
    f->n_length += !strcasecmp(name, "Content-Length");
    f->n_coding += !strcasecmp(name, "Transfer-Encoding");
    return MHD_YES;
}

bool headers_are_plain(struct MHD_Connection *c)
{
    framing f = {.is_plain = true};
    MHD_get_connection_values_n(c, MHD_HEADER_KIND, look, &f);
    return f.is_plain && f.n_length + f.n_coding <= 1;
}
