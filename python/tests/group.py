"""A group for workers to join, as the tests want it.

Needs MILLRACE_PROGRAM (millrace) and MILLRACE_MODEL (a GGUF file); tests/examples/python_test.sh sets them.
"""
import json
import os
import subprocess
import tempfile
import time

import millrace

PROGRAM = os.environ["MILLRACE_PROGRAM"]
MODEL = os.environ["MILLRACE_MODEL"]


class Group:
    """A group without workers of its own, that answers requests."""

    numbers = 0

    def __init__(self, requests, *options, url="/v1/completions"):
        Group.numbers += 1
        self.name = f"python-{os.getpid()}-{Group.numbers}"
        self.folder = tempfile.TemporaryDirectory()
        self.out = os.path.join(self.folder.name, "out")
        asked = os.path.join(self.folder.name, "in")
        with open(asked, "w") as file:
            for i, body in enumerate(requests):
                file.write(json.dumps({"custom_id": f"r{i}", "method": "POST",
                                       "url": url, "body": body}) + "\n")
        self.run = subprocess.Popen([PROGRAM, "run", "-m", MODEL, "--workers", "0", "--name",
                                     self.name, "-o", self.out, *options, asked],
                                    stderr=subprocess.DEVNULL)
        for _ in range(400):
            if os.path.exists(f"/dev/shm/millrace.{self.name}.sock"):
                return
            time.sleep(0.02)
        raise RuntimeError("the group didn't start")

    def __enter__(self):
        return self

    def __exit__(self, *nothing):
        self.run.kill()
        self.run.wait()
        for _ in range(100):
            if subprocess.run([PROGRAM, "run", "--discard", self.name],
                              stderr=subprocess.DEVNULL).returncode == 0:
                break
            if not os.path.exists(f"/dev/shm/millrace.{self.name}.data"):
                break
            time.sleep(0.05)
        self.folder.cleanup()

    def worker(self, **options):
        options = {"fingerprint": "python-test", "capacity": 4, **options}
        return millrace.Worker(self.name, **options)

    def results(self):
        """Of all requests, by their ids, when the run is over."""
        self.run.wait(60)
        with open(self.out) as file:
            return {answer["custom_id"]: answer for answer in map(json.loads, file)}

    def answers(self):
        return {name: a["response"]["body"]["choices"][0] for name, a in self.results().items()}


def body(**fields):
    return {"prompt": "Once upon a time", "max_tokens": 4, "ignore_eos": True, **fields}


def first(worker):
    return worker.batch(10)[0]


def lies_in(group, address):
    """Whether an address is one of the group's shared memory."""
    with open("/proc/self/maps") as maps:
        ranges = [line.split()[0].split("-") for line in maps
                  if f"/dev/shm/millrace.{group.name}.data" in line]
    return any(int(start, 16) <= address < int(end, 16) for start, end in ranges)
