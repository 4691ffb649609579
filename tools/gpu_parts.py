"""gpu_parts.py: the parts of tools/gpu-check. Each fills in its results, saves them as they come, and returns a summary or
raises Skip, Failure or Unfinished."""

import csv
import glob
import json
import os
import re
import shutil
import tempfile
import time
from pathlib import Path

from gpu_machine import Failure, Outcome, Skip, Unfinished, check, last_line

NORMS = ("bn", "gn", "ln")
NETWORKS = [(norm, recipe) for recipe in ("reference", "tuned") for norm in NORMS]
PROFILED = [("gn", "tuned"), ("bn", "reference")]
# Published final test accuracy in percent, and how far one seed may fall below it.
PUBLISHED = {"bn": 79.39, "gn": 76.84, "ln": 68.48}
MARGIN = 2.0
LONG_TESTS = ("resume",)  # starts and kills 48 programs, each with a CUDA context of its own
KERNEL_TESTS = ("norm", "pool_loss", "sgd_input")  # pool_loss and sgd_input hold those of the loss and of the input
# initcheck is left out: allocations are filled, with zeros or with poison, and count as initialized. Poison is NaN, so
# the test itself notices a value that no kernel wrote.
SANITIZERS = ("poison", "memcheck", "racecheck", "synccheck")
# cuDNN's and cuBLAS's kernels are not ours to check, and take most of the time. CUDA 12.3 or later can leave them out.
LIBRARY_KERNELS = "regex=cudnn|cublas|cutlass|xmma|gemm|gemv|nvjet|convolve|winograd|fft"


def part_build(machine, _result):
    folder = machine.build
    if not machine.stand_in:
        check(machine.run("tools/setup"))
        outcome = machine.run("tools/find-cuda")
        if not re.search("^NVCC=", outcome.output, re.MULTILINE):  # bash may complain of the locale first
            raise Failure(last_line(outcome.output) if outcome.status
                          else "nvcc, cuBLAS or cuDNN is missing: run make cuda-toolkit")
    targets = [folder / name for name in ("train_gpu", "bench/bench_step", "bench/bench_layers", "bench/bench_kernels")]
    targets += [folder / f"tests/test_{name}" for name in device_tests()]
    mode = "sim" if machine.stand_in else "release"
    environment = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS")}
    outcome = machine.run("make", "--no-print-directory", f"-j{os.cpu_count() or 1}", f"MODE={mode}", f"OUT={folder}",
                          *targets, env=environment)
    if outcome.status != 0:
        print(outcome.output, end="")
    if outcome.status is not None and outcome.status > 0:
        raise Failure("make failed, see above")
    check(outcome)
    machine.find_libraries()
    return f"built in {folder}"


def train(machine, folder, *options, limit=None):
    """A run on the GPU: the lines of its metrics.jsonl."""
    check(machine.run(machine.program("train_gpu"), "--device", "cuda", "--quiet", "--force", "--out", folder, *options,
                      limit=limit))
    return [json.loads(line) for line in (Path(folder) / "metrics.jsonl").read_text().splitlines()]


def not_on_the_stand_in(machine, why):
    if machine.stand_in:
        raise Skip(f"{why} on the stand-in")


def part_repeat(machine, result):
    not_on_the_stand_in(machine, "evaluation takes too long")
    different = []
    runs = [(norm, ["--norm", norm]) for norm in NORMS] + [("bn, own", ["--norm", "bn", "--batch-norm", "own"])]
    for norm, options in runs:
        weights = []
        with tempfile.TemporaryDirectory() as folder:
            for run in ("first", "second"):
                lines = train(machine, f"{folder}/{run}", "--data", "synthetic", *options, "--epochs", "3",
                              "--max-steps", "200", "--no-report")
                weights.append((Path(folder) / run / "model.safetensors").read_bytes())
        same = weights[0] == weights[1]
        if not same:
            different.append(norm)
        print(f"  {norm}: {'the same bytes' if same else 'DIFFERENT BYTES'} after {lines[-1]['step']} steps", flush=True)
        result[norm] = {"same_bytes": same, "steps": lines[-1]["step"], "train_loss": lines[-1]["train_loss"]}
        result.save()
    if different:
        raise Failure(f"two runs ended with different weights: {' '.join(different)}")
    return "two runs of each norm end with the same bytes"


