"""What a labelled project holds, and what a training would decide, before any training."""
