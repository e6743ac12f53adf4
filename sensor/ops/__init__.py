"""Running the sensor: doctor, installation, retention, health, metrics."""
