#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A fuzzer and its arguments: for 20 s from the same seed, so that what a clean build finds is found again by the next
# one; with `tests/run --full` for 100 s from a new seed.
fuzzer=$1
shift
if [ "${OVIRT_HA_TEST_FULL:-0}" = 1 ]; then
    exec "$fuzzer" -max_total_time=100 "$@"
fi
exec "$fuzzer" -max_total_time=20 -seed=1 "$@"
