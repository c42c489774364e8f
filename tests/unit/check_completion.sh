#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What bash offers: after hosted-engine-cleanup the options of its help; after hosted-engine, whose tables test_command_table
# compares, what fits where. Usage: check_completion.sh TOOLS_DIR CLEANUP_PROGRAM
set -euo pipefail

failed=0
source "$1/hosted-engine.bash"
source "$1/hosted-engine-cleanup.bash"

expect() {
	[ "$2" = "$3" ] || { echo "$1: '$2' and not '$3'"; failed=1; }
}

expect hosted-engine-cleanup "$(complete -p hosted-engine-cleanup | sed "s/.*'\(.*\)'.*/\1/" | tr ' ' '\n' | sort)" \
	"$("$2" --help | grep -oE '^    -[^ ]*, --[a-z]+' | tr -d ' ' | tr , '\n' | sort)"

# The words of the line, the last one being typed; then what is offered.
offered() {
	local expected=$1
	shift
	COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
	_hosted_engine
	expect "$*" "${COMPREPLY[*]-}" "$expected"
}
offered "--check-liveliness --check-deployed" hosted-engine --check
offered "--json --watch" hosted-engine --vm-status ""
offered "--watch" hosted-engine --vm-status --json ""
offered "--mode=" hosted-engine --set-maintenance --m
offered "global local none" hosted-engine --set-maintenance --mode = # bash cuts the line at =
offered "global" hosted-engine --set-maintenance --mode = g
offered "local" hosted-engine --set-maintenance --mode l
offered "none" hosted-engine --set-maintenance = n
offered "he_local he_shared" hosted-engine --get-shared-config smtp-port --type = he
offered "nfs" hosted-engine --discover-storage n
offered "--vm-poweroff" hosted-engine --help --vm-p
offered "" hosted-engine --help --vm-poweroff --
offered "" hosted-engine --vm-shutdown --
offered "" hosted-engine --no-such --
offered "" hosted-engine --add-console-password --password = x
cd "$1"
offered "hosted-engine-cleanup.bash" hosted-engine --dump-whiteboard hosted-engine-c
exit $failed
