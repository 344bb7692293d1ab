"""`python -m gradwire`: the `gradwire` command."""

from gradwire.cli import main

raise SystemExit(main())
