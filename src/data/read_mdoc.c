/* SPDX-License-Identifier: Apache-2.0 */
/* The mdoc(7) macros. */
#include "read_roff.h"
bool mdoc_macro(roff *r, const char *name, const char *rest, size_t n)
{
    (void)name;
    roff_put(r, rest, n);
    return true;
}
bool mdoc_text_line(roff *r, const char *s, size_t n)
{
    (void)r, (void)s, (void)n;
    return false;
}
void mdoc_end(roff *r)
{
    (void)r;
}
void mdoc_free(struct mdoc_state *m)
{
    (void)m;
}
