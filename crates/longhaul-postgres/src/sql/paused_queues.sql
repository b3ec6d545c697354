-- The queues that are paused.
-- out: queue
SELECT queue FROM paused_queues
