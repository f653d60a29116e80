/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections held.  Most clients keep theirs for a next request that may not come, so that
 * idle ones could hold every place until their silence ends them.  Where few places are
 * left, an answer is therefore the last on its connection; and connections beyond
 * max_connections, as many as SM_SERVE_SPARE, are held to be told so: what is reset without
 * a word looks like a service that broke.
 */
#include "internal.h"

void on_connection(void *cls, struct MHD_Connection *c, void **socket_context,
                   enum MHD_ConnectionNotificationCode what)
{
    sm_server *s = cls;
    (void)c;
    if (what == MHD_CONNECTION_NOTIFY_STARTED)
        *socket_context =
            atomic_fetch_add(&s->n_connections, 1) < s->config.max_connections ? NULL : s;
    else
        atomic_fetch_sub(&s->n_connections, 1);
}

bool is_crowded(const sm_server *s)
{
    int max = s->config.max_connections;
    return atomic_load(&s->n_connections) > max - max / 4;
}

bool is_surplus(const exchange *x)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(x->connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info && info->socket_context &&
           atomic_load(&x->server->n_connections) > x->server->config.max_connections;
}
