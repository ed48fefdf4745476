"""SO(3) against SciPy and numbers worked by hand."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.spatial.transform import Rotation, Slerp

from mivla.geometry import so3

ANGLES = st.one_of(
    st.sampled_from([0.0, 1e-12, 1e-9, 1e-4, np.pi / 2, np.pi - 1e-9, np.pi]),
    st.floats(0, np.pi),
)


@st.composite
def unit_vectors(draw):
    v = np.array(draw(st.tuples(*[st.floats(-1, 1)] * 3)))
    length = np.linalg.norm(v)
    assume(length > 1e-3)
    return v / length


@st.composite
def rotations(draw):
    return Rotation.from_rotvec(draw(ANGLES) * draw(unit_vectors()))


def wxyz(rotation: Rotation) -> np.ndarray:
    x, y, z, w = rotation.as_quat()
    return np.array([w, x, y, z])


def test_rot6d_stacks_columns():
    R = Rotation.from_rotvec([0, 0, np.pi / 2]).as_matrix()
    assert_allclose(so3.rot6d_from_matrix(R), [0, 1, 0, -1, 0, 0], atol=1e-12)


@given(rotations())
def test_rot6d_round_trips_even_at_identity_and_half_turns(rotation):
    R = rotation.as_matrix()
    assert_allclose(so3.matrix_from_rot6d(so3.rot6d_from_matrix(R)), R, atol=1e-12)


@given(st.lists(st.floats(-3, 3), min_size=6, max_size=6).map(np.array))
def test_any_six_numbers_that_span_a_plane_become_a_proper_rotation(rot6d):
    a, b = rot6d[:3], rot6d[3:]
    assume(np.linalg.norm(np.cross(a, b)) > 1e-2)
    R = so3.matrix_from_rot6d(rot6d)
    assert_allclose(R.T @ R, np.eye(3), atol=1e-9)
    assert_allclose(np.linalg.det(R), 1, atol=1e-9)
    # Gram–Schmidt keeps the first direction and the plane of both.
    assert_allclose(R[:, 0], a / np.linalg.norm(a), atol=1e-9)
    assert_allclose(R[:, 2] @ b, 0, atol=1e-8)
    assert R[:, 1] @ b > 0


@given(rotations())
def test_quaternions_are_wxyz_with_w_not_negative(rotation):
    expected = wxyz(rotation)
    found = so3.quaternion_from_matrix(rotation.as_matrix())
    assert found[0] >= 0
    # A half turn has two quaternions of w = 0: either is right.
    assert_allclose(np.abs(found @ expected), 1, atol=1e-12)
    assert_allclose(so3.matrix_from_quaternion(expected), rotation.as_matrix(), atol=1e-12)
    assert_allclose(so3.matrix_from_quaternion(found), rotation.as_matrix(), atol=1e-12)


def test_zeros_are_no_rotation():
    R = so3.matrix_from_quaternion(np.array([[0.0, 0, 0, 0], [1, 0, 0, 0]]))
    assert np.isnan(R[0]).all()
    assert_allclose(R[1], np.eye(3))
    assert so3.matrix_from_quaternion(np.ones((2, 4), np.float32)).dtype == np.float32


def test_a_quarter_turn_about_x_is_a_quaternion_worked_by_hand():
    half = np.sqrt(0.5)
    R = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    assert_allclose(so3.quaternion_from_matrix(R), [half, half, 0, 0], atol=1e-12)


@pytest.mark.parametrize("axis", np.eye(3))
def test_half_turns_about_each_axis_are_exact(axis):
    R = 2 * np.outer(axis, axis) - np.eye(3)
    assert_allclose(so3.matrix_from_quaternion(so3.quaternion_from_matrix(R)), R, atol=1e-15)
    assert_allclose(np.abs(so3.rotvec_from_matrix(R)), np.pi * axis, atol=1e-12)


@given(st.floats(0.1, 10), rotations())
def test_the_length_of_a_quaternion_does_not_matter(length, rotation):
    assert_allclose(
        so3.matrix_from_quaternion(length * wxyz(rotation)), rotation.as_matrix(), atol=1e-12
    )


@given(st.floats(0, 6.2), unit_vectors())
def test_rotation_vectors_agree_with_scipy(angle, axis):
    expected = Rotation.from_rotvec(angle * axis)
    R = so3.matrix_from_rotvec(angle * axis)
    assert_allclose(R, expected.as_matrix(), atol=1e-12)
    back = so3.rotvec_from_matrix(R)
    assert np.linalg.norm(back) <= np.pi + 1e-9
    assert_allclose(Rotation.from_rotvec(back).as_matrix(), R, atol=1e-9)


@given(unit_vectors(), st.sampled_from([1e-12, 1e-9, 1e-6, 1e-3]))
def test_tiny_rotations_keep_their_relative_accuracy(axis, angle):
    found = so3.rotvec_from_matrix(so3.matrix_from_rotvec(angle * axis))
    assert_allclose(found, angle * axis, rtol=0, atol=1e-15 + 1e-9 * angle)


@given(st.tuples(*[st.floats(-3.1, 3.1)] * 3).map(np.array))
def test_roll_pitch_yaw_are_about_fixed_axes(rpy):
    expected = Rotation.from_euler("xyz", rpy).as_matrix()
    assert_allclose(so3.matrix_from_rpy(rpy), expected, atol=1e-12)


@given(rotations(), rotations())
def test_the_angle_between_rotations_is_scipys_magnitude(a, b):
    found = so3.angle_between(a.as_matrix(), b.as_matrix())
    assert_allclose(found, (a.inv() * b).magnitude(), atol=1e-7)


@given(rotations(), ANGLES, unit_vectors(), st.floats(0, 1))
def test_slerp_agrees_with_scipy(a, angle, axis, fraction):
    assume(angle < np.pi - 1e-6)  # at half a turn both ways round are shortest
    b = a * Rotation.from_rotvec(angle * axis)
    expected = Slerp([0, 1], Rotation.concatenate([a, b]))(fraction).as_matrix()
    found = so3.slerp(a.as_matrix(), b.as_matrix(), np.array(fraction))
    assert_allclose(found, expected, atol=1e-7)


@given(rotations(), rotations())
def test_slerp_passes_through_both_ends(a, b):
    R_a, R_b = a.as_matrix(), b.as_matrix()
    assert_allclose(so3.slerp(R_a, R_b, np.array(0.0)), R_a, atol=1e-9)
    assert_allclose(so3.slerp(R_a, R_b, np.array(1.0)), R_b, atol=1e-7)


CONVERSIONS = [
    (so3.matrix_from_rot6d, (6,)),
    (so3.rot6d_from_matrix, (3, 3)),
    (so3.matrix_from_quaternion, (4,)),
    (so3.quaternion_from_matrix, (3, 3)),
    (so3.matrix_from_rotvec, (3,)),
    (so3.rotvec_from_matrix, (3, 3)),
    (so3.matrix_from_rpy, (3,)),
]


@pytest.mark.parametrize(
    ("convert", "shape"), CONVERSIONS, ids=lambda c: getattr(c, "__name__", "")
)
def test_a_missing_step_stays_missing_and_its_neighbours_do_not_change(convert, shape):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(3, *shape))
    if shape == (3, 3):
        values = Rotation.random(3, rng=rng).as_matrix()
    alone = convert(values)
    values[1] = np.nan
    found = convert(values)
    assert np.isnan(found[1]).any()
    assert_allclose(found[[0, 2]], alone[[0, 2]])


@pytest.mark.parametrize(
    ("convert", "shape"), CONVERSIONS, ids=lambda c: getattr(c, "__name__", "")
)
def test_any_leading_axes_and_the_floating_type_are_kept(convert, shape):
    rng = np.random.default_rng(1)
    values = rng.normal(size=(2, 5, *shape)).astype(np.float32)
    if shape == (3, 3):
        values = Rotation.random(10, rng=rng).as_matrix().reshape(2, 5, 3, 3)
        values = values.astype(np.float32)
    found = convert(values)
    assert found.dtype == np.float32
    assert found.shape[:2] == (2, 5)
    assert_allclose(found[1, 3], convert(values[1, 3]), atol=1e-6)


def test_a_zero_vector_stays_zero_when_normalised():
    assert_allclose(so3.normalise(np.zeros((2, 3))), 0)
