"""What one node tells of itself: events, incidents, alarms, bundles, logs, traces, gauges."""
