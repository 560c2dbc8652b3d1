"""`mgfn-bench`: what this machine can hold. It drives the other commands from outside."""
