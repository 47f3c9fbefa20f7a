"""Train: recipe, plan, trainer, loop, transfer learning, the folder of a run."""
