"""Small variants of the two stages, as arXiv 2203.12151 compares them.

2-D alone, 3-D alone, both without attention and with it; the first stage taught by drawn cases alone, or two branches
that also teach each other on images whose truth is not used. All variants see the same cases, steps and seeds; the
networks are small and trained briefly, so the numbers compare variants, nothing else. Scored on one patch in the middle
of each case of people that no variant has seen.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch

from dicom_ai.nets.deeplabv3plus import COMPACT_3D, DeepLabV3Plus
from dicom_ai.nets.tri_attention import COMPACT_FUSION, FusionConfig
from dicom_ai.training.data.cases import Case
from dicom_ai.training.data.spine_batches import BatchSettings
from dicom_ai.training.data.spine_cases import VOLUME
from dicom_ai.training.data.spine_classes import ALLOWED, DISC, VERTEBRA
from dicom_ai.training.recipes import Report, Say
from dicom_ai.training.spine_stage1 import Stage1Settings, train_stage1
from dicom_ai.training.spine_stage2 import Patch, Stage2Settings, first_stage, middle, train_alone, train_stage2

DRAWN = 4
"""Volumes of each source whose truth is used; of the others only the image is."""
PATCH = Stage2Settings(steps=240, rows=96, columns=64, slices=6)
SCORED_PATCH = Stage2Settings(rows=160, columns=96, slices=14)
"""As wide as a body, for its sides are what is hard to find."""
SCORED = (("vertebra", VERTEBRA), ("disc", DISC))
COLUMNS = ("variant", "first stage", "vertebra Dice", "vertebra worst", "disc Dice", "disc worst", "n", "minutes")
DRAWN_ONLY, PSEUDO, GIVEN = "drawn cases", "drawn cases and pseudo-labels", "given weights"

Answer = Callable[[Patch], torch.Tensor]
"""Gives logits or scores (B, classes, H, W, D) of a patch."""
Variant = tuple[str, str, Answer, float]
"""Name, how its first stage was taught, its network, seconds of its training."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What all variants share. drawn: cases with truth. others: only their images are used. out: a folder each.

    patch: of training, and the steps of each stage. scored: the patch that is scored. given: branches that are trained
    already; then only what the second stage adds to them is asked.
    """

    drawn: Sequence[Case]
    others: Sequence[Case]
    out: Path
    say: Say
    patch: Stage2Settings = PATCH
    scored: Stage2Settings = SCORED_PATCH
    given: Sequence[DeepLabV3Plus] = ()


def ablate(trial: Trial, unseen: Sequence[Case]) -> Report:
    """Train every variant and return the table."""
    rows = []
    for name, taught, answer, seconds in _variants(trial):
        rows.append({"variant": name, "first stage": taught} | score(answer, unseen, trial.scored))
        rows[-1]["minutes"] = round(seconds / 60, 1)
        trial.say(" ".join(f"{key}={value}" for key, value in rows[-1].items()))
    note = (
        f"{trial.patch.steps} steps of each stage, {len(trial.drawn)} drawn cases, {len(trial.others)} images without "
        f"their truth, {len(unseen)} cases of people whom no variant has seen; minutes of the last stage of a variant; "
        f"seed {trial.patch.seed}"
    )
    return Report(COLUMNS, tuple(rows), (note,))


def split(cases: Sequence[Case]) -> tuple[list[Case], list[Case]]:
    """Return the first volumes of each source, and the others."""
    volumes = [case for case in cases if case.kind == VOLUME]
    sources = sorted({case.name.split("_")[0] for case in volumes})
    drawn = [case for source in sources for case in [v for v in volumes if v.name.startswith(source)][:DRAWN]]
    names = {case.name for case in drawn}
    return drawn, [case for case in volumes if case.name not in names]


def _variants(trial: Trial) -> Iterator[Variant]:
    if trial.given:
        yield "2-D alone", GIVEN, _scores(trial.given), 0.0
        yield from _fused(trial, trial.given, GIVEN)
        return
    started = time.monotonic()
    image_only = replace(COMPACT_3D, encoder=replace(COMPACT_3D.encoder, in_channels=1))
    alone = train_alone(trial.drawn, image_only, trial.patch, trial.out / "3d-alone", say=trial.say)
    yield "3-D alone", "-", lambda patch: alone(patch.image), time.monotonic() - started
    for taught, count in ((DRAWN_ONLY, 1), (PSEUDO, 2)):
        started = time.monotonic()
        branches = _first_stage(trial, count)
        yield "2-D alone", taught, _scores(branches), time.monotonic() - started
        yield from _fused(trial, branches, taught)


def _fused(trial: Trial, branches: Sequence[DeepLabV3Plus], taught: str) -> Iterator[Variant]:
    for attend in (False, True):
        started = time.monotonic()
        answer = _both(trial, branches, replace(trial.patch, net=_fusion(branches, attend=attend)))
        name = "2-D and 3-D with attention" if attend else "2-D and 3-D without attention"
        yield name, taught, answer, time.monotonic() - started


def _first_stage(trial: Trial, count: int) -> list[DeepLabV3Plus]:
    settings = Stage1Settings(
        minutes=1e9,
        steps=trial.patch.steps,
        branches=count,
        bf16=True,
        seed=trial.patch.seed,
        mean_decay=0.98,
        batches=BatchSettings(size=4, shares={"chu": 0.5, "myosegmentum": 0.5}),
    )
    folder = trial.out / f"2d-{count}"
    return train_stage1(trial.drawn, settings, folder, say=trial.say, unlabelled=trial.others if count > 1 else ())


def _scores(branches: Sequence[DeepLabV3Plus]) -> Answer:
    return lambda patch: first_stage(branches, patch.triplets)[1]


def _fusion(branches: Sequence[DeepLabV3Plus], *, attend: bool) -> FusionConfig:
    return replace(COMPACT_FUSION, features=sum(branch.config.channels for branch in branches), attend=attend)


def _both(trial: Trial, branches: Sequence[DeepLabV3Plus], settings: Stage2Settings) -> Answer:
    folder = trial.out / f"3d-{len(branches)}-{'attended' if settings.net.attend else 'joined'}"
    net = train_stage2(trial.drawn, branches, settings, folder, say=trial.say)
    return lambda patch: net(patch.image, *first_stage(branches, patch.triplets))


@torch.no_grad()
def score(answer: Answer, unseen: Sequence[Case], settings: Stage2Settings) -> dict[str, Any]:
    """Return mean and worst Dice of the classes over cases, where the truth says whether a voxel has the class."""
    found: dict[str, list[float]] = {name: [] for name, _ in SCORED}
    for case in unseen:
        patch = middle(case, settings)
        codes, chosen = patch.codes[0].numpy(), answer(patch)[0].argmax(dim=0).numpy()
        for name, value in SCORED:
            found[name].append(class_dice(chosen, codes, value))
    row: dict[str, Any] = {"n": len(unseen)}
    for name, values in found.items():
        row |= {f"{name} Dice": round(fmean(values), 3), f"{name} worst": round(min(values), 3)}
    return row


def class_dice(chosen: np.ndarray, codes: np.ndarray, value: int) -> float:
    """Return the Dice of a class over the voxels whose code leaves no doubt whether they have it."""
    sure = np.array([value not in allowed or len(allowed) == 1 for allowed in ALLOWED])[codes]
    one, other = (chosen == value) & sure, (codes == value) & sure
    return float(2 * (one & other).sum() / max(1, one.sum() + other.sum()))
