"""A small real search platform that can be hurt from outside and healed by retraining, rollback or repair.

It stands apart: nothing here imports the product that looks after it, and the product reaches it only through HTTP,
git, the model registry and worker jobs.
"""
