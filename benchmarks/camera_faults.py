"""Faults of cameras that the driver names rightly, played by a virtual camera in simulated time.

Run as `python benchmarks/camera_faults.py`; `benchmarks/acquisition.py` includes the count.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from tables import dump, print_rows

from tacdiff_ros.images.camera import CameraSettings
from tacdiff_ros.images.camera_stream import CameraStream
from tacdiff_ros.images.capture_settings import CaptureMode
from tacdiff_ros.virtual.camera import CameraBehaviour, SimulatedTime, VirtualCamera

SIZE = (320, 240)


@dataclass(frozen=True)
class FaultCase:
    """A behaviour, the time of the report, and the words that exactly its problems begin with."""

    name: str
    behaviour: CameraBehaviour
    problems: tuple[str, ...]
    report_after_s: float = 4.0


CASES = (
    FaultCase("none", CameraBehaviour(), ()),
    FaultCase("10 Hz with default settings", CameraBehaviour(accepts_rate=False), ("low rate",)),
    FaultCase("repeats", CameraBehaviour(repeat_every=20), ("repeated images",)),
    FaultCase("lag that grows", CameraBehaviour(lag_growth=0.05), ("lagging images",)),
    FaultCase("unplugged", CameraBehaviour(unplugged_s=2.0), ("no camera",)),
    FaultCase("back again", CameraBehaviour(unplugged_s=1.0, back_s=2.5), (), 8.0),
    FaultCase("another size", CameraBehaviour(only_size=(800, 600)), ("size 800x600",)),
    FaultCase("MJPG refused", CameraBehaviour(accepts_mjpg=False), ("low rate", "format YUYV")),
    FaultCase("incomplete images", CameraBehaviour(broken_every=30), ("broken images",)),
)


@dataclass(frozen=True)
class Observation:
    """What the driver says and does about one behaviour.

    Attributes:
        problems: problems of the report.
        values: figures of the report.
        warnings: lines for the user.
        stamp_error_max_s: maximum difference of a time stamp from the true time of capture, s.
    """

    problems: list[str]
    values: dict[str, str]
    warnings: list[str]
    stamp_error_max_s: float


def observe(behaviour: CameraBehaviour, duration_s: float, **settings: Any) -> Observation:
    """Run the driver's camera stream on a virtual camera in simulated time."""
    clock, warnings = SimulatedTime(), list[str]()
    camera = VirtualCamera(behaviour, clock)
    mode = settings.pop("mode", CaptureMode(*SIZE))
    stream = CameraStream(
        CameraSettings("0", size=(80, 60), mode=mode, **settings),
        warnings.append,
        camera.open,
        clock.monotonic,
        clock.sleep,
    )
    errors_s = [0.0]
    while clock.monotonic() < camera.start_s + duration_s:
        frame = stream.next()
        if frame is not None:
            errors_s.append(abs(frame.captured_s - camera.captured_s[-1]))
    report = stream.report()
    return Observation(report.problems, report.values, warnings, max(errors_s))


def is_named(case: FaultCase, observation: Observation) -> bool:
    """Return whether the problems are those of the case and no others."""
    problems = observation.problems
    return len(problems) == len(case.problems) and all(
        text.startswith(expected) for text, expected in zip(problems, case.problems, strict=True)
    )


def count_named() -> tuple[int, int]:
    """Return how many behaviours are named rightly, and how many there are."""
    named = [is_named(case, observe(case.behaviour, case.report_after_s)) for case in CASES]
    return sum(named), len(named)


def main() -> int:
    """Print one row per behaviour, or with --json how many are named rightly."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    options = parser.parse_args()
    rows = []
    for case in CASES:
        observation = observe(case.behaviour, case.report_after_s)
        rows.append(
            {
                "behaviour": case.name,
                "reported": "; ".join(observation.problems) or "nothing",
                "named": is_named(case, observation),
                "stamp_error_ms_max": round(1e3 * observation.stamp_error_max_s, 3),
            }
        )
    if options.json:
        named = sum(bool(row["named"]) for row in rows)
        dump({"camera_faults_named": named, "camera_faults_tested": len(rows)})
    else:
        print_rows("camera faults", rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
