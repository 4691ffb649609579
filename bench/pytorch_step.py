"""pytorch_step.py: how long a training step of the same networks takes in PyTorch, to compare with bench_step.

A step has the same bounds as there: from a uint8 batch in device memory (pixels to normalized floats included,
augmentation not) over loss, number of right answers and gradients to the updated weights. A sample is the time of some
steps one after the other, the wait for the device at its end included, divided by their number; what is printed is
the median and the fastest sample.

Variants: eager; channels_last, the same with that memory format; graph, eager replayed from a CUDA graph; compile,
torch.compile of forward, loss and backward; compile_graph, both. cuDNN's benchmark mode is on, the optimizer is fused.

Exit status: 0 measured; 1 something failed; 3 no such device, or no torch."""

import argparse
import json
import statistics
import sys
import time

try:
    import torch
    from torch import nn
    from torch.nn import functional
except ImportError as error:
    print(f"pytorch_step: torch cannot be imported: {error}", file=sys.stderr)
    sys.exit(3)

MEAN = (0.49139968, 0.48215827, 0.44653124)
STD = (0.24703233, 0.24348505, 0.26158768)
# Output channels of C1 C2 c3, C3 C4 C5 c6, C7 C8 C9.
CHANNELS = {
    "bn": (16, 32, 16, 24, 28, 32, 16, 20, 26, 32),
    "gn": (16, 32, 16, 24, 28, 32, 16, 20, 28, 32),
    "ln": (8, 10, 8, 10, 12, 14, 8, 10, 12, 14),
}
TUNED_CHANNELS = (24, 32, 24, 24, 28, 32, 24, 24, 24, 28)
PARAMETERS = {"bn": 39420, "gn": 40360, "ln": 55612}
TUNED_PARAMETERS = 45520
VARIANTS = ("eager", "channels_last", "graph", "compile", "compile_graph")


# ---- the networks ----------------------------------------------------------------------------------


class StandardizedConv(nn.Conv2d):
    """Filters of zero mean and an L2 norm of `gain`."""

    gain = 1.4

    def forward(self, x):
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        weight = self.gain * weight * torch.rsqrt(weight.square().sum((1, 2, 3), keepdim=True) + 1e-10)
        return functional.conv2d(x, weight, None, 1, self.padding)


def make_norm(norm, recipe, channels, side):
    if norm == "bn":
        return nn.BatchNorm2d(channels)
    if norm == "gn":
        return nn.GroupNorm(4, channels)
    if recipe == "reference":
        return nn.LayerNorm([channels, side, side])
    return nn.GroupNorm(1, channels)


