"""The queue of one machine: jobs that wait in a file, and the workers that share it.

`Store` is the file: what waits, who works on what, how it ended. `admit` looks at jobs before they
get in, `Worker` does them. The queue carries `marionext.jobs.Job` values and knows nothing of their
kinds.
"""

from marionext.queueing.admission import Admission, admit
from marionext.queueing.entries import STATES, Claim, Entry, Line, NewJob, State
from marionext.queueing.rescue import Rescue, rescue
from marionext.queueing.store import DamagedQueueError, Store, queue_folder
from marionext.queueing.watch import Watch
from marionext.queueing.worker import Worker

__all__ = [
    "STATES",
    "Admission",
    "Claim",
    "DamagedQueueError",
    "Entry",
    "Line",
    "NewJob",
    "Rescue",
    "State",
    "Store",
    "Watch",
    "Worker",
    "admit",
    "queue_folder",
    "rescue",
]
