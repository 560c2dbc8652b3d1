"""One page for many instances: `mgfn-stream desk` shows every node on a broker, with its cameras and alarms."""
