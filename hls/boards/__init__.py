"""Tops for boards: the model between the pins that a user has."""
