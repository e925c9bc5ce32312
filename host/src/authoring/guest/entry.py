"""Stands between the host and the author's class: all calls go to one object, so that it may keep state in `self`, and an exception becomes an error
that carries its traceback, instead of a trap."""

import functools
import io
import os
import sys

ASKED = "ASKED_PERMISSIONS".split()


class AtWork:
    """Before the first call a snapshot is taken, while nothing of the host's is there yet."""

    started = False


# What the component asks for is behind the standard library's own functions before the author's module is imported.
if "Clock" in ASKED:
    import time

    from wit_world.imports import clock

    def granted(name, function):
        before = getattr(time, name)
        setattr(time, name, lambda: function() if AtWork.started else before())

    for stopwatch in ("monotonic", "perf_counter"):
        granted(stopwatch, lambda: clock.monotonic() * 1e-9)
        granted(stopwatch + "_ns", clock.monotonic)
    granted("time", lambda: clock.wall() * 1e-9)
    granted("time_ns", clock.wall)

if "Random" in ASKED:
    import random

    from wit_world.imports import random as dice

import AUTHORS_MODULE as authors
from componentize_py_types import Err
from wit_world import exports
from wit_world.imports.types import Error, ErrorKind

if "Log" in ASKED:
    from wit_world.imports import log


class Lines(io.TextIOBase):
    """Standard output: whole lines go to the host's log."""

    def __init__(self):
        self.begun = ""

    def writable(self):
        return True

    def write(self, text):
        if "Log" not in ASKED:
            reason = "a project prints into the host's log if its plugin.ron says `asks: [Log]` and the user grants it; a single file cannot print"
            raise PermissionError(reason)
        *lines, self.begun = (self.begun + text).split("\n")
        for line in lines:
            log.line(line)
        return len(text)

    def flush(self):
        if self.begun:
            self.write("\n")


sys.stdout = sys.stderr = Lines()

# A snapshot is taken after this module has run, and later there are no files to read source lines from.
LINES = {}
for folder, _, names in os.walk(os.path.dirname(authors.__file__)):
    for name in names:
        if name.endswith(".py"):
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                LINES[os.path.join(folder, name)] = file.read().splitlines()


def told(exception):
    lines = [f"{type(exception).__name__}: {exception}"]
    at = exception.__traceback__.tb_next
    while at is not None:
        code, text = at.tb_frame.f_code, LINES.get(at.tb_frame.f_code.co_filename, [])
        lines.append(f"  {os.path.basename(code.co_filename)}:{at.tb_lineno} in {code.co_name}")
        if 0 < at.tb_lineno <= len(text):
            lines.append(f"    {text[at.tb_lineno - 1].strip()}")
        at = at.tb_next
    return "\n".join(lines)


def guarded(method):
    @functools.wraps(method)
    def call(_, *arguments):
        try:
            return method(*arguments)
        except Err:
            raise
        except Exception as exception:
            raise Err(Error(ErrorKind.INTERNAL, None, told(exception))) from None

    return call


def begun(configure):
    @functools.wraps(configure)
    def call(*arguments):
        AtWork.started = True
        if "Random" in ASKED:
            random.seed(dice.word())
        return configure(*arguments)

    return call


for interface in ("Scoring", "Monitoring", "Acting", "Simulation"):
    if hasattr(exports, interface):
        protocol, author = getattr(exports, interface), getattr(authors, interface)()
        methods = {n: guarded(getattr(author, n)) for n, f in vars(protocol).items() if callable(f) and n[0] != "_"}
        methods["configure"] = begun(methods["configure"])
        globals()[interface] = type(interface, (protocol,), methods)
