"""The API and the page: FastAPI routes, templates and static files over `sensor.services`."""
