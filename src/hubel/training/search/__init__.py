"""Search the settings of a recipe: folds, trials, the study, the decision, the folder of a search."""
