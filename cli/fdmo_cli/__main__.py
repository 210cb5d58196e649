"""``python -m fdmo_cli``, which torchrun starts: ``torchrun -m fdmo_cli train ...``."""

from fdmo_cli.main import main

main()
