#!/usr/bin/env python3
"""make_fixtures.py: computes a few steps of each network with PyTorch, in float64, for tests/test_fixtures.c.

Three files for each network, NORM-RECIPE-WHAT.safetensors, all numbers F32:
  first      for the first batch: logits and mean loss in training and in evaluation mode, and every gradient
  momentum   after five steps of SGD: the change of every weight and running statistic, and every velocity
  nesterov   the same with Nesterov's momentum
and a fourth one for the tuned networks:
  silu-muon  the same with SiLU in the blocks, and Muon for the 3x3 filters
Changes, not values: a weight hardly moves in five steps, so its value would hide a missing step. Weight decay applies
to convolutions only, momentum 0.9, no dropout, no augmentation; the last of the five batches is smaller.
`__metadata__` has the other settings of a step: seed, batch_size, images, learning_rate, momentum, weight_decay, muon_momentum,
muon_scale.

Images and start weights are not stored: both sides draw them from Philox 4x32-10 (include/philox.h), see `draw_state`
and `draw_images`. Of a tensor with more than 64 elements, only its sums with 64 vectors of random signs are stored
(`features`). If P is their matrix, |P(a - b)| / |P b| estimates |a - b| / |b| of the whole tensor: the square of each
norm is unbiased, with a relative variance of at most 2/64 (Achlioptas 2003, "Database-friendly random projections"); the
quotient has a relative standard deviation of about 1/sqrt(64), an eighth. (400 pairs of tensors of 2,304 normal numbers
gave 0.125, and estimates of 0.72 to 1.50 of the true error.)

If two elements of a pool, or the input of a ReLU and zero, differ by rounding only, rounding decides which way the
gradient takes. So the seed of each network, and another one with SiLU and Muon, is the first whose results do not change when all weights move by
a few roundings of a float, or when PyTorch computes in float32 (`instability`).

  make_fixtures.py            makes the files; the same bytes each time on one machine
  make_fixtures.py --check    computes the numbers again from the stored seeds and compares; exit status 1: they differ

`make test-python` installs what it needs into build/venv."""

import argparse
import json
import struct
import sys
from pathlib import Path

import numpy
import torch
from safetensors import safe_open
from torch.nn import functional

from networks import NORMS, RECIPES, Network, normalize, parameter_groups

FOLDER = Path(__file__).resolve().parent
RELU, SILU = ("first", "momentum", "nesterov"), ("silu-muon",)  # files with the same seed
STEPS = 5
MOMENTUM = 0.9
MUON_MOMENTUM, MUON_SCALE = 0.6, 0.75  # times the learning rate
WEIGHT_DECAY = 1 / 128  # large, so that it shows in five steps
# Images of a batch, and of the last one; the rate: so large that the changes are not lost in the weights' rounding (the
# layer norm of one weight for each element moves least).
SETTINGS = {
    ("bn", "reference"): (5, 3, 1 / 32), ("gn", "reference"): (3, 1, 1 / 32), ("ln", "reference"): (5, 2, 1 / 8),
    ("bn", "tuned"): (3, 2, 1 / 32), ("gn", "tuned"): (3, 2, 1 / 32), ("ln", "tuned"): (5, 1, 1 / 32),
}
PROJECTIONS = 64
# How far a seed's results may differ from float64's, relatively: in each of some trials where the weights move by up to
# PERTURBATION, and in float32, where after five steps the changes contain the rounding of the weights.
PERTURBATION, PERTURBATIONS, PERTURBED = 5e-7, 8, 2e-5
SINGLE = {"first": 2e-5, "momentum": 2e-4, "nesterov": 2e-4, "silu-muon": 2e-4}
MAX_SEED = 1000
SAME = 1e-6  # --check: another machine may sum in another order, and float32 has seven digits

# ---- random numbers, as test_fixtures.c draws them -------------------------------------------------------------------

# Philox streams; the state's tensors have the streams from 0 on, in the state dict's order.
COARSE, FINE, LABELS, SIGNS = 0x400, 0x401, 0x402, 0x403


