-- What Aurora's master user finds in every cluster and MariaDB does not have: the mysql.rds_* procedures that stand in
-- for SUPER, and the roles that Aurora ships. Run once, as rdsadmin, on the template.
DELIMITER $$
CREATE OR REPLACE PROCEDURE mysql.rds_kill(p BIGINT UNSIGNED) SQL SECURITY DEFINER
BEGIN EXECUTE IMMEDIATE CONCAT('KILL ', p); END$$
CREATE OR REPLACE PROCEDURE mysql.rds_kill_query(p BIGINT UNSIGNED) SQL SECURITY DEFINER
BEGIN EXECUTE IMMEDIATE CONCAT('KILL QUERY ', p); END$$
CREATE TABLE IF NOT EXISTS mysql.rds_configuration (
  name VARCHAR(100) PRIMARY KEY, value VARCHAR(100), description VARCHAR(300))$$
REPLACE INTO mysql.rds_configuration VALUES ('binlog retention hours', NULL,
  'binlog retention hours specifies the duration in hours before binary logs are automatically deleted.')$$
CREATE OR REPLACE PROCEDURE mysql.rds_show_configuration() SQL SECURITY DEFINER
SELECT name, value, description FROM mysql.rds_configuration$$
CREATE OR REPLACE PROCEDURE mysql.rds_set_configuration(n VARCHAR(100), v VARCHAR(100)) SQL SECURITY DEFINER
UPDATE mysql.rds_configuration SET value = v WHERE name = n$$
CREATE ROLE IF NOT EXISTS rds_superuser_role$$
CREATE ROLE IF NOT EXISTS AWS_LOAD_S3_ACCESS$$
CREATE ROLE IF NOT EXISTS AWS_SELECT_S3_ACCESS$$
CREATE ROLE IF NOT EXISTS AWS_LAMBDA_ACCESS$$
