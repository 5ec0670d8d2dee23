"""Dots are found where they are, under their own number, or not at all.

The synthetic truth is rendered here, by counting sub-pixels inside each dot in the plane of the
gel; it shares no code with the detector.
"""

from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tacdiff_ros.errors import InputError
from tacdiff_ros.markers.detection import detect_markers
from tacdiff_ros.markers.marker_field import MarkerField
from tacdiff_ros.markers.tracking import MarkerTracker
from tacdiff_ros.sensor.marker_grid import MarkerGrid

SEVEN_BY_NINE = MarkerGrid.parse("7x9")
EIGHT_BY_TEN = MarkerGrid.parse("8x10")
DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
PITCH_PX = 32.0


# --- synthetic gels ------------------------------------------------------------------------


@dataclass
class Gel:
    """A printed gel and how it is seen."""

    rows: int = 7
    columns: int = 9
    diameter_px: float = 12.5
    size: tuple[int, int] = (240, 320)
    turn_degrees: float = 0.0
    tilt: tuple[float, float] = (0.0, 0.0)
    """Perspective terms of the homography, per pixel."""
    shift_px: tuple[float, float] = (0.0, 0.0)
    displacement_px: NDArray[np.float64] | None = None
    """(rows, columns, 2) in the plane of the gel."""
    missing: set[tuple[int, int]] = field(default_factory=set)
    half_covered: set[tuple[int, int]] = field(default_factory=set)
    fringe: float = 0.0
    shade: float = 0.0
    noise: float = 2.0
    blur_px: float = 0.7
    seed: int = 0

    def homography(self) -> NDArray[np.float64]:
        """Gel plane, px around the grid's middle, to image, px."""
        turn = np.deg2rad(self.turn_degrees)
        middle = np.array([(self.size[1] - 1) / 2, (self.size[0] - 1) / 2]) + self.shift_px
        move = np.array([[1, 0, middle[0]], [0, 1, middle[1]], [0, 0, 1.0]])
        rotate = np.array(
            [[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]]
        )
        lean = np.array([[1, 0, 0], [0, 1, 0], [*self.tilt, 1.0]])
        return move @ lean @ rotate

    def centres(self) -> NDArray[np.float64]:
        """(rows, columns, 2) in the gel plane, px."""
        row, column = np.indices((self.rows, self.columns), dtype=float)
        centre = PITCH_PX * np.stack(
            [column - (self.columns - 1) / 2, row - (self.rows - 1) / 2], axis=-1
        )
        return centre if self.displacement_px is None else centre + self.displacement_px

    def truth(self) -> NDArray[np.float64]:
        """(rows, columns, 2) in the image, px; the centre of the top-left pixel is (0, 0)."""
        flat = self.centres().reshape(1, -1, 2)
        return cv2.perspectiveTransform(flat, self.homography()).reshape(self.rows, self.columns, 2)

    def render(self) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB."""
        height, width = self.size
        rng = np.random.default_rng(self.seed)
        y, x = np.indices((height, width), dtype=float)
        light = np.stack(
            [110 + 40 * y / height, 130 - 25 * x / width, 120 + 30 * x / width], axis=-1
        )
        # A contact's shading: one side loses red and green, the other blue.
        lean = (x - 170) / 45 * np.exp(-((x - 170) ** 2 + (y - 130) ** 2) / 45**2)
        light *= 1.0 + self.shade * lean[..., None] * np.array([1.0, 0.8, -1.0])
        ink = self._coverage((0.0, 0.0))
        # Yellow above (no blue), magenta to the left (no green), cyan below (no red).
        for channel, toward in ((2, (0.0, -3.0)), (1, (-3.0, 0.0)), (0, (0.0, 3.0))):
            crescent = np.maximum(self._coverage(toward) - ink, 0.0)
            light[..., channel] *= 1.0 - self.fringe * crescent
        image = light * (1.0 - ink[..., None]) + 32.0 * ink[..., None]
        image = cv2.GaussianBlur(image, (0, 0), self.blur_px)
        image += rng.normal(0.0, self.noise, image.shape)
        return np.clip(np.rint(image), 0, 255).astype(np.uint8)

    def _coverage(self, offset: tuple[float, float], fine: int = 4) -> NDArray[np.float64]:
        """(H, W) fraction of each pixel inside a dot, counted on fine x fine sub-pixels."""
        height, width = self.size
        sub_y, sub_x = (np.indices((height * fine, width * fine)) + 0.5) / fine - 0.5
        seen = np.stack([sub_x, sub_y], axis=-1).reshape(1, -1, 2)
        plane = cv2.perspectiveTransform(seen, np.linalg.inv(self.homography()))
        plane = plane.reshape(height * fine, width * fine, 2)
        inside = np.zeros(plane.shape[:2])
        for row in range(self.rows):
            for column in range(self.columns):
                if (row, column) not in self.missing:
                    self._ink(inside, plane, (row, column), offset, fine)
        return inside.reshape(height, fine, width, fine).mean(axis=(1, 3))

    def _ink(
        self,
        inside: NDArray[np.float64],
        plane: NDArray[np.float64],
        dot: tuple[int, int],
        offset: tuple[float, float],
        fine: int,
    ) -> None:
        """Mark the sub-pixels of one dot."""
        reach = 1.2 * self.diameter_px
        at = self.truth()[dot]
        rows = slice(
            *np.clip(((at[1] - reach) * fine, (at[1] + reach) * fine), 0, None).astype(int)
        )
        columns = slice(
            *np.clip(((at[0] - reach) * fine, (at[0] + reach) * fine), 0, None).astype(int)
        )
        away = plane[rows, columns] - self.centres()[dot] - np.array(offset)
        disc = np.hypot(away[..., 0], away[..., 1]) < 0.5 * self.diameter_px
        if dot in self.half_covered:
            disc &= away[..., 0] + 0.5 * away[..., 1] < 0.0
        inside[rows, columns] = np.maximum(inside[rows, columns], disc)


def errors_px(found: MarkerField, gel: Gel) -> NDArray[np.float64]:
    """Distance from the truth of every found dot, px."""
    off = (found.position_px - gel.truth())[found.found]
    return np.hypot(off[:, 0], off[:, 1])


def rms(values: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(values**2)))


def shear(gel: Gel, x_px: float, y_px: float) -> NDArray[np.float64]:
    """A press that drags the gel's middle most, its border by 60 %."""
    row, column = np.indices((gel.rows, gel.columns), dtype=float)
    u, v = column / (gel.columns - 1) - 0.5, row / (gel.rows - 1) - 0.5
    strength = 0.6 + 0.4 * np.exp(-(u**2 + v**2) / 0.1)
    return strength[..., None] * np.array([x_px, y_px])


