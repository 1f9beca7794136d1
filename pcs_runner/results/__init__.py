"""From finished jobs to files: one record a job, and what is derived from the records."""
