"""`python -m gradwire_pool`."""

from gradwire_pool.commands import main

if __name__ == "__main__":
    raise SystemExit(main())
