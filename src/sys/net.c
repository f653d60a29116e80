/* SPDX-License-Identifier: Apache-2.0 */
/* What the service asks of a socket. */
#include <poll.h>

#include "smelt/sys.h"

bool sm_socket_peer_closed(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLRDHUP};
    return poll(&p, 1, 0) > 0 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL));
}
