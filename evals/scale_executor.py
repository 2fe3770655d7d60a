"""One executor process of the scale bench; it runs until SIGTERM.

`python -m evals.scale_executor URL NAME FOLDER SLOTS TTL_SECONDS`
"""

from __future__ import annotations

import logging
import resource
import signal
import sys
import threading
from datetime import timedelta
from pathlib import Path

from evals.scale_office import office


def main(url: str, name: str, folder: Path, slots: int, ttl: timedelta) -> int:
    """Run; 4 when it found itself fenced. The last line of its output is what it used of the processor, in seconds."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    with office(url, name, folder, slots=slots, ttl=ttl) as rig:
        sys.stdout.write(f"ready {rig.executor.lease.owner}\n")
        sys.stdout.flush()
        rig.worker.run(stop)
    used = resource.getrusage(resource.RUSAGE_SELF)
    sys.stdout.write(f"cpu {used.ru_utime + used.ru_stime:.3f}\n")
    return 4 if rig.worker.fenced else 0


if __name__ == "__main__":
    address, who, where, room, lease = sys.argv[1:6]
    sys.exit(main(address, who, Path(where), int(room), timedelta(seconds=float(lease))))