def device_tests():
    text = Path("Makefile").read_text()
    return re.search(r"^DEVICE_TESTS *:= *(.*)$", text, re.MULTILINE).group(1).split()


def chosen_tests():
    """What TESTS asks for."""
    every = device_tests() + ["learning"]
    asked = os.environ.get("TESTS", "").split()
    if asked == ["all"]:
        return every
    wrong = [name for name in asked if name not in every]
    if wrong:
        raise LookupError(f"TESTS: no test '{wrong[0]}'; there are: all {' '.join(every)}")
    return asked or [name for name in every if name not in LONG_TESTS]


def count_tap(outcome):
    """Counts of a program that speaks TAP, as tests/run counts."""
    text = outcome.output
    skipped = len(re.findall(r"(?mi)^(?:not )?ok .*# skip", text))
    passed = len(re.findall(r"(?m)^ok ", text)) - len(re.findall(r"(?mi)^ok .*# skip", text))
    failed = len(re.findall(r"(?m)^not ok ", text)) - len(re.findall(r"(?mi)^not ok .*# skip", text))
    ended_well = outcome.status == 0 or outcome.late and not outcome.hung
    if failed == 0 and not ended_well or outcome.status == 0 and passed + failed + skipped == 0:
        failed += 1
    return {"passed": passed, "failed": failed, "skipped": skipped, **({"late": outcome.late} if outcome.late else {})}


def part_tests(machine, result):
    failed, late = [], []
    total = {"passed": 0, "failed": 0, "skipped": 0}
    for name in chosen_tests():
        try:
            command = ["bash", "tests/test_learning.sh"] if name == "learning" else [machine.program(f"tests/test_{name}")]
            outcome = machine.run(*command, limit=40)
        except Failure as missing:
            outcome = Outcome(1, f"not ok {missing}")
        counts = count_tap(outcome)
        if counts["failed"]:
            failed.append(name)
            print(outcome.output)
        elif "late" in counts:
            late.append(name)
        print("  {:13} {passed:4} passed {failed:3} failed {skipped:3} skipped  {}".format(name, counts.get("late", ""),
                                                                                     **counts), flush=True)
        result[name] = counts
        total = {key: total[key] + counts[key] for key in total}
        result.save()
    return finish("{passed} passed, {failed} failed, {skipped} skipped".format(**total), failed, late)


def finish(summary, failed, late):
    if failed:
        raise Failure(f"{summary}; failed: {', '.join(failed)}")
    if late:
        raise Unfinished(f"{summary}; no time for {', '.join(late)}")
    return summary or "nothing"


def part_step(machine, result):
    """Of what a visitor asks first, first."""
    own = ("--norm", "bn", "--batch-norm", "own")
    calls = [(128, "on"), (128, "on", *own), (128, "off"), (512, "on"), (2048, "on")]
    small = []
    if machine.stand_in:
        calls = [(2, "on")]
        small = ["--samples", "1", "--steps", "1", "--norm", "gn", "--recipe", "tuned", "--precision", "fp32"]
    result.update(cases=[], choices={})
    failed, late = [], []
    for batch, replay, *more in calls:
        try:
            found = machine.bench("bench_step", "--device", "cuda", "--batch", batch, "--replay", replay, *small, *more,
                                  limit=20)
        except (Failure, Unfinished) as reason:
            (failed if isinstance(reason, Failure) else late).append(f"batch {batch} replay {replay} ({reason})")
            continue
        result["cases"] += [{"batch_norm": found["batch_norm"], **case} for case in found["cases"]]
        for precision, lines in found["choices"].items():
            result["choices"].setdefault(precision, []).extend(lines)
        result.save()
    return finish(f"{len(result['cases'])} cases", failed, late)


