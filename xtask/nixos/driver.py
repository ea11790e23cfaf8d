"""Goes through the steps of a scenario on machines that run already.

Arguments: a JSON object with the first process of each machine by its name, and the file of steps. The functions of machines are
those that vm-tests/scenarios/README.md lists, as the NixOS test driver has them.
"""

import json
import subprocess
import sys
import time

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/lib/postgresql/17/bin"


class Machine:
    def __init__(self, name, leader):
        self.name = name
        self.enter = ["nsenter", f"--target={leader}", "--mount", "--uts", "--ipc", "--net", "--pid", "--root", "--wd", "--"]

    def _run(self, command):
        environment = ["env", "-i", f"PATH={PATH}", "HOME=/root", "LANG=C.UTF-8"]
        return subprocess.run(
            [*self.enter, "/usr/bin/" + environment[0], *environment[1:], "bash", "-c", f"set -euo pipefail; {command}"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )

    def execute(self, command):
        done = self._run(command)
        return done.returncode, done.stdout

    def succeed(self, command):
        done = self._run(command)
        if done.returncode != 0:
            raise AssertionError(f"{self.name}: {command}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def fail(self, command):
        done = self._run(command)
        if done.returncode == 0:
            raise AssertionError(f"{self.name}: {command} succeeds\n{done.stdout}")
        return done.stdout

    def wait_until_succeeds(self, command, timeout=900):
        end = time.monotonic() + timeout
        while True:
            done = self._run(command)
            if done.returncode == 0:
                return done.stdout
            if time.monotonic() > end:
                raise AssertionError(f"{self.name}: {command}: not in {timeout} s\n{done.stdout}{done.stderr}")
            time.sleep(0.2)

    def wait_for_unit(self, unit, timeout=900):
        end = time.monotonic() + timeout
        while True:
            state = self._run(f"systemctl is-active {unit} || true").stdout.strip()
            if state == "active":
                return
            if state == "failed" or time.monotonic() > end:
                raise AssertionError(f"{self.name}: {unit} is {state}")
            time.sleep(0.2)


def main():
    machines = {name: Machine(name, leader) for name, leader in json.loads(sys.argv[1]).items()}
    with open(sys.argv[2], encoding="utf-8") as file:
        steps = compile(file.read(), sys.argv[2], "exec")
    # They are started already.
    exec(steps, {"start_all": lambda: None, **machines})


main()
