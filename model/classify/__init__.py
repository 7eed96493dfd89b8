"""Classifiers of sentences, and the tasks they are tried on."""
