"""Checkpoints of a tiny DenseNet as torchvision writes them, with weights by the formula of `src/model/formula.rs`.

    python golden/torchvision_tiny.py

It is run in `trainer/` and needs PyTorch and torchvision (2.9.0 and 0.24.0 made the files here), numpy and safetensors. The
network has five classes, so that its classifier fits none of the trainer's networks. The file `-published` has the names of
the weights that torchvision offers for download, with the prefix that a training script puts before them.
"""

import re
from pathlib import Path

import torch
import torchvision
from reference import parameter
from safetensors.torch import save_file

network = torchvision.models.DenseNet(growth_rate=4, block_config=(2, 2), num_init_features=8, bn_size=2, num_classes=5)
state = network.state_dict()
for name, value in state.items():
    if value.dtype == torch.float32:
        state[name] = parameter(name, value.shape, "none")

folder = Path(__file__).parent
torch.save(state, folder / "torchvision-tiny.pth")
save_file(state, folder / "torchvision-tiny.safetensors")
published = {re.sub(r"(denselayer\d+\.(?:norm|conv))([12])", r"\1.\2", name): value for name, value in state.items()}
torch.save({"epoch": 3, "state_dict": {f"module.{name}": v for name, v in published.items()}}, folder / "torchvision-tiny-published.pth")
