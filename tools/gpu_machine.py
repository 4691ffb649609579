"""gpu_machine.py: the machine that tools/gpu-check runs on: its programs, their time limits, and the file of results."""

import ctypes
import datetime
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple, Optional


LIBC = ctypes.CDLL(None)


class Skip(Exception):
    """A part that cannot run here, and why."""


class Failure(Exception):
    """A part that failed, and how."""


class Unfinished(Exception):
    """A part that had too little time, and what it lacks."""


class Outcome(NamedTuple):
    """How a program ended."""
    status: Optional[int]  # None: it was stopped, or not started, for lack of time
    output: str
    late: str = ""  # what the time did not allow
    hung: bool = False  # it had all the time that it was meant to have


def die_with_parent():
    """In the child, before the program starts: its own process group; killed when this process is."""
    os.setpgid(0, 0)
    pr_set_pdeathsig = 1  # linux/prctl.h
    LIBC.prctl(pr_set_pdeathsig, int(signal.SIGKILL))


class Machine:
    """The build, the device, and how programs are run here."""

    def __init__(self):
        self.build = Path(os.environ.get("BUILD") or "build/release")
        self.stand_in = self.build.name.startswith("sim")
        self.patience = float(os.environ.get("PATIENCE") or (10 if self.stand_in else 1))
        self.deadline = 0.0  # of the part that runs
        self.cut = False  # the time left for all parts shortened that of this one
        self.environment = dict(os.environ, REQUIRE_GPU="1", TEST_BACKEND="cuda", CMOCKA_MESSAGE_OUTPUT="TAP")
        self.environment["TRAIN_GPU"] = str(self.build / "train_gpu")
        self.find_libraries()

    def find_libraries(self):
        if not self.stand_in:
            self.environment["LD_LIBRARY_PATH"] = library_path(self.build / "train_gpu")

    def left(self):
        return self.deadline - time.monotonic()

    def run(self, *command, limit=None, watch=None, **options):
        """The outcome of a program. Without a limit it may take all the time of its part. `watch` is called every
        second."""
        left = self.left()
        if left < 1:
            return Outcome(None, "", "not run: no time was left")
        limit = None if limit is None else limit * self.patience
        seconds = left if limit is None else min(limit, left)
        hung = not self.cut if limit is None else limit <= left
        process = start(command, {"env": self.environment, **options})
        end = time.monotonic() + seconds
        try:
            while True:
                try:
                    output, _ = process.communicate(timeout=max(0, min(1, end - time.monotonic())))
                    return Outcome(process.returncode, output)
                except subprocess.TimeoutExpired:
                    if watch is not None:
                        watch()
                if time.monotonic() >= end:
                    return Outcome(None, kill(process), f"not finished in {seconds:.0f} s", hung)
        except BaseException:
            kill(process)
            raise

    def program(self, name):
        path = self.build / name
        if not path.exists():
            raise Failure(f"{path} is missing: run the part build")
        return path

    def bench(self, name, *options, limit=None):
        """The JSON of one of our benchmarks; its output goes to stdout."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "result.json"
            outcome = self.run(self.program(f"bench/{name}"), *options, "--json", file, limit=limit)
            print(outcome.output, end="", flush=True)
            check(outcome)
            return json.loads(file.read_text())


def start(command, options):
    try:
        return subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True, errors="replace", preexec_fn=die_with_parent,
                                **options)
    except OSError as error:
        raise Failure(f"{command[0]}: {error.strerror}") from error


def kill(process):
    """Ends a program and what it started; its output. What left its process group may live on and hold the pipe."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    try:
        return process.communicate(timeout=2)[0]
    except subprocess.TimeoutExpired as still_open:
        return (still_open.output or b"").decode(errors="replace")


