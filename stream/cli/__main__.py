"""`python -m stream.cli` is `mgfn-stream`."""

from stream.cli.mgfn_stream import main

if __name__ == "__main__":
    main()
