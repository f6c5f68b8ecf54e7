"""The steps of a run and the numbers that they leave; knows no config, no folder and no MLflow."""
