"""`python -m stream.cli` is `mgfn-stream`."""

import sys

from stream.cli.mgfn_stream import main

if __name__ == "__main__":
    sys.argv[0] = "mgfn-stream"  # as its own error lines name it
    main()
