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
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <strings.h>

#include "internal.h"

/* --------------------------------------------------------------- addresses */

bool address_parse(struct sockaddr_storage *out, const char *text)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
    memset(out, 0, sizeof *out);
    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1)
        out->ss_family = AF_INET;
    else if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1)
        out->ss_family = AF_INET6;
    return out->ss_family == AF_INET || out->ss_family == AF_INET6;
}

bool address_is_loopback(const struct sockaddr_storage *a)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)a;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)a;
    if (a->ss_family == AF_INET)
        return ntohl(v4->sin_addr.s_addr) >> 24 == 127;
    if (a->ss_family != AF_INET6)
        return false;
    return IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr) ||
           (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr) && v6->sin6_addr.s6_addr[12] == 127);
}

/* ------------------------------------------------------------ Host, Origin */

/* "" or ":" and digits. */
static bool is_port(const char *s)
{
    return *s == 0 || (*s == ':' && strspn(s + 1, "0123456789") == strlen(s + 1));
}

/* HOST[:PORT] of this machine: localhost, or a loopback address, which no name server can
 * point elsewhere. */
static bool is_local_authority(const char *authority)
{
    struct sockaddr_storage where;
    char host[INET6_ADDRSTRLEN];
    bool is_v6 = *authority == '[';
    size_t n = strcspn(authority + is_v6, is_v6 ? "]" : ":");
    const char *end = authority + is_v6 + n;
    if (n >= sizeof host || (is_v6 && *end != ']') || !is_port(end + is_v6))
        return false;
    memcpy(host, authority + is_v6, n);
    host[n] = 0;
    if (!is_v6 && !strcasecmp(host, "localhost"))
        return true;
    return address_parse(&where, host) && (where.ss_family == AF_INET6) == is_v6 &&
           address_is_loopback(&where);
}

bool host_is_local(const char *host)
{
    return host && is_local_authority(host);
}

bool origin_is_local(const char *origin)
{
    const char *authority = strstr(origin, "://");
    return authority && is_local_authority(authority + 3);
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

typedef struct header_counts {
    int n_length, n_coding, n_host, n_origin;
    bool is_plain;
} header_counts;

static mhd_result look(void *cls, enum MHD_ValueKind kind, const char *name,
                       size_t name_len, const char *value, size_t value_len)
{
    header_counts *f = cls;
    (void)kind;
    if (!value) {
        value = "";
        value_len = 0;
    }
    f->is_plain = f->is_plain && header_is_plain(name, name_len, value, value_len);
    f->n_length += !strcasecmp(name, "Content-Length");
    f->n_coding += !strcasecmp(name, "Transfer-Encoding");
    f->n_host += !strcasecmp(name, "Host");
    f->n_origin += !strcasecmp(name, "Origin");
    return MHD_YES;
}

bool headers_are_plain(struct MHD_Connection *c)
{
    header_counts f = {.is_plain = true};
    MHD_get_connection_values_n(c, MHD_HEADER_KIND, look, &f);
    return f.is_plain && f.n_length + f.n_coding <= 1 && f.n_host <= 1 && f.n_origin <= 1;
}
