#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The units as the build configured them: systemd reads them without a word, their exposure is small, and what the safety
# rules need of them stands in them. Usage: check_units.sh LIBEXECDIR GATE LEAVE STORAGE_DAEMON NOTIFY PATH UNIT...
set -euo pipefail

libexecdir=$1 gate=$2 leave=$3 daemon=$4 notify=$5 path=$6
shift 6
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

complain() {
	echo "$*"
	failed=1
}

# Programs are looked for: stand-ins, since nothing is installed yet.
mkdir "$work/libexec" "$work/units" "$work/units/sanlock.service.d"
for program in broker agent guard notify storage storage-daemon; do
	ln -s /bin/true "$work/libexec/ovirt-ha-$program"
done
for unit in "$leave" "$daemon" "$notify" "$path" "$@"; do
	sed "s|$libexecdir|$work/libexec|" "$unit" >"$work/units/${unit##*/}"
done
sed "s|$libexecdir|$work/libexec|" "$gate" >"$work/units/sanlock.service.d/50-ovirt-ha.conf"
export SYSTEMD_UNIT_PATH="$work/units:"

# Unknown keys are warnings to systemd, so any word about a file of ours is a failure.
for unit in "$leave" "$path" "$daemon" "$notify" "$@" sanlock.service; do
	[ "$unit" = sanlock.service ] && target=sanlock.service || target=$work/units/${unit##*/}
	said=$(timeout 30 systemd-analyze verify --man=no --recursive-errors=no "$target" 2>&1 || true)
	# Of sanlock.service only our drop-in is ours to judge.
	[ "$unit" = sanlock.service ] && said=$(grep -F "$work" <<<"$said" || true)
	[ -z "$said" ] || complain "${unit##*/}: $said"
done

for unit in "$daemon" "$notify" "$@"; do
	# What storage mounts, all must see: most of the sandbox comes with a mount namespace.
	[[ $unit == */ovirt-ha-storage* ]] && most=52 || most=30
	said=$(timeout 30 systemd-analyze security --offline=true --no-pager --threshold=$most "$unit" 2>&1) ||
		complain "${unit##*/}: $(tail -1 <<<"$said")"
done

must() {
	grep -qxE "$2" "$1" || complain "${1##*/}: $2 is missing"
}

must_not() {
	! grep -qE "$2" "$1" || complain "${1##*/}: $(grep -E "$2" "$1"), which must not be"
}

for unit in "$@"; do
	must "$unit" 'Type=notify'
	must "$unit" 'WatchdogSec=[0-9]+'
	# A stray SIGTERM ends a daemon as cleanly as a stop does.
	must "$unit" 'Restart=always'
	must "$unit" 'RestartPreventExitStatus=2'
	must "$unit" 'TimeoutStopSec=[12]'
	must "$unit" 'StartLimitIntervalSec=0'
	# Proofs read all of /proc (safety rules 4 and 5).
	must_not "$unit" '^(ProtectProc|ProcSubset|PrivateUsers|PrivatePIDs)='
	# Who stops sanlock, libvirt or the broker must not stop the others (rule 7: the VM and its host id stay).
	must_not "$unit" '^(Requires|Requisite|BindsTo|PartOf|Conflicts)='
	case $unit in
	*/ovirt-ha-guard.service)
		must "$unit" 'User=root'
		must "$unit" 'CapabilityBoundingSet=CAP_KILL CAP_SYS_BOOT'
		must "$unit" 'Before=sanlock.service'
		must "$unit" 'FileDescriptorStoreMax=1'
		;;
	*/ovirt-ha-storage.service)
		must "$unit" 'User=root'
		must "$unit" 'KillMode=process'
		must "$unit" 'Before=ovirt-ha-broker.service'
		must_not "$unit" '^(RuntimeDirectory|Protect|Private|ReadOnly|ReadWrite|Inaccessible|Temporary|Bind|Root|Mount|DynamicUser|RestrictFileSystems)'
		;;
	*)
		must "$unit" 'User=ovirt-ha'
		must "$unit" 'CapabilityBoundingSet='
		;;
	esac
done
# What is in the spool has to be seen, and a refused start tried again.
for kind in event mail test; do
	must "$path" "PathExistsGlob=/var/lib/ovirt-hosted-engine-ha/spool/\*\.$kind"
done
must "$notify" 'User=ovirt-ha'
must "$notify" 'StartLimitIntervalSec=0'
# It runs what the operator gave: no VM starts and no lease goes but by the agent.
must "$notify" 'InaccessiblePaths=-/run/libvirt -/run/sanlock -/run/ovirt-ha-guard'
must "$gate" 'ExecStartPre=\+.*/ovirt-ha-guard --prove-gone'
# After the daemons, before sanlock: the reverse of the start.
must "$leave" 'After=sanlock.service'
must "$leave" 'Before=ovirt-ha-broker.service ovirt-ha-agent.service libvirt-guests.service'
# The guard kills it, and knows it by its pid file (safety rule 13); it comes back after that, whatever its server does.
must "$daemon" 'PIDFile=/run/ovirt-ha-storage-daemon.pid'
must "$daemon" 'Restart=always'
# Ended before the next one begins: what the kernel would go on sending for it.
must "$daemon" 'ExecStopPost=.*/ovirt-ha-storage-daemon --clean'
must "$daemon" 'CapabilityBoundingSet=.*CAP_NET_ADMIN'
must_not "$daemon" '^Delegate'
must "$daemon" 'StartLimitIntervalSec=0'
# The reverse when the host goes down: VM and lockspace first, then their storage.
must "$daemon" 'Before=sanlock.service ovirt-ha-leave.service libvirt-guests.service'
must_not "$daemon" '^(Protect(System|Home|Kernel|ControlGroups|Proc)|Private|MountFlags|[A-Za-z]*Paths|SendSIGKILL|RuntimeDirectory)'
exit $failed
