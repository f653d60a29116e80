/* SPDX-License-Identifier: Apache-2.0 */
/* The communicator of a lone process. */
#include "smelt/sys.h"

static sm_status self_barrier(void *self, sm_err *err)
{
    (void)self;
    (void)err;
    return SM_OK;
}

static sm_status self_send(void *self, const void *data, size_t bytes, int to, sm_err *err)
{
    (void)self;
    (void)data;
    return sm_fail(err, SM_EINVAL, "comm: send of %zu bytes to rank %d of 1", bytes, to);
}

static sm_status self_recv(void *self, void *data, size_t bytes, int from, sm_err *err)
{
    (void)self;
    (void)data;
    return sm_fail(err, SM_EINVAL, "comm: receive of %zu bytes from rank %d of 1", bytes,
                   from);
}

static sm_status self_broadcast(void *self, void *data, size_t bytes, int root, sm_err *err)
{
    (void)self;
    (void)data;
    (void)bytes;
    if (root != 0)
        return sm_fail(err, SM_EINVAL, "comm: broadcast from rank %d of 1", root);
    return SM_OK;
}

sm_comm *sm_comm_self(void)
{
    static sm_comm self = {.rank = 0,
                           .n_ranks = 1,
                           .barrier = self_barrier,
                           .send = self_send,
                           .recv = self_recv,
                           .broadcast = self_broadcast};
    return &self;
}
