"""Pulser is imported without compiling its schemas, refuses all the same what it refuses, and nothing is left behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_schemas_are_compiled_when_there_is_much_to_validate() -> None:
    """The first documents are validated by jsonschema, later ones by fastjsonschema; both refuse the same."""
    out = python(
        "import sys\n"
        "from pcs_runner.sequence import pulser_loading\n"
        "pulser_loading.WORTH = 3\n"
        "pulser_loading.load_pulser()\n"
        "print('fastjsonschema' in sys.modules)\n"
        "import fastjsonschema, pulser\n"
        "compiled = []\n"
        "real = fastjsonschema.compile\n"
        "fastjsonschema.compile = lambda *a, **k: compiled.append(1) or real(*a, **k)\n"
        "from pulser.json.abstract_repr.validation import validate_abstract_repr\n"
        "text = pulser.AnalogDevice.to_abstract_repr()\n"
        "for wrong in (False, True) * 4:\n"
        "    try:\n"
        "        validate_abstract_repr(text.replace('channels', 'chanels') if wrong else text, 'device')\n"
        "        print('accepted', len(compiled))\n"
        "    except Exception as error:\n"
        "        print('refused', len(compiled))\n"
    )
    first, *verdicts = out.splitlines()
    assert first == "False"
    assert [verdict.split()[0] for verdict in verdicts] == ["accepted", "refused"] * 4
    assert [int(verdict.split()[1]) for verdict in verdicts] == sorted(int(verdict.split()[1]) for verdict in verdicts)
    assert (verdicts[0], verdicts[-1]) == ("accepted 0", "refused 1")


def test_whoever_looks_at_every_module_meanwhile_finds_one() -> None:
    """As PyTorch does, which Pulser imports where it is installed."""
    out = python(
        "import inspect, sys\n"
        "from pcs_runner.sequence import pulser_loading\n"
        "later = pulser_loading._Later('fastjsonschema')\n"
        "sys.modules['fastjsonschema'] = later\n"
        "print(hasattr(later, '__warningregistry__'), hasattr(later, '__file__'))\n"
        "print(later.JsonSchemaException.__module__.partition('.')[0], sys.modules['fastjsonschema'] is later)\n"
    )
    assert out.split() == ["False", "False", "fastjsonschema", "False"]


def test_what_is_imported_already_is_left_alone() -> None:
    out = python(
        "import fastjsonschema, sys\n"
        "from pcs_runner.sequence.pulser_loading import load_pulser\n"
        "load_pulser()\n"
        "print(sys.modules['fastjsonschema'] is fastjsonschema, 'pulser' in sys.modules)\n"
        "before = sys.modules['pulser']\n"
        "load_pulser()\n"
        "print(sys.modules['pulser'] is before)\n"
    )
    assert out.split() == ["True", "True", "True"]


def test_what_workers_are_forked_from_has_one_thread_and_loaded_kernels() -> None:
    """A process with more than one thread must not fork."""
    out = python(
        "import os, sys, threading\n"
        "import pcs_runner.emulator.preload\n"
        "threads = len(os.listdir('/proc/self/task')) if os.path.isdir('/proc/self/task') else threading.active_count()\n"
        "from pcs_runner.emulator.engines.batched import kernels\n"
        "loaded = [one for one in vars(kernels).values() if getattr(one, 'signatures', None)]\n"
        "print(threads, os.environ['OMP_NUM_THREADS'], 'pulser' in sys.modules, bool(loaded))\n"
    )
    assert out.split() == ["1", "1", "True", "True"]


PRELOAD = """\
import time
from pcs_runner.emulator.preload import ending_with_parent

with ending_with_parent():
    print("importing", flush=True)
    time.sleep(120)
"""
PARENT = """\
import multiprocessing, time
from multiprocessing import forkserver

multiprocessing.get_context("forkserver").set_forkserver_preload(["slow_preload"])
forkserver.ensure_running()
time.sleep(120)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such process")
def test_it_ends_with_its_parent_while_it_imports(tmp_path: Path) -> None:
    """Its parent's output is its own: whoever reads that must not wait for it."""
    (tmp_path / "slow_preload.py").write_text(PRELOAD, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True, env=environment)
    assert parent.stdout is not None
    assert parent.stdout.readline() == "importing\n"
    parent.kill()
    parent.communicate(timeout=60)
