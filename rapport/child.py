"""Becomes another program that ends when the process that started it does, even by kill -9 (Linux).

    python child.py SIGNAL_NUMBER PARENT_PID PROGRAM ARGUMENT...

A program of its own rather than a preexec_fn: between fork and exec of a process with threads no Python may run.
Nothing is imported from Rapport, as this stands in front of every start.
"""

import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Ask the kernel for the signal, look whether the parent still lives, then become the program."""
    signum, parent, program = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signum, 0, 0, 0)
        if os.getppid() != parent:  # it died before the kernel was asked
            os.kill(os.getpid(), signum)
    # Python ignores these two from its start on, and a program would inherit that.
    for ignored in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(ignored, signal.SIG_DFL)
    try:
        os.execvp(program[0], program)
    except OSError as error:
        sys.exit(f"{program[0]} cannot be started: {error.strerror}")


if __name__ == "__main__":
    main()
