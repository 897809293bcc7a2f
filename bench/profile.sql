-- Where the database's time went, statements within functions too; `top` marks those that clients sent.
SELECT calls, total_exec_time, mean_exec_time, toplevel, query
FROM pg_stat_statements
WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND calls > 0
ORDER BY total_exec_time DESC
LIMIT 40
