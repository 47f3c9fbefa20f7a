"""From images and a recipe to a trained, measured, saved classifier."""
