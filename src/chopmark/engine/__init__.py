"""The use cases: identify, check, sign, inspect, strip; one artifact at a time or many at once."""
