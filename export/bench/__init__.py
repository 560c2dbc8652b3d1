"""`mgfn-bench`: measures how many cameras this machine can watch. It runs the other commands as child processes."""
