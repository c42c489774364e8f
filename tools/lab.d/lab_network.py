# SPDX-License-Identifier: LGPL-2.1-or-later
"""The lab's network: one switch that leads nowhere, and a namespace with a bridge `br0` for each host.

A cut takes the host's port off the switch and leaves both ends of the cable up, so that the host's bridge
keeps its carrier; a power cut takes the port down too. Storage with a server has a switch of its own, which the server
sits on and each host reaches by `eth1`. Called by up, boot, kill, net, storage and down.
"""
import os

from lab_place import STORAGE_ADDRESS, SWITCH_ADDRESS, call


def make_switch(lab):
    call("ip", "netns", "add", lab.switch)
    for command in ("link set lo up", "link add br0 type bridge forward_delay 0 stp_state 0",
                    "link set br0 address 02:90:02:00:00:01", "link set br0 up",
                    f"addr add {SWITCH_ADDRESS}/24 dev br0"):
        call("ip", "-n", lab.switch, *command.split())


def make_host(host):
    switch, space, number = host.lab.switch, host.full_name, f"{host.number:02x}"
    call("ip", "netns", "add", space)
    call("ip", "-n", switch, "link", "add", host.port, "type", "veth", "peer", "name", "eth0", "netns", space)
    # Fixed MACs: a bridge without one takes over the MAC of a joining tap, and the host's address goes dead.
    for command in ("link set lo up", f"link set eth0 address 02:90:01:00:00:{number}",
                    f"link add br0 address 02:90:00:00:00:{number} type bridge forward_delay 0 stp_state 0",
                    "link set eth0 master br0", "link set eth0 up", "link set br0 up",
                    f"addr add {host.address}/24 dev br0"):
        call("ip", "-n", space, *command.split())
    # /proc/sys is read-only inside the host, so the range for ping sockets is set from here.
    call("ip", "netns", "exec", space, "sh", "-c", "echo '0 2147483647' >/proc/sys/net/ipv4/ping_group_range")
    plug(host)


def plug(host):
    call("ip", "-n", host.lab.switch, "link", "set", host.port, "master", "br0", "up")


def unplug(host):
    call("ip", "-n", host.lab.switch, "link", "set", host.port, "nomaster")


def power_off(host):
    call("ip", "-n", host.lab.switch, "link", "set", host.port, "nomaster", "down")


def is_plugged(host):
    out = call("ip", "-n", host.lab.switch, "link", "show", host.port, check=False)
    return None if out is None else " master br0 " in out


def storage_space(lab):
    return f"ovha.{lab.name}.storage"


def make_storage_switch(lab):
    call("ip", "netns", "add", storage_space(lab))
    for command in ("link set lo up", "link add br0 type bridge forward_delay 0 stp_state 0",
                    "link set br0 address 02:90:02:00:01:01", "link set br0 up",
                    f"addr add {STORAGE_ADDRESS}/24 dev br0"):
        call("ip", "-n", storage_space(lab), *command.split())


def connect_storage(host):
    switch, space = storage_space(host.lab), host.full_name
    call("ip", "-n", switch, "link", "add", host.port, "type", "veth", "peer", "name", "eth1", "netns", space)
    for command in (f"link set eth1 address 02:90:01:00:01:{host.number:02x}", "link set eth1 up",
                    f"addr add {host.storage_address}/24 dev eth1"):
        call("ip", "-n", space, *command.split())
    # Else TCP may sleep for two minutes after a loss that is long over; where the kernel has the setting.
    call("ip", "netns", "exec", space, "sh", "-c", "echo 1000 >/proc/sys/net/ipv4/tcp_rto_max_ms", check=False)
    plug_storage(host)


def plug_storage(host):
    call("ip", "-n", storage_space(host.lab), "link", "set", host.port, "master", "br0", "up")


def unplug_storage(host):
    call("ip", "-n", storage_space(host.lab), "link", "set", host.port, "nomaster")


def remove_all(lab):
    prefix = f"ovha.{lab.name}."
    spaces = os.listdir("/run/netns") if os.path.isdir("/run/netns") else []
    for space in spaces:
        if space.startswith(prefix):
            call("ip", "netns", "del", space)
