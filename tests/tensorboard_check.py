#!/usr/bin/env python3
"""tensorboard_check.py: reads the event files of a run with TensorBoard's own readers and compares them with the run's
other files: the scalars of each epoch with metrics.jsonl, the image with misclassified.png, if there is one. With a
COMMAND it does so in a TensorBoard that stays open while the command runs: it reads the folder before and again after.
Exit status: 0 the same; 1 not.

  tensorboard_check.py runs/gn-tuned-1 [COMMAND ...]"""

import json
import math
import subprocess
import sys
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

KEYS = {  # tag: key in metrics.jsonl
    "loss/train": "train_loss",
    "loss/test": "test_loss",
    "accuracy/train": "train_accuracy",
    "accuracy/test": "test_accuracy",
    "learning_rate": "lr",
    "images_per_second": "images_per_second",
}
FLOAT_EPSILON = 2**-23  # an event has a float, metrics.jsonl has nine digits


def check(what, found, due):
    if found != due:
        sys.exit(f"tensorboard_check: {what}: {found}, not {due}")


def check_scalars(events, lines):
    check("tags", sorted(events.Tags()["scalars"]), sorted(KEYS))
    for tag, key in KEYS.items():
        scalars = events.Scalars(tag)
        check(f"steps of {tag}", [scalar.step for scalar in scalars], [line["step"] for line in lines])
        for scalar, line in zip(scalars, lines):
            same = math.isclose(scalar.value, line[key], rel_tol=FLOAT_EPSILON)
            check(f"{tag} at step {scalar.step}", scalar.value, scalar.value if same else line[key])


def check_image(events, path, step):
    """Returns how many images there are."""
    check("images", events.Tags()["images"], [path.stem] if path.exists() else [])
    if not path.exists():
        return 0
    png = path.read_bytes()
    images = events.Images(path.stem)
    check("steps of the image", [image.step for image in images], [step])
    check("its bytes are those of the PNG", images[0].encoded_image_string == png, True)
    width, height = (int.from_bytes(png[at : at + 4], "big") for at in (16, 20))
    check("its size", (images[0].width, images[0].height), (width, height))
    return 1


def read(folder):
    return EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0})


def main():
    folder = Path(sys.argv[1])
    events = read(folder)
    if len(sys.argv) > 2:
        events.Reload()
        check("epochs before", len(events.Scalars("loss/test")) > 0, True)
        subprocess.run(sys.argv[2:], check=True)
    events.Reload()
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    check_scalars(events, lines)
    images = check_image(events, folder / "misclassified.png", lines[-1]["step"])
    last = max(folder.glob("*tfevents*"))
    records = list(EventFileLoader(str(last)).Load())  # ends early at a wrong checksum
    check("records", len(records), 2 + len(lines) + images)
    print(f"{len(records)} records: {len(lines)} epochs, {images} images")


main()
