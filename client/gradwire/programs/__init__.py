"""Programs: functions that are recorded once and then run on the worker by one message. See `compile`."""
