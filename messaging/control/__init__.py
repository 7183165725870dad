"""People and the observer give orders to one process.

ControlDesk     gives orders: the command line
ControlOffice   takes orders, each once, and answers: every worker
WorkerDuties    does what a worker can be ordered to do
"""

from messaging.control.desk import ControlDesk, NotHeardError
from messaging.control.duties import WorkerDuties
from messaging.control.office import ControlOffice, Done, Duty, cannot

__all__ = ["ControlDesk", "ControlOffice", "Done", "Duty", "NotHeardError", "WorkerDuties", "cannot"]
