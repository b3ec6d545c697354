INSERT OR IGNORE INTO steps (job, name, output) VALUES (?1, ?2, ?3)
