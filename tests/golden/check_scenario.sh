#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Plays the example scenarios and compares what happens with the log beside each. `--update` writes the logs anew: read
# what changed, and say in the commit why.
# Usage: check_scenario.sh [--update] HOSTED_ENGINE_SIM SCENARIO...
set -euo pipefail

update=
[ "${1-}" != --update ] || { update=yes; shift; }
program=$1
shift
[ $# -gt 0 ] || { echo "no scenario given"; exit 1; }
failed=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT

for scenario in "$@"; do
	expected=${scenario%.scenario}.log
	timeout 60 "$program" run "$scenario" >"$log" || { echo "$scenario: exit code $?"; failed=1; }
	if [ -n "$update" ]; then
		cp "$log" "$expected"
	elif ! diff -u "$expected" "$log"; then
		echo "$scenario: if that is as it should be: tests/golden/check_scenario.sh --update $program $scenario"
		failed=1
	fi
done
exit $failed