def philox(seed, stream, step, index):
    """Philox 4x32-10 of include/philox.h: for each index four words, as [len(index), 4] of uint64."""
    low = numpy.uint64(0xFFFFFFFF)
    half = numpy.uint64(32)
    c0 = numpy.asarray(index, dtype=numpy.uint64)
    c1, c2, c3 = (numpy.full_like(c0, word) for word in (step & 0xFFFFFFFF, step >> 32, stream))
    k0, k1 = seed & 0xFFFFFFFF, seed >> 32
    for _ in range(10):
        p0, p1 = c0 * numpy.uint64(0xD2511F53), c2 * numpy.uint64(0xCD9E8D57)
        c0, c1, c2, c3 = (p1 >> half) ^ c1 ^ numpy.uint64(k0), p1 & low, (p0 >> half) ^ c3 ^ numpy.uint64(k1), p0 & low
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return numpy.stack((c0, c1, c2, c3), axis=-1)


def check_philox():
    """Random123's test vectors, as in tests/test_philox.c: index, step, stream, seed, words."""
    for index, step, stream, seed, words in (
            (0, 0, 0, 0, (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
            (0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF,
             (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
            (0x243F6A88, 0x13198A2E85A308D3, 0x03707344, 0x299F31D0A4093822,
             (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1))):
        drawn = tuple(int(word) for word in philox(seed, stream, step, [index])[0])
        if drawn != words:
            raise SystemExit(f"make_fixtures: Philox gives {drawn} for index {index:#x} instead of {words}")


def elements(seed, stream, step, count):
    """A word for each element: word i % 4 of draw i / 4."""
    return philox(seed, stream, step, numpy.arange((count + 3) // 4)).reshape(-1)[:count]


def draw_state(network, seed):
    """Start weights, with u uniform in [0, 1) of 24 bits: convolutions (2u - 1) sqrt(3 / fan_in); norm weights and
    running variances 1/2 + u; biases and running means u - 1/2."""
    state = {}
    for stream, (name, tensor) in enumerate(network.state_dict().items()):
        if name.endswith("num_batches_tracked"):
            continue
        u = (elements(seed, stream, 0, tensor.numel()) >> numpy.uint64(8)).astype(numpy.float64) / 2**24
        if tensor.dim() == 4:
            values = (2 * u - 1) * numpy.sqrt(3 / tensor[0].numel())
        else:
            values = u + (0.5 if name.endswith(("weight", "running_var")) else -0.5)
        state[name] = torch.from_numpy(values.astype(numpy.float32)).reshape(tensor.shape).double()
    return state


def draw_images(seed, count):
    """uint8 images, squares of 8 x 8 pixels of one colour under noise, so that no two are alike on average; labels."""
    images = numpy.empty((count, 3, 32, 32), dtype=numpy.uint8)
    for n in range(count):
        coarse = (elements(seed, COARSE, n, 3 * 4 * 4) >> numpy.uint64(24)).reshape(3, 4, 4)
        fine = (elements(seed, FINE, n, images[n].size) >> numpy.uint64(24)).reshape(3, 32, 32)
        images[n] = (coarse.repeat(8, axis=1).repeat(8, axis=2) + fine) // 2
    labels = (elements(seed, LABELS, 0, count) * numpy.uint64(10) >> numpy.uint64(32)).astype(numpy.int64)
    return torch.from_numpy(images), torch.from_numpy(labels)


# ---- Muon ------------------------------------------------------------------------------------------------------------


class Muon:
    """Of the 3x3 filters, with Nesterov's momentum, as in airbench94_muon (Jordan 2024), but in the network's precision."""

    def __init__(self, network, rate, momentum):
        filters = [p for p in network.parameters() if p.dim() == 4 and p.shape[2] == 3]
        self.rate, self.momentum = rate, momentum
        self.state = {p: {"momentum_buffer": torch.zeros_like(p)} for p in filters}

    @torch.no_grad()
    def step(self):
        for p, state in self.state.items():
            state["momentum_buffer"].mul_(self.momentum).add_(p.grad)
            update = orthogonalized((p.grad + self.momentum * state["momentum_buffer"]).flatten(1))
            p.mul_(len(p) ** 0.5 / (p.norm() + 1e-9)).sub_(update.reshape(p.shape), alpha=self.rate)
            p.grad = None


def orthogonalized(matrix):
    x = matrix / (matrix.norm() + 1e-7)
    for _ in range(3):
        gram = x @ x.T
        x = 3.4445 * x - 4.7750 * gram @ x + 2.0315 * gram @ gram @ x
    return x


# ---- what PyTorch computes -------------------------------------------------------------------------------------------


class Case:
    """A network with its batches and start weights."""

    def __init__(self, norm, recipe, seed, files):
        self.norm, self.recipe, self.seed = norm, recipe, seed
        self.activation = torch.nn.SiLU if files == SILU else torch.nn.ReLU
        self.batch_size, last, self.learning_rate = SETTINGS[norm, recipe]
        self.images, self.labels = draw_images(seed, (STEPS - 1) * self.batch_size + last)
        self.state = draw_state(self.network(torch.float64), seed)

    def network(self, dtype):
        return Network(self.norm, self.recipe, dropout=0, activation=self.activation).to(dtype)

    def loaded(self, state, dtype):
        network = self.network(dtype)
        missing = network.load_state_dict(state, strict=False)
        assert not missing.unexpected_keys and all("num_batches" in name for name in missing.missing_keys)
        return network

    def metadata(self, what):
        muon = {"muon_momentum": str(MUON_MOMENTUM), "muon_scale": str(MUON_SCALE)} if what == "silu-muon" else {}
        return {"seed": str(self.seed), "batch_size": str(self.batch_size), "images": str(len(self.images)),
                "learning_rate": str(self.learning_rate), "momentum": str(MOMENTUM), "weight_decay": str(WEIGHT_DECAY),
                **muon,
                "torch": torch.__version__.split("+")[0]}

    def batches(self, dtype):
        for images, labels in zip(self.images.split(self.batch_size), self.labels.split(self.batch_size)):
            yield normalize(images, dtype), labels

    def first(self, state, dtype):
        network = self.loaded(state, dtype)
        x, labels = next(self.batches(dtype))
        with torch.no_grad():
            logits = network.eval()(x)
        results = {"evaluation.logits": logits, "evaluation.loss": functional.cross_entropy(logits, labels)}
        logits = network.train()(x)
        loss = functional.cross_entropy(logits, labels)
        loss.backward()
        results.update({"logits": logits.detach(), "loss": loss.detach()})
        results.update({f"gradient.{name}": p.grad for name, p in network.named_parameters()})
        return results

    def steps(self, state, dtype, what):
        network = self.loaded(state, dtype).train()
        optimizers = [torch.optim.SGD(parameter_groups(network, WEIGHT_DECAY), lr=self.learning_rate, momentum=MOMENTUM,
                                      nesterov=what != "momentum")]
        if what == "silu-muon":
            optimizers.append(Muon(network, MUON_SCALE * self.learning_rate, MUON_MOMENTUM))
        before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        for x, labels in self.batches(dtype):
            network.zero_grad()
            functional.cross_entropy(network(x), labels).backward()
            for optimizer in reversed(optimizers):  # Muon takes its gradients away
                optimizer.step()
        after = network.state_dict()
        results = {f"change.{name}": after[name] - before[name] for name in state}
        for name, p in network.named_parameters():
            results[f"velocity.{name}"] = next(o.state[p] for o in optimizers if p in o.state)["momentum_buffer"]
        return results

    def results(self, what, state=None, dtype=torch.float64):
        state = self.state if state is None else state
        return self.first(state, dtype) if what == "first" else self.steps(state, dtype, what)


# ---- which seed ------------------------------------------------------------------------------------------------------


def relative_error(a, b):
    a, b = a.double(), b.double()
    return float((a - b).norm() / b.norm())


def largest_error(results, expected):
    return max((relative_error(results[name], expected[name]), name) for name in expected)


def perturbed(state, trial):
    generator = torch.Generator().manual_seed(trial)
    moved = {}
    for name, tensor in state.items():
        noise = 2 * torch.rand(tensor.shape, generator=generator, dtype=tensor.dtype) - 1
        moved[name] = tensor * (1 + PERTURBATION * noise)
    return moved


def instability(case, what, expected):
    """Why a seed is not usable, in words; None: it is."""
    error, name = largest_error(case.results(what, dtype=torch.float32), expected)
    if not error < SINGLE[what]:
        return f"{what}, in float32: {name} is off by {error:.1e}"
    for trial in range(PERTURBATIONS):
        error, name = largest_error(case.results(what, perturbed(case.state, trial)), expected)
        if not error < PERTURBED:
            return f"{what}, perturbed: {name} is off by {error:.1e}"
    return None


def files_of(recipe):
    """What the recipe's files hold, those of one seed together."""
    return (RELU, SILU) if recipe == "tuned" else (RELU,)


def find_case(norm, recipe, files):
    """The network with the first seed that is stable, and its results."""
    for seed in range(1, MAX_SEED + 1):
        case = Case(norm, recipe, seed, files)
        results = {what: case.results(what) for what in files}
        reasons = (instability(case, what, results[what]) for what in files)
        reason = next((reason for reason in reasons if reason), None)
        if reason is None:
            return case, results
        print(f"{norm} {recipe}: not seed {seed}: {reason}", flush=True)
    raise SystemExit(f"make_fixtures: no seed up to {MAX_SEED} is stable for {norm} {recipe}; "
                     f"lower its learning rate or its batch size")


# ---- files -----------------------------------------------------------------------------------------------------------


def features(tensor):
    """What is stored of a tensor: up to 64 elements themselves; of more the sums with 64 vectors of signs. Bit j of
    the first two words of draw i says whether sum j subtracts element i."""
    values = tensor.detach().double().reshape(-1).numpy()
    if len(values) <= PROJECTIONS:
        return values.astype("<f4")
    words = philox(0, SIGNS, 0, numpy.arange(len(values)))
    bits = words[:, 0] | words[:, 1] << numpy.uint64(32)
    sums = [values @ (1.0 - 2.0 * (bits >> numpy.uint64(j) & numpy.uint64(1))) for j in range(PROJECTIONS)]
    return numpy.array(sums).astype("<f4")


def path_of(norm, recipe, what):
    return FOLDER / f"{norm}-{recipe}-{what}.safetensors"


def file_bytes(tensors, metadata):
    """The safetensors format. Its own library writes `__metadata__` in another order each time."""
    header, data = {"__metadata__": metadata}, b""
    for name, values in sorted(tensors.items()):
        header[name] = {"dtype": "F32", "shape": list(values.shape),
                        "data_offsets": [len(data), len(data) + values.nbytes]}
        data += values.tobytes()
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def make(norm, recipe):
    for files in files_of(recipe):
        case, results = find_case(norm, recipe, files)
        total = 0
        for what in files:
            tensors = {name: features(tensor) for name, tensor in results[what].items()}
            total += path_of(norm, recipe, what).write_bytes(file_bytes(tensors, case.metadata(what)))
        print(f"{norm} {recipe}, {', '.join(files)}: seed {case.seed}, {total} bytes", flush=True)
    return True


def differences(tensors, metadata, file):
    """How the file differs from the new results, one line each."""
    on_file = file.metadata() or {}
    for name in sorted(metadata.keys() | on_file.keys()):
        if name != "torch" and metadata.get(name) != on_file.get(name):
            yield f"{name} is {metadata.get(name)}, on file {on_file.get(name)}"
    for name in sorted(tensors.keys() | set(file.keys())):
        if name not in tensors or name not in file.keys():
            yield f"tensor {name} is {'on file' if name in file.keys() else 'made'} only"
        elif tensors[name].shape != file.get_tensor(name).shape:
            yield f"tensor {name} has shape {tensors[name].shape}, on file {file.get_tensor(name).shape}"
        else:
            error = relative_error(torch.from_numpy(file.get_tensor(name)), torch.from_numpy(tensors[name]))
            if not error <= SAME:
                yield f"tensor {name} is off by {error:.1e}, allowed {SAME:.0e}"


def check(norm, recipe):
    """Whether the files hold what PyTorch gives for their seed."""
    good = same = True
    for files, what in ((files, what) for files in files_of(recipe) for what in files):
        path = path_of(norm, recipe, what)
        with safe_open(path, framework="numpy") as file:
            case = Case(norm, recipe, int(file.metadata()["seed"]), files)
        tensors = {name: features(tensor) for name, tensor in case.results(what).items()}
        same = same and path.read_bytes() == file_bytes(tensors, case.metadata(what))
        with safe_open(path, framework="numpy") as file:
            for line in differences(tensors, case.metadata(what), file):
                print(f"{path.name}: {line}")
                good = False
    verdict = "the same bytes" if same else f"the same to {SAME:.0e}" if good else "differs"
    print(f"{norm} {recipe}: {verdict}", flush=True)
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with the files instead of writing them")
    options = parser.parse_args()
    check_philox()
    torch.set_num_threads(1)  # one order of summation
    results = [(check if options.check else make)(norm, recipe) for recipe in RECIPES for norm in NORMS]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
