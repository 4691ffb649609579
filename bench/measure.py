#!/usr/bin/env python3
"""bench/measure.py (`make bench`): what the CPU could do at most, each layer's share of it, and the time of a step beside
PyTorch's, if PyTorch is here (as `python3` or build/venv has it; PYTHON names another interpreter).

A sample is the mean of some steps in a row. Ours and those of PyTorch's variants are taken in turn, one of each in a round,
so that other work on the machine slows all of them. Ratios are those of the medians. Both sides use as many threads, and
the instruction set that TRAIN_GPU_CPU names: ATEN_CPU_CAPABILITY and ONEDNN_MAX_CPU_ISA hold PyTorch to it.

On a GPU it measures layers and steps only, and writes nothing: `make gpu-check` compares those with PyTorch."""

import argparse
import datetime
import importlib.util
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.dont_write_bytecode = True  # this folder is for sources
ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
from gpu_machine import commit, cpu_name

NETWORKS = [f"{norm} {recipe}" for norm in ("bn", "gn", "ln") for recipe in ("reference", "tuned")]
VARIANTS = ("eager", "channels_last", "compile")
# What bench_layers calls an instruction set: its word in TRAIN_GPU_CPU, and PyTorch's settings. The best set of the CPU
# needs none, and PyTorch takes it, too.
INSTRUCTIONS = {
    "AVX-512": ("avx512", {}),
    "AVX2": ("avx2", {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}),
    "baseline instructions": ("baseline", {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41"}),
}


def bench(options, name, *words, quiet=False):
    """The JSON of one of our benchmarks."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "result.json"
        subprocess.run([f"{options.build}/bench/{name}", *words, "--batch", str(options.batch), "--json", str(file)],
                       check=True, stdout=subprocess.DEVNULL if quiet else None)
        return json.loads(file.read_text())


def measure_layers(options, result):
    for network in options.network:
        result["layers"][network] = bench(options, "bench_layers", *network.split(), "--device", options.device,
                                          "--samples", str(options.samples))
        print(flush=True)
    return next(iter(result["layers"].values()))["backend"]


def describe_machine(result):
    layers = list(result["layers"].values())
    rates = {name: statistics.median(found[name] for found in layers)
             for name in ("peak_gflop_per_second", "read_gb_per_second", "copy_gb_per_second")}
    return {"cpu": cpu_name() or platform.machine(), "threads": layers[0]["threads"],
            "instructions": layers[0]["arithmetic"], "compiler": layers[0]["compiler"], "commit": commit(),
            "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d"), **rates}


# ---- steps, in turn with PyTorch's -----------------------------------------------------------------------------


def find_pytorch(result):
    """The module pytorch_step, with torch set up like ours; None: there is no torch."""
    if importlib.util.find_spec("torch") is None:
        print(f"no PyTorch in {sys.executable}: `make test-python` installs it")
        return None
    word, settings = INSTRUCTIONS.get(result["machine"]["instructions"], ("best", {}))
    os.environ.update(settings)  # torch reads them when it is imported
    # torch.compile would take what it keeps from the other instruction set, whose code computes nonsense in this one
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(Path(tempfile.gettempdir()) / f"train_gpu-torchinductor-{word}")
    import pytorch_step
    pytorch_step.torch.set_num_threads(result["machine"]["threads"])
    result["pytorch"] = {"version": pytorch_step.torch.__version__, "threads": pytorch_step.torch.get_num_threads(),
                         "capability": pytorch_step.torch.backends.cpu.get_cpu_capability(), "environment": settings}
    return pytorch_step


def samplers_of(options, network, pytorch):
    """By name, what takes a sample, in ms; and why a variant of PyTorch's has none."""
    norm, recipe = network.split()
    samplers, skipped = {}, {}

    def ours():
        return bench(options, "bench_step", "--device", "cpu", "--norm", norm, "--recipe", recipe, "--samples", "1",
                     "--steps", str(options.steps), quiet=True)["cases"][0]["median_ms"]

    samplers["here"] = ours
    for variant in options.variant if pytorch else ():
        try:
            sample = pytorch.prepare(pytorch.torch.device("cpu"), (norm, recipe, options.batch, "fp32", variant))
            sample(3)
            samplers[variant] = lambda sample=sample: 1e3 * sample(options.steps)
        except Exception as error:  # torch.compile has many kinds; the other variants still count
            skipped[variant] = pytorch.why(error)
    return samplers, skipped


def measure_steps(options, result):
    pytorch = find_pytorch(result)
    for network in options.network:
        samplers, skipped = samplers_of(options, network, pytorch)
        samples = {name: [] for name in samplers}
        for _ in range(options.rounds):
            for name, sample in samplers.items():
                samples[name].append(round(sample(), 3))
        result["steps"].append({"network": network, "samples_ms": samples, "skipped": skipped})
        print(f"{network}:", ", ".join(f"{name} {statistics.median(times):.1f} ms" for name, times in samples.items()),
              *(f"({variant} skipped: {reason})" for variant, reason in skipped.items()), flush=True)


def derive(result):
    """Adds to each step what follows from its samples and from the layers."""
    for step in result["steps"]:
        medians = {name: statistics.median(times) for name, times in step["samples_ms"].items()}
        here = step["here_ms"] = medians.pop("here")
        step["multiply_adds_ms"] = (result["layers"][step["network"]]["sum_flops"] /
                                    result["machine"]["peak_gflop_per_second"] / 1e6)
        step["share"] = step["multiply_adds_ms"] / here
        if medians:
            step["variant"] = min(medians, key=medians.get)
            step["pytorch_ms"] = medians[step["variant"]]
            step["ratio"] = step["pytorch_ms"] / here


# ---- results ---------------------------------------------------------------------------------------------------


def write(file, result):
    """Replaces the file as a whole, so that a reader never sees half of it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_name(file.name + ".new")
    new.write_text(json.dumps(result, indent=1) + "\n")
    os.replace(new, file)


def print_table(result):
    machine, pytorch = result["machine"], result.get("pytorch")
    print("{cpu}; threads: {threads}; {instructions}; {compiler}; {date}, commit {commit}; {minutes:.0f} minutes. "
          "Multiply-adds at most {peak_gflop_per_second:.0f} GFLOP/s; memory {read_gb_per_second:.1f} GB/s read, "
          "{copy_gb_per_second:.1f} GB/s copied.".format(**machine),
          "PyTorch {version}, threads: {threads}, {capability}.".format(**pytorch) if pytorch else "No PyTorch.")
    print("\n| network | here, ms | PyTorch, ms | its variant | ratio | multiply-adds at their peak, ms | share |\n"
          "| --- | --- | --- | --- | --- | --- | --- |")
    for step in result["steps"]:
        theirs = "{pytorch_ms:.1f} | {variant} | {ratio:.2f}".format(**step) if "ratio" in step else "- | - | -"
        print("| {network} | {here_ms:.1f} | {} | {multiply_adds_ms:.1f} | {share:.0%} |".format(theirs, **step))


def path(word):
    return Path(word).resolve()


def positive(word):
    if int(word) < 1:
        raise ValueError
    return int(word)


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=path, metavar="FILE", help="the results (build/bench/CPU-NAME-INSTRUCTIONS.json)")
    parser.add_argument("--table", type=path, metavar="FILE", help="only print the table of these results")
    parser.add_argument("--build", type=path, default=ROOT / "build/release", metavar="DIR", help="where our benchmarks are")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu"), help="auto: a GPU if there is one (auto)")
    parser.add_argument("--network", nargs="+", default=NETWORKS, choices=NETWORKS, metavar="NETWORK",
                        help='such as "bn tuned" (all six)')
    parser.add_argument("--variant", nargs="+", default=VARIANTS, choices=VARIANTS, help="of PyTorch's (all)")
    parser.add_argument("--batch", type=positive, default=128)
    parser.add_argument("--samples", type=positive, default=9, help="of each pass of a layer (9)")
    parser.add_argument("--rounds", type=positive, default=9, help="samples of a step (9)")
    parser.add_argument("--steps", type=positive, default=3, help="of a sample (3)")
    return parser.parse_args()


def main():
    options = parse_options()
    os.chdir(ROOT)
    if options.table:
        result = json.loads(options.table.read_text())
        derive(result)
        print_table(result)
        return
    start = time.monotonic()
    result = {"machine": {}, "layers": {}, "steps": [], "batch": options.batch, "steps_of_a_sample": options.steps}
    if measure_layers(options, result) != "cpu":
        bench(options, "bench_step", "--samples", "5")
        return
    machine = result["machine"] = describe_machine(result)
    measure_steps(options, result)
    machine["minutes"] = round((time.monotonic() - start) / 60, 2)
    derive(result)
    word, _ = INSTRUCTIONS.get(machine["instructions"], ("cpu", {}))
    name = re.sub(r"[^a-z0-9]+", "-", f"{machine['cpu']} {word}".lower()).strip("-")
    file = options.out or ROOT / f"build/bench/{name}.json"
    write(file, result)
    print()
    print_table(result)
    print(f"\nresults: {os.path.relpath(file)}")


if __name__ == "__main__":
    try:
        main()
    except (subprocess.CalledProcessError, OSError, json.JSONDecodeError) as error:
        sys.exit(f"measure: {error}")
