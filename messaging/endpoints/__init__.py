"""People see the endpoints of all workers, drain one and use it again.

EndpointDesk     asks and orders: the command line
EndpointOffice   answers and obeys: every worker that has endpoints
EndpointDuty     an office where there is something to do
EndpointOrders   what was ordered, kept for workers that start later
"""

from messaging.endpoints.desk import EndpointDesk, EndpointSurvey
from messaging.endpoints.duty import EndpointDuty
from messaging.endpoints.office import DrainableEndpoints, EndpointOffice
from messaging.endpoints.orders import EndpointOrders

__all__ = ["DrainableEndpoints", "EndpointDesk", "EndpointDuty", "EndpointOffice", "EndpointOrders", "EndpointSurvey"]
