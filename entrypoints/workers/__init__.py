"""What runs beside the API: servers, projectors, relay, sweeper."""
