"""`python -m benchmarks.speed`. The processes of contenders import this module under another name, without effect."""

if __name__ == "__main__":
    from benchmarks.speed.command import main

    main()