# --- one image -----------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_centres_are_within_a_twentieth_of_a_pixel_at_two_grey_levels_of_noise(seed: int) -> None:
    gel = Gel(shift_px=(0.31 * seed, -0.27 * seed), noise=2.0, seed=seed)
    found = detect_markers(gel.render(), SEVEN_BY_NINE)
    assert found.found.all()
    assert rms(errors_px(found, gel)) < 0.05
    np.testing.assert_allclose(found.diameter_px, gel.diameter_px, rtol=0.05)


def test_tilt_and_turn_keep_centres_and_numbers() -> None:
    gel = Gel(turn_degrees=3.0, tilt=(3e-4, -2e-4))
    found = detect_markers(gel.render(), SEVEN_BY_NINE)
    assert found.found.all()
    assert rms(errors_px(found, gel)) < 0.08


@pytest.mark.parametrize("turn", [-10.0, -3.0, 3.0, 10.0])
def test_turned_grid_keeps_its_numbers(turn: float) -> None:
    gel = Gel(turn_degrees=turn, size=(280, 340))
    found = detect_markers(gel.render(), SEVEN_BY_NINE)
    assert found.found.all()
    assert errors_px(found, gel).max() < 0.3


def test_contact_shading_does_not_move_centres() -> None:
    gel = Gel(shade=0.5)
    found = detect_markers(gel.render(), SEVEN_BY_NINE)
    assert found.found.all()
    assert rms(errors_px(found, gel)) < 0.05


def test_strong_fringes_move_all_centres_alike_and_less_than_04_px() -> None:
    gel = Gel(fringe=0.5, shade=0.5)
    found = detect_markers(gel.render(), SEVEN_BY_NINE)
    assert found.found.all()
    assert errors_px(found, gel).max() < 0.4
    off = found.position_px - gel.truth()
    assert rms(off - off.mean(axis=(0, 1))) < 0.05


