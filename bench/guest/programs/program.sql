-- What sqlite3 runs, on a file: inserts, an index, joins, aggregates, updates.
PRAGMA journal_mode = DELETE;
CREATE TABLE person (id INTEGER PRIMARY KEY, name TEXT, city INTEGER, age INTEGER);
CREATE TABLE city (id INTEGER PRIMARY KEY, name TEXT);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200)
  INSERT INTO city SELECT i, 'city-' || i FROM n;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 120000)
  INSERT INTO person SELECT i, 'person-' || (i * 7919 % 100003), i * 31 % 200 + 1, i * 17 % 90 FROM n;
CREATE INDEX person_name ON person (name);
SELECT city.name, count(*), avg(age) FROM person JOIN city ON city.id = person.city GROUP BY city.id ORDER BY 3, 1 LIMIT 5;
SELECT count(*), sum(age) FROM person WHERE name LIKE '%77%';
UPDATE person SET age = age + 1 WHERE city % 3 = 0;
DELETE FROM person WHERE id % 10 = 0;
SELECT count(*), sum(age), min(name), max(name) FROM person;
SELECT a.name, b.age FROM person a JOIN person b ON b.name = a.name AND b.id > a.id ORDER BY 1, 2 LIMIT 5;
