# SPDX-License-Identifier: LGPL-2.1-or-later
"""A lab as the end-to-end cases drive it: by the same commands of tools/lab that an operator types.

Every call has a deadline; a command that fails is an AssertionError with its words. Keeps what a failed case
needs to be understood. Decides nothing about what a case expects.
"""
import concurrent.futures
import glob
import json
import os
import re
import shutil
import subprocess
import time

import lab_config
import lab_engine
import lab_storage
from lab_place import Lab, LabError, host_of_process, read

TOP = os.path.realpath(f"{os.path.dirname(__file__)}/../..")
LAB = f"{TOP}/tools/lab"
LOGS = ("hosts/*/console.log", "hosts/*/storage.log", "hosts/*/proxy/*.log", "storage/server/*.log")
UNITS = ("ovirt-ha-agent", "ovirt-ha-broker", "ovirt-ha-guard", "ovirt-ha-notify", "ovirt-ha-storage", "sanlock", "libvirtd",
         "corosync")


def poll(ask, seconds, what):
    """Waits until `ask` holds; its value. `what`, or what it returns, is said when it does not come true."""
    deadline = time.monotonic() + seconds
    while not (answer := ask()):
        assert time.monotonic() < deadline, what() if callable(what) else what
        time.sleep(0.2)
    return answer


