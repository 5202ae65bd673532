"""The worker processes: Celery carries wake-up tokens without content; what there is to do stands in the database."""
