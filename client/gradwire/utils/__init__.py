"""Tools around a training script; `gradwire.utils.data` feeds it."""
