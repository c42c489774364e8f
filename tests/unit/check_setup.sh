#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# tools/setup where packages are missing, and after a run that was killed: no service starts during an installation, and
# afterwards policy-rc.d is as the machine had it; the units of storage servers that came with it are disabled.
# /usr/sbin, the lock, apt, dpkg-query, systemctl, flock and id are this test's own, in a mount namespace; apt and flock
# write down what policy-rc.d answers, systemctl what it is told. Usage: check_setup.sh SETUP
set -euo pipefail

[ $# = 2 ] || exec unshare --map-root-user --mount "$0" "$1" inside
setup=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

mkdir "$work/bin" "$work/sbin" "$work/lock"
for program in /usr/sbin/*; do
	ln -s /bin/true "$work/sbin/${program##*/}"
done
rm -f "$work/sbin/policy-rc.d"
mount --bind "$work/sbin" /usr/sbin
mount --bind "$work/lock" /run/lock

cat >"$work/policy" <<'E'
policy=/usr/sbin/policy-rc.d
answers() {
	local code=0
	[ -e $policy ] || { echo none; return; }
	$policy || code=$?
	echo $code
}
E
cat >"$work/bin/flock" <<'E'
#!/bin/bash
. "$WORK/policy"
echo "flock $(answers)" >>"$WORK/told"
E
cat >"$work/bin/apt-get" <<'E'
#!/bin/bash
. "$WORK/policy"
[[ " $* " == *" install "* ]] && word=install || word=update
echo "$word $(answers)$([ ! -e /proc/$$/fd/9 ] || echo ', with the lock')" >>"$WORK/told"
[ ! -e "$WORK/fails" ] || exit 1
[ $word != install ] || rm -f "$WORK"/missing*
[ $word != install ] || [ ! -e "$WORK/dies" ] || kill -KILL "$(cat "$WORK/pid")"
E
cat >"$work/bin/dpkg-query" <<'E'
#!/bin/bash
if [ "$1" = -L ]; then
	printf '/lib/systemd/system/%s.%s\n' "$2" service "$2" socket "$2" conf
	exit
fi
shift 3
for package in "$@"; do
	[ -e "$WORK/missing" ] && [ "$package" = git ] || [ -e "$WORK/missing-$package" ] || echo "$package installed"
done
E
cat >"$work/bin/systemctl" <<'E'
#!/bin/bash
echo "$3 $4" >>"$WORK/told"
E
printf '#!/bin/bash\necho known\n' >"$work/bin/apt-cache"
printf '#!/bin/bash\n[ -e "$WORK/user" ] && echo 1000 || echo 0\n' >"$work/bin/id"
chmod 755 "$work/bin"/*
. "$work/policy"

# What policy-rc.d the machine has: none, or one that answers with this code.
machine() {
	rm -f $policy* "$work"/missing* "$work"/{fails,dies,user}
	[ "$1" = none ] || { printf '#!/bin/sh\nexit %s\n' "$1" >$policy; chmod 755 $policy; }
}

# Usage: try NAME EXIT TOLD POLICY, as they must be afterwards
try() {
	local code=0
	: >"$work/told"
	{
		WORK=$work TMPDIR=$work PATH=$work/bin:$PATH timeout 60 bash -c 'echo $$ >"$WORK/pid"; exec "$1"' - "$setup" \
			>"$work/said" 2>&1 </dev/null
	} 2>"$work/shell" || code=$? # a shell says who was killed
	[ "$code, $(paste -sd, "$work/told"), $(answers)" = "$2, $3, $4" ] && return
	echo "$1: exit $code, $(paste -sd, "$work/told"), policy-rc.d: $(answers)"
	cat "$work/said"
	failed=1
}

for own in none 7; do
	machine $own
	try "nothing is missing" 0 "" $own
	machine $own
	touch "$work/missing"
	try "one is missing" 0 "flock $own,update 101,install 101" $own
	machine $own
	touch "$work/missing-tgt" "$work/missing-clang"
	try "a storage server is missing" 0 \
		"flock $own,update 101,install 101,disable tgt.service,disable tgt.socket" $own
	machine $own
	touch "$work/missing" "$work/fails"
	try "apt fails" 1 "flock $own,update 101" $own
	machine $own
	touch "$work/missing" "$work/dies"
	try "killed" 137 "flock $own,update 101,install 101" 101
	rm "$work/dies"
	try "after a kill" 0 "flock 101" $own
	machine $own
	touch "$work/missing" "$work/dies"
	try "killed again" 137 "flock $own,update 101,install 101" 101
	rm "$work/dies"
	touch "$work/missing"
	try "one is missing after a kill" 0 "flock 101,flock $own,update 101,install 101" $own
done
machine 7
mv $policy $policy.before-setup
try "killed before its own was there" 0 "flock none" 7
machine 7
touch "$work/missing" "$work/dies"
try "killed a third time" 137 "flock 7,update 101,install 101" 101
touch "$work/missing" "$work/user"
try "not root" 1 "" 101
grep -qx "setup: needs root to install: git " "$work/said" || { cat "$work/said"; failed=1; }
exit $failed
