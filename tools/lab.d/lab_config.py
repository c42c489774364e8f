# SPDX-License-Identifier: LGPL-2.1-or-later
"""The configuration layer of a host: what lies over the project's installed tree and the machine's own root.

Decides which units of the machine start in a host (none but those linked here), and writes libvirt's, sanlock's
and the project's configuration. Writes below the host's own folder only, before the host boots.
"""
import glob
import os
import re
import shutil

from lab_place import (COMMAND_SOCKET, CONSOLE_FILE, GUEST_ADDRESS, HOSTS_MAX, NETWORK, STORAGE_ADDRESS, SWITCH_ADDRESS,
                       LabError, read, write)
from lab_storage import FILES, LOCKSPACE, path_in_host

OPAQUE = ("etc/systemd/system", "run", "tmp", "var/tmp", "var/log", "var/lib/libvirt", "var/cache/libvirt",
          "etc/libvirt/qemu", "var/lib/sanlock")
MASKED = ("systemd-udevd", "systemd-udev-trigger", "systemd-timesyncd", "systemd-networkd", "systemd-resolved",
          "systemd-machined", "systemd-networkd-wait-online", "getty@", "console-getty", "e2scrub_reap", "wdmd",
          "libvirt-guests", "apt-daily", "apt-daily-upgrade", "man-db", "dpkg-db-backup")
ENABLED = ("sanlock", "libvirtd")
ENABLED_DEPLOYED = ("ovirt-ha-broker", "ovirt-ha-agent", "ovirt-ha-guard")
# What udev would do with a disk and its last partition, which this kernel may make no device of.
LAB_NAMES = """[Service]
ExecStart=/bin/sh -c 'mkdir -p /dev/disk/by-id /dev/disk/by-partuuid; ln -s /dev/lab-lun /dev/disk/by-id/lab-lun; \\
while sleep 0.5; do blockdev --flushbufs /dev/lab-lun; uuid=$$(sfdisk --part-uuid /dev/lab-lun 5 2>/dev/null | tr A-F a-f); \\
test -z "$$uuid" || ln -sfn /dev/lab-disk /dev/disk/by-partuuid/$$uuid; done'
"""
MIGRATION_URI = "qemu+tcp://{host}/system"  # the network of a lab leads nowhere, and its hosts have no certificates
SOCKETS = ("libvirtd", "libvirtd-ro", "libvirtd-admin", "libvirtd-tcp")
UNIT_FOLDERS = ("/usr/lib/systemd/system", "/lib/systemd/system")

LIBVIRTD = '''host_uuid = "{uuid}"
auth_unix_ro = "none"
auth_unix_rw = "none"
auth_tcp = "none"
log_filters = "3:util 2:locking 2:qemu.qemu_process"
log_outputs = "2:file:/var/log/libvirt/libvirtd.log"
'''
# No user and no cgroup of its own for QEMU: the machine may not let a container give either.
QEMU = '''user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
security_driver = "none"
cgroup_controllers = []
namespaces = []
seccomp_sandbox = 0
stdio_handler = "file"
max_core = 0
'''
QEMU_DEPLOYED = '''lock_manager = "sanlock"
'''
QEMU_SANLOCK = '''user = "root"
group = "root"
'''
QEMU_SANLOCK_DEPLOYED = '''auto_disk_leases = 0
require_lease_for_disks = 1
host_id = {host_id}
'''
HOSTED_ENGINE = '''fqdn=engine.lab
vmid={vmid}
host_id={host_id}
sdUUID={domain_uuid}
lockspace_path={paths[lockspace]}
metadata_path={paths[metadata]}
lease_path={paths[leases]}
conf_path={paths[conf]}
disk_path={paths[disk]}
lockspace_name={lockspace}
engine_lease_name=engine
vm_xml=/etc/ovirt-hosted-engine/vm.xml
gateway={gateway}
bridge=br0
network_test=ping
io_timeout={io_timeout}
require_watchdog=no
configured=True
'''
DOMAIN = '''<domain type='{accel}'>
  <name>HostedEngine</name>
  <uuid>{vmid}</uuid>
  <memory unit='MiB'>96</memory>
  <vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='pc'>hvm</type>
    <kernel>/srv/guest/vmlinuz</kernel>
    <initrd>/srv/guest/initrd</initrd>
    <cmdline>console=ttyS0 quiet panic=0 lab.address={guest} lab.gateway={gateway}</cmdline>
  </os>
  <features><acpi/></features>
  <on_poweroff>destroy</on_poweroff>
  <on_reboot>restart</on_reboot>
  <on_crash>destroy</on_crash>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <controller type='usb' model='none'/>
    <disk type='{disk_type}' device='disk'>
      <driver name='qemu' type='raw' cache='none' io='threads'/>
      <source {disk_source}='{disk}'/>
      <target dev='vda' bus='virtio'/>
    </disk>
    <interface type='bridge'>
      <mac address='52:54:00:90:00:01'/>
      <source bridge='br0'/>
      <model type='virtio'/>
      <rom enabled='no'/>
    </interface>
    <serial type='pty'><log file='{console}' append='on'/></serial>
    <serial type='unix'><source mode='bind' path='{commands}'/></serial>
    <memballoon model='none'/>
    <panic model='isa'/>
  </devices>
</domain>
'''
# Without real time and the root cgroup, which the machine may not give to a container.
COROSYNC = '''system {{
	sched_rr: no
	move_to_root_cgroup: no
	allow_knet_handle_fallback: yes
}}
totem {{
	version: 2
	cluster_name: {name}
	transport: knet
	crypto_cipher: none
	crypto_hash: none
	token: 1000
	token_coefficient: 0
}}
nodelist {{
{nodes}}}
logging {{
	to_syslog: yes
}}
'''
COROSYNC_NODE = '''	node {{
		nodeid: {number}
		name: h{number}
		ring0_addr: {network}.{number}
	}}
'''
LEASE = '''  <lease>
      <lockspace>{lockspace}</lockspace>
      <key>engine</key>
      <target path='{leases}' offset='0'/>
    </lease>
'''