class LabDriver:
    def __init__(self, name, build):
        self.lab, self.build = Lab(name), build
        self.transcript = []

    def command(self, *arguments, timeout=60, check=True):
        words = [str(argument) for argument in arguments]
        try:
            done = subprocess.run([LAB, "--name", self.lab.name, *words], stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout, text=True)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"lab {' '.join(words)}: no end in {timeout} s") from None
        self.transcript.append(f"$ lab {' '.join(words)}\n{done.stdout}{done.stderr}")
        if check:
            assert done.returncode == 0, f"lab {' '.join(words)}: exit {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def up(self, *arguments):
        self.command("up", "--build", self.build, *arguments, timeout=180)

    def down(self):
        self.command("down", timeout=120)

    def run(self, host, *command, timeout=30, check=True):
        return self.command("run", host, *command, timeout=timeout, check=check)

    def kill(self, host):
        self.command("kill", host)

    def boot(self, host):
        self.command("boot", host, timeout=90)

    def net(self, host, state):
        self.command("net", host, state)

    def storage(self, host, state):
        self.command("storage", host, state)

    def vm(self, action):
        self.command("vm", action, timeout=90)

    def wait(self, condition, timeout):
        self.command("wait", condition, "--timeout", timeout, timeout=timeout + 30)

    def holds(self, condition):
        return self.command("wait", condition, "--timeout", 0, check=False).returncode == 0

    def status(self):
        return json.loads(self.command("status", "--json").stdout)

    def keys(self):
        return self.lab.required_settings()["hosts"]

    def vm_host(self):
        """Key of the host where the engine runs; a paused QEMU that waits for the lease elsewhere doesn't count."""
        try:
            return lab_engine.running_process(self.lab)[1]
        except LabError as error:
            raise AssertionError(str(error)) from None

    # What a case of the daemons does and asks.

    def operator(self, host, *arguments, check=True):
        """hosted-engine on a host; setting maintenance returns two loops after its write."""
        return self.run(host, "hosted-engine", *arguments, timeout=120, check=check)

    def others(self, host):
        return [key for key in self.keys() if key != str(host)]

    def qemu(self):
        """Pids of the engine's QEMU in the machine's view."""
        return sorted(lab_engine.processes(self.lab))

    def stays(self, before):
        """The QEMU of `before` is still the VM. Others may try: paused, and refused the lease."""
        return [lab_engine.running_process(self.lab)[0]] == before

    def main_pid(self, host, unit):
        return int(self.run(host, "systemctl", "show", "-p", "MainPID", "--value", unit).stdout)

    def unit_pids(self, host, units):
        """Pids of the units' main processes in the machine's view."""
        found = []
        for unit in units:
            inside = self.main_pid(host, unit)
            assert inside, f"{unit} does not run"
            pids = [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc")))
                    if (read(f"/proc/{pid}/cgroup") or "").rstrip().endswith(f"/{unit}.service")
                    and host_of_process(pid, self.lab.name) == str(host)
                    and re.search(rf"^NSpid:.*\t{inside}$", read(f"/proc/{pid}/status") or "", re.M)]
            assert len(pids) == 1, f"{unit}: {pids}"
            found += pids
        return found

    def board_kib(self, host, *threads):
        """What the broker's threads of these names have read from the whiteboard since its start: `store-scan` those for
        others' blocks, `store-own` that of its own."""
        total = 0
        for thread in glob.glob(f"/proc/{self.unit_pids(host, ['ovirt-ha-broker'])[0]}/task/*"):
            if (read(f"{thread}/comm") or "").rstrip() in threads:
                total += int(re.search(r"rchar: (\d+)", read(f"{thread}/io")).group(1))
        return total / 1024

    def wait_elsewhere(self, host, timeout):
        self.wait(f"!vm=up@{host} && vm=up && http=ok", timeout)

    def wait_well(self, timeout, but=()):
        """The VM runs and is healthy, and every host (`but` those) does all it should and could take the VM."""
        terms = ["vm=up", "http=ok"]
        for key in self.keys():
            if key not in but:
                terms += [f"{unit}@{key}=active" for unit in ("agent", "broker", "guard", "sanlock", "libvirtd")]
                terms += [f"lockspace@{key}=joined", f"score@{key}>0"]
        self.wait(" && ".join(terms), timeout)

    def own_status(self, host):
        """What --vm-status says on a host of that host."""
        return json.loads(self.operator(host, "--vm-status", "--json").stdout)[str(host)]

    def storage_state(self, host):
        return lab_storage.state(self.lab.host(host))

    def wait_seen(self, host, timeout):
        """The host itself knows by now that every host could take the VM: it reads the others' records once a loop."""
        def scores():
            state = json.loads(self.operator(host, "--vm-status", "--json").stdout)
            return [state.get(key, {}).get("score", 0) for key in self.keys()]
        poll(lambda: all(score > 0 for score in scores()), timeout, f"host {host} does not see all hosts well")

    # What a case does without the project's daemons.

    def join(self, *hosts):
        """All hosts at once: each takes three times the io_timeout."""
        settings = self.lab.required_settings()
        lockspace = lab_storage.path_in_host(settings, "lockspace")

        def join_one(host):
            number = str(host).rstrip("c")
            self.run(host, "sanlock", "client", "add_lockspace", "-s", f"hosted-engine:{number}:{lockspace}:0", "-o",
                     settings["io_timeout"])
        with concurrent.futures.ThreadPoolExecutor(len(hosts)) as pool:
            list(pool.map(join_one, hosts))

    def put_domain(self, host, edit=lambda text: text, lease=True):
        """Writes the engine's domain into the host for virsh; returns its path there."""
        text = edit(lab_config.domain_xml(self.lab, self.lab.required_settings(), lease))
        with open(f"{self.lab.folder}/hosts/{host}/root/root/engine.xml", "w") as file:
            file.write(text)
        return "/root/engine.xml"

    def create(self, host, *options, check=True, **domain):
        path = self.put_domain(host, **domain)
        return self.run(host, "virsh", "-q", "create", path, *options, timeout=90, check=check)

    def keep_evidence(self, folder, story):
        """For a failed case: what was typed, the witness's account, the last status and each host's journal."""
        os.makedirs(folder, exist_ok=True)
        with open(f"{folder}/transcript", "w") as file:
            file.write("\n".join(self.transcript))
        with open(f"{folder}/witness", "w") as file:
            file.write(story + "\n")
        for log in LOGS:  # also of an `up` that was broken off
            for path in glob.glob(f"{self.lab.folder}/{log}"):
                shutil.copy(path, f"{folder}/{os.path.relpath(path, self.lab.folder).replace('/', '-')}")
        if self.lab.settings() is None:
            return
        with open(f"{folder}/status", "w") as file:
            file.write(self.command("status", check=False).stdout)
        for key in self.keys():
            with open(f"{folder}/journal-{key}", "w") as file:
                units = [word for unit in UNITS for word in ("-u", unit)]
                subprocess.run(["journalctl", "--no-pager", "-q", "-o", "short-monotonic", "-D",
                                f"{self.lab.folder}/hosts/{key}/root/var/log/journal", *units],
                               stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, timeout=30)
