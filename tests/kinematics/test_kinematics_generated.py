"""Generated code: what the trace writes, and where programs are kept."""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.testing import assert_allclose

from mivla.embodiments import PIPER, X5
from mivla.kinematics import chain, compiled
from mivla.kinematics.compiled import CACHE_VARIABLE, cache_folder, program
from mivla.kinematics.generate import source
from mivla.kinematics.trace import Term, Trace, cross


def run(trace: Trace, **values) -> dict:
    """The variables after the trace's lines ran on numbers."""
    scope = {name: value for value, name in trace.constants.items()} | values
    exec("\n".join(trace.lines), {"abs": abs, "max": max, "np": np}, scope)
    return scope


def test_zeros_ones_and_repetitions_write_no_lines():
    trace = Trace("K", "np.float64")
    a, b = Term(trace, "a"), Term(trace, "b")
    assert a * 0.0 == 0.0
    assert a * 1.0 == a
    assert a * -1.0 == -a
    assert a + 0.0 == a
    assert a - a == 0.0
    assert trace.lines == []
    assert a * b == b * a == -(a * -b)
    assert trace.lines == ["t0 = a * b"]


@pytest.mark.parametrize("signs", [(1.0, 1.0), (1.0, -1.0), (-1.0, 1.0), (-1.0, -1.0)])
def test_arithmetic_on_terms_is_arithmetic_on_numbers(signs):
    trace = Trace("K", "np.float64")
    a, b = signs[0] * Term(trace, "a"), signs[1] * Term(trace, "b")
    x, y = signs[0] * 0.7, signs[1] * -1.9
    pairs = [
        (a + b, x + y),
        (a - b, x - y),
        (a * b, x * y),
        (2.5 - a, 2.5 - x),
        (a - 2.5, x - 2.5),
        (-3.0 * b + 0.5, -3.0 * y + 0.5),
        *zip(cross([a, b, 0.0], [b, 1.0, a]), np.cross([x, y, 0], [y, 1, x]), strict=True),
    ]
    scope = run(trace, a=0.7, b=-1.9) | {v: k for k, v in trace.constants.items()}
    for term, value in pairs:
        assert_allclose(eval(trace.text(term), {}, scope), value, rtol=1e-15)


@pytest.mark.parametrize(("real", "atol"), [("np.float32", 1e-8), ("np.float64", 1e-14)])
@pytest.mark.parametrize("reach", [0.5, 1.75, 3.3, 6.4])
def test_sine_and_cosine_hold_over_the_whole_reach(real, atol, reach):
    trace = Trace("K", real)
    s, c = trace.sine_cosine(Term(trace, "y"), reach)
    y = np.linspace(-reach, reach, 1001)
    scope = run(trace, y=y)
    # Each halving doubles the error of the polynomials.
    assert_allclose(eval(trace.text(s), {}, scope), np.sin(y), atol=8 * atol)
    assert_allclose(eval(trace.text(c), {}, scope), np.cos(y), atol=8 * atol)


def test_both_arms_of_a_body_share_one_program_and_other_arms_do_not():
    left, right = (chain(arm) for arm in X5.arms)
    assert program(left) is program(right)
    assert source(left) != source(chain(PIPER.arms[0]))


def test_programs_are_kept_in_the_folder_that_the_environment_names(tmp_path, monkeypatch):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv(CACHE_VARIABLE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert "mivla" in cache_folder().parts


def test_a_program_is_written_once_and_no_half_file_stays(tmp_path, monkeypatch):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    path = compiled.keep("name", "x = 1\n")
    written = path.stat().st_mtime_ns
    assert compiled.keep("name", "x = 1\n") == path
    assert path.stat().st_mtime_ns == written
    path.write_text("x = broken")
    assert compiled.keep("name", "x = 1\n").read_text() == "x = 1\n"
    assert [file.name for file in path.parent.iterdir()] == ["name.py"]


def test_what_is_compiled_at_the_first_call_is_compiled_by_one_at_a_time(tmp_path):
    at_work, most = [], []

    def compile_and_double(x: int) -> int:
        at_work.append(x)
        most.append(len(at_work))
        time.sleep(0.05)
        at_work.remove(x)
        return 2 * x

    # Each takes the lock by itself, as processes do.
    each = [compiled.CompiledAlone(compile_and_double, tmp_path / "lock") for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda i: each[i](i), range(4))) == [0, 2, 4, 6]
        assert max(most) == 1
        # From then on nobody waits for anybody.
        list(pool.map(lambda i: each[i](i), range(4)))
    assert max(most) > 1


def test_code_that_was_just_compiled_gives_the_bits_of_code_that_is_read(tmp_path):
    script = """
import numpy as np
from mivla.embodiments import X5
from mivla.kinematics import chain, forward, solve
arm = chain(X5.arms[0])
swing = 0.3 * np.sin(np.arange(60)[:, None] / 30 + np.arange(6))
q = np.clip(np.array(X5.arms[0].home) + swing, arm.low, arm.high)
print(solve(arm, forward(arm, q)[None], q[:1]).q.tobytes().hex())
"""
    environment = {**os.environ, CACHE_VARIABLE: str(tmp_path)}
    command = [sys.executable, "-c", script]
    said = [
        subprocess.run(command, env=environment, capture_output=True, check=True).stdout
        for _ in range(2)
    ]
    assert len(said[0]) > 1000
    assert said[0] == said[1]


def test_without_a_folder_to_write_to_a_program_still_runs_and_says_so(
    tmp_path, monkeypatch, caplog
):
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv(CACHE_VARIABLE, str(blocked))
    assert compiled.keep("name", "x = 1\n").read_text() == "x = 1\n"
    assert f"set {CACHE_VARIABLE} to a folder" in caplog.text
