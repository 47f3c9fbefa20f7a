"""How good a classifier is: numbers, figures, tables and a report. Nothing here trains or reads images."""
