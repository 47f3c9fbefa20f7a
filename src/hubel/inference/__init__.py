"""Run trained models: engines, predictors, bulk prediction."""
