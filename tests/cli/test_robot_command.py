"""`mivla robot`: the list, the check with its exit status, and the description it begins."""

import os
from pathlib import Path

import numpy as np
import pytest

from mivla.cli import main
from mivla.embodiments import EMBODIMENTS, X5, embodiment
from mivla.embodiments.description import examine
from mivla.episodes import Episode
from mivla.episodes.store import Dataset, DatasetWriter
from mivla.kinematics.checkup import checkup, home_findings

# The arm of `chain`: six hinges, an elbow and a wrist, with a gripper of two slides.
_JOINTS = (
    ("j1", "0 0 0.06", "0 0 1", -3.0, 2.6),
    ("j2", "0.02 0 0.04", "0 1 0", -3.5, 0.05),
    ("j3", "0 0 0.264", "0 1 0", 0.1, 3.2),
    ("j4", "0.06 0 0.245", "0 1 0", -1.6, 1.6),
    ("j5", "0.066 0 0.08", "0 0 1", -1.57, 1.57),
    ("j6", "0.028 0 -0.08", "1 0 0", -2.0, 2.0),
)


def urdf() -> str:
    text, parent = '<link name="base"/>', "base"
    for name, xyz, axis, low, high in _JOINTS:
        text += (
            f'<link name="{name}_link"/><joint name="{name}" type="revolute">'
            f'<parent link="{parent}"/><child link="{name}_link"/><origin xyz="{xyz}"/>'
            f'<axis xyz="{axis}"/><limit lower="{low}" upper="{high}"/></joint>'
        )
        parent = f"{name}_link"
    for name, axis in (("finger_a", "0 1 0"), ("finger_b", "0 -1 0")):
        text += (
            f'<link name="{name}_link"/><joint name="{name}" type="prismatic">'
            f'<parent link="{parent}"/><child link="{name}_link"/><origin xyz="0.12 0 0"/>'
            f'<axis xyz="{axis}"/><limit lower="0" upper="0.04"/></joint>'
        )
    return f'<robot name="arm">{text}</robot>'


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An arm's model and the description that the command begins from it."""
    monkeypatch.setenv("MIVLA_ROBOTS", "")
    monkeypatch.chdir(tmp_path)
    Path("arm.urdf").write_text(urdf())
    return tmp_path


@pytest.fixture
def begun(folder, capsys) -> Path:
    assert main(["robot", "arm.urdf"]) == 0
    path = folder / "my_robot.toml"
    path.write_text(capsys.readouterr().out)
    return path


def exchange(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text, old
    path.write_text(text.replace(old, new))


def test_the_list_has_every_robot_with_its_joints_reach_and_stroke(begun, capsys, monkeypatch):
    monkeypatch.setenv("MIVLA_ROBOTS", str(begun.parent))
    monkeypatch.setenv("COLUMNS", "120")
    begun.with_name("broken.toml").write_text("title = 3")
    assert main(["robot"]) == 0
    out = capsys.readouterr().out
    for name in (*EMBODIMENTS, "my_robot"):
        assert f"\n{name} " in f"\n{out}"
    mine = next(line for line in out.splitlines() if line.startswith("my_robot "))
    assert "80 mm" in mine
    assert "broken has errors: `mivla robot broken` says which." in out


def test_what_the_command_begins_it_finds_nothing_wrong_with(begun, capsys):
    text = begun.read_text()
    assert 'joints = ["finger_a", "finger_b"]' in text
    assert "base -> j1_link: j1 (hinge -3 to 2.6)" in text
    assert main(["robot", str(begun), "--poses", "20"]) == 0
    out = capsys.readouterr().out
    assert "my_robot: two arms of arm.urdf" in out
    assert " of 20 reachable poses solved" in out
    assert out.endswith("my_robot: this robot can be used.\n")


def test_errors_end_with_status_1_and_each_has_something_to_do(begun, capsys):
    exchange(begun, '"j3", ', "")
    assert main(["robot", str(begun)]) == 1
    out = capsys.readouterr().out
    assert "ERROR  both arms: Joint 'j3' lies on the way to the tool, can move" in out
    assert "    Add it to joints, or hold it still" in out
    assert out.endswith("cannot be used: 1 error.\n")


def test_warnings_are_marked_and_do_not_fail(begun, capsys):
    exchange(begun, "stroke_m = 0.08", "stroke_m = 0.07")
    assert main(["robot", "my_robot.toml", "--poses", "5"]) == 0
    out = capsys.readouterr().out
    assert "WARNING  both arms: stroke_m is 0.07, but from shut to open" in out
    assert "this robot can be used (1 warning)." in out
    # Checked by its name, from now on.
    assert main(["robot", "my_robot", "--poses", "5"]) == 0


def test_a_shipped_robot_is_checked_by_its_name(capsys):
    assert main(["robot", "x5", "--poses", "50"]) == 0
    assert capsys.readouterr().out.endswith("x5: this robot can be used.\n")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("x6", "no robot 'x6'; there are"),
        ("gone.urdf", "there is no model file gone.urdf"),
    ],
)
def test_what_is_not_there_is_one_sentence(capsys, arguments, says):
    assert main(["robot", arguments]) == 1
    assert says in capsys.readouterr().err


