"""What does pytest make of the benchmark? Nothing: these are programs (`make bench`), not timed tests."""

collect_ignore_glob = ["*.py"]
