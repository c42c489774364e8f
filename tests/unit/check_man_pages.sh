#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Each manual page renders without a warning, and names no page of ours that there is none of. Usage: check_man_pages.sh PAGE...
set -euo pipefail

failed=0
declare -A known=()
for page in "$@"; do
	name=$(basename "$page")
	known["${name%.*}(${name##*.})"]=1
done
for page in "$@"; do
	words=$(groff -k -man -Tutf8 -ww -z "$page" 2>&1)
	[ -z "$words" ] || { echo "$words"; failed=1; }
	for other in $(groff -k -man -Tascii -P-bcou "$page" | grep -oE '(hosted-engine|ovirt-ha)[a-z-]*\([1-8]\)' | sort -u); do
		[ "${known[$other]-}" ] || { echo "${page##*/}: there is no $other"; failed=1; }
	done
done
[ $# -gt 0 ] || failed=1
exit $failed
