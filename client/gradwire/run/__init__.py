"""`gradwire run`: an unmodified PyTorch script whose `import torch` gives gradwire. Nothing else imports this package."""

from gradwire.run.finder import install

__all__ = ["install"]
