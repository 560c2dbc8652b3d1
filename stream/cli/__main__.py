"""`python -m stream.cli` runs `mgfn-stream`."""

import sys

from stream.cli.mgfn_stream import main

if __name__ == "__main__":
    sys.argv[0] = "mgfn-stream"  # the name in its error lines
    main()