def test_a_robot_found_by_name_does_not_change_which_others_are_found(begun, folder, monkeypatch):
    for name in ("one", "two"):
        (folder / name).mkdir()
        (folder / name / "arm.urdf").write_text(urdf())
        text = begun.read_text().replace("two arms of arm.urdf", name)
        (folder / name / "shared.toml").write_text(text)
    (folder / "two" / "other.toml").write_text(begun.read_text())
    monkeypatch.setenv("MIVLA_ROBOTS", os.pathsep.join([str(folder / "one"), str(folder / "two")]))
    assert embodiment("shared").title == "one"
    assert embodiment("other").name == "other"
    assert embodiment("shared").title == "one"
    # A path says which is meant.
    assert embodiment(str(folder / "two" / "shared.toml")).title == "two"
    assert embodiment("shared").title == "two"


def test_no_pose_is_none_too_few(capsys):
    assert main(["robot", "x5", "--poses", "0"]) == 1
    assert "--poses must be at least 1" in capsys.readouterr().err


def test_a_description_that_is_not_there_says_how_to_begin_one(capsys):
    assert main(["robot", "gone.toml"]) == 1
    assert "`mivla robot MODEL.urdf` prints one to begin" in capsys.readouterr().out


def findings_of(path: Path) -> str:
    return "\n".join(f"{one.level} {one}" for one in home_findings(examine(path).usable()))


def test_both_arms_in_one_place_are_an_error(begun):
    exchange(begun, "0.3", "0.0")
    exchange(begun, "-0.0, 0.0]", "0.0, 0.0]")
    assert "error Both arms stand in the same place. Say where" in findings_of(begun)


def test_left_and_right_exchanged_are_suspected(begun):
    exchange(begun, "[left]", "[other]")
    exchange(begun, "[right]", "[left]")
    exchange(begun, "[other]", "[right]")
    assert "warning At home the left tool is to the right of the right one" in findings_of(begun)


def test_homes_that_are_no_mirror_images_are_suspected(begun):
    exchange(begun, "mount.position = [0.0, 0.3, 0.0]", "mount.position = [0.1, 0.3, 0.0]")
    assert "warning The home tools are no mirror images: 100 mm off" in findings_of(begun)
    exchange(begun, "mount.position = [0.1, 0.3, 0.0]", "mount.position = [0.0, 0.3, 0.0]")
    assert findings_of(begun) == ""
    begun.write_text(begun.read_text() + '[left.tool]\nclosing = "+z"\n')
    assert "The home tools are no mirror images: turned by 90 degrees" in findings_of(begun)


def test_a_home_near_a_limit_or_not_pointing_down_is_suspected(begun):
    lines = begun.read_text().splitlines()
    home = next(line for line in lines if line.startswith("home = "))
    exchange(begun, home, "home = [0.0, -0.5, 1.5, 1.58, 0.0, 0.0]")
    told = findings_of(begun)
    assert "home of joint 'j4' is 0.020 rad from a limit. Move it" in told
    exchange(
        begun, "home = [0.0, -0.5, 1.5, 1.58, 0.0, 0.0]", "home = [0.0, -0.5, 1.0, 0.0, 0.0, 0.0]"
    )
    assert "The tool at home leans 61 degrees from straight down" in findings_of(begun)


def test_a_data_set_of_ones_own_robot_is_known_where_its_folder_is(begun, folder, monkeypatch):
    body = embodiment(str(begun))
    joints = np.tile(
        body.part_from_own(np.concatenate([[*a.home, 1.0] for a in body.arms])), (4, 1)
    )
    motion = {"joints": joints}
    with DatasetWriter(folder / "data", body="my_robot", fps=10, cameras={}) as writer:
        writer.add(Episode("my_robot", "wait", np.arange(4) / 10, motion, motion))
    dataset = Dataset.open(folder / "data")
    assert dataset.body == "my_robot"
    np.testing.assert_allclose(dataset[0].state["joints"], joints, atol=1e-6)
    monkeypatch.setenv("MIVLA_ROBOTS", os.pathsep)
    unknown = Dataset.open(folder / "data")
    assert unknown.body is None
    with pytest.raises(Exception, match="MIVLA_ROBOTS"):
        unknown[0]
    assert main(["inspect", str(folder / "data")]) == 0


def test_hands_made_of_ones_own_robot_are_made_anew_when_its_tool_is_corrected(begun, folder):
    body = embodiment(str(begun))
    joints = np.tile(
        body.part_from_own(np.concatenate([[*a.home, 1.0] for a in body.arms])), (4, 1)
    )
    motion = {"joints": joints}
    with DatasetWriter(folder / "data", body="my_robot", fps=10, cameras={}) as writer:
        writer.add(Episode("my_robot", "wait", np.arange(4) / 10, motion, motion))
    command = ["retarget", "data", "--to", "human", "--start-position", "matched"]
    assert main(command) == 0
    before = Dataset.open(folder / "data")[0].labels["human"].state["hand"]
    exchange(begun, "position = [0.12, 0.0, 0.0]", "position = [0.17, 0.0, 0.0]")
    assert main(command) == 0
    after = Dataset.open(folder / "data")[0].labels["human"].state["hand"]
    moved = np.linalg.norm(after[:, :3] - before[:, :3], axis=1)
    np.testing.assert_allclose(moved, 0.05, atol=1e-4)


def test_the_check_of_a_robot_measures_what_it_says():
    results, findings = checkup(X5, np.random.default_rng(0), iter(np.arange(100.0)).__next__, 50)
    assert findings == ()
    assert [one.side for one in results] == ["left", "right"]
    assert 48 <= results[0].solved <= 50
    assert results[0].jacobian_error < 1e-8
    assert (results[0].ready_s, results[0].pose_s) == (1.0, 1 / 50)
