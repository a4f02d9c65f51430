"""Runs a tool on a terminal until it says how far it is, and then ends it.

usage: progress.py WORDS COMMAND...

WORDS begin the line. A signal as it comes from a keyboard leaves nothing in the
folder of temporary files.
"""
import os
import pty
import re
import signal
import subprocess
import sys
import tempfile

words, command = sys.argv[1], sys.argv[2:]
with tempfile.TemporaryDirectory() as folder:
    ours, terminal = pty.openpty()
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=terminal,
        env=dict(os.environ, TERM="xterm", TMPDIR=folder),
        # lit ignores it, and what it runs inherits that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    os.close(terminal)
    # `left` has shown that there was something to remove.
    text, left = "", []
    line = re.compile("\r\x1b\\[K" + words + r": \d+ % of \d+ [^\r]*")
    try:
        while not line.search(text):
            text += os.read(ours, 4096).decode()
        left = os.listdir(folder)
        process.send_signal(signal.SIGINT)
    except OSError:
        sys.exit("ended without a word: " + repr(text))
    if process.wait() != -signal.SIGINT:
        sys.exit("ended with %d: %r" % (process.returncode, text))
    print(line.search(text).group().replace("\r\x1b[K", "on a terminal: "))
    print("then: ", *[re.sub("-[^-]*$", "", name) for name in left])
    print("after:", *os.listdir(folder))
