"""Expected logits and class activation maps of the networks, computed by PyTorch with weights by the formula of
`src/model/formula.rs`.

    python golden/reference.py

It is run in `trainer/`, needs PyTorch (2.9.0 on the CPU made the files here) and numpy, and writes `golden/*.json`. The
network is written here from its description, and not taken from the trainer: DenseNet (Huang et al. 2017, with
torchvision's names), CBAM (Woo et al. 2018) or squeeze-and-excitation (Hu et al. 2018) after each dense block, and class
activation maps (Zhou et al. 2016).
"""

import json
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F


def uniform(name, count):
    """The values u(name, i) of `src/model/formula.rs` for i < count."""
    seed = 0xCBF29CE484222325
    for byte in name.encode():
        seed = (seed ^ byte) * 0x100000001B3 % 2**64
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + np.arange(count, dtype=np.uint64) + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(40)).astype(np.float64) / 2**23 - 1


# A transition's weights are multiplied by these gains, because the gates before it shrink the values that they pass on.
TRANSITION_GAINS = {"none": 2, "se": 4, "cbam": 16}


def parameter(name, shape, attention):
    u = uniform(name, int(np.prod(shape)))
    if len(shape) == 4:
        values = u * ((TRANSITION_GAINS[attention] if "transition" in name else 1) * np.sqrt(6 / np.prod(shape[1:])))
    elif len(shape) == 2:
        values = u * np.sqrt(3 / shape[1])
    elif name.endswith(".running_var"):
        values = 1 + 0.5 * np.abs(u)
    elif name.endswith(".weight"):
        values = 1 + 0.1 * u
    else:
        values = 0.1 * u
    return torch.from_numpy(values.astype(np.float32)).reshape(shape)


def image(size):
    channel, y, x = np.indices((3, size, size))
    wave = 4 * np.abs((((channel + 1) * x + 2 * y) % size) / size - 0.5) - 1
    noise = uniform("image", 3 * size * size).reshape(3, size, size)
    return torch.from_numpy((1.5 * wave + 0.5 * noise).astype(np.float32))[None]


class DenseLayer(nn.Module):
    def __init__(self, channels, growth_rate, bottleneck):
        super().__init__()
        squeezed = bottleneck * growth_rate
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, squeezed, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(squeezed)
        self.conv2 = nn.Conv2d(squeezed, growth_rate, 3, padding=1, bias=False)

    def forward(self, x):
        y = self.conv1(F.relu(self.norm1(x)))
        y = self.conv2(F.relu(self.norm2(y)))
        return torch.cat([x, y], 1)


class Transition(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.conv = nn.Conv2d(channels, channels // 2, 1, bias=False)

    def forward(self, x):
        return F.avg_pool2d(self.conv(F.relu(self.norm(x))), 2)


def mlp(channels, hidden):
    return nn.Sequential(nn.Flatten(), nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, channels))


class Se(nn.Module):
    def __init__(self, channels, reduction):
        super().__init__()
        self.fc = mlp(channels, channels // reduction)

    def forward(self, x):
        return x * torch.sigmoid(self.fc(F.adaptive_avg_pool2d(x, 1)))[:, :, None, None]


class ChannelGate(nn.Module):
    def __init__(self, channels, reduction):
        super().__init__()
        self.mlp = mlp(channels, channels // reduction)

    def forward(self, x):
        gate = self.mlp(F.adaptive_avg_pool2d(x, 1)) + self.mlp(F.adaptive_max_pool2d(x, 1))
        return x * torch.sigmoid(gate)[:, :, None, None]


class SpatialGate(nn.Module):
    def __init__(self):
        super().__init__()
        self.spatial = nn.Module()
        self.spatial.conv = nn.Conv2d(2, 1, 7, padding=3, bias=False)
        self.spatial.bn = nn.BatchNorm2d(1, eps=1e-5, momentum=0.01)

    def forward(self, x):
        pooled = torch.cat([x.amax(1, keepdim=True), x.mean(1, keepdim=True)], 1)
        return x * torch.sigmoid(self.spatial.bn(self.spatial.conv(pooled)))


class Cbam(nn.Module):
    def __init__(self, channels, reduction):
        super().__init__()
        self.ChannelGate = ChannelGate(channels, reduction)
        self.SpatialGate = SpatialGate()

    def forward(self, x):
        return self.SpatialGate(self.ChannelGate(x))


class Network(nn.Module):
    def __init__(self, growth_rate, blocks, initial_features, bottleneck, attention, reduction, classes):
        super().__init__()
        self.attention = attention
        self.features = nn.Sequential()
        channels = initial_features
        self.features.add_module("conv0", nn.Conv2d(3, channels, 7, stride=2, padding=3, bias=False))
        self.features.add_module("norm0", nn.BatchNorm2d(channels))
        self.features.add_module("relu0", nn.ReLU())
        self.features.add_module("pool0", nn.MaxPool2d(3, 2, 1))
        for b, layers in enumerate(blocks, 1):
            block = nn.Sequential()
            for l in range(1, layers + 1):
                block.add_module(f"denselayer{l}", DenseLayer(channels, growth_rate, bottleneck))
                channels += growth_rate
            self.features.add_module(f"denseblock{b}", block)
            if attention == "se":
                self.features.add_module(f"se{b}", Se(channels, reduction))
            elif attention == "cbam":
                self.features.add_module(f"cbam{b}", Cbam(channels, reduction))
            if b < len(blocks):
                self.features.add_module(f"transition{b}", Transition(channels))
                channels //= 2
        self.features.add_module("norm5", nn.BatchNorm2d(channels))
        self.classifier = nn.Linear(channels, classes)

    def forward(self, x):
        features = F.relu(self.features(x))
        logits = self.classifier(features.mean((2, 3)))
        cam = F.conv2d(features, self.classifier.weight[:, :, None, None])
        return logits, cam


def network(architecture):
    """The network with weights by the formula, in evaluation mode."""
    model = Network(**architecture)
    state = {
        name: value if name.endswith("num_batches_tracked") else parameter(name, tuple(value.shape), model.attention)
        for name, value in model.state_dict().items()
    }
    model.load_state_dict(state)
    return model.eval()


def densenet121(attention):
    return {
        "growth_rate": 32,
        "blocks": [6, 12, 24, 16],
        "initial_features": 64,
        "bottleneck": 4,
        "attention": attention,
        "reduction": 16,
        "classes": 3,
    }


def tiny(attention):
    return {
        "growth_rate": 4,
        "blocks": [2, 2],
        "initial_features": 8,
        "bottleneck": 2,
        "attention": attention,
        "reduction": 4,
        "classes": 3,
    }


@torch.no_grad()
def main():
    cases = {
        "densenet121-cbam": (densenet121("cbam"), 224),
        "tiny-none": (tiny("none"), 64),
        "tiny-se": (tiny("se"), 64),
        "tiny-cbam": (tiny("cbam"), 64),
    }
    for name, (architecture, size) in cases.items():
        logits, cam = network(architecture)(image(size))
        golden = {
            "torch": torch.__version__,
            "architecture": architecture,
            "size": size,
            "logits": logits[0].tolist(),
            "cam": cam[0].tolist(),
        }
        path = Path(__file__).with_name(f"{name}.json")
        path.write_text(json.dumps(golden) + "\n")
        print(name, golden["logits"])


if __name__ == "__main__":
    main()
