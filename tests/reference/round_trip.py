#!/usr/bin/env python3
"""round_trip.py: takes a weights file of train_gpu through PyTorch and back, and evaluates it on CIFAR-10's test set each
time.

The file goes into the module of networks.py with load_state_dict(strict=True); train_gpu and PyTorch evaluate it; the
module's state dict is saved with save_file, and train_gpu evaluates that. Loss and number right must be the same: the
loss to 1e-4, the number right to 2 images, because rounding decides between two classes that are equally likely.
Exit status: 0 the same; 1 not, or something failed.

  round_trip.py --weights runs/bn-reference-1/model.safetensors --norm bn --recipe reference"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch.nn import functional

from networks import NORMS, RECIPES, Network, normalize

ROOT = Path(__file__).resolve().parent.parent.parent
RECORD = 1 + 3 * 32 * 32  # of a CIFAR-10 file: label, pixels
BATCH = 100
LOSS_BOUND, RIGHT_BOUND = 1e-4, 2


class Failure(Exception):
    """One line for the user."""


def read_images(folder):
    path = Path(folder) / "test_batch.bin"
    try:
        records = torch.frombuffer(bytearray(path.read_bytes()), dtype=torch.uint8)
    except OSError as error:
        raise Failure(f"cannot read {path}: {error.strerror}; make data fetches it, --data says where it is") from error
    if records.numel() == 0 or records.numel() % RECORD != 0:
        raise Failure(f"{path} is not a CIFAR-10 file: {records.numel()} bytes, not a multiple of {RECORD}")
    records = records.view(-1, RECORD)
    return records[:, 1:].reshape(-1, 3, 32, 32), records[:, 0].long()


def evaluate(network, images, labels):
    """Mean loss and number right."""
    network.eval()
    loss, right = 0.0, 0
    with torch.inference_mode():
        for x, y in zip(images.split(BATCH), labels.split(BATCH)):
            logits = network(normalize(x))
            loss += float(functional.cross_entropy(logits.double(), y, reduction="sum"))
            right += int((logits.argmax(1) == y).sum())
    return loss / len(labels), right


def evaluate_in_c(options, weights):
    """The same by train_gpu."""
    command = [options.train_gpu, "eval", "--json", "--norm", options.norm, "--recipe", options.recipe, "--weights",
               str(weights), "--data", options.data, "--device", options.device]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    except OSError as error:
        raise Failure(f"cannot run {options.train_gpu}: {error.strerror}; make builds it, "
                      f"--train-gpu says where it is") from error
    if done.returncode != 0:
        raise Failure(f"{' '.join(command)} ended with status {done.returncode}: {done.stderr.strip()}")
    score = json.loads(done.stdout)
    # a loss that is not finite is null
    loss = float("nan") if score["test_loss"] is None else score["test_loss"]
    return loss, score["correct"], score["total"]


def compare(what, score, first):
    loss, right = score
    same = abs(loss - first[0]) <= LOSS_BOUND and abs(right - first[1]) <= RIGHT_BOUND  # false for NaN
    print(f"  {what:34} {right:6} right, loss {loss:.6f}{'' if same else '   <- differs'}", flush=True)
    return same


def round_trip(options):
    images, labels = read_images(options.data)
    # Filters are saved as they are used, so plain convolutions take them in every recipe.
    network = Network(options.norm, options.recipe, plain=True)
    try:
        network.load_state_dict(load_file(options.weights), strict=True)
    except (OSError, RuntimeError, SafetensorError) as error:
        why = " ".join(line.strip() for line in str(error).splitlines()[:2])  # a headline, and the first tensor
        raise Failure(f"{options.weights} cannot be loaded into {options.norm} {options.recipe}: {why}") from error
    print(f"{options.norm} {options.recipe}, {options.weights}, {len(labels)} images", flush=True)
    loss, right, total = evaluate_in_c(options, options.weights)
    if total != len(labels):
        raise Failure(f"{options.train_gpu} evaluated {total} images instead of {len(labels)}")
    good = compare("train_gpu", (loss, right), (loss, right))
    good &= compare("PyTorch", evaluate(network, images, labels), (loss, right))
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy.safetensors"
        save_file(network.state_dict(), str(copy))
        good &= compare("train_gpu, as saved by PyTorch", evaluate_in_c(options, copy)[:2], (loss, right))
    return good


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    data = os.environ.get("CIFAR10_DIR") or str(ROOT / "data" / "cifar-10-batches-bin")
    parser.add_argument("--weights", required=True, metavar="FILE")
    parser.add_argument("--norm", required=True, choices=NORMS)
    parser.add_argument("--recipe", required=True, choices=RECIPES)
    parser.add_argument("--train-gpu", default=str(ROOT / "train_gpu"), metavar="PROGRAM")
    parser.add_argument("--data", default=data, metavar="DIR", help="where test_batch.bin is")
    parser.add_argument("--device", default="auto", help="as train_gpu's")
    return parser.parse_args()


def main():
    try:
        return 0 if round_trip(parse_options()) else 1
    except Failure as failure:
        print(f"round_trip: {failure}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