class Network(nn.Module):
    """C1 C2 c3 P1, C3 C4 C5 c6 P2, C7 C8 C9 GAP C10."""

    def __init__(self, norm, recipe):
        super().__init__()
        self.norm, self.recipe = norm, recipe
        published = recipe == "reference"
        c = CHANNELS[norm] if published else TUNED_CHANNELS
        small = published and norm == "ln"  # the published layer-norm network
        padding = 0 if small else 1
        self.first_skip = not small
        self.c1 = self.block(3, c[0], 32 - 2 + 2 * padding, padding)
        self.c2 = self.block(c[0], c[1], 32 - 4 + 4 * padding, padding)
        self.c3 = nn.Conv2d(c[1], c[2], 1, bias=False)
        side = (32 - 4 + 4 * padding) // 2
        self.c4 = self.block(c[2], c[3], side)
        self.c5 = self.block(c[3], c[4], side)
        self.c6 = self.block(c[4], c[5], side)
        self.c7 = nn.Conv2d(c[5], c[6], 1, bias=False)
        self.c8 = self.block(c[6], c[7], side // 2)
        self.c9 = self.block(c[7], c[8], side // 2)
        self.c10 = self.block(c[8], c[9], side // 2)
        self.c11 = nn.Conv2d(c[9], 10, 1, bias=False)

    def block(self, inputs, outputs, side, padding=1):
        published = self.recipe == "reference"
        conv = nn.Conv2d if published or self.norm == "bn" else StandardizedConv
        parts = [conv(inputs, outputs, 3, padding=padding, bias=False)]
        norm = make_norm(self.norm, self.recipe, outputs, side)
        parts += [nn.ReLU(), norm] if published else [norm, nn.ReLU()]
        if published and self.norm == "bn":
            parts.append(nn.Dropout(0.05))
        return nn.Sequential(*parts)

    def forward(self, x):
        x = self.c1(x)
        y = self.c3(self.c2(x))
        p = functional.max_pool2d(functional.relu(y + x) if self.first_skip else y, 2)
        y = self.c7(self.c6(self.c5(self.c4(p))))
        y = functional.max_pool2d(functional.relu(y + p), 2)
        y = self.c10(self.c9(self.c8(y)))
        return self.c11(y.mean((2, 3), keepdim=True)).flatten(1)


# ---- a step ----------------------------------------------------------------------------------------


class Training:
    """One network, one batch in device memory, and what a step does with them."""

    def __init__(self, device, norm, recipe, batch, variant):
        generator = torch.Generator().manual_seed(1)
        self.format = torch.channels_last if variant == "channels_last" else torch.contiguous_format
        self.network = Network(norm, recipe).to(device, memory_format=self.format)
        count = sum(p.numel() for p in self.network.parameters())
        expected = PARAMETERS[norm] if recipe == "reference" else TUNED_PARAMETERS
        assert count == expected, f"{norm} {recipe} has {count} parameters instead of {expected}"
        self.images = torch.randint(0, 256, (batch, 3, 32, 32), generator=generator).to(device, torch.uint8)
        self.labels = torch.randint(0, 10, (batch,), generator=generator).to(device)
        self.mean = torch.tensor(MEAN, device=device).view(1, 3, 1, 1)
        self.scale = 1 / torch.tensor(STD, device=device).view(1, 3, 1, 1)
        self.loss_sum = torch.zeros((), dtype=torch.float64, device=device)
        self.correct = torch.zeros((), dtype=torch.int64, device=device)
        self.loss = torch.compile(self.forward_loss, dynamic=False) if "compile" in variant else self.forward_loss
        self.optimizer = self.make_optimizer(device, recipe)

    def make_optimizer(self, device, recipe):
        tuned = recipe == "tuned"
        convolutions = [p for p in self.network.parameters() if p.dim() == 4]
        others = [p for p in self.network.parameters() if p.dim() != 4]
        groups = [{"params": convolutions, "weight_decay": 5e-4 if tuned else 0.0},
                  {"params": others, "weight_decay": 0.0}]
        # The rate lies in device memory, so that a schedule can change it under a graph.
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


def measure(device, options, case):
    norm, recipe, batch, precision, variant = case
    for switch in (torch.backends.cuda.matmul, torch.backends.cudnn):
        switch.allow_tf32 = precision == "tf32"
    torch._dynamo.reset()
    training = Training(device, norm, recipe, batch, variant)
    step = training.captured() if "graph" in variant else training.step
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    samples = []
    for sample in range(options.samples + 1):
        start = time.perf_counter()
        for _ in range(options.steps):
            step()
        wait()
        if sample > 0:  # the first one warms up
            samples.append((time.perf_counter() - start) / options.steps)
    assert bool(torch.isfinite(training.loss_sum)), "the loss is not finite"
    median = statistics.median(samples)
    return {"median_ms": 1e3 * median, "fastest_ms": 1e3 * min(samples), "images_per_second": batch / median}


# ---- all cases -------------------------------------------------------------------------------------


def cases(device, options):
    """What takes long to set up comes last, and so falls to the time limit first."""
    for variants in (("eager", "channels_last", "graph"), ("compile", "compile_graph")):
        for batch in options.batch:
            for precision in options.precision:
                for recipe in options.recipe:
                    for norm in options.norm:
                        for variant in variants:
                            if variant in options.variant:
                                yield norm, recipe, batch, precision, variant


def run(device, options):
    start = time.monotonic()
    results = []
    for case in cases(device, options):
        result = dict(zip(("norm", "recipe", "batch", "precision", "variant"), case))
        if time.monotonic() - start > options.budget:
            result["skipped"] = f"the time limit of {options.budget} s was reached"
        else:
            try:
                result.update(measure(device, options, case))
            except (RuntimeError, AssertionError, ImportError) as error:
                result["skipped"] = str(error).strip().splitlines()[0] if str(error) else type(error).__name__
        text = f"{result['median_ms']:10.3f} ms" if "median_ms" in result else "skipped: " + result["skipped"]
        print("{:3} {:10} batch {:5} {} {:14}".format(*case), text, flush=True)
        results.append(result)
    return results


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
    parser.add_argument("--budget", type=float, default=240, help="seconds, after which no case is begun")
    parser.add_argument("--json", metavar="FILE", help="the results as one JSON object")
    options = parser.parse_args()
    if options.device == "cpu":  # TF32 and graphs are a GPU's
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
    cases_done = run(device, options)
    result = {
        "device": torch.cuda.get_device_name() if cuda else f"CPU, {torch.get_num_threads()} threads",
        "torch": torch.__version__,
        "cuda": torch.version.cuda if cuda else None,
        "cudnn": torch.backends.cudnn.version() if cuda else None,
        "samples": options.samples,
        "steps": options.steps,
        "cases": cases_done,
    }
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(result, file, indent=1)
    return 0 if any("median_ms" in case for case in cases_done) else 1


if __name__ == "__main__":
    sys.exit(main())