def test_missing_dots_stay_missing_and_the_others_keep_their_numbers() -> None:
    missing = {(0, 0), (0, 1), (0, 2), (0, 3), (0, 4), (3, 3), (3, 4), (6, 8), (2, 8), (5, 1)}
    gel = Gel(missing=missing)
    found = detect_markers(gel.render(), SEVEN_BY_NINE)
    assert {tuple(dot) for dot in np.argwhere(~found.found).tolist()} == missing
    assert np.isnan(found.position_px[~found.found]).all()
    assert rms(errors_px(found, gel)) < 0.05


def test_two_islands_of_dots_are_numbered_as_one_grid() -> None:
    gel = Gel(missing={(row, 4) for row in range(7)})
    found = detect_markers(gel.render(), SEVEN_BY_NINE)
    assert found.found_count == 56
    assert errors_px(found, gel).max() < 0.2


def test_half_covered_dot_is_found_at_its_own_centre_not_at_the_middle_of_what_is_left() -> None:
    # The middle of a half disc lies 0.21 diameters, 2.7 px, beside the disc's centre.
    gel = Gel(half_covered={(1, 2), (3, 5), (5, 7)})
    found = detect_markers(gel.render(), SEVEN_BY_NINE)
    errors = np.hypot(*np.moveaxis(found.position_px - gel.truth(), -1, 0))
    for dot in gel.half_covered:
        assert not found.found[dot] or errors[dot] < 0.6
    whole = np.ones((7, 9), bool)
    whole[tuple(np.array(list(gel.half_covered)).T)] = False
    assert errors[whole].max() < 0.2


def test_dot_cut_by_the_frame_is_at_its_centre_or_not_found() -> None:
    # Ten columns fill the frame: with the shift the last ones reach 4.5 px out of it.
    gel = Gel(rows=7, columns=10, shift_px=(15.0, 0.0), diameter_px=11.0)
    assert gel.truth()[3, 9, 0] + 5.5 > 319.5
    found = detect_markers(gel.render(), MarkerGrid.parse("7x10"))
    assert found.found[:, :9].all()
    assert found.found[:, 9].all()
    assert errors_px(found, gel).max() < 0.3


def test_dot_with_its_centre_out_of_the_frame_is_not_found() -> None:
    gel = Gel(rows=7, columns=10, shift_px=(18.0, 0.0), diameter_px=11.0)
    assert gel.truth()[3, 9, 0] > 321.0
    found = detect_markers(gel.render(), MarkerGrid.parse("7x10"))
    assert found.found[:, :9].all()
    assert not found.found[:, 9].any()


def test_blur_and_strong_noise_lose_no_dot() -> None:
    gel = Gel(blur_px=2.5, noise=6.0)
    found = detect_markers(gel.render(), SEVEN_BY_NINE)
    assert found.found.all()
    assert rms(errors_px(found, gel)) < 0.2


def test_bent_lattice_is_numbered() -> None:
    gel = Gel()
    gel.displacement_px = shear(gel, 12.0, -9.0)
    found = detect_markers(gel.render(), SEVEN_BY_NINE)
    assert found.found.all()
    assert errors_px(found, gel).max() < 0.2


@pytest.mark.parametrize("size", [(120, 160), (480, 640)])
def test_other_resolutions(size: tuple[int, int]) -> None:
    gel = Gel(fringe=0.3)
    scale = size[0] / 240
    image = cv2.resize(
        gel.render(), size[::-1], interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    )
    found = detect_markers(np.asarray(image, np.uint8), SEVEN_BY_NINE)
    assert found.found.all()
    truth = (gel.truth() + 0.5) * scale - 0.5
    assert np.abs(found.position_px - truth).max() < 0.4 * max(scale, 1.0)


def test_grid_that_fills_half_of_the_image() -> None:
    gel = Gel(size=(440, 600))
    found = detect_markers(gel.render(), SEVEN_BY_NINE)
    assert found.found.all()
    assert errors_px(found, gel).max() < 0.3


# --- refusing to guess ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shown", "asked"),
    [((7, 9), "8x10"), ((7, 9), "7x10"), ((7, 9), "6x9"), ((7, 9), "7x8"), ((6, 8), "7x9")],
)
def test_wrong_grid_is_refused_with_both_sizes(shown: tuple[int, int], asked: str) -> None:
    gel = Gel(rows=shown[0], columns=shown[1])
    with pytest.raises(InputError) as error:
        detect_markers(gel.render(), MarkerGrid.parse(asked))
    message = str(error.value)
    assert f"{shown[0]} x {shown[1]}" in message
    assert asked.replace("x", " x ") in message
    assert f"--grid {shown[0]}x{shown[1]}" in message


