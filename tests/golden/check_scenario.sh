#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Plays files - scenarios, schedules of faults - and compares what happens with the log beside each. `--update` writes
# the logs anew: read what changed, and say in the commit why.
# Usage: check_scenario.sh [--update] PROGRAM OPTION FILE...; each is played by `PROGRAM OPTION FILE`
set -euo pipefail

update=
[ "${1-}" != --update ] || { update=yes; shift; }
program=$1 option=$2
shift 2
[ $# -gt 0 ] || { echo "no scenario given"; exit 1; }
failed=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT

for scenario in "$@"; do
	expected=${scenario%.*}.log
	timeout 60 "$program" "$option" "$scenario" >"$log" || { echo "$scenario: exit code $?"; failed=1; }
	if [ -n "$update" ]; then
		cp "$log" "$expected"
	elif ! diff -u "$expected" "$log"; then
		echo "$scenario: if that is as it should be: tests/golden/check_scenario.sh --update $program $option $scenario"
		failed=1
	fi
done
exit $failed
