"""The data set ``garments``: drawn pictures of clothes, embedded in fdmo and seeded."""