def part_layers(machine, result):
    networks = PROFILED + [network for network in NETWORKS if network not in PROFILED]
    sizes = ["--batch", "128"]
    if machine.stand_in:
        networks, sizes = PROFILED[:1], ["--batch", "2", "--samples", "1"]
    for norm, recipe in networks:
        result[f"{norm} {recipe}"] = machine.bench("bench_layers", norm, recipe, "--device", "cuda", *sizes, limit=15)
        result.save()
    return f"{len(networks)} networks"


def tool(name, *places):
    """A tool of NVIDIA's, on the PATH or where its installer puts it."""
    found = shutil.which(name) or next(iter(sorted((path for place in places for path in glob.glob(place)),
                                                   reverse=True)), None)
    if found is None:
        raise Skip(f"{name} is not installed")
    return found


def read_ncu(text):
    """[name, microseconds] of each launch, from the page `raw` as CSV: names, units, then a line for each launch."""
    metric = "gpu__time_duration.sum"
    rows = list(csv.reader(text[max(text.find('"ID"'), 0):].splitlines()))
    if not rows or metric not in rows[0] or len(rows) < 3:
        message = next((line for line in text.splitlines() if line.startswith(("==ERROR==", "==WARNING=="))), "no output")
        raise Skip(f"ncu: {message}") if message.startswith("==ERROR==") else Failure(f"ncu: {message}")
    column, name = rows[0].index(metric), rows[0].index("Kernel Name")
    factor = {"n": 1e-3, "u": 1.0, "m": 1e3, "s": 1e6}[rows[1][column][0]]  # of "ns" or "nsecond", and so on
    return [[row[name], factor * float(row[column].replace(",", ""))] for row in rows[2:] if len(row) == len(rows[0])]


def whole_step(launches):
    """The last whole period of the steps: every step has one launch of input_kernel."""
    starts = [i for i, (name, _) in enumerate(launches) if "input_kernel" in name]
    if len(starts) < 2:
        raise Failure(f"ncu saw {len(launches)} kernels, but no whole step")
    return launches[starts[-2]:starts[-1]]


def profile_network(machine, ncu, norm, recipe):
    """A step after the first ones. Caches and clocks are left as they are in a step, so one metric means one pass."""
    batch = 2 if machine.stand_in else 128
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "ncu.csv"
        outcome = machine.run(ncu, "--metrics", "gpu__time_duration.sum", "--clock-control", "none", "--cache-control",
                              "none", "--csv", "--page", "raw", "--print-units", "base", "--print-kernel-base",
                              "function", "--log-file", log, machine.program("bench/bench_step"), "--device", "cuda",
                              "--norm", norm, "--recipe", recipe, "--precision", "fp32", "--replay", "off", "--batch",
                              batch, "--samples", "1", "--steps", "1", limit=30)
        text = log.read_text(errors="replace") if log.exists() else ""
        if outcome.status is None or "==ERROR==" not in text:
            check(outcome)
        launches = whole_step(read_ncu(text))
    kernels = {}
    for name, time_us in launches:
        kernel = kernels.setdefault(name, {"name": name, "launches": 0, "us": 0.0})
        kernel["launches"] += 1
        kernel["us"] = round(kernel["us"] + time_us, 3)
    return {"batch": batch, "launches": len(launches), "us": round(sum(time_us for _, time_us in launches), 3),
            "kernels": sorted(kernels.values(), key=lambda kernel: -kernel["us"]),
            "in_order": [f"{time_us:.2f} us {name}" for name, time_us in launches]}