@pytest.mark.parametrize("line", ["top", "bottom", "left", "right"])
def test_border_line_wholly_unseen_is_refused_not_guessed(line: str) -> None:
    dots = {
        "top": {(0, column) for column in range(9)},
        "bottom": {(6, column) for column in range(9)},
        "left": {(row, 0) for row in range(7)},
        "right": {(row, 8) for row in range(7)},
    }[line]
    with pytest.raises(InputError, match="expected"):
        detect_markers(Gel(missing=dots).render(), SEVEN_BY_NINE)


@pytest.mark.parametrize("level", [0, 8, 128, 255])
def test_blank_image_is_refused(level: int) -> None:
    rng = np.random.default_rng(0)
    image = np.clip(level + rng.normal(0, 2, (240, 320, 3)), 0, 255).astype(np.uint8)
    with pytest.raises(InputError, match="no lattice of markers"):
        detect_markers(image, SEVEN_BY_NINE)


def test_noise_and_a_foreign_picture_are_refused() -> None:
    rng = np.random.default_rng(1)
    with pytest.raises(InputError):
        detect_markers(rng.integers(0, 256, (240, 320, 3), np.uint8), SEVEN_BY_NINE)
    board = (np.indices((240, 320)).sum(axis=0) // 40 % 2 * 255).astype(np.uint8)
    with pytest.raises(InputError):
        detect_markers(np.dstack([board] * 3), SEVEN_BY_NINE)


@pytest.mark.parametrize(
    ("image", "says"),
    [
        (np.zeros((240, 320), np.uint8), r"\(240, 320\)"),
        (np.zeros((240, 320, 4), np.uint8), r"\(240, 320, 4\)"),
        (np.zeros((240, 320, 3), np.float32), "float32"),
        (np.zeros((63, 320, 3), np.uint8), "320 x 63"),
        (np.zeros((64, 4097, 3), np.uint8), "4097 x 64"),
        ("image.png", "str"),
    ],
)
def test_bad_image_is_refused_with_what_came(image: object, says: str) -> None:
    with pytest.raises(InputError, match=says):
        detect_markers(image, SEVEN_BY_NINE)  # type: ignore[arg-type]


# --- a field -------------------------------------------------------------------------------


def test_displacement_is_the_difference_where_both_are_found() -> None:
    gel = Gel(missing={(2, 2)})
    rest = detect_markers(gel.render(), SEVEN_BY_NINE)
    gel.missing, gel.displacement_px = {(4, 4)}, np.full((7, 9, 2), (2.25, -1.5))
    moved = detect_markers(gel.render(), SEVEN_BY_NINE).displacement_px(rest)
    unknown = np.isnan(moved[..., 0])
    assert {tuple(dot) for dot in np.argwhere(unknown).tolist()} == {(2, 2), (4, 4)}
    assert np.abs(moved[~unknown] - (2.25, -1.5)).max() < 0.2


def test_fields_of_two_grids_cannot_be_compared() -> None:
    seven = detect_markers(Gel().render(), SEVEN_BY_NINE)
    six = detect_markers(Gel(rows=6).render(), MarkerGrid.parse("6x9"))
    with pytest.raises(InputError, match="7 x 9 markers, this field 6 x 9"):
        six.displacement_px(seven)


def test_field_counts_and_refuses_contradictions() -> None:
    found = np.ones((3, 4), bool)
    found[0, 0] = False
    field_ = MarkerField.where(found, np.ones((3, 4, 2)), np.ones((3, 4)))
    assert (field_.expected, field_.found_count) == (12, 11)
    with pytest.raises(InputError, match="finite exactly where found"):
        MarkerField(np.ones((3, 4, 2)), found, np.ones((3, 4)))
    with pytest.raises(InputError, match="position_px has shape"):
        MarkerField(np.ones((3, 4)), found, np.ones((3, 4)))


# --- tracking ------------------------------------------------------------------------------


def test_tracker_does_not_slip_when_the_gel_moves_more_than_a_pitch() -> None:
    gel = Gel(rows=5, columns=7)
    tracker = MarkerTracker(MarkerGrid.parse("5x7"))
    tracker.track(gel.render())
    for step in range(1, 5):
        gel.displacement_px = shear(gel, 0.42 * PITCH_PX * step, 0.25 * PITCH_PX * step)
        gel.seed = step
        found = tracker.track(gel.render())
        inside = np.all((gel.truth() > 0) & (gel.truth() < (319, 239)), axis=-1)
        assert (found.found | ~inside).mean() > 0.9
        assert errors_px(found, gel).max() < 0.6


@pytest.mark.parametrize("way", [(1, 0), (-1, 0), (0, 1), (0, -1), (0.7, 0.7), (-0.7, 0.7)])
def test_one_step_of_045_pitch_with_a_covered_patch_does_not_slip(way: tuple[float, float]) -> None:
    gel = Gel(rows=5, columns=7)
    rest = detect_markers(gel.render(), MarkerGrid.parse("5x7"))
    tracker = MarkerTracker(MarkerGrid.parse("5x7"), rest)
    tracker.track(gel.render())
    gel.displacement_px = shear(gel, 0.45 * PITCH_PX * way[0], 0.45 * PITCH_PX * way[1])
    gel.missing = {(row, column) for row in (1, 2, 3) for column in (2, 3)}
    found = tracker.track(gel.render())
    assert errors_px(found, gel).max() < 0.3
    assert found.found_count == 35 - 6


def test_jump_of_a_whole_pitch_between_two_frames_is_noticed() -> None:
    # Each dot lands where its neighbour was, so only the column left over tells.
    gel = Gel(rows=5, columns=7, shift_px=(-PITCH_PX / 2, 0.0))
    tracker = MarkerTracker(MarkerGrid.parse("5x7"))
    tracker.track(gel.render())
    gel.displacement_px = np.full((5, 7, 2), (PITCH_PX, 0.0))
    found = tracker.track(gel.render())
    assert found.found.all()
    assert errors_px(found, gel).max() < 0.2


def test_lost_dots_are_found_again_under_their_numbers() -> None:
    gel = Gel(rows=5, columns=7)
    tracker = MarkerTracker(MarkerGrid.parse("5x7"))
    tracker.track(gel.render())
    covered = {(row, column) for row in range(5) for column in (3, 4, 5)}
    for step in range(1, 6):
        gel.displacement_px = np.full((5, 7, 2), (0.3 * PITCH_PX * min(step, 4), 0.0))
        gel.missing = covered if step < 5 else set()
        found = tracker.track(gel.render())
        assert errors_px(found, gel).max() < 0.3
    assert found.found.all()


def test_track_survives_a_black_frame_and_starts_over() -> None:
    gel = Gel()
    tracker = MarkerTracker(SEVEN_BY_NINE)
    tracker.track(gel.render())
    assert tracker.track(np.zeros((240, 320, 3), np.uint8)).found_count == 0
    gel.displacement_px = np.full((7, 9, 2), (0.8 * PITCH_PX, 0.0))
    found = tracker.track(gel.render())
    assert found.found_count >= 56
    assert errors_px(found, gel).max() < 0.4


def test_positions_do_not_drift() -> None:
    gel = Gel(noise=3.0)
    tracker = MarkerTracker(SEVEN_BY_NINE)
    for step in range(12):
        gel.displacement_px = shear(gel, 6.0 * np.sin(step), 6.0 * np.cos(step))
        gel.seed = step
        found = tracker.track(gel.render())
    assert rms(errors_px(found, gel)) < 0.08


def test_tracker_refuses_what_it_cannot_start_from() -> None:
    rest = detect_markers(Gel().render(), SEVEN_BY_NINE)
    with pytest.raises(InputError, match="7 x 9 markers, expected 8 x 10"):
        MarkerTracker(EIGHT_BY_TEN, rest)
    none = MarkerField.where(np.zeros((7, 9), bool), np.zeros((7, 9, 2)), np.zeros((7, 9)))
    with pytest.raises(InputError, match="0 of 63 markers"):
        MarkerTracker(SEVEN_BY_NINE, none)
    with pytest.raises(InputError, match="no lattice"):
        MarkerTracker(SEVEN_BY_NINE).track(np.zeros((240, 320, 3), np.uint8))
    with pytest.raises(InputError, match="expected uint8"):
        MarkerTracker(SEVEN_BY_NINE, rest).track(np.zeros((240, 320), np.uint8))


# --- real sensors --------------------------------------------------------------------------

VIDEOS_OF_EIGHT_BY_TEN = {
    "baseball_exp_num_1_camera_2",
    "baseball_exp_num_2_camera_2",
    "baseball_exp_num_5_camera_2",
    "blue_box_exp_num_1_camera_0",  # in this recording the two sensors changed places
}
VIDEOS_OF_SEVEN_BY_NINE = {
    "baseball_exp_num_1_camera_0",
    "baseball_exp_num_2_camera_0",
    "baseball_exp_num_5_camera_0",
    "blue_box_exp_num_1_camera_2",
}


def read_rgb(path: Path) -> NDArray[np.uint8]:
    if not path.is_file():
        pytest.skip(f"real data not here: {path.relative_to(DATA.parent)} beside the repository")
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    assert image is not None
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def read_video(name: str, start: int, stop: int) -> list[NDArray[np.uint8]]:
    path = DATA / "mini_dots_video" / f"{name}.avi"
    if not path.is_file():
        pytest.skip(f"real data not here: {path.relative_to(DATA.parent)} beside the repository")
    video = cv2.VideoCapture(str(path))
    video.set(cv2.CAP_PROP_POS_FRAMES, start)
    frames = []
    while len(frames) < stop - start:
        good, frame = video.read()
        assert good
        frames.append(np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), np.uint8))
    return frames


