"""From a trained run to predictions: in memory, or into files that survive an interruption."""
