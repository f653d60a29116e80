/* SPDX-License-Identifier: Apache-2.0 */
/* Inside conf: plain scalars of YAML's core schema. */
#ifndef SMELT_CONF_YAML_SCALAR_H
#define SMELT_CONF_YAML_SCALAR_H

#include "smelt/conf.h"

/** The value of an untagged plain scalar; `where` prefixes messages. */
sm_status sm_yaml_plain_scalar(json_t **out, const char *s, const char *where,
                               sm_err *err);

#endif
