"""Stage 2 of SSHSNet (arXiv 2203.12151): the 3-D network on patches, fed with features and scores of a frozen stage 1.

Patches keep all their slices: (H, W, D) = ROWS x COLUMNS x SLICES. Single slices of training cannot be used here.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from dicom_ai.nets.deeplabv3plus import DeepLabConfig, DeepLabV3Plus
from dicom_ai.nets.tri_attention import COMPACT_FUSION, FusionConfig, SSHSNetStage2
from dicom_ai.training.data.cases import Case
from dicom_ai.training.data.spine_cases import VOLUME
from dicom_ai.training.data.spine_classes import SACRUM, VERTEBRA, allowed_table
from dicom_ai.training.spine_losses import partial_loss
from dicom_ai.training.spine_stage1 import rate_factor

CHECKPOINT = "stage2.pt"
CLIP = 12.0

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Stage2Settings:
    """net: of nets.tri_attention; its `attend` is the ablation without attention.

    rows, columns, slices: of a patch; rows and columns are multiples of 16. apart: slices from one of the patch to the
    next, and to the neighbours that stage 1 sees. batch: patches of one case per step, as in the paper.
    """

    net: FusionConfig = COMPACT_FUSION
    steps: int = 2000
    rows: int = 96
    columns: int = 96
    slices: int = 8
    apart: int = 4
    batch: int = 2
    learning_rate: float = 3e-3
    seed: int = 1
    device: str = "cpu"


@dataclass(frozen=True, slots=True)
class Patch:
    """What stage 2 takes and should give. image: (B, 1, H, W, D). triplets: (B, D, 3, H, W), the input of stage 1.

    codes: (B, H, W, D) int64 of spine_classes.
    """

    image: torch.Tensor
    triplets: torch.Tensor
    codes: torch.Tensor


def draw(case: Case, settings: Stage2Settings, rng: np.random.Generator) -> Patch:
    """Return patches of one case around labelled voxels, each normalised by itself."""
    parts = [_one(case, settings, rng) for _ in range(settings.batch)]
    return Patch(*(torch.stack([getattr(part, name) for part in parts]) for name in ("image", "triplets", "codes")))


def middle(case: Case, settings: Stage2Settings) -> Patch:
    """Return one patch of a case around the middle of what is labelled, for scores."""
    places = np.argwhere(_labelled(case.arrays["codes"]))
    part = _cut(case, settings, (places.min(axis=0) + places.max(axis=0)) // 2)
    return Patch(*(getattr(part, name)[None] for name in ("image", "triplets", "codes")))


def _labelled(codes: np.ndarray) -> np.ndarray:
    return (codes >= VERTEBRA) & (codes <= SACRUM)


def _one(case: Case, settings: Stage2Settings, rng: np.random.Generator) -> Patch:
    places = np.argwhere(_labelled(case.arrays["codes"]))
    return _cut(case, settings, places[rng.integers(len(places))])


def _cut(case: Case, settings: Stage2Settings, centre: np.ndarray) -> Patch:
    """Return the patch around a voxel (slice, row, column), without a batch axis."""
    image, codes = case.arrays["image"], case.arrays["codes"]
    reach = (settings.slices * settings.apart, settings.rows, settings.columns)
    start = [int(np.clip(c - r // 2, 0, max(0, n - r))) for c, r, n in zip(centre, reach, image.shape, strict=True)]
    slices = np.minimum(start[0] + settings.apart * np.arange(settings.slices), len(image) - 1)
    around = np.clip(slices[:, None] + settings.apart * np.array([-1, 0, 1]), 0, len(image) - 1)  # (D, 3)
    box = (slice(start[1], start[1] + settings.rows), slice(start[2], start[2] + settings.columns))
    triplets = _padded(image[around][:, :, box[0], box[1]].astype(np.float32), settings)
    triplets = (triplets - triplets.mean()) / (triplets.std() + 1e-6)
    truth = _padded(codes[slices][:, box[0], box[1]].astype(np.int64), settings)
    return Patch(
        image=torch.from_numpy(triplets[:, 1]).permute(1, 2, 0)[None],
        triplets=torch.from_numpy(triplets),
        codes=torch.from_numpy(truth).permute(1, 2, 0),
    )


def _padded(array: np.ndarray, settings: Stage2Settings) -> np.ndarray:
    """Return the array padded with its edge to the patch in its last two axes."""
    missing = (settings.rows - array.shape[-2], settings.columns - array.shape[-1])
    return np.pad(array, [(0, 0)] * (array.ndim - 2) + [(0, missing[0]), (0, missing[1])], mode="edge")


@torch.no_grad()
def first_stage(branches: Sequence[DeepLabV3Plus], triplets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return features and scores of frozen branches.

    triplets: (B, D, 3, H, W) -> features (B, F of all branches, H/s, W/s, D), scores (B, classes, H, W, D), the mean of
    their softmax.
    """
    batch, depth = triplets.shape[:2]
    flat = triplets.flatten(0, 1)  # (B D, 3, H, W)
    features = [branch.features(flat) for branch in branches]
    scores = [torch.softmax(branch.logits(one), dim=1) for branch, one in zip(branches, features, strict=True)]

    def volume(maps: torch.Tensor) -> torch.Tensor:
        return maps.unflatten(0, (batch, depth)).permute(0, 2, 3, 4, 1)  # (B, C, H, W, D)

    return volume(torch.cat(features, dim=1)), volume(torch.stack(scores).mean(dim=0))


