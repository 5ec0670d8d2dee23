"""`tacdiff calibrate`: a folder in, files out; refusals that leave the old file alone."""

import json

import cv2
import numpy as np
import pytest

from tacdiff_ros.cli.application import run
from tacdiff_ros.sensor.sensor_file import default_sensor, read_sensor

pytestmark = pytest.mark.slow  # the images, and their calibration


def test_a_folder_gives_a_sensor_file_and_a_report(
    unit_folder, calibrated_unit, tmp_path, capsys, monkeypatch
):
    """The computation itself is that of the same images in `test/calibration`."""

    def calibrate(model, reference, presses, settings, progress):
        assert model.checksum == default_sensor().checksum
        assert settings.sensor_id == "unit_3"
        for image, expected in zip(
            (reference, *(press.image for press in presses)), calibrated_unit.images, strict=True
        ):
            assert np.array_equal(image, expected)
        progress(*calibrated_unit.told[-1])
        return calibrated_unit.found

    monkeypatch.setattr("tacdiff_ros.calibration.calibrate.calibrate", calibrate)
    out, report = tmp_path / "unit.yaml", tmp_path / "report.html"
    arguments = ["--folder", str(unit_folder.folder), "--out", str(out), "--report", str(report)]
    assert run(["calibrate", *arguments, "--sensor-id", "unit_3", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    model = read_sensor(out)
    assert printed["sensor_checksum"] == model.checksum
    assert model.sensor_id == "unit_3"
    assert model.flat_field is not None
    assert printed["residuals"]["dot_rms_px"] < 0.1
    assert set(printed["seconds_by_stage"]) == {"pose", "pose_with_glass", "lighting", "texture"}
    page = report.read_text()
    assert page.count("data:image/png") == 2 + 1 + 3 * 4
    assert "camera.position_mm[2]" in page
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "unit.yaml"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"--reference": None}, "give --reference"),
        ({"--press": None}, "give --reference"),
        ({"--indenter": "ball"}, "ball"),
        ({"--press": "missing.png"}, "cannot read"),
        ({"--sensor": "missing.yaml"}, "cannot read"),
        ({"--out": "no/such/folder/s.yaml"}, "does not exist"),
        ({"--folder": "."}, "leave out"),
    ],
)
def test_bad_calls_are_refused_in_one_line(
    unit_folder, tmp_path, capsys, monkeypatch, change, message
):
    monkeypatch.chdir(tmp_path)
    given = {
        "--reference": str(unit_folder.reference),
        "--press": str(unit_folder.press(0)),
        "--indenter": "sphere:diameter=5",
        "--out": "sensor.yaml",
    } | change
    arguments = [part for name, value in given.items() if value for part in (name, value)]
    assert run(["calibrate", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_failed_calibration_leaves_the_old_file(unit_folder, tmp_path, capsys):
    out = tmp_path / "sensor.yaml"
    out.write_text("mine")
    blank = tmp_path / "blank.png"
    cv2.imwrite(str(blank), np.full((240, 320, 3), 80, np.uint8))
    arguments = ["--reference", str(unit_folder.reference), "--press", str(blank)]
    arguments += ["--indenter", "sphere:diameter=5", "--out", str(out)]
    assert run(["calibrate", *arguments]) == 2
    assert "blank" in capsys.readouterr().err
    assert out.read_text() == "mine"


@pytest.mark.parametrize(
    ("catalog", "message"),
    [
        ("", "lists 0 presses"),
        ("experiment_reldir,diameter(mm)\n../../x,5.0\n", "leads out"),
        ("experiment_reldir,diameter(mm)\na,five\n", "line 2"),
        ("name,size\na,5.0\n", "line 2"),
    ],
)
def test_a_bad_catalogue_is_refused(tmp_path, capsys, catalog, message):
    (tmp_path / "catalog.csv").write_text(catalog)
    cv2.imwrite(str(tmp_path / "background.png"), np.full((240, 320, 3), 80, np.uint8))
    arguments = ["--folder", str(tmp_path), "--out", str(tmp_path / "s.yaml")]
    assert run(["calibrate", *arguments]) == 2
    assert message in capsys.readouterr().err