def check(outcome):
    """Raises what a program that did not succeed means for its part."""
    if outcome.status is None:
        raise Failure(outcome.late) if outcome.hung else Unfinished(outcome.late)
    if outcome.status < 0:
        raise Failure(f"ended by {signal.Signals(-outcome.status).name}")
    if outcome.status != 0:
        raise Failure(last_line(outcome.output))


def last_line(text):
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else "no output"


def library_path(program):
    """Where the shared libraries of a program that was built elsewhere may be: lib beside this tree's folders, then
    cuDNN and cuBLAS for the CUDA release that it was linked with."""
    major = re.search(rb"libcublas\.so\.(\d+)", program.read_bytes()) if program.exists() else None
    found = output_of("tools/find-cuda", "--libraries", *([major.group(1).decode()] if major else []))
    return ":".join(word for word in (str(Path("lib").resolve()), found, os.environ.get("LD_LIBRARY_PATH")) if word)


# ---- what the results were measured on and with ------------------------------------------------------------


def output_of(*command):
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False,
                              timeout=60)
        return done.stdout.strip() if done.returncode == 0 else ""
    except (OSError, subprocess.TimeoutExpired):
        return ""


def describe(machine):
    line = output_of("nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader").splitlines()
    name, _, driver = line[0].partition(", ") if line else ("", "", "")
    machine.deadline, machine.cut = time.monotonic() + 60, False
    try:
        outcome = machine.run(machine.program("train_gpu"), "info", "--json")
        check(outcome)
        info = json.loads(outcome.output[max(outcome.output.find("{"), 0):])  # libraries may print a warning first
    except (Failure, Unfinished, ValueError) as reason:
        info = {"reason": str(reason)}
    devices = [device for device in info.get("devices", []) if device["backend"] == "cuda"]
    text = devices[0].get("device") or devices[0].get("reason") if devices else info.get("reason")
    return {"name": None if machine.stand_in else name or None, "driver": driver or None, "device": text,
            "program": info.get("version"), "libraries": info.get("libraries"),
            "cpu": cpu_name(), "commit": commit()}


def cpu_name():
    try:
        match = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
        return f"{match.group(1)}, {os.cpu_count()} cores" if match else None
    except OSError:
        return None


def commit():
    """Of the sources: from COMMIT, from the file COMMIT of a tree that was carried here, or from git."""
    if os.environ.get("COMMIT"):
        return os.environ["COMMIT"]
    if Path("COMMIT").exists():
        return Path("COMMIT").read_text().strip()
    name = output_of("git", "rev-parse", "--short=12", "HEAD")
    if name and output_of("git", "status", "--porcelain", "--untracked-files=no", "--", ".", ":!bench/results"):
        name += ", changed"
    return name or None


# ---- the file of results -------------------------------------------------------------------------------------


class Results:
    """What is known so far, on disk: a file that is replaced as a whole each time, so that it is complete at any
    moment. Results of earlier calls stay until a part has new ones."""

    def __init__(self, machine, order):
        self.order = order  # of the parts
        self.about(machine)
        name = self.text["name"]
        word = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") if name else "gpu-check"
        self.file = Path(os.environ.get("RESULTS") or ("bench/results" if name else machine.build)) / f"{word}.json"
        try:
            self.parts = dict(json.loads(self.file.read_text())["parts"])
        except (OSError, ValueError, TypeError, KeyError):  # no file, or not one of ours
            self.parts = {}
        self.write()

    def about(self, machine):
        self.text = describe(machine)

    def put(self, name, part):
        date = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
        self.parts[name] = {**part, "date": date, "commit": self.text["commit"]}
        self.write()

    def write(self):
        text = {**self.text, "parts": {name: self.parts[name] for name in self.order if name in self.parts}}
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            new = self.file.with_name(self.file.name + ".new")
            new.write_text(json.dumps(text, indent=1) + "\n")
            os.replace(new, self.file)
        except OSError as error:
            sys.exit(f"train_gpu: {self.file}: the results cannot be written: {error.strerror}")