def train_stage2(
    cases: Sequence[Case], branches: Sequence[DeepLabV3Plus], settings: Stage2Settings, folder: Path, *, say: Say
) -> SSHSNetStage2:
    """Train on the volumes among the cases; return the network in eval mode. A checkpoint in folder is gone on from."""
    torch.manual_seed(settings.seed)
    device = torch.device(settings.device)
    net = SSHSNetStage2(settings.net).to(device)
    frozen = [branch.to(device).eval() for branch in branches]

    def forward(patch: Patch) -> torch.Tensor:
        features, scores = first_stage(frozen, patch.triplets.to(device))
        logits: torch.Tensor = net(patch.image.to(device), features, scores)
        return logits

    _train(net, forward, cases, settings, folder, say)
    return net.eval()


def train_alone(
    cases: Sequence[Case], config: DeepLabConfig, settings: Stage2Settings, folder: Path, *, say: Say
) -> DeepLabV3Plus:
    """Train the 3-D network without a first stage, for comparison; return it in eval mode. settings.net is not used."""
    torch.manual_seed(settings.seed)
    net = DeepLabV3Plus(config).to(settings.device)

    def forward(patch: Patch) -> torch.Tensor:
        logits: torch.Tensor = net(patch.image.to(settings.device))
        return logits

    _train(net, forward, cases, settings, folder, say)
    return net.eval()


def _train(
    net: nn.Module,
    forward: Callable[[Patch], torch.Tensor],
    cases: Sequence[Case],
    settings: Stage2Settings,
    folder: Path,
    say: Say,
) -> None:
    volumes = [case for case in cases if case.kind == VOLUME]
    net.train()
    optimiser = torch.optim.Adam(net.parameters(), settings.learning_rate)
    step = _resume(folder / CHECKPOINT, net, optimiser)
    rng = np.random.default_rng(settings.seed + step)
    allowed = torch.from_numpy(allowed_table()).to(settings.device)
    while step < settings.steps:
        for group in optimiser.param_groups:
            group["lr"] = settings.learning_rate * rate_factor(step / settings.steps)
        patch = draw(volumes[rng.integers(len(volumes))], settings, rng)
        loss = partial_loss(forward(patch), patch.codes.to(settings.device), allowed)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), CLIP)
        optimiser.step()
        step += 1
        if step % 50 == 0 or step == settings.steps:
            say(f"stage 2, step {step}, loss {float(loss.detach()):.3f}")
            _save(folder / CHECKPOINT, net, optimiser, step)


def _resume(path: Path, net: nn.Module, optimiser: torch.optim.Optimizer) -> int:
    if not path.is_file():
        return 0
    state = torch.load(path, weights_only=True)
    net.load_state_dict(state["net"])
    optimiser.load_state_dict(state["optimiser"])
    return int(state["step"])


def _save(path: Path, net: nn.Module, optimiser: torch.optim.Optimizer, step: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    torch.save({"net": net.state_dict(), "optimiser": optimiser.state_dict(), "step": step}, part)
    part.replace(path)
