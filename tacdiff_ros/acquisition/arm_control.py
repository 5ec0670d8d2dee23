"""Whether the arm that reports its states is controlled, by its mode, error flags and frame."""

from __future__ import annotations

from tacdiff_ros.acquisition.faults import Cause, Fault
from tacdiff_ros.acquisition.robot_state import RobotMode, RobotState
from tacdiff_ros.acquisition.silence import RECOVERY

MOTION_MODES = (RobotMode.IDLE, RobotMode.MOVE)


class ArmControl:
    """Checks frame, mode and error flags of the robot states of one run."""

    def __init__(self, base_frame: str) -> None:
        """Start before the first state.

        Args:
            base_frame: frame that the robot states must have; empty to accept any.
        """
        self._base_frame = base_frame
        self._has_moved_mode = False  # the mode MOVE was reported
        self._lost_control = False  # since then or before, a mode without control was reported

    def check(self, state: RobotState) -> Fault | None:
        """Check a robot state.

        Args:
            state: robot state.

        Returns:
            Its first fault; None without one.
        """
        faults = (self._check_frame(state), *self._check_reports(state), self._check_mode(state))
        return next((fault for fault in faults if fault is not None), None)

    def may_move(self, state: RobotState) -> bool:
        """Return whether an arm with this state may move.

        Once control was lost, only the mode MOVE tells that a controller drives the arm again:
        after a user stop an arm is IDLE without error flags and does not move.

        Args:
            state: robot state.
        """
        modes = (RobotMode.MOVE,) if self._lost_control else MOTION_MODES
        return state.mode in modes and not state.errors

    def _check_frame(self, state: RobotState) -> Fault | None:
        if not self._base_frame or state.frame_id == self._base_frame:
            return None
        return Fault(
            Cause.BASE_FRAME,
            f"the robot states are in frame '{state.frame_id[:80]}', and base_frame is "
            f"'{self._base_frame}': targets would be in another frame than the arm's poses",
        )

    def _check_reports(self, state: RobotState) -> list[Fault]:
        """Return the faults that the robot itself reports."""
        flags, faults = ", ".join(state.errors), []
        if state.mode == RobotMode.REFLEX:
            detail = f"the robot is in mode REFLEX ({flags or 'no error flag'}): {RECOVERY}"
            faults.append(Fault(Cause.REFLEX, detail))
        if state.errors:
            detail = f"the robot reports {flags}: clear it and run error recovery"
            faults.append(Fault(Cause.ROBOT_ERROR, detail))
        return faults

    def _check_mode(self, state: RobotState) -> Fault | None:
        if state.mode not in MOTION_MODES:
            self._lost_control = True
            name = RobotMode(state.mode).name if state.mode in list(RobotMode) else str(state.mode)
            return Fault(
                Cause.ROBOT_MODE, f"the robot is in mode {name}; motion needs MOVE or IDLE"
            )
        if state.mode == RobotMode.MOVE:
            self._has_moved_mode = True
        elif self._has_moved_mode:
            self._lost_control = True
            return Fault(
                Cause.ROBOT_MODE,
                "the robot changed from mode MOVE to IDLE: its controller has stopped, for "
                f"instance after a user stop; {RECOVERY}",
            )
        return None
