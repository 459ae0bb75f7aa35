"""Run a container of an image, with the sources, ports and volumes of a developer."""