def bend_px(position: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far each inner dot is from the middle of its left and right neighbours, px."""
    middle = 0.5 * (position[:, :-2] + position[:, 2:])
    return np.hypot(*np.moveaxis(position[:, 1:-1] - middle, -1, 0))


def test_every_dot_of_every_real_ball_press_is_found_near_its_place_at_rest() -> None:
    rest = detect_markers(read_rgb(DATA / "mini_dots_ball" / "background.png"), SEVEN_BY_NINE)
    assert rest.found.all()
    presses = sorted((DATA / "mini_dots_ball" / "5.000mm").glob("*/gelsight.png"))
    assert len(presses) == 26
    for path in presses:
        found = detect_markers(read_rgb(path), SEVEN_BY_NINE)
        assert found.found.all(), path
        moved = np.hypot(*np.moveaxis(found.displacement_px(rest), -1, 0))
        assert np.median(moved) < 1.5, path
        assert moved.max() < 0.3 * PITCH_PX, path


@pytest.mark.parametrize("name", ["background", "pressed_cuboid_10mm"])
def test_every_dot_of_the_real_cuboid_images_is_found(name: str) -> None:
    found = detect_markers(read_rgb(DATA / "mini_dots_cuboid" / f"{name}.png"), SEVEN_BY_NINE)
    assert found.found.all()
    assert np.nanmax(bend_px(found.position_px)) < 4.0


def test_real_gels_are_refused_under_the_other_grid() -> None:
    image = read_rgb(DATA / "mini_dots_cuboid" / "background.png")
    with pytest.raises(InputError, match="--grid 7x9"):
        detect_markers(image, EIGHT_BY_TEN)
    frame = read_video("baseball_exp_num_1_camera_2", 0, 1)[0]
    with pytest.raises(InputError, match="--grid 8x10"):
        detect_markers(frame, SEVEN_BY_NINE)


@pytest.mark.parametrize("name", sorted(VIDEOS_OF_SEVEN_BY_NINE | VIDEOS_OF_EIGHT_BY_TEN))
def test_real_video_is_tracked_without_a_change_of_numbers(name: str) -> None:
    grid = EIGHT_BY_TEN if name in VIDEOS_OF_EIGHT_BY_TEN else SEVEN_BY_NINE
    frames = read_video(name, 100, 350)[::4]
    tracker = MarkerTracker(grid)
    fields = [tracker.track(frame) for frame in frames]
    share = np.mean([one.found_count / one.expected for one in fields])
    assert share > 0.99
    # An index slip moves a dot by a whole pitch against its neighbours; shear bends less.
    for one in fields:
        assert np.nanmax(bend_px(one.position_px)) < 0.45 * PITCH_PX
    # The detector, which knows no history, numbers the last frame the same way.
    again = detect_markers(frames[-1], grid)
    assert np.nanmax(np.abs(again.displacement_px(fields[-1]))) < 0.5


@pytest.mark.parametrize("name", ["baseball_exp_num_1_camera_0", "blue_box_exp_num_1_camera_0"])
def test_real_still_gel_repeats_to_a_tenth_of_a_pixel(name: str) -> None:
    grid = EIGHT_BY_TEN if name in VIDEOS_OF_EIGHT_BY_TEN else SEVEN_BY_NINE
    tracker = MarkerTracker(grid)
    position = np.stack([tracker.track(f).position_px for f in read_video(name, 60, 90)])
    step = np.diff(position, axis=0)
    assert np.sqrt(np.nanmean(step**2) / 2) < 0.1
