#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Every option that a program names in its help stands in its manual page.
# Usage: check_manual.sh MAN_DIR PROGRAM...; the pages are the sources in MAN_DIR.
set -euo pipefail

pages=$1
shift
failed=0 options=0

for program in "$@"; do
	page=$(echo "$pages/$(basename "$program")".[18].scd)
	help=$(timeout 10 "$program" --help 2>/dev/null || timeout 10 "$program" -h)
	for option in $(grep -oE '(^|[[ ])--?[a-z][a-z-]*' <<<"$help" | tr -d '[ ' | sort -u); do
		options=$((options + 1))
		# --vm-start must not be found in --vm-start-paused.
		grep -qE -e "(^|[^a-z-])$option([^a-z-]|\$)" "$page" || {
			echo "${page##*/}: $option is missing"
			failed=1
		}
	done
done
[ "$options" -gt $# ] || {
	echo "no options found in the help of $*"
	failed=1
}
exit $failed
