"""From labelled images to batches: geometry, augmentation, splits."""