def domain_xml(lab, settings, lease=False):
    """The engine's domain; with its lease only for who starts it without the agent, as tests do."""
    disk = path_in_host(settings, "disk")
    kind, source = ("block", "dev") if disk.startswith("/dev/") else ("file", "file")
    text = DOMAIN.format(accel=settings["accel"], vmid=lab.vmid, guest=GUEST_ADDRESS, gateway=SWITCH_ADDRESS,
                         console=CONSOLE_FILE, commands=COMMAND_SOCKET, disk=disk, disk_type=kind, disk_source=source)
    if lease:
        element = LEASE.format(lockspace=LOCKSPACE, leases=path_in_host(settings, "leases"))
        text = text.replace("  </devices>", "  " + element + "  </devices>")
        text = text.replace("  <devices>", "  <on_lockfailure>poweroff</on_lockfailure>\n  <devices>")
    return text


def override(text, key, value):
    """Sets `[section.]key` in an ini or KEY=VALUE text; a line that has the key (not as comment) is replaced."""
    section, _, key = key.rpartition(".")
    lines, now, at = text.splitlines(), "", 0 if not section else None
    for index, line in enumerate(lines):
        header = re.match(r"\s*\[(.+)\]\s*$", line)
        if header:
            now = header.group(1)
            if now == section:
                at = index + 1
        elif now == section and re.match(rf"\s*{re.escape(key)}\s*=", line):
            lines[index] = f"{key}={value}"
            return "\n".join(lines) + "\n"
    if at is None:
        lines += [f"[{section}]"]
        at = len(lines)
    lines.insert(at, f"{key}={value}")
    return "\n".join(lines) + "\n"


def parse_settings(settings):
    """--set FILE.[SECTION.]KEY=VALUE -> [(file, key, value)], FILE one of agent, broker, he."""
    parsed = []
    for setting in settings:
        found = re.match(r"(agent|broker|he)\.([^=\s]+)=(.*)$", setting)
        if not found:
            raise LabError(f"--set {setting}: give agent.KEY=VALUE, broker.SECTION.KEY=VALUE or he.KEY=VALUE")
        parsed.append(found.groups())
    return parsed


def overridden(text, file, settings):
    for name, key, value in settings:
        if name == file:
            text = override(text, key, value)
    return text


def unit_path(host, unit):
    """Where a unit lies for the host: installed by the project, or by the machine's packages."""
    for folder in UNIT_FOLDERS:
        for root in (host.lab.tree, ""):
            if os.path.exists(f"{root}{folder}/{unit}"):
                return f"{folder}/{unit}"
    return None


def has_corosync(host, settings):
    """A clone has an address that is no node's."""
    return settings.get("corosync") and host.key.isdigit()


def write_corosync(host, layer, settings):
    nodes = "".join(COROSYNC_NODE.format(number=key, network=NETWORK) for key in settings["hosts"] if key.isdigit())
    write(f"{layer}/etc/corosync/corosync.conf", COROSYNC.format(name=host.lab.name, nodes=nodes))


def write_units(host, layer, settings):
    system = f"{layer}/etc/systemd/system"
    os.makedirs(f"{system}/multi-user.target.wants")
    os.makedirs(f"{system}/sockets.target.wants")
    os.symlink("/lib/systemd/system/multi-user.target", f"{system}/default.target")
    for unit in MASKED:
        os.symlink("/dev/null", f"{system}/{unit}.service")
    enabled = ENABLED if settings.get("undeployed") else ENABLED + ENABLED_DEPLOYED
    if has_corosync(host, settings):
        enabled += ("corosync",)
    if settings.get("undeployed") and settings["storage"] == "block":
        write(f"{system}/lab-names.service", LAB_NAMES)
        os.symlink("../lab-names.service", f"{system}/multi-user.target.wants/lab-names.service")
    for unit in enabled:
        path = unit_path(host, f"{unit}.service")
        if path:
            os.symlink(path, f"{system}/multi-user.target.wants/{unit}.service")
    for unit in SOCKETS:
        os.symlink(unit_path(host, f"{unit}.socket"), f"{system}/sockets.target.wants/{unit}.socket")
    write(f"{system}/libvirtd.socket.d/lab.conf", "[Socket]\nSocketMode=0660\nSocketGroup=libvirt\n")
    write(f"{system}/libvirtd-tcp.socket.d/lab.conf",
          f"[Socket]\nListenStream=\nListenStream={host.address}:16509\nFreeBind=yes\n")
    # A unit with a protected /proc gets one of its own, without the host's load that was bound over it.
    write(f"{system}/ovirt-ha-broker.service.d/lab.conf",
          "[Service]\nBindReadOnlyPaths=/srv/load/stat:/proc/stat /srv/load/meminfo:/proc/meminfo\n")


