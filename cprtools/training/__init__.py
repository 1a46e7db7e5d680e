"""What surrounds the training of both models: progress, device, early stopping, checkpoints."""
