"""Where every thread of a process stands, from eu-stack or gdb. Both stop the process while they look.

A debugger must not come near a process with threads in state D: it waits for them, and cannot be ended either.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

#: eu-stack takes 0.1-0.4 s for 80 threads, gdb 1-3 s
WITHIN_S = 15.0

#: a frame with the name of a function, as either debugger writes it
_NAME = re.compile(r"^#\d+ +0x[0-9a-f]+ (?:in )?[A-Za-z_]\w", re.MULTILINE)
_THREAD = re.compile(r"TID (\d+):|Thread \d+ \((?:Thread 0x[0-9a-f]+ \()?LWP (\d+)\b")
_FRAME = re.compile(r"#\d+ +(?:0x[0-9a-f]+)?(?: +in)? *([A-Za-z_?][\w:.@?]*)?")
_MOST_BYTES = 4 << 20


def states(pid: int) -> str:
    """The state letter of every thread; empty if the process is gone."""
    letters = ""
    try:
        for number in os.listdir(f"/proc/{pid}/task"):
            try:
                text = Path(f"/proc/{pid}/task/{number}/stat").read_text(errors="replace")
            except OSError:
                continue
            letters += text.rpartition(")")[2].split()[0]
    except OSError:
        return ""
    return letters


def backtraces(pid: int, within_s: float = WITHIN_S) -> str:
    """All threads' stacks as text, or why there are none; never raises and never takes much longer than it is given."""
    seen = states(pid)
    if not seen.strip("ZX"):  # its parent may not have noticed yet
        return "No backtraces: the process is gone.\n"
    if "D" in seen:
        return f"No backtraces: {seen.count('D')} threads are in state D, and a debugger would hang with them.\n"
    reasons = []
    nameless = ""
    for command in _commands(pid):
        if "D" in states(pid):
            return nameless or "No backtraces: threads went into state D.\n"
        in_time, output = _run(command, within_s)
        # eu-stack ends with an error for one stack that is deeper than asked for, or cannot be followed to its end
        if in_time and "#0 " in output:
            found = f"$ {' '.join(command)}\n{output}"
            if _NAME.search(output):
                return found
            nameless = nameless or found
        reasons.append(f"{Path(command[0]).name}: {output.strip()[-300:] or 'no output'}")
    return nameless or "No backtraces: " + ("; ".join(reasons) or "neither eu-stack nor gdb is installed") + "\n"


def stacks(text: str) -> dict[int, list[str]]:
    """Thread number -> its functions, innermost first, in what either debugger wrote; `??` for those without a name."""
    found: dict[int, list[str]] = {}
    frames: list[str] = []
    for line in text.splitlines():
        if (thread := _THREAD.match(line)) is not None:
            frames = found.setdefault(int(thread[1] or thread[2]), [])
        elif (frame := _FRAME.match(line)) is not None:
            frames.append((frame[1] or "??").partition("@")[0])
    return found


def _commands(pid: int) -> list[list[str]]:
    commands = []
    elsewhere = _in_a_root_of_its_own(pid)
    if eu_stack := shutil.which("eu-stack"):
        command = [eu_stack, "-n", "24", "-p", str(pid)]
        # it opens files under the names that they have there
        enter = [shutil.which("nsenter") or "nsenter", f"--mount=/proc/{pid}/ns/mnt", "--"] if elsewhere else []
        commands.append([*enter, *command])
    if gdb := shutil.which("gdb"):
        start = [gdb, "-nx", "-batch", "-iex", "set debuginfod enabled off"]
        if elsewhere:
            start += ["-iex", f"set sysroot /proc/{pid}/root", f"/proc/{pid}/exe"]
        # where debug symbols are installed, texts that are passed on may be tokens: a letter of each will do
        look = ["-ex", "set pagination off", "-ex", "set print elements 1", "-ex", "thread apply all bt 24"]
        commands.append([*start, "-p", str(pid), *look])
    return commands


def _in_a_root_of_its_own(pid: int) -> bool:
    """Whether it sees other files than we do, as in a container."""
    try:
        return os.stat(f"/proc/{pid}/ns/mnt").st_ino != os.stat("/proc/self/ns/mnt").st_ino
    except OSError:
        return False


def _run(command: list[str], within_s: float) -> tuple[bool, str]:
    """Whether it ended in time, and what it wrote, at most 4 MB; or why it could not be run."""
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "DEBUGINFOD_URLS": ""},
            start_new_session=True,
        )
    except OSError as error:
        return False, str(error)
    try:
        output, _ = process.communicate(timeout=within_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        try:
            process.communicate(timeout=2.0)
        except subprocess.TimeoutExpired:
            return False, f"it hung for {within_s:g} s and could not be ended"
        return False, f"it took longer than {within_s:g} s"
    return True, output[:_MOST_BYTES].decode("utf-8", errors="replace")