def part_profile(machine, result):
    ncu = tool("ncu", "/usr/local/cuda/bin/ncu", "/opt/nvidia/nsight-compute/*/ncu")
    failed, late = [], []
    for norm, recipe in PROFILED:
        try:
            found = profile_network(machine, ncu, norm, recipe)
        except (Failure, Unfinished) as reason:
            (failed if isinstance(reason, Failure) else late).append(f"{norm} {recipe} ({reason})")
            continue
        print(f"  {norm} {recipe}: {found['launches']} kernels, {found['us']:.1f} us")
        for kernel in found["kernels"][:12]:
            print(f"    {kernel['us']:9.1f} us {kernel['launches']:4} x {kernel['name'][:90]}", flush=True)
        result[f"{norm} {recipe}"] = found
        result.save()
    return finish(", ".join(f"{name} {found['us']:.1f} us" for name, found in result.items()), failed, late)


def part_epochs(machine, result):
    not_on_the_stand_in(machine, "an epoch takes too long")
    failed, late = [], []
    for norm, recipe in NETWORKS:
        name = f"{norm} {recipe}"
        start = time.monotonic()
        try:
            with tempfile.TemporaryDirectory() as folder:
                lines = train(machine, folder, "--data", "synthetic", "--norm", norm, "--recipe", recipe, "--epochs",
                              "20", limit=25)
        except (Failure, Unfinished) as reason:
            (failed if isinstance(reason, Failure) else late).append(f"{name} ({reason})")
            continue
        result[name] = {"wall_seconds": round(time.monotonic() - start, 3),
                        "train_seconds": round(sum(line["seconds"] for line in lines), 3),
                        "eval_seconds": round(sum(line["eval_seconds"] for line in lines), 3),
                        "images_per_second": lines[-1]["images_per_second"],
                        "test_accuracy": lines[-1]["test_accuracy"]}
        print("  20 epochs of {:13} {wall_seconds:7.2f} s, of them {train_seconds:.2f} training and {eval_seconds:.2f} "
              "evaluation; the last one {images_per_second:.0f} images/s".format(name, **result[name]), flush=True)
        result.save()
    return finish(", ".join(f"{name} {found['wall_seconds']:.1f} s" for name, found in result.items()), failed, late)


def part_pytorch(machine, result):
    """Twice, so that what compiles slowly leaves time for what does not compile."""
    small = ["--device", "cpu", "--batch", "4", "--samples", "1", "--steps", "1", "--norm", "gn", "--recipe",
             "tuned"] if machine.stand_in else ["--batch", "128"]
    failed, late = [], []
    calls = [(["graph", "compile_graph"], 85), (["eager", "channels_last"], None)]
    if machine.stand_in:
        calls = [(["eager"], None)]
    for variants, limit in calls:
        try:
            pytorch_call(machine, result, ["--variant", *variants, *small], limit)
        except (Failure, Unfinished) as reason:
            (late if isinstance(reason, Unfinished) else failed).append(f"{', '.join(variants)} ({reason})")
    cases = result.get("cases", [])
    measured = sum("median_ms" in case for case in cases)
    if measured == 0:
        raise Failure("; ".join(failed + late) or "no case could be measured")
    return finish(f"torch {result['torch']}: {measured} of {len(cases)} cases measured", failed, late)


def pytorch_call(machine, result, options, limit):
    """Adds the cases of one call as they come."""
    earlier = result.get("cases", [])
    python = os.environ.get("PYTHON") or "python3"
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "result.json"

        def take_over():
            if file.exists():
                found = json.loads(file.read_text())
                if len(earlier) + len(found["cases"]) > len(result.get("cases", [])):
                    result.update({**found, "cases": earlier + found["cases"]})
                    result.save()

        outcome = machine.run(python, "bench/pytorch_step.py", "--json", file, *options, limit=limit, watch=take_over,
                              env=os.environ)
        take_over()
    if outcome.status == 3:
        raise Skip(last_line(outcome.output))
    print(outcome.output, end="", flush=True)
    if outcome.late:
        raise Unfinished(outcome.late)
    check(outcome)


