"""The experts do every task with every body, and what they ask for is right."""

import mujoco
import numpy as np
import pytest
from numpy.testing import assert_allclose

from mivla.embodiments import EMBODIMENTS
from mivla.embodiments.layout import EEF, SIDES
from mivla.geometry import se3
from mivla.kinematics import joints_from_tool_poses
from mivla.simulation import TASKS, Environment, demonstrate
from mivla.simulation.expert import smoothstep

# MuJoCo's bindings come without types.
# pyright: reportAttributeAccessIssue=false

# A LocoMan's arms hang below its trunk: no table stands at its feet.
AT_A_TABLE = sorted(set(EMBODIMENTS) - {"locoman"})
ROBOTS = sorted(name for name in AT_A_TABLE if not EMBODIMENTS[name].is_human)
SHORT = ("click_bell", "move_pillbottle_pad", "grab_roller")


@pytest.mark.parametrize("body", AT_A_TABLE)
@pytest.mark.parametrize("task", sorted(TASKS))
def test_the_expert_succeeds_where_no_noise_disturbs_it(task, body):
    with Environment(task, body) as environment:
        for seed in range(1 if "human" in body or "stack" in task else 2):
            assert demonstrate(environment, seed, noise=0.0, pictures=False).success


@pytest.mark.parametrize("body", ROBOTS)
def test_the_expert_copes_with_noise(body):
    successes = 0
    for task in SHORT:
        with Environment(task, body) as environment:
            for seed in (20, 21):
                successes += bool(demonstrate(environment, seed, pictures=False).success)
    assert successes >= 5


@pytest.mark.parametrize("body", ["x5", "human"])
@pytest.mark.parametrize("task", sorted(TASKS))
def test_nothing_is_done_at_the_start_and_waiting_does_not_do_it(task, body):
    with Environment(task, body) as environment:
        environment.reset(5)
        assert not environment.task.success(environment.scene)
        stay = environment.measured()
        for _ in range(3):
            environment.step(stay)
        assert not environment.success


def test_an_attempt_may_take_twice_the_experts_time():
    with Environment("click_bell", "x5") as environment:
        episode = demonstrate(environment, 3, pictures=False)
        assert environment.max_steps == 2 * len(episode)


def test_labels_stay_clean_while_the_execution_is_disturbed():
    with Environment("click_bell", "x5") as environment:
        clean = demonstrate(environment, 1, noise=0.0, pictures=False)
        noisy = demonstrate(environment, 1, noise=0.03, pictures=False)

    def misses(episode):
        joints = [i for i in range(14) if i not in (6, 13)]
        own = EMBODIMENTS["x5"].own_from_part
        return own(episode.state["joints"])[1:, joints] - own(episode.action["joints"])[:-1, joints]

    # Where nothing moves the disturbance shows; the idle arm's label never does.
    idle = slice(6, 12) if np.ptp(clean.action["joints"][:, 0]) > 0.01 else slice(0, 6)
    assert np.std(misses(clean)[:, idle]) < 2e-3
    assert 0.01 < np.std(misses(noisy)[:, idle]) < 0.05
    assert_allclose(clean.action["joints"], noisy.action["joints"], atol=0.15)


@pytest.mark.parametrize("task", SHORT)
def test_clean_labels_alone_do_the_task_when_replayed(task):
    with Environment(task, "x5") as environment:
        episode = demonstrate(environment, 2, pictures=False)
        environment.reset(2)
        for command in environment.body.own_from_part(episode.action["joints"]):
            environment.step(command)
        assert environment.success


def test_tool_poses_of_the_labels_do_the_task_through_inverse_kinematics():
    with Environment("move_pillbottle_pad", "piper") as environment:
        episode = demonstrate(environment, 2, noise=0.0, pictures=False)
        environment.reset(2)
        joints, _, _ = joints_from_tool_poses(
            environment.body, episode.action["eef"], environment.state()["joints"]
        )
        for command in environment.body.own_from_part(joints):
            environment.step(command)
        assert environment.success


@pytest.mark.parametrize("body", ROBOTS)
def test_labels_and_states_are_within_the_joint_limits(body):
    with Environment("click_bell", body) as environment:
        episode = demonstrate(environment, 0, pictures=False)
        arms = environment.body.arms
        ranges = [
            environment.scene.model.joint(f"{arm.side}/{name}").range
            for arm in arms
            for name in arm.joints
        ]
    low, high = np.array(ranges).T
    angles = [i for i, n in enumerate(environment.body.own_names) if not n.endswith("opening")]
    openings = [i for i, n in enumerate(environment.body.own_names) if n.endswith("opening")]
    for motion in (episode.state, episode.action):
        own = environment.body.own_from_part(motion["joints"])
        assert np.all(own[:, angles] >= low - 0.01)
        assert np.all(own[:, angles] <= high + 0.01)
        assert np.all((own[:, openings] >= 0) & (own[:, openings] <= 1))
        sevenths = np.isnan(motion["joints"][:, [6, 14]])
        assert sevenths.all() if arms[0].dof == 6 else not sevenths.any()


@pytest.mark.parametrize("body", ROBOTS)
def test_recorded_tool_poses_are_those_of_mujoco(body):
    with Environment("click_bell", body) as environment:
        environment.reset(0)
        rng = np.random.default_rng(0)
        environment.step(environment.measured() + rng.normal(0, 0.05, environment.body.own_dim))
        eef = environment.state()["eef"]
        for side in SIDES:
            T = se3.from_position_rot6d(eef[EEF[f"eef/{side}"]][:9])
            expected = se3.inverse(environment.player.T_world_base) @ environment.scene.tool_pose(
                side
            )
            assert_allclose(T, expected, atol=1e-5)


def test_the_expert_follows_a_prop_that_is_pushed_away():
    from mivla.simulation import expert

    with Environment("move_pillbottle_pad", "x5") as environment:
        environment.reset(4)
        scene = environment.scene
        for k, target in enumerate(expert.targets(scene, environment.plan, 0.1)):
            if k == 8:
                x, y, z = scene.position("bottle")
                scene.place("bottle", (x + 0.02, y, z))
                mujoco.mj_forward(scene.model, scene.data)
            environment.step(environment.player.reach(target.T_world_tool, target.opening))
        assert environment.success


def test_motion_starts_and_ends_gently():
    s = np.linspace(0, 1, 101)
    eased = np.array([smoothstep(float(x)) for x in s])
    assert_allclose(eased[[0, 50, 100]], [0, 0.5, 1])
    assert np.all(np.diff(eased) > 0)
    assert np.diff(eased)[0] < 1e-3
    assert np.diff(eased)[-1] < 1e-3
