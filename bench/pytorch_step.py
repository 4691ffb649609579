"""pytorch_step.py: how long a training step of the same networks takes in PyTorch, to compare with bench_step.

A step has the same bounds as in bench_step: from a uint8 batch in device memory (pixels to normalized floats included,
augmentation not) through loss, number of right answers and gradients to the updated weights. A sample is the time of some
steps in a row, including the final wait for the device, divided by their number. The median and the fastest sample are
printed.

Variants: eager; channels_last, the same with that memory format; graph, eager replayed from a CUDA graph; compile,
torch.compile of forward, loss and backward; compile_graph, both. cuDNN's benchmark mode is on, the optimizer is fused.
Variants are measured one after another, in the order given; the JSON file is written anew after each case.

Exit status: 0 measured; 1 something failed; 3 no such device, or no torch."""

import argparse
import json
import os
import statistics
import sys
import time
from pathlib import Path

try:
    import torch
    from torch.nn import functional
except ImportError as error:
    print(f"pytorch_step: torch cannot be imported: {error}", file=sys.stderr)
    sys.exit(3)

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "reference"))
import networks  # the same definition as the tests'

VARIANTS = ("graph", "compile_graph", "eager", "channels_last", "compile")  # what is fastest on a GPU comes first


# ---- a step ----------------------------------------------------------------------------------------


class Training:
    """One network, one batch in device memory, and what a step does with them."""

    def __init__(self, device, norm, recipe, batch, variant):
        generator = torch.Generator().manual_seed(1)
        self.format = torch.channels_last if variant == "channels_last" else torch.contiguous_format
        self.network = networks.Network(norm, recipe).to(device, memory_format=self.format)
        self.images = torch.randint(0, 256, (batch, 3, 32, 32), generator=generator).to(device, torch.uint8)
        self.labels = torch.randint(0, 10, (batch,), generator=generator).to(device)
        self.mean = torch.tensor(networks.MEAN, device=device).view(1, 3, 1, 1)
        self.scale = 1 / torch.tensor(networks.STD, device=device).view(1, 3, 1, 1)
        self.loss_sum = torch.zeros((), dtype=torch.float64, device=device)
        self.correct = torch.zeros((), dtype=torch.int64, device=device)
        self.loss = torch.compile(self.forward_loss, dynamic=False) if "compile" in variant else self.forward_loss
        self.optimizer = self.make_optimizer(device, recipe)

    def make_optimizer(self, device, recipe):
        tuned = recipe == "tuned"
        groups = networks.parameter_groups(self.network, 5e-4 if tuned else 0.0)
        # The rate is in device memory, so that a schedule can change it while a graph is replayed.
        rate = torch.tensor(0.01, device=device) if device.type == "cuda" else 0.01
        return torch.optim.SGD(groups, lr=rate, momentum=0.9, nesterov=tuned, fused=True)

    def forward_loss(self):
        x = (self.images.float() / 255 - self.mean) * self.scale
        logits = self.network(x.contiguous(memory_format=self.format))
        loss = functional.cross_entropy(logits, self.labels)
        return loss, logits.detach()

    def step(self):
        self.optimizer.zero_grad(set_to_none=True)
        loss, logits = self.loss()
        loss.backward()
        self.loss_sum += loss.detach() * len(self.labels)
        self.correct += (logits.argmax(1) == self.labels).sum()
        self.optimizer.step()

    def captured(self):
        """The step as a CUDA graph."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(5):
                self.step()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self.step()
        return graph.replay


def prepare(device, case):
    """Returns a function that runs a number of steps and returns the seconds of one. Its first call compiles."""
    norm, recipe, batch, precision, variant = case
    for switch in (torch.backends.cuda.matmul, torch.backends.cudnn):
        switch.allow_tf32 = precision == "tf32"
    torch._dynamo.reset()
    training = Training(device, norm, recipe, batch, variant)
    step = training.captured() if "graph" in variant else training.step
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None

    def sample(steps):
        start = time.perf_counter()
        for _ in range(steps):
            step()
        wait()
        seconds = (time.perf_counter() - start) / steps
        assert bool(torch.isfinite(training.loss_sum)), "the loss is not finite"
        return seconds

    return sample


def measure(device, options, case):
    sample = prepare(device, case)
    sample(options.steps)  # to warm up
    samples = [sample(options.steps) for _ in range(options.samples)]
    median = statistics.median(samples)
    return {"median_ms": 1e3 * median, "fastest_ms": 1e3 * min(samples), "images_per_second": case[2] / median}


def why(error):
    return str(error).strip().splitlines()[0] if str(error) else type(error).__name__


# ---- all cases -------------------------------------------------------------------------------------


def cases(options):
    for batch in options.batch:
        for variant in options.variant:
            for precision in options.precision:
                for recipe in options.recipe:
                    for norm in options.norm:
                        yield norm, recipe, batch, precision, variant


def run(device, options, result):
    start = time.monotonic()
    for case in cases(options):
        line = dict(zip(("norm", "recipe", "batch", "precision", "variant"), case))
        if time.monotonic() - start > options.budget:
            line["skipped"] = f"the time limit of {options.budget} s was reached"
        else:
            try:
                line.update(measure(device, options, case))
            except Exception as error:  # torch.compile has many kinds; the other cases still count
                line["skipped"] = why(error)
        text = f"{line['median_ms']:10.3f} ms" if "median_ms" in line else "skipped: " + line["skipped"]
        print("{:3} {:10} batch {:5} {} {:14}".format(*case), text, flush=True)
        result["cases"].append(line)
        if options.json:
            write(options.json, result)


def write(file, result):
    """Replaces the file as a whole, so that a reader never sees half of it."""
    with open(file + ".new", "w", encoding="utf-8") as new:
        json.dump(result, new, indent=1)
    os.replace(file + ".new", file)


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--norm", nargs="+", default=["bn", "gn", "ln"])
    parser.add_argument("--recipe", nargs="+", default=["tuned", "reference"])
    parser.add_argument("--precision", nargs="+", default=["fp32", "tf32"])
    parser.add_argument("--variant", nargs="+", default=list(VARIANTS), choices=VARIANTS)
    parser.add_argument("--batch", nargs="+", type=int, default=[128, 512, 2048])
    parser.add_argument("--samples", type=int, default=15)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--budget", type=float, default=240, help="seconds after which no new case starts")
    parser.add_argument("--json", metavar="FILE", help="the results as one JSON object")
    options = parser.parse_args()
    if options.device == "cpu":  # only a GPU has TF32 and graphs
        options.precision = [p for p in options.precision if p == "fp32"]
        options.variant = [v for v in options.variant if "graph" not in v]
    return options


def main():
    options = parse_options()
    if options.device == "cuda" and not torch.cuda.is_available():
        print(f"pytorch_step: torch {torch.__version__} finds no CUDA device", file=sys.stderr)
        return 3
    torch.backends.cudnn.benchmark = True
    device = torch.device(options.device)
    cuda = device.type == "cuda"
    result = {
        "device": torch.cuda.get_device_name() if cuda else f"CPU, {torch.get_num_threads()} threads",
        "torch": torch.__version__,
        "cuda": torch.version.cuda if cuda else None,
        "cudnn": torch.backends.cudnn.version() if cuda else None,
        "samples": options.samples,
        "steps": options.steps,
        "cases": [],
    }
    run(device, options, result)
    return 0 if any("median_ms" in case for case in result["cases"]) else 1


if __name__ == "__main__":
    sys.exit(main())
