"""The demonstration's page shows the error that is there, not its mean over the whole gel."""

from types import SimpleNamespace

import numpy as np

from tacdiff_ros.cli.demo_stages import DemoInversion, inversion_chapter
from tacdiff_ros.evaluation.verdict import replay_verdict
from tacdiff_ros.reports.story_report import write_story
from tacdiff_ros.sensor.gel_surface import GelSurface
from tacdiff_ros.sensor.sensor_file import default_sensor


def pressed(depth_mm: float) -> GelSurface:
    """A flat gel with a dent of 2 mm radius."""
    flat = GelSurface.flat(24.0, 18.0, 61, 81)
    position = flat.rest.copy()
    radius = np.hypot(position[:, 0], position[:, 1])
    position[:, 2] = -depth_mm * np.clip(1.0 - (radius / 2.0) ** 2, 0.0, None)
    return flat.moved(position)


def test_a_contact_that_is_too_shallow_is_in_the_figures_and_the_verdict_on_the_page(tmp_path):
    estimate, truth = pressed(0.85), pressed(1.2)
    valid = np.ones((estimate.rows, estimate.columns), bool)
    entry = DemoInversion(
        step="indent",
        image=np.zeros((240, 320, 3), np.uint8),
        estimate=SimpleNamespace(surface=estimate, valid=valid, seconds=1.0),
        truth=truth,
        height_rmse_mm=0.03,
        in_plane_rmse_mm=0.01,
    )
    chapter = inversion_chapter([entry])
    depth = chapter.figures["indent: median depth of the contact, estimated (true)"]
    assert depth == "0.60 mm (0.85)"
    contact_mm, whole = chapter.figures[
        "indent: height error, RMS, in the contact (whole gel)"
    ].split(" mm (")
    assert 0.15 < float(contact_mm) < 0.35
    assert whole == "0.030)"
    page = tmp_path / "report.html"
    sensor = default_sensor()
    write_story(page, "Title", "Text", [chapter], replay_verdict(13.0, 0.5), sensor)
    text = page.read_text()
    assert "<b>good</b>" in text
    assert "tacdiff_ros 0" in text
    assert f"checksum {sensor.checksum[:16]}" in text
