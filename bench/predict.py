#!/usr/bin/env python3
"""bench/predict.py BENCH_LAYERS: prints the predictions in bench/README.md. Nothing in them was measured on a GPU.

BENCH_LAYERS (build/release/bench/bench_layers) says what each pass of each layer moves and computes; the times that it
measures are not used. bench/steps.txt has the nodes of a step, as tests/cudasim/tests/test_step.c counts them."""
import functools
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

# Bytes and float32 operations (without tensor cores) a second, quoted from secondary pages. To be compared with NVIDIA's
# data sheets "H200 Tensor Core GPU" (SXM), "H100 Tensor Core GPU" (SXM and PCIe), "T4 Tensor Core GPU", and the white
# paper "Ada GPU Architecture" (RTX 4090).
GPUS = {
    "H200": (4.8e12, 67e12),
    "H100 SXM": (3.35e12, 67e12),
    "H100 PCIe": (2.0e12, 51e12),
    "RTX 4090": (1.008e12, 82.6e12),
    "T4": (0.32e12, 8.1e12),
}
# Assumptions. None of them was measured.
NODE = 1.5e-6  # seconds from the end of a node's work to the start of the next one's, in a chain of a replayed graph
ARITHMETIC = 0.35  # share of the peak in float32 convolutions: tiles for more channels than 16 to 32 are partly idle
BANDWIDTH = 0.9  # share of the bandwidth, as a plain copy of a large block reaches it
BATCH, STEPS, EPOCHS = 128, 391, 20  # the last step of an epoch has 80 images, but counts as a whole one
TESTED, TEST_BATCH = 10000, 1000  # images of an evaluation


@functools.cache
def passes_of(program, norm, recipe):
    """The passes of all layers, each with type, pass, flops and bytes."""
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        options = ["--norm", norm, "--recipe", recipe, "--batch", str(BATCH), "--samples", "1", "--json", file.name]
        subprocess.run([program, *options], check=True, stdout=subprocess.DEVNULL)
        return json.load(file)["layers"]


def work(passes, gpu, arithmetic=ARITHMETIC):
    """Seconds of the passes one after another, nodes apart."""
    return sum(p["nodes"] * max(p["bytes"] / (BANDWIDTH * gpu[0]), p["flops"] / (arithmetic * gpu[1])) for p in passes)


class Network:
    def __init__(self, passes, nodes, chain, extra):
        """extra: nodes of a norm's pass beside the first. Each is taken to move as many bytes as the first."""
        self.passes = [{**p, "nodes": 1 + extra * p["type"].endswith("_norm")} for p in passes]
        self.nodes, self.chain = nodes, chain
        self.bytes = sum(p["bytes"] * p["nodes"] for p in self.passes)
        self.flops = sum(p["flops"] for p in self.passes)

    def step(self, gpu, node=NODE, arithmetic=ARITHMETIC):
        in_chain = [p for p in self.passes if p["pass"] != "filter gradient"]
        return max(self.chain * node + work(in_chain, gpu, arithmetic), work(self.passes, gpu, arithmetic))

    def training(self, gpu):
        forward = [{**p, "nodes": 1} for p in self.passes if p["pass"] == "forward"]
        batch = len(forward) * NODE + TEST_BATCH / BATCH * work(forward, gpu)
        return EPOCHS * (STEPS * self.step(gpu) + TESTED / TEST_BATCH * batch)


def networks(program):
    """As the lines of steps.txt name and order them."""
    lines = re.findall(r"(?m)^(.*): (\d+) launches per step, the longest chain (\d+)$",
                       Path(__file__).with_name("steps.txt").read_text())
    steps, found = {name: (int(nodes), int(chain)) for name, nodes, chain in lines}, {}
    for name, (nodes, chain) in steps.items():
        norm, recipe = name.split(", ")[:2]
        passes = passes_of(program, norm, recipe)
        own = steps.get(f"{norm}, {recipe}, own batch norm", (nodes, chain))  # it has one node for each pass of a norm
        extra = (nodes - own[0]) // sum(p["type"].endswith("_norm") for p in passes)
        found[name] = Network(passes, nodes, chain, extra)
    return found


def table(heads, rows):
    for row in (heads, ["---"] * len(heads), *rows):
        print(("| " + " | ".join(row) + " |").replace("  |", " |"))


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    found, h200 = networks(sys.argv[1]), GPUS["H200"]
    table(("network", "nodes", "longest chain", "million multiply-adds", "MB at least", "floor, µs",
           "expected, µs a step", "expected, s for 20 epochs", "measured"),
          [(name, f"{n.nodes}", f"{n.chain}", f"{n.flops / 2e6:,.0f}", f"{n.bytes / 1e6:.0f}",
            f"{1e6 * max(n.bytes / h200[0], n.flops / h200[1]):.0f}", f"{1e6 * n.step(h200):.0f}",
            f"{n.training(h200):.1f}", "") for name, n in found.items()])
    print()
    table(("expected, µs a step", *GPUS, "H200, 3 µs a node", "H200, 15 % of the peak", "H200, 60 % of the peak"),
          [(name, *(f"{1e6 * seconds:.0f}" for seconds in (
              *(n.step(gpu) for gpu in GPUS.values()), n.step(h200, node=3e-6), n.step(h200, arithmetic=0.15),
              n.step(h200, arithmetic=0.6)))) for name, n in found.items()])


if __name__ == "__main__":
    main()
