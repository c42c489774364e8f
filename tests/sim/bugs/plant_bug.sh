#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Makes a copy of a source file with one planted bug. Called by the build: plant_bug.sh SOURCE NAME.patch OUTPUT. A
# patch that does not fit any more fails the build and is named: it has to follow the code that it breaks.
set -euo pipefail
patch --silent --fuzz=0 --reject-file=- --output="$3" "$1" "$2" || {
	echo "planted bug $(basename "$2" .patch) does not fit $1 any more: write it anew" >&2
	exit 1
}
