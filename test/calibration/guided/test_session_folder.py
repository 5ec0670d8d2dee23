"""The images of a session survive it, in the layout that `read_folder` reads."""

import numpy as np
import pytest

from tacdiff_ros.calibration.calibration_folder import read_folder
from tacdiff_ros.calibration.guided.session_folder import SessionFolder
from tacdiff_ros.errors import InputError


def picture(grey):
    return np.full((24, 32, 3), grey, np.uint8)


def test_a_session_is_a_calibration_folder_after_every_image(tmp_path):
    session = SessionFolder(tmp_path / "images")
    session.set_reference(picture(1))
    session.add(picture(2), 5.0)
    session.add(picture(3), 6.35)
    listing = read_folder(tmp_path / "images")
    assert [press.diameter_mm for press in listing.presses] == [5.0, 6.35]

    resumed = SessionFolder(tmp_path / "images")
    assert resumed.has_reference
    assert np.array_equal(resumed.reference(), picture(1))
    assert [int(resumed.image(press)[0, 0, 0]) for press in resumed.presses] == [2, 3]


def test_what_is_undone_is_gone_and_its_name_is_free(tmp_path):
    session = SessionFolder(tmp_path)
    session.set_reference(picture(1))
    session.add(picture(2), 5.0)
    session.remove_last()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["background.png"]
    session.add(picture(3), 5.0)
    assert [int(SessionFolder(tmp_path).image(p)[0, 0, 0]) for p in session.presses] == [3]
    session.remove_last()
    session.remove_reference()
    assert not SessionFolder(tmp_path).has_reference


def test_a_folder_of_other_files_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(InputError, match="new folder"):
        SessionFolder(tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "mine"


def test_a_catalogue_of_another_program_is_not_changed(tmp_path):
    (tmp_path / "catalog.csv").write_text(text := "experiment_reldir,diameter(mm)\n5mm/0,5.0\n")
    (tmp_path / "background.png").write_bytes(b"")
    with pytest.raises(InputError, match="without --live"):
        SessionFolder(tmp_path)
    assert (tmp_path / "catalog.csv").read_text() == text