def write_project(host, layer, settings):
    etc = f"{layer}/etc/ovirt-hosted-engine"
    values = [("agent", "migration.uri", MIGRATION_URI), *settings["set"]]
    text = HOSTED_ENGINE.format(vmid=host.lab.vmid, host_id=host.host_id, domain_uuid=host.lab.domain_uuid,
                                lockspace=LOCKSPACE, gateway=SWITCH_ADDRESS, io_timeout=settings["io_timeout"],
                                paths={name: path_in_host(settings, name) for name in FILES})
    write(f"{etc}/hosted-engine.conf", overridden(text, "he", values))
    write(f"{etc}/vm.xml", domain_xml(host.lab, settings))
    for file in ("agent", "broker"):
        path = f"etc/ovirt-hosted-engine-ha/{file}.conf"
        text = overridden(read(f"{host.lab.tree}/{path}") or "", file, values)
        if text:
            write(f"{layer}/{path}", text)


def write_layer(host, settings):
    layer = f"{host.folder}/layer"
    for folder in OPAQUE:
        os.makedirs(f"{layer}/{folder}")
        os.setxattr(f"{layer}/{folder}", "trusted.overlay.opaque", b"y")
    for folder in ("tmp", "var/tmp"):
        os.chmod(f"{layer}/{folder}", 0o1777)
    # The log folders that packages own, empty; a journal that survives a power cut.
    for path in glob.glob("/var/log/*/"):
        info, target = os.stat(path), f"{layer}{path}".rstrip("/")
        os.makedirs(target, exist_ok=True)
        os.chown(target, info.st_uid, info.st_gid)
        os.chmod(target, info.st_mode & 0o7777)
    os.makedirs(f"{layer}/var/log/journal", exist_ok=True)
    os.makedirs(f"{layer}/var/log/libvirt/qemu", exist_ok=True)
    for folder, mode, user, group in (("images", 0o711, "root", "root"), ("boot", 0o711, "root", "root"),
                                      ("sanlock", 0o700, "root", "root"),
                                      ("qemu", 0o750, "libvirt-qemu", "kvm")):
        path = f"{layer}/var/lib/libvirt/{folder}"
        os.mkdir(path)
        os.chmod(path, mode)
        shutil.chown(path, user, group)
    shutil.chown(f"{layer}/var/lib/sanlock", "sanlock", "sanlock")

    deployed = not settings.get("undeployed")
    write_units(host, layer, settings)
    write(f"{layer}/etc/hostname", host.hostname + "\n")
    write(f"{layer}/etc/machine-id", host.uuid.replace("-", "") + "\n")
    write(f"{layer}/etc/fstab", "")
    names = [f"{NETWORK}.{number} h{number}" for number in range(1, HOSTS_MAX + 1) if number != host.host_id]
    write(f"{layer}/etc/hosts", "\n".join(["127.0.0.1 localhost", f"{host.address} {host.hostname}", *names,
                                           f"{SWITCH_ADDRESS} switch", f"{STORAGE_ADDRESS} storage", f"{GUEST_ADDRESS} engine.lab"]) + "\n")
    write(f"{layer}/etc/nsswitch.conf",
          "passwd: files systemd\ngroup: files systemd\nshadow: files\nhosts: files\n")
    write(f"{layer}/etc/libvirt/libvirtd.conf", LIBVIRTD.format(uuid=host.uuid))
    write(f"{layer}/etc/libvirt/qemu.conf", QEMU + (QEMU_DEPLOYED if deployed else ""))
    write(f"{layer}/etc/libvirt/qemu-sanlock.conf",
          QEMU_SANLOCK + (QEMU_SANLOCK_DEPLOYED.format(host_id=host.host_id) if deployed else ""))
    write(f"{layer}/etc/default/libvirtd", 'LIBVIRTD_ARGS=""\n')  # Debian's default ends an idle daemon
    name = " -e " + (host.uuid + "." + host.hostname)[:48]
    # Without SANLOCK_PRIVILEGED=0 sanlock dies where it can't raise its limits, and its unit says "success".
    write(f"{layer}/etc/default/sanlock",
          f'sanlock_opts="-w 0 -h 0 -l 0 -U root -G sanlock{name if deployed else ""}"\n'
          "SANLOCK_PRIVILEGED=0\n")
    if has_corosync(host, settings):
        write_corosync(host, layer, settings)
    if deployed:
        write_project(host, layer, settings)
    return layer
