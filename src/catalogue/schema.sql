-- SPDX-License-Identifier: Apache-2.0
-- The catalogue. SQLite reads the text of these definitions again at every opening, so they are few and bare; comments and
-- line ends are taken out at build time. A change here is a new CATALOGUE_VERSION (connection.h).

-- Bases, clones and snapshots. What the columns mean: struct catalogue_row. AUTOINCREMENT: an id is never used again.
-- `clones` is kept beside the rows and not counted at each reading, which would make a clone dearer the more there are.
CREATE TABLE object (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        phase INT, role INT, target INT, name TEXT COLLATE NOCASE,
        base_id INT REFERENCES object (id) DEFERRABLE INITIALLY DEFERRED,
        clones INT DEFAULT 0,
        store, place, kind, format, virtual_bytes, created_ms, memory_bytes, cpus, extra,
        image, source, distro, release, size_bytes, fingerprint,
        clone_ms REAL, expires_ms, disk_bytes, keep_identity,
        hostname, machine_id, mac, uuid, generation_id, instance_id, random_seed, identity_applied,
        of_id, label TEXT COLLATE NOCASE
);
-- Bases and clones of a target share one set of names, in which case does not count. A removed base has none.
CREATE UNIQUE INDEX object_name ON object (target, name) WHERE name IS NOT NULL;
-- A clone's snapshots have a set of names of their own. Nameless ones (label NULL) are all different.
CREATE UNIQUE INDEX object_label ON object (of_id, label) WHERE role = 2;
CREATE INDEX object_base ON object (base_id);
CREATE INDEX object_expiry ON object (expires_ms) WHERE expires_ms > 0;

-- What is being done: one row for each object that is not READY.
CREATE TABLE intent (object_id INTEGER PRIMARY KEY REFERENCES object (id), operation, started_ms);

CREATE TABLE place (name PRIMARY KEY, store, folder, source, size_bytes, ours) WITHOUT ROWID;
CREATE TABLE setting (key PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE audit (id INTEGER PRIMARY KEY, at_ms, target, operation, name, code, text);

-- A random UUID, version 4.
INSERT INTO setting SELECT 'herd.uuid', substr(x, 1, 8) || '-' || substr(x, 9, 4) || '-4' || substr(x, 14, 3) || '-' ||
        substr('89ab', 1 + (random() & 3), 1) || substr(x, 18, 3) || '-' || substr(x, 21)
        FROM (SELECT lower(hex(randomblob(16))) AS x);
