"""`python -m benchmarks.speed`; contenders' processes import this module under another name, and nothing with it."""

if __name__ == "__main__":
    from benchmarks.speed.command import main

    main()
