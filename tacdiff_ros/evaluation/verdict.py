"""What the figures of a result mean: good, usable or bad, against what, and what to do next.

Sources of the limits: docs/measured.md and the page of the area. "Good" is what calibrated sensors
reach there, with a margin; "bad" is beyond what still helped.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

Level = Literal["good", "usable", "bad", "unknown"]
SEVERITY: tuple[Level, ...] = ("good", "unknown", "usable", "bad")


@dataclass(frozen=True)
class Limits:
    """Limits of one figure.

    Attributes:
        name: what the figure is.
        symbol: symbol of the physical dimension, such as "dB"; empty for a ratio.
        good: the figure is good from here on.
        bad: the figure is bad beyond this.
        compared: what a good sensor reaches, and where that was measured.
    """

    name: str
    symbol: str
    good: float
    bad: float
    compared: str

    def level(self, value: float) -> Level:
        """Return the level of a value; the better direction is from `bad` to `good`."""
        sign = 1.0 if self.good > self.bad else -1.0
        if not math.isfinite(value):
            return "unknown"
        if sign * value >= sign * self.good:
            return "good"
        return "usable" if sign * value >= sign * self.bad else "bad"


PRESS_CORRELATION = Limits(
    "correlation of predicted and measured shading", "", 0.9, 0.7, "0.96 to 0.99 on a real Mini"
)
PRESS_RESIDUAL = Limits(
    "residual of the press images", "grey levels", 3.0, 12.0, "2.0 on a real Mini"
)
MARKER_RESIDUAL = Limits("residual of the markers", "px", 0.1, 0.5, "0.03 to 0.05")
GAIN = Limits(
    "PSNR gain over 'nothing happens' in the contact", "dB", 8.0, 3.0, "8 to 16 on a real Mini"
)
MARKER_MOTION = Limits("RMS error of the markers", "px", 1.0, 2.0, "0.4 to 0.8 on a real Mini")
MARKER_MATCH = Limits(
    "median distance of the markers from those of the sensor file",
    "px",
    0.5,
    2.0,
    "below 0.2 for the sensor's own file, 4 to 10 for those of other sensors",
)
IMAGE_RESIDUAL = Limits(
    "residual of the image",
    "grey levels",
    4.0,
    12.0,
    "1.5 with the file of a virtual sensor, 6 with that of another",
)
NETWORK_PSNR = Limits(
    "PSNR of the network on test images", "dB", 38.0, 30.0, "40.4 of the shipped one, paper 38.7"
)
TOUCH_RETRIEVAL = Limits(
    "top-1 retrieval of a touch on another sensor", "", 0.5, 0.1, "of 128 touches, by chance 0.01"
)
PROBE_GAIN = Limits(
    "balanced accuracy above chance, as a fraction of what is possible",
    "",
    0.5,
    0.1,
    "0: chance, 1: all correct",
)
STIFFNESS_STDDEV = Limits(
    "relative standard deviation of Young's modulus",
    "",
    0.05,
    0.2,
    "forces of the solver change by 5 % to its finest mesh",
)
PENETRATION = Limits("penetration of gel and indenter", "mm", 0.02, 0.05, "at most 0.02")

MIN_POSITIONS = 2  # of the presses of a calibration


@dataclass(frozen=True)
class Verdict:
    """Judgement of a result.

    Attributes:
        level: good, usable, bad, or unknown where nothing was compared.
        reasons: figures with what they are compared with, worst first.
        advice: what to do next.
    """

    level: Level
    reasons: tuple[str, ...]
    advice: str

    @property
    def text(self) -> str:
        """The verdict as lines for a terminal or a page."""
        return "\n".join([f"{self.level}: {'; '.join(self.reasons)}", f"next: {self.advice}"])

    def as_json(self) -> dict[str, object]:
        """Return the verdict as JSON values."""
        return {"level": self.level, "reasons": list(self.reasons), "advice": self.advice}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Verdict:
        """Return the verdict of these JSON values."""
        return cls(values["level"], tuple(values["reasons"]), values["advice"])


def rate(figures: Sequence[tuple[Limits, float | None]], advice: dict[Level, str]) -> Verdict:
    """Rate figures: the worst one decides.

    Args:
        figures: limits and values; None for a figure that the result does not have.
        advice: what to do next, by level.
    """
    known = [(limits, value) for limits, value in figures if value is not None]
    rated = [(limits.level(value), limits, value) for limits, value in known]
    if not rated:
        return Verdict("unknown", ("nothing to compare with",), advice["unknown"])
    rated.sort(key=lambda entry: -SEVERITY.index(entry[0]))
    level = rated[0][0]
    reasons = tuple(_reason(*entry) for entry in rated if entry[0] == level)
    return Verdict(level, reasons, advice.get(level, advice["unknown"]))


def _reason(level: Level, limits: Limits, value: float) -> str:
    if level == "unknown":
        return f"no {limits.name}"
    symbol = f" {limits.symbol}" if limits.symbol else ""
    bound = "from" if limits.good > limits.bad else "up to"
    return f"{limits.name} {value:.3g}{symbol} (good {bound} {limits.good:g}; {limits.compared})"


def calibration_verdict(residuals: dict[str, float], positions: int = MIN_POSITIONS) -> Verdict:
    """Judge a calibration.

    Args:
        residuals: residuals by name, as `calibration_figures.residuals` returns them.
        positions: number of different positions of the presses.
    """
    verdict = rate(
        [
            (PRESS_CORRELATION, residuals.get("press_correlation")),
            (PRESS_RESIDUAL, residuals.get("press_rms_grey")),
            (MARKER_RESIDUAL, residuals.get("dot_rms_px")),
        ],
        {
            "good": "`tacdiff invert` on a press that was not used for the calibration",
            "usable": "check the indenter's size, and look at the differences in the report; two "
            "sharp presses of 0.5 to 1.5 mm at different positions, and a new reference image, "
            "usually help",
            "bad": "do not use this file: check the indenter's size, that reference and presses "
            "are of one sensor, and take them again (docs/calibration.md)",
            "unknown": "look at the report",
        },
    )
    if verdict.level == "good" and positions < MIN_POSITIONS:
        line = f"presses at {positions} position: the lights elsewhere are hardly known"
        return Verdict("usable", (line,), "give two or more presses at different positions")
    return verdict


def replay_verdict(
    gain_db: float | None, marker_rms_px: float | None, inverted: bool = False
) -> Verdict:
    """Judge a replayed recording or a pair of images.

    Args:
        gain_db: PSNR gain over the reference image in the contact, median, dB; None without
            contact or reference image.
        marker_rms_px: RMS distance of the markers, median, px; None without markers.
        inverted: whether the simulated surface was inverted from each image itself.
    """
    if gain_db is None:
        return Verdict(
            "unknown",
            ("without a reference image and a contact there is nothing to judge by",),
            "give --reference, or a recording with a contact",
        )
    if gain_db == math.inf:
        return Verdict("good", ("the simulated image equals the real one",), "nothing")
    verdict = rate(
        [(GAIN, gain_db), (MARKER_MOTION, marker_rms_px)],
        {
            "good": "the model reproduces these images; how well it predicts presses only a "
            "recording with poses shows"
            if inverted
            else "the twin can be used: docs/twin.md, Live",
            "usable": "look at the worst frames: wrong pose (--offset of `tacdiff calibrate --run`)"
            ", friction, or a calibration from too shallow presses",
            "bad": "check in this order: sensor file of this sensor, indenter, --offset, age of "
            "the reference image (docs/troubleshooting.md)",
            "unknown": "look at the report",
        },
    )
    if gain_db < 0:
        worse = f"gain {gain_db:.1f} dB is below 0: worse than no simulation at all"
        return Verdict("bad", (worse, *verdict.reasons[1:]), verdict.advice)
    return verdict


def inversion_verdict(
    image_rms_grey: float,
    marker_mismatch: float | None,
    has_reference: bool,
    warnings: int,
    reference_warnings: Sequence[str] = (),
) -> Verdict:
    """Judge the gel surface inverted from an image.

    Args:
        image_rms_grey: RMS residual of the fitted image, grey levels.
        marker_mismatch: result of `marker_mismatch_px` for the reference image, or else for the
            image; None for a gel without markers.
        has_reference: whether a reference image was given.
        warnings: number of warnings of the inversion.
        reference_warnings: signs of a contact in the reference image, which then is none.
    """
    is_other_sensor = marker_mismatch is not None and MARKER_MATCH.level(marker_mismatch) == "bad"
    if reference_warnings and not is_other_sensor:
        return Verdict(
            "bad",
            ("see the warning of the reference image",),
            "do not use this surface: take another reference image, or exchange the two images",
        )
    verdict = rate(
        [(IMAGE_RESIDUAL, image_rms_grey), (MARKER_MATCH, marker_mismatch)],
        {
            "good": "depths are as accurate as the marker pitch in the sensor file "
            "(docs/inversion.md, Measured)",
            "usable": "compare rgb.png with the image; "
            + ("take a new reference image" if has_reference else "give --reference"),
            "bad": "do not use this surface: the sensor file is probably that of another sensor; "
            "calibrate this one (docs/calibration.md)",
            "unknown": "give --reference",
        },
    )
    if verdict.level == "good" and not has_reference:
        line = "without a reference image the errors of the sensor file remain in the surface"
        return Verdict("usable", (line,), "give --reference, an image of the untouched gel")
    if verdict.level == "good" and warnings:
        return Verdict("usable", ("see the warnings",), "mend their causes, or take another image")
    return verdict


def simulation_verdict(converged: bool, penetration_mm: float) -> Verdict:
    """Judge a simulated touch.

    Args:
        converged: whether the gel solver has converged.
        penetration_mm: penetration of gel and indenter, mm.
    """
    figures = [(PENETRATION, penetration_mm if converged else math.inf)]
    return rate(
        figures,
        {
            "good": "`tacdiff invert` with its rgb.png and the same sensor file recovers the "
            "surface; forces are too large, by 5 % under a ball and up to 21 % under flat bottoms "
            "(docs/mechanics.md)",
            "usable": "take more --vertices",
            "bad": "take more --vertices, or a smaller depth",
            "unknown": "the solver has not converged: take a smaller depth",
        },
    )


def network_verdict(psnr_db: float) -> Verdict:
    """Rate a network on the images of test trials.

    Args:
        psnr_db: mean PSNR, dB.
    """
    return rate(
        [(NETWORK_PSNR, psnr_db)],
        {
            "good": "give its folder as parameter `model` of tactile_simulator, or to --model",
            "usable": "train on more trials, or longer: the same command resumes",
            "bad": "do not use it: look at sheet.png; train on more trials and longer",
            "unknown": "look at sheet.png",
        },
    )


def material_verdict(young_modulus_mpa: float, stddev_mpa: float) -> Verdict:
    """Rate an identified stiffness.

    Args:
        young_modulus_mpa: Young's modulus, MPa.
        stddev_mpa: its standard deviation, MPa.
    """
    return rate(
        [(STIFFNESS_STDDEV, stddev_mpa / young_modulus_mpa)],
        {
            "good": "enter it as `material` of tactile_simulator, or --young-modulus of simulate",
            "usable": "more points, or a deeper press, determine it better",
            "bad": "check the units (mm, N) and that the curve begins at the contact",
            "unknown": "check the curve",
        },
    )


def touch_training_verdict(top1: float | None) -> Verdict:
    """Rate a pretrained touch encoder by the retrieval of touches across its training sensors.

    Args:
        top1: fraction of the touches that are retrieved; None if the sets have no touch that is
            on two sensors.
    """
    return rate(
        [(TOUCH_RETRIEVAL, top1)],
        {
            "good": "`tacdiff touch embed` and `tacdiff touch probe` on labelled images of a "
            "sensor that was not in the sets: these touches were",
            "usable": "train longer, or on more touches and sensors",
            "bad": "do not use it: train longer, on touches that are on several sensors",
            "unknown": "`tacdiff touch embed` and `tacdiff touch probe` on labelled images",
        },
    )


def probe_verdict(balanced_accuracy: float, classes: int) -> Verdict:
    """Rate a linear probe by how far it is above chance.

    Args:
        balanced_accuracy: mean over the classes of the fraction that is predicted.
        classes: number of classes.
    """
    chance = 1.0 / classes
    return rate(
        [(PROBE_GAIN, (balanced_accuracy - chance) / (1.0 - chance))],
        {
            "good": "the features tell these labels apart: fit a probe with "
            "`tacdiff_ros.touch_features.linear_probe.fit_probe`",
            "usable": "look at the confusion matrix; more groups for each label usually help",
            "bad": "the features do not tell these labels apart: check labels and reference image",
            "unknown": "check the labels",
        },
    )
