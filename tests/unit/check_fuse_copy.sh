#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Large direct writes to a file that qemu-storage-daemon shows, with the project's module preloaded: what was written is what is
# there, though the storage behind - another daemon, by a socket - takes it slowly and several requests of FUSE are under way at a
# time. In user and mount namespaces of its own. Usage: check_fuse_copy.sh MODULE
set -euo pipefail

[ $# = 2 ] || exec unshare --map-root-user --mount "$0" "$1" inside
module=$1
work=$(mktemp -d)
pids=()
end() {
	exec 2>/dev/null
	kill -KILL "${pids[@]}" && wait "${pids[@]}" || true
	umount -l "$work/file" 2>/dev/null || true
	rm -rf "$work"
}
trap end EXIT

fail() {
	echo "$*" >&2
	exit 1
}

# Waits until a condition holds.
until_holds() {
	local i
	for ((i = 0; i < 100; i++)); do
		if "$@"; then
			return 0
		fi
		sleep 0.1
	done
	fail "not in 10 s: $*"
}

head -c 64M /dev/urandom >"$work/pattern"
truncate -s 64M "$work/storage" "$work/file"
qemu-storage-daemon --blockdev driver=file,node-name=storage,filename="$work/storage" \
	--nbd-server addr.type=unix,addr.path="$work/socket" --export type=nbd,id=storage,node-name=storage,writable=on &
pids+=($!)
until_holds test -S "$work/socket"
LD_PRELOAD=$module qemu-storage-daemon \
	--blockdev driver=nbd,node-name=shown,server.type=unix,server.path="$work/socket",export=storage \
	--export type=fuse,id=shown,node-name=shown,mountpoint="$work/file",writable=on &
pids+=($!)
until_holds grep -q "$work/file" /proc/self/mounts

# One of 16 MiB is 16 requests or more.
timeout 60 dd if="$work/pattern" of="$work/file" bs=16M oflag=direct conv=notrunc status=none
timeout 60 cmp "$work/pattern" "$work/storage" || fail "what was written is not what is there"
