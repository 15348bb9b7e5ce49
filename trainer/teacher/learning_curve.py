"""How much more films would help: how well films of `val` are told apart by ever more of the patients of `train`.

    pip install ... (as for efficientnet_lite.py)
    python teacher/learning_curve.py DATA/manifest.csv

The network is not trained. The features of each film and its mirror image are those of an EfficientNet-Lite1 with ImageNet
weights, and a linear layer with penalised weights reads them. No film has shaped the features, so that a quarter of the films
is worth what a clinic with a quarter of the films has. A share of the patients below one is drawn eight times. For each share
the penalty is the best of four on `val`. The command takes a minute or two.
"""

import argparse
import csv

import numpy as np
import torch
from torch.nn import functional as F

from efficientnet_lite import BATCH, CLASSES, as_they_are, films, normalise, pretrained

SHARES = [0.125, 0.25, 0.5, 1.0]
DRAWS = 8
PENALTIES = [0.03, 0.1, 0.3, 1.0]


@torch.no_grad()
def features(network, grays):
    """The means over the last map `[2, films, features]` of films and of their mirror images, with grays stretched as on the
    device."""
    found = []
    for some in grays.split(BATCH):
        pixels = as_they_are(some)
        low, high = (pixels.flatten(1).quantile(share, 1)[:, None, None, None] for share in (0.005, 0.995))
        pixels = normalise(((pixels - low) / (high - low)).clamp(0, 1)).expand(-1, 3, -1, -1)
        found.append(torch.stack([network.extract_features(view).mean((2, 3)) for view in (pixels, pixels.flip(-1))]))
    return torch.cat(found, 1)


def linear_layer(inputs, classes, penalty):
    """The weights and biases with the least cross-entropy plus penalty times the squares of the weights."""
    weights = torch.zeros(inputs.shape[1], len(CLASSES), requires_grad=True)
    biases = torch.zeros(len(CLASSES), requires_grad=True)
    optimiser = torch.optim.LBFGS([weights, biases], max_iter=150, line_search_fn="strong_wolfe")

    def loss():
        optimiser.zero_grad()
        value = F.cross_entropy(inputs @ weights + biases, classes) + penalty * weights.square().sum()
        value.backward()
        return value

    optimiser.step(loss)
    return weights.detach(), biases.detach()


def auroc(scores, positive):
    """The share of the pairs of a positive and another film that the scores put in order (Mann and Whitney 1947)."""
    ranks = scores.argsort().argsort().double()
    count, others = positive.sum().item(), (~positive).sum().item()
    return (ranks[positive].sum().item() - count * (count - 1) / 2) / (count * others)


def judge(train, classes, val, val_classes, penalty):
    """Cross-entropy, accuracy, recall and AUROC of COVID-19."""
    weights, biases = linear_layer(train.flatten(0, 1), classes.repeat(2), penalty)
    probabilities = ((val @ weights + biases).mean(0)).softmax(1)
    entropy = -probabilities[torch.arange(len(val_classes)), val_classes].log().mean().item()
    answers, covid = probabilities.argmax(1), val_classes == 0
    accuracy = (answers == val_classes).float().mean().item()
    return entropy, accuracy, (answers[covid] == 0).float().mean().item(), auroc(probabilities[:, 0], covid)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest")
    args = parser.parse_args()
    with open(args.manifest, newline="") as table:
        patients = np.array([row["patient_id"] for row in csv.DictReader(table) if row["split"] == "train"])
    network = pretrained(1).eval()
    (grays, classes), (val_grays, val_classes) = films(args.manifest, "train"), films(args.manifest, "val")
    train, val = features(network, grays), features(network, val_grays)
    mean, deviation = train.mean((0, 1)), train.std((0, 1)) + 1e-6
    train, val = (train - mean) / deviation, (val - mean) / deviation
    random = np.random.default_rng(1)
    everyone = np.unique(patients)
    for share in SHARES:
        draws = [random.permutation(everyone)[: round(share * len(everyone))] for _ in range(DRAWS if share < 1 else 1)]
        chosen = [torch.from_numpy(np.flatnonzero(np.isin(patients, some))) for some in draws]
        rows = [[judge(train[:, some], classes[some], val, val_classes, penalty) for some in chosen] for penalty in PENALTIES]
        entropy, accuracy, recall, area = min(np.mean(rows, 1), key=lambda row: row[0])
        count = np.mean([len(some) for some in chosen])
        print(
            f"{count:.0f} films: cross-entropy {entropy:.3f}, accuracy {100 * accuracy:.1f} %, "
            f"COVID-19: recall {100 * recall:.1f} %, AUROC {area:.3f}"
        )


if __name__ == "__main__":
    main()
