"""networks.py: the six networks, bn, gn and ln in both recipes, as PyTorch modules with the published modules' names.

The C program is tested against them (make_fixtures.py, round_trip.py), and its speed is compared with theirs
(bench/pytorch_step.py). They share nothing with it. The topology is C1 C2 c3 P1, C3 C4 C5 c6 P2, C7 C8 C9 GAP C10."""

from collections import OrderedDict

import torch
from torch import nn
from torch.nn import functional

NORMS = ("bn", "gn", "ln")
RECIPES = ("reference", "tuned")
# Of pixels / 255: red, green, blue.
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


def normalize(images, dtype=torch.float32):
    """uint8 images [N, 3, 32, 32] as the networks expect them."""
    mean, std = (torch.tensor(values, dtype=dtype).view(1, 3, 1, 1) for values in (MEAN, STD))
    return (images.to(dtype) / 255 - mean) / std


def parameter_groups(network, weight_decay):
    """For an optimizer: weight decay is on convolutions only."""
    convolutions = [p for p in network.parameters() if p.dim() == 4]
    others = [p for p in network.parameters() if p.dim() != 4]
    return [{"params": convolutions, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]


class StandardizedConv(nn.Conv2d):
    """Filters of zero mean and an L2 norm of `gain` (Qiao et al. 2019, "Weight Standardization")."""

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
    """`dropout` None: the recipe's. `plain`: convolutions use their filters as they are, even if the recipe standardizes
    them, because weights files of train_gpu hold filters as they are used. `activation`: of the blocks."""

    def __init__(self, norm, recipe, dropout=None, plain=False, activation=nn.ReLU):
        super().__init__()
        self.activation = activation
        published = recipe == "reference"
        self.norm, self.recipe = norm, recipe
        self.dropout = (0.05 if published and norm == "bn" else 0.0) if dropout is None else dropout
        self.conv = nn.Conv2d if plain or published or norm == "bn" else StandardizedConv
        c = CHANNELS[norm] if published else TUNED_CHANNELS
        small = published and norm == "ln"  # the published layer-norm network
        padding = 0 if small else 1
        self.first_skip = not small
        self.convblock1 = self.block(3, c[0], 32 - 2 + 2 * padding, padding)
        self.convblock2 = self.block(c[0], c[1], 32 - 4 + 4 * padding, padding)
        self.convblock3 = nn.Sequential(nn.Conv2d(c[1], c[2], 1, bias=False))
        side = (32 - 4 + 4 * padding) // 2
        self.convblock4 = self.block(c[2], c[3], side)
        self.convblock5 = self.block(c[3], c[4], side)
        self.convblock6 = self.block(c[4], c[5], side)
        self.convblock7 = nn.Sequential(nn.Conv2d(c[5], c[6], 1, bias=False))
        self.convblock8 = self.block(c[6], c[7], side // 2)
        self.convblock9 = self.block(c[7], c[8], side // 2)
        self.convblock10 = self.block(c[8], c[9], side // 2)
        self.convblock11 = nn.Sequential(nn.Conv2d(c[9], 10, 1, bias=False))
        count = sum(p.numel() for p in self.parameters())
        expected = PARAMETERS[norm] if published else TUNED_PARAMETERS
        assert count == expected, f"{norm} {recipe} has {count} parameters instead of {expected}"

    def block(self, inputs, outputs, side, padding=1):
        """Published order: convolution 0, ReLU 1, norm 2, dropout 3. Tuned: the norm before the activation, same names."""
        conv = ("0", self.conv(inputs, outputs, 3, padding=padding, bias=False))
        activation = ("1", self.activation())
        norm = ("2", make_norm(self.norm, self.recipe, outputs, side))
        parts = [conv, activation, norm] if self.recipe == "reference" else [conv, norm, activation]
        if self.dropout > 0:
            parts.append(("3", nn.Dropout(self.dropout)))
        return nn.Sequential(OrderedDict(parts))

    def forward(self, x):
        x = self.convblock1(x)
        y = self.convblock3(self.convblock2(x))
        p = functional.max_pool2d(functional.relu(y + x) if self.first_skip else y, 2)
        y = self.convblock7(self.convblock6(self.convblock5(self.convblock4(p))))
        y = functional.max_pool2d(functional.relu(y + p), 2)
        y = self.convblock10(self.convblock9(self.convblock8(y)))
        return self.convblock11(y.mean((2, 3), keepdim=True)).flatten(1)
