"""Using a trained model: from images to scores."""
