"""`python -m benchmarks.gpu`. The processes of contenders import this module under another name, without effect."""

import signal
import sys

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # end the processes that were started, too
    from benchmarks.gpu.command import main

    sys.exit(main())
