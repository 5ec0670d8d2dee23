"""Plans the run of a goal: protocol, trials, and whether the recording fits on the disk."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path

from tacdiff_ros.acquisition.faults import Fault
from tacdiff_ros.acquisition.protocol import Protocol, Trial, load_protocol, plan_trials
from tacdiff_ros.action import Acquire
from tacdiff_ros.errors import InputError
from tacdiff_ros.nodes.node_settings import AcquisitionNodeSettings
from tacdiff_ros.recording.run_cost import RunCost, check_space, run_cost
from tacdiff_ros.resources import config_path

NAME = re.compile(r"[A-Za-z0-9_-]{1,80}")
FILE_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,79}")
MAX_SPEC_CHARACTERS = 500


@dataclass
class RunPlan:
    """A goal whose rig is being checked.

    Attributes:
        request: goal of the run.
        protocol: protocol of the run.
        seed: seed of the goal; None for that of the protocol.
        trials: planned trials.
        cost: estimated time and size of the run.
        stop: reason to end the goal before its run; None without one.
    """

    request: Acquire.Goal
    protocol: Protocol
    seed: int | None
    trials: list[Trial]
    cost: RunCost
    stop: Fault | None = None


class RunPlanner:
    """Plans runs of the protocols of one folder.

    Attributes:
        data_folder: folder of the recordings.
    """

    def __init__(self, settings: AcquisitionNodeSettings, retract_speed_mm_s: float) -> None:
        """Read the default protocol, so that a wrong one is reported at the start.

        Args:
            settings: parameters of the node.
            retract_speed_mm_s: peak speed of the retraction, mm/s.

        Raises:
            InputError: the default protocol is invalid.
        """
        self.data_folder = Path(settings.data_folder).expanduser()
        folder = settings.protocol_folder
        self._protocols = Path(folder).expanduser() if folder else config_path("protocols")
        self._default_protocol = settings.protocol
        self._retract_speed_mm_s = retract_speed_mm_s
        self._load_protocol(self._default_protocol)

    def plan(self, request: Acquire.Goal, image_bytes: int) -> RunPlan:
        """Plan the run of a goal.

        Args:
            request: goal of the run.
            image_bytes: size of one image, bytes.

        Raises:
            InputError: the request or its protocol is invalid, or the disk is too full.
        """
        if len(request.indenter) > MAX_SPEC_CHARACTERS:
            raise InputError(
                f"the indenter spec has {len(request.indenter)} characters, expected up to "
                f"{MAX_SPEC_CHARACTERS}"
            )
        protocol = self._load_protocol(request.protocol or self._default_protocol)
        seed = None if request.seed < 0 else int(request.seed)
        trials = plan_trials(protocol, int(request.trials), seed)
        cost = run_cost(protocol, trials, image_bytes, self._retract_speed_mm_s)
        check_space(self.data_folder, cost)
        return RunPlan(request, protocol, seed, trials, cost)

    def _load_protocol(self, name: str) -> Protocol:
        if not FILE_NAME.fullmatch(name):
            raise InputError(
                f"protocol '{name[:80]}' is not a file name: expected letters, digits, _ . -"
            )
        return load_protocol(self._protocols / name)


def output_name(requested: str) -> str:
    """Return the name of a recording.

    Args:
        requested: name of the goal; empty for one of date and time.

    Raises:
        InputError: the name is invalid.
    """
    name = requested or time.strftime("%Y%m%d_%H%M%S")
    if not NAME.fullmatch(name):
        raise InputError(
            f"output '{name[:80]}' is not a valid name: expected 1 to 80 letters, digits, _ and -"
        )
    return name