def part_sanitize(machine, result):
    not_on_the_stand_in(machine, "it checks by itself what compute-sanitizer checks,")
    failed, late, clean = [], [], 0
    try:
        path, missing = tool("compute-sanitizer", "/usr/local/cuda/bin/compute-sanitizer"), None
    except Skip as reason:
        path, missing = None, reason
    for sanitizer in SANITIZERS if path else SANITIZERS[:1]:
        options = [path, "--tool", sanitizer, "--error-exitcode", "99", "--print-limit", "5", "--kernel-name-exclude",
                   LIBRARY_KERNELS] if sanitizer != "poison" else []
        for name in KERNEL_TESTS:
            outcome = machine.run(*options, machine.program(f"tests/test_{name}"), limit=25,
                                  env={**machine.environment, "TRAIN_GPU_POISON": "1"})
            if "Device not supported" in outcome.output:
                raise Skip("compute-sanitizer does not support this device")
            word, bad = judge(outcome)
            if bad:
                failed.append(f"{name} {sanitizer}")
                print(outcome.output[-4000:])
            elif outcome.late:
                late.append(f"{name} {sanitizer}")
            else:
                clean += 1
            print(f"  {name:12} {sanitizer:10} {word}", flush=True)
            result[f"{name} {sanitizer}"] = word
            result.save()
    summary = finish(f"{clean} clean, {len(failed)} with errors", failed, late)
    if missing:
        raise Skip(f"{missing}; on poisoned memory: {summary}")
    return summary


def judge(outcome):
    """What a sanitizer says, in a few words, and whether it found something, be it before the time was up."""
    summary = re.search(r"(?:ERROR SUMMARY|RACECHECK SUMMARY): (.*)", outcome.output)
    if outcome.status is None:
        return outcome.late, bool(re.search(r"(?m)^=+ (Invalid|Error|Barrier error|Program hit)", outcome.output))
    return summary.group(1) if summary else last_line(outcome.output), outcome.status != 0


def part_kernels(machine, result):
    small = ["--batch", "2", "--samples", "1", "--launches", "1", "--cache", "1"] if machine.stand_in else []
    result.update(machine.bench("bench_kernels", "--device", "cuda", *small))
    return f"{len(result['kernels'])} operations, see the table above"


def part_accuracy(machine, result):
    not_on_the_stand_in(machine, "20 epochs take too long")
    data = Path(os.environ.get("CIFAR10_DIR") or "data/cifar-10-batches-bin")
    if not (data / "test_batch.bin").exists():
        raise Skip("no CIFAR-10 here (make data fetches it)")
    low = []
    for norm in NORMS:
        with tempfile.TemporaryDirectory() as folder:
            lines = train(machine, folder, "--data", data, "--norm", norm, "--recipe", "reference")
        final, best = lines[-1]["test_accuracy"], max(line["test_accuracy"] for line in lines)
        seconds = sum(line["seconds"] + line["eval_seconds"] for line in lines)
        result[norm] = {"final": final, "best": best, "published": PUBLISHED[norm], "seconds": seconds,
                        "train_accuracy": lines[-1]["train_accuracy"]}
        print(f"  {norm}: {final:.2f} % (best {best:.2f}), published {PUBLISHED[norm]:.2f}; {seconds:.1f} s", flush=True)
        result.save()
        if final < PUBLISHED[norm] - MARGIN:
            low.append(norm)
    summary = ", ".join(f"{norm} {result[norm]['final']:.2f} %" for norm in NORMS)
    if low:
        raise Failure(f"{summary}: too low: {' '.join(low)}")
    return summary


# In the order in which they run: seconds, function.
PARTS = {
    "build": (290, part_build),
    "repeat": (30, part_repeat),
    "tests": (90, part_tests),
    "step": (40, part_step),
    "layers": (20, part_layers),
    "profile": (60, part_profile),
    "epochs": (40, part_epochs),
    "pytorch": (120, part_pytorch),
    "sanitize": (80, part_sanitize),
    "kernels": (30, part_kernels),
    "accuracy": (90, part_accuracy),
}
ALL_PARTS_LIMIT = 480  # but for the build
