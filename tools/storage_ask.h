/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A request to ovirt-ha-storage, for commands, which may wait for it. */
#pragma once

#include "storage/storage_protocol.h"

/* 0: it answered, with what is in *ret. -errno: it did not. Blocks STORAGE_CONNECT_MS at most. */
int storage_ask(enum storage_request_kind kind, struct storage_reply *ret);
